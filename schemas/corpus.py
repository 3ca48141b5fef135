"""Arrow schemas of what publishing makes: placement, documents, packings, the id index and the summary."""

import pyarrow as pa

from schemas.columns import columns
from schemas.documents import ID, SHA256

DECISION = columns(pa.field("keep", pa.bool_()), pa.field("reasons", pa.list_(pa.string())))
"""What `select` decided. reasons: names of all predicates that the document fails; `unknown:NAME` where one is NULL."""

PLACEMENT = columns(
    pa.field("domain", pa.string()), pa.field("shuffle_key", pa.uint64()), pa.field("shuffle_rank", pa.int32())
)
"""Where a kept document goes; all null for a dropped one.

domain: folder name of the published file. shuffle_key: uniform on 64 bits, a function of the seed and of the document's
id or, where repositories stay together, of its repository.
shuffle_rank: place in its repository; null where documents are shuffled one by one.
"""

DATA = columns(
    pa.field("document_id", ID),
    pa.field("tokens", pa.list_(pa.int32())),
    pa.field("num_tokens", pa.int32()),
    pa.field("group", pa.int32()),
)
"""A published file: one row per document, in the order of the global shuffle.

tokens: token ids; the last one ends the document. num_tokens: how many, at least 1.
group: documents of one number stand together, in order: the files of one repository. Counts from 0 in each file;
without repositories every document has its own.
"""

PACKING = columns(
    pa.field("document", pa.list_(pa.int32())),
    pa.field("start", pa.list_(pa.int32())),
    pa.field("length", pa.list_(pa.int32())),
    pa.field("num_tokens", pa.int32()),
)
"""The index of a packing: one row per training sequence of the data file of the same name, in the order of training.

document: rows of the data file whose tokens stand in the sequence, in order. start: first token of each piece in its
document. length: tokens of the piece. num_tokens: of the whole sequence, without padding.
"""

SEQUENCES = columns(
    pa.field("tokens", pa.list_(pa.int32())),
    pa.field("document_id", pa.list_(pa.binary())),
    pa.field("document_start", pa.list_(pa.int32())),
    pa.field("document_offset", pa.list_(pa.int32())),
    pa.field("cu_seqlens", pa.list_(pa.int32())),
    pa.field("loss_mask", pa.list_(pa.bool_())),
)
"""Training sequences as a reader gives them; nothing stores them.

tokens: ids, filled up to the length of the packing with its padding id.
document_id: of each piece (16 bytes), in order. document_start: where in the row the piece begins.
document_offset: which token of its document stands there; positions that go on across rows count from it.
cu_seqlens: borders of the pieces, from 0 to the length of the row; padding is a segment of its own, the last.
loss_mask: false on padding.
"""

INDEX = columns(
    pa.field("document_id", ID),
    pa.field("content_hash", SHA256),
    pa.field("shard", pa.int32()),
    pa.field("row", pa.int32()),
    pa.field("keep", pa.bool_()),
    pa.field("file", pa.int32()),
    pa.field("file_row", pa.int32()),
)
"""The id index, sorted by document_id; shard i holds the ids whose first two bytes fall into the i-th equal range.

shard, row: where the document is in `documents` and every sidecar.
file, file_row: where it is in the published files; null for a dropped document.
"""

MIXED = columns(
    pa.field("keep", pa.bool_()),
    pa.field("copies", pa.int32()),
    pa.field("num_tokens", pa.int64()),
)
"""What a mixture has made of each document of its source.

keep: whether it stands in the mixture. copies: how often; null for a document that the source dropped already.
num_tokens: of all its copies together, without the tokens that end them; null like `copies`.
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
