"""Counts the pretokens of texts, exactly, as fast as they are found.

Reads offsets and bytes of texts, writes distinct pretokens with their counts, in order of first appearance.
"""

from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.tokenization.scanner import rules_of, scanner_classes
from stages.tokenization.scanner_kernels import next_start
from stages.tokenization.training.bpe import binary_views

Number = TypeVar("Number", bound=np.generic)
Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

_PRIME, _MIXER = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_FIRST_SLOTS = 1 << 15


class Counted(NamedTuple):
    """Distinct pretokens."""

    pretokens: "pa.BinaryArray[pa.BinaryScalar]"
    counts: Longs
    hashes: npt.NDArray[np.uint64]
    """Of the bytes alone: the same for a pretoken wherever it is counted."""


def count_pretokens(offsets: npt.NDArray[np.int32], data: Bytes, rows: Longs, split: str) -> Counted:
    """The pretokens of these rows of the texts. Memory: 28 to 44 bytes per distinct pretoken, and their bytes twice.

    Raises ValueError for an unknown split.
    """
    view = data.view()
    view.flags.writeable = False  # one compiled kernel for arrays of Arrow and of numpy
    positions = np.ascontiguousarray(offsets, np.int64)
    starts, lengths, hashes, counts = _count(positions, view, rows, scanner_classes(), rules_of(split))
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    taken = np.empty(int(ends[-1]), np.uint8)
    _copy(view, starts, ends, taken)
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(taken)]
    return Counted(pa.BinaryArray.from_buffers(pa.binary(), len(counts), buffers), counts, hashes)


def hash_pretokens(pretokens: "pa.BinaryArray[pa.BinaryScalar]") -> npt.NDArray[np.uint64]:
    """The hash of each, as `count_pretokens` gives it."""
    offsets, data = binary_views(pretokens)
    hashes = np.empty(len(pretokens), np.uint64)
    _hash_all(offsets, data, hashes)
    return hashes


def _hash_bytes(data: Bytes, start: int, end: int) -> np.uint64:
    value = np.uint64(end - start) * _MIXER
    for position in range(start, end):
        value = (value ^ np.uint64(data[position])) * _PRIME
    value = (value ^ value >> np.uint64(32)) * _MIXER
    return value ^ value >> np.uint64(29)


_hash = numba.njit(cache=True)(_hash_bytes)


def _hash_pieces(offsets: Longs, data: Bytes, hashes: npt.NDArray[np.uint64]) -> None:
    for number in range(len(hashes)):
        hashes[number] = _hash(data, offsets[number], offsets[number + 1])


_hash_all = numba.njit(cache=True)(_hash_pieces)


def _same_bytes(data: Bytes, one: int, other: int, length: int) -> bool:
    same = 0
    while same < length and data[one + same] == data[other + same]:
        same += 1
    return same == length


_same = numba.njit(cache=True)(_same_bytes)


def _count_rows(
    offsets: Longs, data: Bytes, rows: Longs, classes: Bytes, rules: tuple[int, int, bool, bool]
) -> tuple[Longs, npt.NDArray[np.int32], npt.NDArray[np.uint64], Longs]:
    """First position, length, hash and count of every distinct pretoken.

    `slots` is an open-addressing table, at most half full, of numbers of pretokens. Equal hashes are no proof: bytes
    are compared.
    """
    slots = np.full(_FIRST_SLOTS, -1, np.int32)
    room = _FIRST_SLOTS >> 1
    starts, lengths = np.empty(room, np.int64), np.empty(room, np.int32)
    hashes, counts = np.empty(room, np.uint64), np.empty(room, np.int64)
    distinct = 0
    for row in rows:
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            after = next_start(data, at, end, classes, rules)
            value = _hash(data, at, after)
            slot = np.int64(value & np.uint64(len(slots) - 1))
            found = slots[slot]
            while found >= 0 and not (
                hashes[found] == value and lengths[found] == after - at and _same(data, starts[found], at, after - at)
            ):
                slot = (slot + 1) & (len(slots) - 1)
                found = slots[slot]
            if found >= 0:
                counts[found] += 1
            else:
                slots[slot] = distinct
                starts[distinct], lengths[distinct] = at, after - at
                hashes[distinct], counts[distinct] = value, 1
                distinct += 1
                if distinct == room:
                    room *= 2
                    slots = _spread(hashes, 2 * room)
                    starts, lengths = _longer(starts), _longer(lengths)
                    hashes, counts = _longer(hashes), _longer(counts)
            at = after
    return starts[:distinct], lengths[:distinct], hashes[:distinct], counts[:distinct]


def _spread_hashes(hashes: npt.NDArray[np.uint64], size: int) -> npt.NDArray[np.int32]:
    slots = np.full(size, -1, np.int32)
    for number in range(len(hashes)):
        slot = np.int64(hashes[number] & np.uint64(size - 1))
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = number
    return slots


def _twice_as_long(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    longer = np.empty(2 * len(values), values.dtype)
    longer[: len(values)] = values
    return longer


_spread = numba.njit(cache=True)(_spread_hashes)
_longer: Any = numba.njit(cache=True)(_twice_as_long)
_count = numba.njit(cache=True)(_count_rows)


def _copy_pieces(data: Bytes, starts: Longs, ends: Longs, out: Bytes) -> None:
    for number in range(len(starts)):
        for position in range(ends[number + 1] - ends[number]):
            out[ends[number] + position] = data[starts[number] + position]


_copy = numba.njit(cache=True)(_copy_pieces)
