"""Statistics of syntax trees: counts in long form, from which every table of a corpus's trees follows."""

import pyarrow as pa

from schemas.columns import columns

SYNTAX_STATISTICS = columns(
    pa.field("language", pa.string()),
    pa.field("status", pa.string(), nullable=False),
    pa.field("measure", pa.string(), nullable=False),
    pa.field("kind", pa.string()),
    pa.field("concept", pa.string()),
    pa.field("is_named", pa.bool_()),
    pa.field("count", pa.int64(), nullable=False),
)
"""One row per count that is not 0, sorted by all other columns, null last.

language: of the documents; null where it is unknown.
status: a key of `schemas.ast.STATUSES`: whether the documents have a tree, or why not.
measure: a key of `MEASURES`.
kind, concept, is_named: name of the kind of nodes in the grammar (`ERROR` is one), name of their universal concept, and
whether they are named; null for measures of documents.
count: how many.
"""

MEASURES = {
    "files": "documents",
    "bytes": "bytes of their text as UTF-8",
    "lines": "lines ended by LF or the end of the text; what follows the last LF counts only if not empty",
    "line_bytes": "bytes outside the line breaks, which are LF and CR LF",
    "errors": "ERROR nodes",
    "missing": "MISSING nodes",
    "without_errors": "trees without ERROR and MISSING nodes",
    "lossless": "trees that give back their text",
    "nodes": "nodes of one kind and concept, anonymous ones too",
}
"""What is counted."""
