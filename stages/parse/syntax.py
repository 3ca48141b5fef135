"""Parses each text into its syntax tree and units; a text that hangs, explodes or crashes a parser costs only itself.

Reads `text` and `language`; writes the columns of `schemas.ast.AST` and `UNITS`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.isolate import At, Isolated, Limits, Rows
from pipeline.stage import Counts, Resources, Stage, Transform
from schemas.ast import AST, UNITS
from stages.parse.loaded import grammar_of, grammars
from stages.parse.parse import Parsed, grammar_metadata, parse_source, parsed_batch
from stages.text_views import string_chunks, text_views

_BATCH_BYTES = 4_000_000
"""Text that the child parses in one go: what is done again when one of its rows fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntaxConfig:
    """What one document may take; it has a status instead of a tree when it takes more."""

    max_source_bytes: int = 64_000_000
    """Bytes of text."""
    max_seconds: float = 60
    """CPU time. Trees do not depend on it, but which documents exceed it depends on the machine: keep it generous."""
    max_memory_bytes: int = 6_000_000_000
    """Of the parser and the tree together."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_source_bytes < 1 << 31:
            raise ValueError(f"max_source_bytes must be from 1 to {(1 << 31) - 1}, got {self.max_source_bytes}")
        Limits(max_seconds=self.max_seconds, max_memory_bytes=self.max_memory_bytes)


def open_rows(config: SyntaxConfig) -> Rows:
    """What runs in the child process: rows of `text` and `language` to rows of trees."""

    def rows(batch: pa.RecordBatch, at: At) -> pa.RecordBatch:
        for language in batch["language"].unique().drop_null().to_pylist():
            if language in grammar_of():
                parse_source(b"", grammar_of()[language])  # loads the grammar and what numba has compiled
        out: list[Parsed | str] = []
        for number, (text, language) in enumerate(zip(batch["text"], batch["language"].to_pylist(), strict=True)):
            at(number)
            out.append(_parse(text, language, config))
        at(batch.num_rows)
        return parsed_batch(out)

    return rows


def _parse(text: pa.StringScalar, language: str | None, config: SyntaxConfig) -> Parsed | str:
    source = text.as_buffer()
    if source is None:
        return "no-text"
    grammar = grammar_of().get(language or "")
    if grammar is None:
        return "no-grammar"
    return "oversize" if source.size > config.max_source_bytes else parse_source(source.to_pybytes(), grammar)


def _open(config: SyntaxConfig) -> Transform:
    limits = Limits(max_seconds=config.max_seconds, max_memory_bytes=config.max_memory_bytes)
    parse = Isolated(f"{__name__}:{open_rows.__name__}", config, limits)

    def syntax(table: pa.Table) -> pa.Table:
        pieces: list[pa.RecordBatch] = []
        for batch in _batches(table):
            pieces += [parsed_batch([out]) if isinstance(out, str) else out for out in parse(batch)]
        return _table(pieces)

    return syntax


def _batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Slices of about `_BATCH_BYTES` of text, at least one row each."""
    table = table.select(["text", "language"]).combine_chunks()
    for chunk in table.to_batches():
        (text,) = string_chunks(pa.chunked_array([chunk["text"]]))
        offsets, _ = text_views(text)
        start = 0
        while start < len(text):
            end = int(np.searchsorted(offsets, int(offsets[start]) + _BATCH_BYTES, side="right")) - 1
            end = max(end, start + 1)
            yield chunk.slice(start, end - start)
            start = end


def _table(pieces: Sequence[pa.RecordBatch]) -> pa.Table:
    """One table of all pieces, with the names of all their grammars as its metadata."""
    schema = pa.schema([*AST, *UNITS])
    table = pa.Table.from_batches(pieces, schema=schema)
    used = pc.unique(table["grammar"]).drop_null().to_pylist()
    return table.replace_schema_metadata(grammar_metadata(used))


def _count(table: pa.Table) -> Counts:
    parsed = pc.equal(table["ast_status"], "parsed")
    statuses = pc.value_counts(table["ast_status"].filter(pc.invert(parsed)).combine_chunks())
    counts = {f"reason:{entry['values']}": entry["counts"] for entry in statuses.to_pylist()}
    trees = table.select(["text", "ast_nodes", "ast_lossless", "ast_errors", "ast_missing"]).filter(parsed)
    broken = pc.add(trees["ast_errors"], trees["ast_missing"])
    return counts | {
        "out_rows": trees.num_rows,
        "out_bytes": pc.sum(pc.binary_length(trees["text"])).as_py() or 0,
        "nodes": pc.sum(trees["ast_nodes"]).as_py() or 0,
        "lossless": pc.sum(trees["ast_lossless"]).as_py() or 0,
        "without_errors": pc.sum(pc.equal(broken, 0)).as_py() or 0,
    }


STAGE: Stage[SyntaxConfig] = Stage(
    name="syntax",
    version=1,
    reads=pa.schema([("text", pa.string()), ("language", pa.string())]),
    writes=pa.schema([*AST, *UNITS]),
    open=_open,
    resources=Resources(memory_bytes=2_500_000_000),
    libraries=("tree-sitter", *sorted({grammar.distribution for grammar in grammars().values()})),
    count=_count,
)
