"""Embeddings between Arrow columns and arrays: storage in 16 or 8 bits, unit length, float32 for arithmetic."""

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.embeddings import STORAGES

Floats: TypeAlias = npt.NDArray[np.float32]
Bools: TypeAlias = npt.NDArray[np.bool_]
Stored: TypeAlias = npt.NDArray[Any]
"""float16[n, d] or int8[n, d]."""


def store_vectors(rows: Floats, is_there: Bools, storage: str) -> pa.FixedSizeListArray:
    """A column of the directions of float32[n, d], null where they are not there, or hold NaN or infinity."""
    kind = pa.list_(STORAGES[storage], rows.shape[1])
    scale = np.linalg.norm(rows, axis=1) if storage == "float16" else np.abs(rows).max(axis=1, initial=0.0) / 127
    is_there = is_there & np.isfinite(scale)
    divisor = np.where(is_there & (scale > 0), scale, 1.0).astype(np.float32)
    scaled = np.where(is_there[:, None], rows, np.float32(0)) / divisor[:, None]
    stored = scaled.astype(np.float16) if storage == "float16" else np.rint(scaled).astype(np.int8)
    return pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), type=kind, mask=pa.array(~is_there))


def stored_vectors(column: pa.ChunkedArray) -> tuple[Stored, Bools]:
    """The numbers of a column as they are stored, [n, d], and where there are any; what lies under nulls is undefined.

    No copy if the column is one chunk.
    """
    kind = column.type
    flat = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([*column.chunks, pa.array([], kind)])
    numbers = np.frombuffer(flat.values.buffers()[1] or b"", kind.value_type.to_pandas_dtype())
    start = (flat.offset + flat.values.offset // kind.list_size) * kind.list_size
    rows = numbers[start : start + len(flat) * kind.list_size].reshape(len(flat), kind.list_size)
    return rows, flat.is_valid().to_numpy(zero_copy_only=False)


def unit_vectors(stored: Stored) -> Floats:
    """float32[n, d] of unit length; zeros stay zeros."""
    out = np.empty(stored.shape, np.float32)
    if stored.dtype == np.float16:
        widen_halves(stored.view(np.uint16), out.view(np.uint32), out)
    else:
        widen_bytes(stored, out)
    return out


def _scale_row(row: Floats) -> None:
    squares = np.float32(0.0)
    for i in range(len(row)):
        squares += row[i] * row[i]
    if squares > 0:
        factor = np.float32(1.0) / np.sqrt(squares)
        for i in range(len(row)):
            row[i] *= factor


_scale = numba.njit(cache=True, fastmath={"reassoc", "contract"})(_scale_row)


def _widen_halves(halves: npt.NDArray[np.uint16], bits: npt.NDArray[np.uint32], out: Floats) -> None:
    """Unit rows of finite float16 numbers, given by their bits; `bits` and `out` are the same memory.

    Sign, exponent and fraction of a half, moved to their places in a float32, say 2^-112 of its value, subnormal
    halves too.
    """
    for row in range(len(halves)):
        for i in range(halves.shape[1]):
            half = np.uint32(halves[row, i])
            bits[row, i] = (half & np.uint32(0x8000)) << np.uint32(16) | (half & np.uint32(0x7FFF)) << np.uint32(13)
        for i in range(halves.shape[1]):
            out[row, i] *= np.float32(2.0**112)
        _scale(out[row])


widen_halves = numba.njit(cache=True)(_widen_halves)


def _widen_bytes(numbers: npt.NDArray[np.int8], out: Floats) -> None:
    """Unit rows of int8 numbers."""
    for row in range(len(numbers)):
        for i in range(numbers.shape[1]):
            out[row, i] = np.float32(numbers[row, i])
        _scale(out[row])


widen_bytes = numba.njit(cache=True)(_widen_bytes)
