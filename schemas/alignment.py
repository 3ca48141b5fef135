"""Tokens beside the syntax tree: leaf, concept and identifier of each, row-aligned with documents."""

import pyarrow as pa

from schemas.columns import columns


def _list(name: str, kind: pa.DataType, encoding: str) -> pa.Field:
    element = pa.field("element", kind, nullable=False, metadata={"parquet": encoding})
    return pa.field(name, pa.list_(element))


ALIGNMENT_STATUSES = {
    "aligned": "every column is there",
    "no-text": "the document has no text",
    "no-tokens": "the document has no tokens",
    "no-tree": "the document has no syntax tree; `token_start` alone is there",
    "lossy": "the tokens do not spell the text: another vocabulary, or one that changes text",
    "unordered": "leaves overlap or stand outside the text; `token_start` alone is there",
}
"""Why a document is aligned, or not."""

ALIGNMENT = columns(
    pa.field("alignment_status", pa.string(), nullable=False),
    _list("token_start", pa.int32(), "delta"),
    _list("token_leaf", pa.int32(), "split"),
    _list("token_concept", pa.uint8(), "dictionary"),
    _list("token_group", pa.int32(), "split"),
    pa.field("aligned_tokens", pa.int32()),
    pa.field("leaves", pa.int32()),
    pa.field("whole_leaves", pa.int32()),
    pa.field("identifiers", pa.int32()),
    pa.field("identifier_tokens", pa.int32()),
)
"""One element per token in the lists; columns are null where `alignment_status` says so.

alignment_status: a key of `ALIGNMENT_STATUSES`.
token_start: byte of the text's UTF-8 where the token begins; it ends where the next begins, the last with the text.
token_leaf: number of the last leaf of the tree that the token overlaps; -1 for tokens of gaps alone. Leaves that cover
nothing are left out.
token_concept: position in `schemas.ast.CONCEPTS` of that leaf's concept, or, where that is `none`, of the nearest node
above it that has one; `none` for gaps.
token_group: 0, or the number of the identifier that the leaf is, counted from 1 in each document: tokens of one
identifier stand together and share it.
aligned_tokens: tokens that overlap at most one leaf.
leaves: leaves that cover bytes. whole_leaves: leaves whose tokens overlap no other leaf.
identifiers: greatest `token_group`. identifier_tokens: tokens that are in one.
"""

ALIGNMENT_STATISTICS = columns(
    pa.field("language", pa.string()),
    pa.field("status", pa.string(), nullable=False),
    pa.field("measure", pa.string(), nullable=False),
    pa.field("count", pa.int64(), nullable=False),
)
"""One row per language, status and measure that is not 0, sorted by all other columns, null last.

language: of the documents; null where it is unknown. status: a key of `ALIGNMENT_STATUSES`.
measure: a key of `ALIGNMENT_MEASURES`. count: how many.
"""

ALIGNMENT_MEASURES = {
    "documents": "documents",
    "tokens": "tokens",
    "aligned_tokens": "tokens that overlap at most one leaf",
    "leaves": "leaves that cover bytes",
    "whole_leaves": "leaves whose tokens overlap no other leaf",
    "identifiers": "identifiers",
    "identifier_tokens": "tokens of identifiers",
}
"""What is counted."""
