"""Commit records and manifests: the JSON that says what data exists and where it came from."""

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(_Model):
    """The commit record of one shard. Data without a record does not exist."""

    key: str
    """Hex digest of (step, config, library versions, keys of the inputs)."""
    step: str
    """Folder of the step: `name-identity`."""
    file: str
    """Path of the data inside the store."""
    sha256: str
    """Digest of the file."""
    file_bytes: int
    rows: int
    base: str
    """Key of the documents shard that this one is row-aligned with; its own key for others."""
    exact: bool
    libraries: dict[str, str]
    """Versions of what made it; pyarrow's writer is one that is not part of the key."""
    counters: dict[str, int]
    """`rows`, `bytes` (content), `out_rows`, `out_bytes`, and `reason:NAME` for every mark's reason."""


class StepEntry(_Model):
    """One step of a plan, as lineage."""

    name: str
    folder: str
    """Folder of its shards and records inside the store."""
    role: str
    """`documents`, `sidecar` (row-aligned with them), `files`, `index` or `other`."""
    version: int
    config: object
    libraries: dict[str, str]
    inputs: list[str]
    """Folders of the steps it reads."""
    keys: list[str]
    """Its shards, in order."""


class FileEntry(_Model):
    """One published file."""

    path: str
    """Relative to the version's folder."""
    key: str
    sha256: str
    file_bytes: int
    rows: int
    tokens: int
    documents: int
    """Documents that begin in it."""


class SourceEntry(_Model):
    """What was read: one (origin, revision) with its totals."""

    origin: str
    revision: str
    documents: int
    bytes: int


class FunnelEntry(_Model):
    """Rows and bytes into and out of one step, with reasons."""

    step: str
    rows_in: int
    rows_out: int
    bytes_in: int
    bytes_out: int
    reasons: dict[str, int]


class Manifest(_Model):
    """One published version: `name@version`. Never overwritten."""

    format: int = 1
    name: str
    version: str
    identity: str
    """Digest of the keys of all its files: equal identity means equal bytes."""
    recipe: str
    parameters: dict[str, object]
    sequence_length: int
    vocabulary: str
    end_of_document: int
    """Token id after each document."""
    documents: int
    tokens: int
    domains: dict[str, int]
    """Tokens by domain."""
    languages: dict[str, int]
    """Kept documents by language."""
    licenses: dict[str, int]
    """Kept documents by SPDX expression."""
    files: list[FileEntry]
    sources: list[SourceEntry]
    funnel: list[FunnelEntry]
    steps: list[StepEntry]
