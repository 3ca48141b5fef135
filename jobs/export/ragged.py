"""Columns of training rows as flat numbers: what every writer writes and every reader gives back.

Reads tables of documents or of sequences. Memory: views where Arrow's layout allows, else one copy of a column.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.errors import CorruptShardError

Array = np.ndarray
"""Contiguous, one-dimensional."""

COLUMNS: Mapping[str, str] = {
    "tokens": "int32",
    "document_id": "uint8",
    "document_start": "int32",
    "document_offset": "int32",
    "cu_seqlens": "int32",
    "loss_mask": "uint8",
}
"""What can be exported and the type of its values. An id is 16 values; a mask has 0 and 1."""

ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Ragged:
    """One column: row i is `values[offsets[i]:offsets[i + 1]]`."""

    offsets: Array
    """int64, from 0."""
    values: Array

    @property
    def lengths(self) -> Array:
        """Values of each row, int64."""
        return np.diff(self.offsets)

    def rows(self, start: int, stop: int) -> "Ragged":
        """A slice of rows, without a copy of the values."""
        first, last = self.offsets[start], self.offsets[stop]
        return Ragged(self.offsets[start : stop + 1] - first, self.values[first:last])


def ragged(table: pa.Table, name: str) -> Ragged:
    """A column of a table of documents or sequences. Raises CorruptShardError for nulls."""
    column = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if column.null_count:
        raise CorruptShardError(f"column {name} has {column.null_count} nulls; every row of an export needs a value")
    if not pa.types.is_list(column.type):  # the id of a document
        values = _bytes_of(column)
        return Ragged(np.arange(len(column) + 1, dtype=np.int64) * ID_BYTES, values)
    offsets = column.offsets.to_numpy().astype(np.int64)
    flat = column.values.slice(offsets[0], offsets[-1] - offsets[0])
    if flat.null_count:
        raise CorruptShardError(f"column {name} has {flat.null_count} nulls; every row of an export needs a value")
    offsets -= offsets[0]
    if name == "document_id":
        return Ragged(offsets * ID_BYTES, _bytes_of(flat))
    if pa.types.is_boolean(flat.type):
        flat = flat.cast(pa.uint8())
    return Ragged(offsets, flat.to_numpy(zero_copy_only=True).astype(COLUMNS[name], copy=False))


def _bytes_of(ids: pa.Array) -> Array:
    """Ids end to end, uint8. Raises pa.ArrowInvalid if one has not 16 bytes."""
    fixed = ids.cast(pa.binary(ID_BYTES))
    values = np.frombuffer(fixed.buffers()[1] or b"", np.uint8)
    return values[fixed.offset * ID_BYTES : (fixed.offset + len(fixed)) * ID_BYTES]


@dataclass(slots=True)
class _Sums:
    lengths: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    values: "hashlib._Hash" = field(default_factory=hashlib.sha256)


class Tally:
    """Counts and digests of rows, the same for any batching: SHA-256 of all lengths and all values of each column."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.rows = self.tokens = 0
        self._sums = {name: _Sums() for name in columns}

    def add(self, rows: Mapping[str, Ragged]) -> None:
        """The next rows."""
        tokens = rows["tokens"]
        self.rows += len(tokens.offsets) - 1
        self.tokens += len(tokens.values)
        for name, sums in self._sums.items():
            sums.lengths.update(rows[name].lengths.astype("<i8", copy=False).data)
            values = np.ascontiguousarray(rows[name].values)
            sums.values.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)

    def watch(self, batches: Iterator[Mapping[str, Ragged]]) -> Iterator[Mapping[str, Ragged]]:
        """The same rows, counted on their way."""
        for rows in batches:
            self.add(rows)
            yield rows

    def digests(self) -> dict[str, str]:
        """By column: hex SHA-256 over both of its sums."""
        return {
            name: hashlib.sha256(sums.lengths.digest() + sums.values.digest()).hexdigest()
            for name, sums in self._sums.items()
        }
