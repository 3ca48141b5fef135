"""Hash tables of `merging`: merges by the pair that they join, tokens by their bytes."""

from typing import TypeAlias

import numba
import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Int: TypeAlias = "int | np.int64"

NEVER = (1 << 31) - 1
"""Order of a pair that has no merge."""

_HASH, _PRIME = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x100000001B3)


def count_slots(entries: int) -> int:
    """Slots of a hash table that is at most half full: a power of two."""
    return 1 << max(4, (2 * entries - 1).bit_length())


def _slot_of(key: Int, slots: Int) -> Int:
    mixed = np.uint64(key) * _HASH
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(slots - 1))


slot_of = numba.njit(cache=True)(_slot_of)


def _order_of(keys: Longs, orders: Ids, left: Int, right: Int, limit: Int) -> Int:
    """Position of the merge of two ids; `NEVER` if there is none before `limit`. An empty slot has the key -1."""
    key = (np.int64(left) << 32) | np.int64(right)
    slot = slot_of(key, len(keys))
    while keys[slot] >= 0:
        if keys[slot] == key:
            return np.int64(orders[slot] if orders[slot] < limit else NEVER)
        slot = (slot + 1) & (len(keys) - 1)
    return np.int64(NEVER)


order_of = numba.njit(cache=True)(_order_of)


def _build_pairs(merges: Ids, byte_ids: Ids, slots: Int) -> tuple[Longs, Ids, Ids, Ids]:
    """Keys and orders of the table, the id that each merge makes, and the order of the merge of any two bytes.

    Where a pair is listed twice the later merge stands, as in Hugging Face tokenizers.
    """
    keys, orders = np.full(slots, -1, np.int64), np.zeros(slots, np.int32)
    for order in range(len(merges)):
        key = (np.int64(merges[order, 0]) << 32) | np.int64(merges[order, 1])
        slot = slot_of(key, slots)
        while keys[slot] >= 0 and keys[slot] != key:
            slot = (slot + 1) & (slots - 1)
        keys[slot], orders[slot] = key, order
    byte_pairs, every = np.empty(65_536, np.int32), np.int64(NEVER)
    for left in range(256):
        for right in range(256):
            byte_pairs[left << 8 | right] = order_of(keys, orders, byte_ids[left], byte_ids[right], every)
    return keys, orders, merges[:, 2].copy(), byte_pairs


build_pairs = numba.njit(cache=True)(_build_pairs)


def _slot_of_bytes(data: Bytes, begin: Int, end: Int, slots: Int) -> Int:
    state = np.uint64(0xCBF29CE484222325)
    for at in range(begin, end):
        state = (state ^ np.uint64(data[at])) * _PRIME
    return np.int64((state ^ (state >> np.uint64(29))) & np.uint64(slots - 1))


_bytes_slot = numba.njit(cache=True)(_slot_of_bytes)


def _equal_bytes(a: Bytes, begin: Int, b: Bytes, start: Int, length: Int) -> bool:
    for at in range(length):  # noqa: SIM110 - numba compiles no generator
        if a[begin + at] != b[start + at]:
            return False
    return True


_same = numba.njit(cache=True)(_equal_bytes)


def _build_pieces(offsets: Longs, data: Bytes, taken: npt.NDArray[np.bool_], slots: Int) -> Ids:
    """Slots with the ids of the pieces taken, -1 where empty; of equal pieces the lowest id stands."""
    table = np.full(slots, -1, np.int32)
    for token in range(len(taken)):
        if not taken[token]:
            continue
        begin, end = offsets[token], offsets[token + 1]
        slot = _bytes_slot(data, begin, end, slots)
        while table[slot] >= 0:
            start = offsets[table[slot]]
            if offsets[table[slot] + 1] - start == end - begin and _same(data, begin, data, start, end - begin):
                break
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = token
    return table


build_pieces = numba.njit(cache=True)(_build_pieces)


def _find_piece(data: Bytes, begin: Int, end: Int, table: Ids, offsets: Longs, pieces: Bytes) -> Int:
    """The token whose bytes these are, or -1."""
    slot = _bytes_slot(data, begin, end, len(table))
    while table[slot] >= 0:
        token = np.int64(table[slot])
        start = offsets[token]
        if offsets[token + 1] - start == end - begin and _same(pieces, start, data, begin, end - begin):
            return token
        slot = (slot + 1) & (len(table) - 1)
    return np.int64(-1)


find_piece = numba.njit(cache=True)(_find_piece)


def _find_last(merges: Ids, makers: Longs, last: Longs) -> None:
    """For each id the greatest position of a merge on the way to it.

    Given: `last` -1 for what only a byte makes, `NEVER` - 1 for all else, where it stays for ids with several makers.
    """
    for order in range(len(merges)):
        left, right, new = merges[order]
        if makers[new] == 1:
            last[new] = max(order, last[left], last[right])


find_last = numba.njit(cache=True)(_find_last)
