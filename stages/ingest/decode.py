"""Decodes documents: bytes in any encoding become text, binary data gets a problem.

Reads content, content_hash and problem of RAW; writes text, text_hash, encoding, raw and problem of DOCUMENT.
Whole columns of clean UTF-8 are taken over without a copy; only rows that are not go through `stages.ingest.charset`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.stage import Stage, Transform
from schemas.documents import DOCUMENT, RAW
from stages.ingest.charset import decode, is_control
from stages.ingest.distinct import Column

READS = pa.schema([RAW.field(name) for name in ("content", "content_hash", "problem")])
WRITES = pa.schema([DOCUMENT.field(name) for name in ("text", "text_hash", "encoding", "raw", "problem")])

_SCAN_BYTES = 1 << 18
_BOM = "\ufeff"


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeConfig:
    """Decoding has one right answer per document, so there is nothing to set."""


@dataclass(slots=True)
class _Odd:
    """The rows that are not clean UTF-8, decoded one by one."""

    text: list[str | None]
    text_hash: list[bytes | None]
    encoding: list[str | None]
    raw: list[bytes | None]
    problem: list[str | None]


def _open(_: DecodeConfig) -> Transform:
    def transform(table: pa.Table) -> pa.Table:
        batches = [_decode_batch(batch) for batch in table.to_batches()]
        return pa.Table.from_batches(batches, schema=WRITES)

    return transform


def _decode_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    content: Column = batch["content"]
    absent = content.is_null()
    if content.null_count:
        content = pc.if_else(absent, pa.scalar(b"", pa.binary()), content)
    odd = _odd_rows(content)
    decoded = _decode_rows(content.take(odd))
    mask = np.zeros(len(content), dtype=bool)
    mask[odd] = True

    def scatter(column: Column, values: list[Any]) -> Column:
        return pc.replace_with_mask(column, pa.array(mask), pa.array(values, column.type)) if len(odd) else column

    def without_absent(column: Column) -> Column:
        return pc.if_else(absent, pa.scalar(None, column.type), column) if batch["content"].null_count else column

    plain = pc.if_else(pa.array(mask), pa.scalar(b"", pa.binary()), content) if len(odd) else content
    columns = [
        without_absent(scatter(plain.cast(pa.string()), decoded.text)),
        without_absent(scatter(batch["content_hash"], decoded.text_hash)),
        without_absent(scatter(pa.repeat("utf-8", len(content)), decoded.encoding)),
        scatter(pa.nulls(len(content), pa.binary()), decoded.raw),
        scatter(batch["problem"], decoded.problem),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=WRITES)


def _odd_rows(content: Column) -> NDArray[np.int64]:
    """Indices of rows that are not UTF-8, start with a byte order mark or hold control characters, in order."""
    invalid = np.fromiter(_invalid_rows(content, 0), np.int64)
    marked: Column = pc.starts_with(content, _BOM)
    return np.unique(
        np.concatenate([invalid, np.flatnonzero(marked.to_numpy(zero_copy_only=False)), _control_rows(content)])
    )


def _invalid_rows(content: Column, start: int) -> Iterator[int]:
    """Rows that are not UTF-8, found by halving: Arrow checks a whole column at once, but does not say which row."""
    try:
        content.cast(pa.string())
    except pa.ArrowInvalid:
        if len(content) == 1:
            yield start
            return
        middle = len(content) // 2
        yield from _invalid_rows(content.slice(0, middle), start)
        yield from _invalid_rows(content.slice(middle), start + middle)


def _control_rows(content: Column) -> NDArray[np.int64]:
    offsets = np.frombuffer(content.buffers()[1], np.int32)[content.offset : content.offset + len(content) + 1]
    if not len(offsets) or offsets[0] == offsets[-1]:
        return np.empty(0, np.int64)
    values = np.frombuffer(content.buffers()[2], np.uint8)
    found = [
        start + np.flatnonzero(is_control(values[start : min(start + _SCAN_BYTES, offsets[-1])]))
        for start in range(int(offsets[0]), int(offsets[-1]), _SCAN_BYTES)
    ]
    rows: NDArray[np.int64] = np.searchsorted(offsets, np.concatenate(found), side="right") - 1
    return rows


def _decode_rows(contents: Column) -> _Odd:
    odd = _Odd([], [], [], [], [])
    for content in contents.to_pylist():
        found = decode(content)
        odd.text.append(found.text if found else None)
        odd.text_hash.append(hashlib.sha256(found.text.encode()).digest() if found else None)
        odd.encoding.append(found.encoding if found else None)
        odd.raw.append(None if found is None or found.exact else content)
        odd.problem.append(None if found else "binary")
    return odd


STAGE: Stage[DecodeConfig] = Stage(
    name="decode",
    version=1,
    reads=READS,
    writes=WRITES,
    open=_open,
    libraries=("charset-normalizer",),
)
