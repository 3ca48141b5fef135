"""Arrow schemas of what publishing makes: placement, packed rows, the id index and the summary."""

import pyarrow as pa

from schemas.columns import columns
from schemas.documents import ID, SHA256

DECISION = columns(pa.field("keep", pa.bool_()), pa.field("reasons", pa.list_(pa.string())))
"""What `select` decided. reasons: names of all predicates that the document fails; `unknown:NAME` where one is NULL."""

PLACEMENT = columns(pa.field("domain", pa.string()), pa.field("shuffle_key", pa.uint64()))
"""Where a kept document goes; both null for a dropped one.

domain: folder name of the published file. shuffle_key: uniform on 64 bits, a function of (seed, document id).
"""

PACKED = columns(
    pa.field("tokens", pa.list_(pa.int32())),
    pa.field("document_id", pa.list_(pa.binary())),
    pa.field("document_start", pa.list_(pa.int32())),
    pa.field("document_offset", pa.list_(pa.int32())),
)
"""One training sequence per row.

tokens: token ids; every document is followed by the end-of-document token. A row has `sequence_length` tokens, the last
row of a file may have fewer.
document_id: the documents whose tokens stand in the row, in order (16 bytes each).
document_start: position in the row where each begins. document_offset: which token of the document stands there.
"""

INDEX = columns(
    pa.field("document_id", ID),
    pa.field("content_hash", SHA256),
    pa.field("shard", pa.int32()),
    pa.field("row", pa.int32()),
    pa.field("keep", pa.bool_()),
    pa.field("file", pa.int32()),
    pa.field("file_row", pa.int32()),
    pa.field("position", pa.int32()),
)
"""The id index, sorted by document_id; shard i holds the ids whose first two bytes fall into the i-th equal range.

shard, row: where the document is in `documents` and every sidecar.
file, file_row, position: where its first token is in the published files; null for a dropped document.
"""

SUMMARY = columns(
    pa.field("origin", pa.string()),
    pa.field("revision", pa.string()),
    pa.field("language", pa.string()),
    pa.field("license", pa.string()),
    pa.field("documents", pa.int64()),
    pa.field("bytes", pa.int64()),
    pa.field("kept", pa.int64()),
    pa.field("kept_bytes", pa.int64()),
    pa.field("tokens", pa.int64()),
)
"""Totals by origin, revision, language and licence, sorted by those."""
