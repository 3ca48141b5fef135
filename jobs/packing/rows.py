"""Documents of a data file and pieces of an index in memory, and the sequences that they make.

Everything comes from files that anybody may have written, so every piece is checked against the documents before the
kernel follows it.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import CorruptShardError
from schemas.corpus import SEQUENCES

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Documents:
    """The documents of a data file, end to end."""

    ids: Bytes
    """One row of 16 bytes per document."""
    offsets: Int64s
    """One more than documents; those of document i are `tokens[offsets[i]:offsets[i + 1]]`."""
    tokens: Int32s


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """The rows of an index file as pieces of documents."""

    borders: Int64s
    """One more than rows; the pieces of row i are `borders[i]` to `borders[i + 1]`."""
    document: Int32s
    start: Int32s
    length: Int32s

    def __len__(self) -> int:
        return len(self.borders) - 1

    def ends(self, sequence_length: int) -> Int64s:
        """Where each row ends, padding included, when all rows are laid end to end."""
        if sequence_length:
            return np.arange(1, len(self) + 1) * sequence_length
        return np.concatenate([[0], np.cumsum(self.length, dtype=np.int64)])[self.borders[1:]]

    def check(self, documents: Documents, sequence_length: int, name: str) -> None:
        """Raise CorruptShardError unless every piece lies in its document and every row has 1 to the length tokens."""
        count = len(documents.offsets) - 1
        is_bad = (self.document < 0) | (self.document >= count) | (self.start < 0) | (self.length < 1)
        if not is_bad.any():
            ends = self.start.astype(np.int64) + self.length
            is_bad = ends > np.diff(documents.offsets)[self.document]
        if is_bad.any():
            piece = int(np.argmax(is_bad))
            row = int(np.searchsorted(self.borders, piece, side="right")) - 1
            raise CorruptShardError(
                f"{name}, row {row}: piece of {self.length[piece]} tokens from token {self.start[piece]} of document "
                f"{self.document[piece]} is not in the data file; make the packing again under another name"
            )
        totals = np.diff(np.concatenate([[0], np.cumsum(self.length, dtype=np.int64)])[self.borders])
        most = sequence_length or np.iinfo(np.int32).max
        is_bad = (totals < 1) | (totals > most)
        if is_bad.any():
            row = int(np.argmax(is_bad))
            raise CorruptShardError(f"{name}, row {row} has {totals[row]} tokens; expected 1 to {most}")


def gather(index: Index, documents: Documents, first: int, end: int, *, sequence_length: int, padding: int) -> pa.Table:
    """Rows `first` to `end` of an index as `SEQUENCES`. The index must have been checked."""
    pieces = slice(index.borders[first], index.borders[end])
    row_pieces = index.borders[first : end + 1] - index.borders[first]
    document, start, length = index.document[pieces], index.start[pieces], index.length[pieces]
    filled = np.concatenate([[0], np.cumsum(length, dtype=np.int64)])
    used = np.diff(filled[row_pieces])
    sizes = np.full(end - first, sequence_length, np.int64) if sequence_length else used
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{end - first} rows hold {offsets[-1]} tokens, more than one table can; set batch_rows lower")
    position = (filled[:-1] - np.repeat(filled[row_pieces[:-1]], np.diff(row_pieces))).astype(np.int32)
    tokens = np.full(offsets[-1], padding, np.int32)
    mask = np.zeros(offsets[-1], np.bool_)
    target = np.repeat(offsets[:-1], np.diff(row_pieces)) + position
    _copy(documents.tokens, documents.offsets[document] + start, length, target, tokens, mask)
    borders = _int32(row_pieces)
    segments, segment_borders = _segments(position, row_pieces, used, sizes)
    values = {
        "tokens": pa.ListArray.from_arrays(_int32(offsets), pa.array(tokens)),
        "document_id": pa.ListArray.from_arrays(borders, _ids(documents.ids[document])),
        "document_start": pa.ListArray.from_arrays(borders, pa.array(position)),
        "document_offset": pa.ListArray.from_arrays(borders, pa.array(start)),
        "cu_seqlens": pa.ListArray.from_arrays(_int32(segment_borders), pa.array(segments)),
        "loss_mask": pa.ListArray.from_arrays(_int32(offsets), pa.array(mask)),
    }
    return pa.table(values, schema=SEQUENCES)


def _copy_pieces(source: Int32s, starts: Int64s, lengths: Int32s, target: Int64s, tokens: Int32s, mask: Bools) -> None:
    for piece in range(len(starts)):
        start, at, length = starts[piece], target[piece], lengths[piece]
        tokens[at : at + length] = source[start : start + length]
        mask[at : at + length] = True


_copy = numba.njit(cache=True)(_copy_pieces)


def _segments(position: Int32s, row_pieces: Int64s, used: Int64s, sizes: Int64s) -> tuple[Int32s, Int64s]:
    """`cu_seqlens` of all rows end to end, and where each row's begin."""
    is_padded = used < sizes
    borders = np.concatenate([[0], np.cumsum(np.diff(row_pieces) + 1 + is_padded)])
    segments = np.empty(borders[-1], np.int32)
    is_start = np.ones(len(segments), bool)
    is_start[borders[1:] - 1] = False
    is_start[borders[1:][is_padded] - 2] = False
    segments[borders[1:][is_padded] - 2] = used[is_padded]
    segments[borders[1:] - 1] = sizes
    segments[is_start] = position
    return segments, borders


def _ids(rows: Bytes) -> pa.Array:
    """Rows of 16 bytes as binary values."""
    offsets = np.arange(0, rows.size + 1, 16, dtype=np.int32)
    data = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(offsets), data])


def _int32(values: Int64s) -> pa.Array:
    return pa.array(values.astype(np.int32))
