"""Megatron-LM's mapped dataset: `DOMAIN.bin` with the tokens of a domain, `DOMAIN.idx` with where each row is.

One sequence per row, one document per sequence. Checked against megatron-core 0.16: its reader reads it, its builder
writes the same bytes. Memory: one batch of rows.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jobs.export.framed import durable
from jobs.export.layout import Format, Layout, Part, Rows, Unit
from jobs.export.ragged import Array, Ragged
from pipeline.errors import RecipeError

_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_CODES = {"int32": 4, "uint16": 8}
_HEAD_BYTES = 34
_STEP = 1 << 20
"""Numbers of the index that are held at once."""


def _write(
    layout: Layout, export: Path, folder: str, unit: Unit, before: Sequence[Unit], batches: Iterator[Rows]
) -> tuple[Part, ...]:
    """Append to the domain's files after the last finished unit."""
    parts = list(chain.from_iterable(done.parts for done in before))
    start, rows, tokens = sum(part.bytes for part in parts), sum(part.rows for part in parts), 0
    count = 0
    with _from(_bin(export, folder), start) as data, _from(_lengths(export, folder), 4 * rows) as lengths:
        for batch in batches:
            column = batch["tokens"]
            data.write(_narrow(column.values, layout.id_type, unit).data)
            lengths.write(column.lengths.astype("<i4").data)
            count, tokens = count + len(column.lengths), tokens + len(column.values)
        for file in (data, lengths):
            file.flush()
            os.fsync(file.fileno())
    size = tokens * np.dtype(layout.id_type).itemsize
    return (Part(file=f"{folder}.bin", start=start, bytes=size, rows=count, tokens=tokens),)


def _bin(export: Path, folder: str) -> Path:
    return export / f"{folder}.bin"


def _lengths(export: Path, folder: str) -> Path:
    """Row lengths so far, int32; goes when the export is finished."""
    return export / f".progress/{folder}.lengths"


def _from(path: Path, position: int) -> BinaryIO:
    """A file to go on at a position; what stood there is of a stopped run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(position)
    file.seek(position)
    return file


def _narrow(tokens: Array, kind: str, unit: Unit) -> Array:
    if kind == "uint16" and len(tokens) and not 0 <= tokens.min() <= tokens.max() < 1 << 16:
        raise RecipeError(
            f"{unit.source} has tokens from {tokens.min()} to {tokens.max()}, which do not fit uint16; use int32"
        )
    return np.ascontiguousarray(tokens.astype(np.dtype(kind).newbyteorder("<"), copy=False))


def _finish(layout: Layout, export: Path, folder: str, units: Sequence[Unit]) -> None:
    """The index: header, int32 lengths, int64 byte positions, int64 first sequence of each document and the end."""
    rows = sum(part.rows for unit in units for part in unit.parts)
    head = _MAGIC + np.array([_VERSION], "<u8").tobytes() + bytes([_CODES[layout.id_type]])
    with _lengths(export, folder).open("rb") as lengths, durable(export / f"{folder}.idx") as file:
        file.write(head + np.array([rows, rows + 1], "<u8").tobytes())
        while block := lengths.read(4 * _STEP):
            file.write(block)
        lengths.seek(0)
        at = 0
        while block := lengths.read(4 * _STEP):
            sizes = np.frombuffer(block, "<i4").astype("<i8") * np.dtype(layout.id_type).itemsize
            ends = at + np.cumsum(sizes)
            file.write((ends - sizes).data)
            at = int(ends[-1])
        for first in range(0, rows + 1, _STEP):
            file.write(np.arange(first, min(rows + 1, first + _STEP), dtype="<i8").data)


def _read(layout: Layout, export: Path, folder: str, unit: Unit) -> Iterator[Rows]:
    index = np.memmap(export / f"{folder}.idx", np.uint8, "r")
    code, (rows, documents) = int(index[17]), index[18:_HEAD_BYTES].view("<u8").astype(np.int64).tolist()
    kind = {number: name for name, number in _CODES.items()}[code]
    if (
        bytes(index[:17]) != _MAGIC + _VERSION.to_bytes(8, "little")
        or len(index) != _HEAD_BYTES + 12 * rows + 8 * documents
    ):
        raise ValueError(f"{folder}.idx is no index of version {_VERSION} with {rows:,} sequences")
    at = _HEAD_BYTES + 4 * rows
    lengths = index[_HEAD_BYTES:at].view("<i4")
    pointers = index[at : at + 8 * rows].view("<i8")
    firsts = index[at + 8 * rows :].view("<i8")
    item = np.dtype(kind).itemsize
    for part in unit.parts:
        first = int(np.searchsorted(pointers, part.start))
        borders = np.concatenate([[0], np.cumsum(lengths[first : first + part.rows], dtype=np.int64)])
        if (
            np.any(pointers[first : first + part.rows] != part.start + borders[:-1] * item)
            or borders[-1] != part.tokens
        ):
            raise ValueError(f"{folder}.idx: positions and lengths of {unit.source} do not fit each other")
        if np.any(firsts[first : first + part.rows + 1] != np.arange(first, first + part.rows + 1)):
            raise ValueError(f"{folder}.idx: expected one document per sequence")
        for start, stop in _blocks(borders):
            count, begin = int(borders[stop] - borders[start]), part.start + int(borders[start]) * item
            values = np.fromfile(export / part.file, np.dtype(kind).newbyteorder("<"), count, offset=begin)
            yield {"tokens": Ragged(borders[start : stop + 1] - borders[start], values.astype("<i4", copy=False))}


def _blocks(borders: Array) -> Iterator[tuple[int, int]]:
    """Rows of at most `_STEP` tokens, or one row."""
    start = 0
    while start < len(borders) - 1:
        stop = max(start + 1, int(np.searchsorted(borders, borders[start] + _STEP, side="right")) - 1)
        yield start, stop
        start = stop


FORMAT = Format(name="megatron", columns=("tokens",), folder="{domain}", write=_write, finish=_finish, read=_read)
