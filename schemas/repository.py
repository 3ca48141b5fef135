"""Arrow schema of repository order, row-aligned with `documents`."""

import pyarrow as pa

from schemas.columns import columns

REPOSITORY = columns(pa.field("repository_key", pa.uint64()), pa.field("repository_rank", pa.int32()))
"""repository_key: equal for the documents of one run of a repository's files, a digest of its origin, its revision and
the number of the run; null for a document that is no file of a repository, and for one without text.
repository_rank: place of the file in its repository: a file stands behind the files that it imports.
"""
