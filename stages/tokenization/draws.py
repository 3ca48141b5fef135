"""Random numbers that depend on nothing but a key and a count: one stream per document, whatever the batch.

SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, section 3.
"""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Keys = npt.NDArray[np.uint64]

_GAMMA, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_30, _27, _31, _11, _32 = (np.uint64(n) for n in (30, 27, 31, 11, 32))


def _finalize(state: np.uint64) -> np.uint64:
    state = (state ^ (state >> _30)) * _FIRST
    state = (state ^ (state >> _27)) * _SECOND
    return state ^ (state >> _31)


mix = numba.njit(cache=True)(_finalize)
"""SplitMix64's finalizer of a uint64: a bijection that scatters."""


def _draw_at(key: np.uint64, count: int) -> np.uint64:
    return mix(key + np.uint64(count + 1) * _GAMMA)


draw = numba.njit(cache=True)(_draw_at)
"""The draw of this number, from 0, of the stream `key`: a uniform uint64."""


def _scale(number: np.uint64, size: int) -> np.int64:
    return np.int64(((number >> _32) * np.uint64(size)) >> _32)


below = numba.njit(cache=True)(_scale)
"""A draw as a number from 0 to `size` - 1; no number is off by more than one in 2^32 / size."""


def _is_less(number: np.uint64, share: float) -> bool:
    return bool(np.float64(number >> _11) < share * 9007199254740992.0)


happens = numba.njit(cache=True)(_is_less)
"""Whether a draw falls into this share of all; never for 0, always for 1. The share counts in steps of 2^-53."""


def document_keys(ids: pa.FixedSizeBinaryArray, *numbers: int) -> Keys:
    """The key of each 16-byte document id with some numbers, such as seed and epoch; their order matters.

    Raises ValueError for ids of another width and for nulls.
    """
    if ids.type != pa.binary(16) or ids.null_count:
        raise ValueError(f"document ids must be {pa.binary(16)} without nulls, got {ids.type}, {ids.null_count} nulls")
    data = ids.buffers()[1]
    if len(ids) == 0 or data is None:
        return np.zeros(0, np.uint64)
    halves = np.frombuffer(memoryview(data), "<u8")[2 * ids.offset : 2 * (ids.offset + len(ids))].reshape(-1, 2)
    state: Keys = np.full(len(ids), len(numbers), np.uint64)
    with np.errstate(over="ignore"):
        for number in numbers:
            state = _scatter((state ^ np.uint64(number % 2**64)) + _GAMMA)
        for half in (halves[:, 0], halves[:, 1]):
            state = _scatter((state ^ half) + _GAMMA)
    return state


def _scatter(state: Keys) -> Keys:
    """`mix` of every element."""
    state = (state ^ (state >> _30)) * _FIRST
    state = (state ^ (state >> _27)) * _SECOND
    return state ^ (state >> _31)
