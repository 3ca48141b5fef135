"""A set of byte strings as a trie in flat arrays, for kernels that want the longest one that begins at a place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_HASH = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trie:
    """Edges in a hash table that is at most half full, and the string that ends at each node."""

    keys: Longs
    """256 times the upper node plus the byte, or -1 for an empty slot; the root is node 0."""
    children: Ints
    """The lower node of each edge."""
    values: Ints
    """Number of the string that ends at each node, or -1."""


def build_trie(strings: Sequence[bytes], numbers: Sequence[int] | None = None) -> Trie:
    """The trie of these strings, each with its position or the given number. Of equal strings the last counts."""
    offsets = np.concatenate([[0], np.cumsum([len(string) for string in strings])]).astype(np.int64)
    data = np.frombuffer(b"".join(strings), np.uint8)
    chosen = np.arange(len(strings)) if numbers is None else np.array(numbers)
    return trie_of(offsets, data, chosen.astype(np.int32))


def trie_of(offsets: Longs, data: Bytes, numbers: Ints) -> Trie:
    """The same from strings that lie end to end."""
    slots = 1 << max(4, (2 * int(offsets[-1] - offsets[0])).bit_length())
    keys, children, values = _build(offsets, data, numbers, slots)
    return Trie(keys=keys, children=children, values=values)


def _slot_of(key: int | np.int64, slots: int) -> int:
    mixed = np.uint64(key) * _HASH
    return int(np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(slots - 1)))


_slot = numba.njit(cache=True)(_slot_of)


def _find_child(keys: Longs, children: Ints, node: int, byte: int | np.int64) -> int:
    key = np.int64(node) << 8 | np.int64(byte)
    slot = _slot(key, len(keys))
    while keys[slot] >= 0:
        if keys[slot] == key:
            return int(children[slot])
        slot = (slot + 1) & (len(keys) - 1)
    return -1


child = numba.njit(cache=True)(_find_child)
"""The node below `node` along `byte`, or -1."""


def _build_trie(offsets: Longs, data: Bytes, numbers: Ints, slots: int) -> tuple[Longs, Ints, Ints]:
    keys, children = np.full(slots, -1, np.int64), np.zeros(slots, np.int32)
    values = np.full(offsets[-1] - offsets[0] + 1, -1, np.int32)
    nodes = 1
    for string in range(len(offsets) - 1):
        node = 0
        for at in range(offsets[string], offsets[string + 1]):
            key = node << 8 | np.int64(data[at])
            slot = _slot(key, slots)
            while keys[slot] >= 0 and keys[slot] != key:
                slot = (slot + 1) & (slots - 1)
            if keys[slot] < 0:
                keys[slot], children[slot] = key, nodes
                nodes += 1
            node = int(children[slot])
        values[node] = numbers[string]
    return keys, children, values[:nodes].copy()


_build = numba.njit(cache=True)(_build_trie)


def _match_two(keys: Longs, children: Ints, values: Ints, data: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Number and length of the longest string at `at`, then of the second longest; -1 and 0 where there is none."""
    node, first, first_length, second, second_length = 0, -1, 0, -1, 0
    for position in range(at, end):
        node = child(keys, children, node, np.int64(data[position]))
        if node < 0:
            break
        if values[node] >= 0:
            second, second_length = first, first_length
            first, first_length = int(values[node]), position - at + 1
    return first, first_length, second, second_length


match_two = numba.njit(cache=True)(_match_two)


def _cut(keys: Longs, children: Ints, values: Ints, starts: Longs, data: Bytes, counts: Ints, ids: Ints) -> int:
    total = 0
    for piece in range(len(starts) - 1):
        at, end, before = int(starts[piece]), int(starts[piece + 1]), total
        while at < end:
            number, length, _, _ = match_two(keys, children, values, data, at, end)
            ids[total] = number
            total += 1
            at += max(length, 1)
        counts[piece] = total - before
    return total


_cut_pieces = numba.njit(cache=True)(_cut)


def cut_pieces(trie: Trie, starts: Longs, data: Bytes) -> tuple[Ints, Ints]:
    """Each piece cut from left to right into the longest strings: how many per piece, and their numbers end to end.

    `starts` has one more element than pieces. A byte at which no string begins gives -1. Time is at most the bytes
    times the longest string, memory 4 bytes per byte.
    """
    counts, ids = np.zeros(len(starts) - 1, np.int32), np.empty(int(starts[-1] - starts[0]), np.int32)
    total = _cut_pieces(trie.keys, trie.children, trie.values, starts, data, counts, ids)
    return counts, ids[:total].copy()
