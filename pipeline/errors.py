"""The project's exceptions.

GristmillError
├── SourceError         a source that cannot be read as asked: missing folder, wrong column
├── SiteError           the site file, storage, cluster or endpoint: typo, unreachable address, disk full
├── RecipeError         a recipe that cannot be found or loaded
├── PlanError           a recipe whose steps do not fit together: missing column, misaligned sidecar
├── IdentityError       the same key was made twice with different content
├── CorruptShardError   stored data that does not match its commit record
├── IsolatedError       a child process for risky work that could not start or whose function raised
├── PublishError        a version that is taken
├── NotFoundError       a dataset, version or document that does not exist
└── ShardsFailedError   a run that finished with failed shards; names them

Users' mistakes in a config raise `ValueError`.
"""


class GristmillError(Exception):
    """Root of the tree. The message says what, which value, what was expected and what to do."""

    exit_code = 1


class SourceError(GristmillError):
    """A source that cannot be read as asked."""

    exit_code = 3


class SiteError(GristmillError):
    """The site file, storage, cluster or endpoint is not usable."""

    exit_code = 5


class RecipeError(GristmillError):
    """A recipe cannot be found or loaded."""

    exit_code = 2


class PlanError(GristmillError):
    """A recipe's steps do not fit together."""

    exit_code = 2


class IdentityError(GristmillError):
    """A key was made again with other content: a stage is not deterministic, or its version was not bumped."""


class CorruptShardError(GristmillError):
    """Stored data does not match its commit record."""


class IsolatedError(GristmillError):
    """A child process for risky work did not start, or its function raised; the message holds what it said."""


class PublishError(GristmillError):
    """A version is taken by other content."""

    exit_code = 6


class NotFoundError(GristmillError):
    """A dataset, version or document does not exist."""

    exit_code = 7


class ShardsFailedError(GristmillError):
    """A run finished, but some shards failed; the message names them."""

    exit_code = 4
