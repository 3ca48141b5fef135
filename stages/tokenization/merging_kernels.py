"""Merge loops of `merging`: one for short pieces, one for long pieces and for dropout."""

from typing import NamedTuple

import numba
import numpy as np

from stages.tokenization.draws import Keys, draw, happens
from stages.tokenization.merging_tables import NEVER, Bytes, Ids, Int, Longs, find_piece, order_of

_SHORT = 48
"""Bytes of a piece up to which looking at all pairs in each step is faster than a heap."""

_LOW = (1 << 32) - 1


def _find_least(ranks: Ids, pairs: Int) -> Int:
    """The pair that is merged first, the leftmost of equals."""
    best = 0
    for pair in range(1, pairs):
        if ranks[pair] < ranks[best]:
            best = pair
    return best


_first = numba.njit(cache=True)(_find_least)


def _merge_short(
    out: Ids,
    at: Int,
    size: Int,
    ranks: Ids,
    keys: Longs,
    orders: Ids,
    news: Ids,
    limit: Int,
    stream: np.uint64,
    dropout: float,
    kept: Ids,
) -> Int:
    """Merge the `size` ids at `out[at:]` in place, given the orders of their pairs; gives how many are left.

    With dropout, `kept` holds the orders while those in `ranks` are left out; without, it is `ranks`.
    """
    draws = 0
    while size > 1:
        best = _first(ranks, size - 1)
        if ranks[best] == NEVER:
            break
        if dropout > 0:
            draws += 1
            if happens(draw(stream, draws), dropout):
                ranks[best] = NEVER
                continue
        out[at + best] = news[ranks[best]]
        size -= 1
        for pair in range(best + 1, size):
            out[at + pair] = out[at + pair + 1]
            kept[pair - 1] = kept[pair]
        if best > 0:
            kept[best - 1] = order_of(keys, orders, out[at + best - 1], out[at + best], limit)
        if best < size - 1:
            kept[best] = order_of(keys, orders, out[at + best], out[at + best + 1], limit)
        if dropout > 0:
            for pair in range(size - 1):
                ranks[pair] = kept[pair]
    return size


_short = numba.njit(cache=True)(_merge_short)


def _push_entry(heap: Longs, size: Int, order: Int, position: Int) -> Int:
    """Add a merge, unless it is none; gives the new size."""
    if order == NEVER:
        return size
    entry, at = (np.int64(order) << 32) | np.int64(position), size
    while at > 0 and heap[(at - 1) >> 1] > entry:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = entry
    return size + 1


_push = numba.njit(cache=True)(_push_entry)


def _pop_entry(heap: Longs, size: Int) -> Int:
    """Take the least entry, `heap[0]`, away; gives the new size."""
    size -= 1
    entry, at = heap[size], 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= entry:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = entry
    return size


_pop = numba.njit(cache=True)(_pop_entry)


def _unlink_second(second: Int, after: Ids, before: Ids, ranks: Ids) -> None:
    """Take the second half of a merge out of the list; it starts no pair any more."""
    ranks[second] = NEVER
    after[before[second]] = after[second]
    if after[second] < len(after):
        before[after[second]] = before[second]


_unlink = numba.njit(cache=True)(_unlink_second)


def _look_around(
    out: Ids,
    at: Int,
    pair: Int,
    after: Ids,
    before: Ids,
    ranks: Ids,
    keys: Longs,
    orders: Ids,
    limit: Int,
    heap: Longs,
    entries: Int,
) -> Int:
    """Look up the pairs that a new id makes with its neighbours; gives the new size of the heap."""
    third, first = np.int64(after[pair]), np.int64(before[pair])
    ranks[pair] = NEVER
    if third < len(after):
        ranks[pair] = order_of(keys, orders, out[at + pair], out[at + third], limit)
        entries = _push(heap, entries, np.int64(ranks[pair]), pair)
    if first >= 0:
        ranks[first] = order_of(keys, orders, out[at + first], out[at + pair], limit)
        entries = _push(heap, entries, np.int64(ranks[first]), first)
    return entries


_look = numba.njit(cache=True)(_look_around)


class Room(NamedTuple):
    """What `_merge_long` works in, enough for the longest piece."""

    after: Ids
    before: Ids
    heap: Longs
    dropped: Longs


def _make_room(size: Int, is_dropping: bool) -> Room:
    heap = np.empty(3 * size, np.int64)
    return Room(np.empty(size, np.int32), np.empty(size, np.int32), heap, np.empty_like(heap) if is_dropping else heap)


_room = numba.njit(cache=True)(_make_room)


def _merge_long(
    out: Ids,
    at: Int,
    size: Int,
    ranks: Ids,
    keys: Longs,
    orders: Ids,
    news: Ids,
    limit: Int,
    stream: np.uint64,
    dropout: float,
    room: Room,
) -> Int:
    """As `_merge_short` with a heap of (order, position): n log n for any piece; with dropout see `Merger`.

    An entry is stale when its position has another order by now: pairs only grow, so no order comes back.
    """
    after, before, heap, dropped = room.after[:size], room.before, room.heap, room.dropped
    entries: Int = np.int64(0)
    num_dropped, draws, left = 0, 0, size
    for pair in range(size):
        after[pair], before[pair] = pair + 1, pair - 1
    for pair in range(size - 1):
        entries = _push(heap, entries, np.int64(ranks[pair]), pair)
    while entries:
        pair, order = heap[0] & _LOW, heap[0] >> 32
        entries = _pop(heap, entries)
        if ranks[pair] != order:
            continue
        if dropout > 0:
            draws += 1
            if happens(draw(stream, draws), dropout):
                dropped[num_dropped] = (order << 32) | pair
                num_dropped += 1
                continue
        out[at + pair], left = news[order], left - 1
        _unlink(np.int64(after[pair]), after, before, ranks)
        entries = _look(out, at, pair, after, before, ranks, keys, orders, limit, heap, entries)
        for again in range(num_dropped):
            entries = _push(heap, entries, dropped[again] >> 32, dropped[again] & _LOW)
        num_dropped = 0
    kept = np.int64(0)
    for number in range(left):
        out[at + number] = out[at + kept]
        kept = np.int64(after[kept])
    return left


_long = numba.njit(cache=True)(_merge_long)


def _encode_pieces(
    offsets: Longs,
    data: Bytes,
    byte_ids: Ids,
    keys: Longs,
    orders: Ids,
    news: Ids,
    byte_pairs: Ids,
    table: Ids,
    needed: Ids,
    piece_offsets: Longs,
    pieces: Bytes,
    longest: int,
    limit: Int,
    streams: Keys,
    dropout: float,
    starts: Ids,
    out: Ids,
) -> Int:
    """Fill `starts` and `out` (as long as all bytes); gives how many ids there are."""
    longest_piece, total = np.int64(1), np.int64(0)
    for piece in range(len(offsets) - 1):
        longest_piece = max(longest_piece, offsets[piece + 1] - offsets[piece])
    ranks = np.empty(longest_piece, np.int32)
    room, copy = _room(longest_piece if longest_piece > _SHORT else 1, dropout > 0), np.empty(_SHORT, np.int32)
    for piece in range(len(offsets) - 1):
        begin, end = offsets[piece], offsets[piece + 1]
        size = int(end - begin)
        if 1 < size <= longest:
            token = find_piece(data, begin, end, table, piece_offsets, pieces)
            if token >= 0 and needed[token] < limit:
                out[total] = token
                total += 1
                starts[piece + 1] = total
                continue
        for byte in range(size):
            out[total + byte] = byte_ids[data[begin + byte]]
        for pair in range(size - 1):
            found = byte_pairs[np.int64(data[begin + pair]) << 8 | np.int64(data[begin + pair + 1])]
            ranks[pair] = found if found < limit else NEVER
        stream = streams[piece] if len(streams) else np.uint64(0)
        if size > _SHORT:
            total += _long(out, total, size, ranks, keys, orders, news, limit, stream, dropout, room)
        else:
            kept = ranks
            if dropout > 0:
                kept = copy
                for pair in range(size - 1):
                    kept[pair] = ranks[pair]
            total += _short(out, total, size, ranks, keys, orders, news, limit, stream, dropout, kept)
        starts[piece + 1] = total
    return total


encode_pieces = numba.njit(cache=True)(_encode_pieces)
