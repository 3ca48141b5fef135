"""How documents become training sequences: three methods over the numbers of tokens, which is all they need.

A file is seen as one axis of tokens, its documents laid end to end. A method cuts the axis into segments of at most
`sequence_length` tokens and puts the segments into rows; a row is then told as pieces of documents.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.placement import mix
from schemas.corpus import PACKING

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


def pack_rows(num_tokens: Int32s, group: Int32s, *, method: str, sequence_length: int, key: int) -> pa.Table:
    """The `PACKING` rows of a file's documents.

    `key` orders the rows of `best-fit`; those of the other methods keep the order of the file.
    """
    offsets = np.concatenate([[0], np.cumsum(num_tokens, dtype=np.int64)])
    if method == "concatenate":
        starts, ends = _cut(offsets[[0, -1]], sequence_length)
        rows = np.arange(len(starts))
    elif method == "document":
        starts, ends = _cut(offsets, sequence_length) if sequence_length else (offsets[:-1], offsets[1:])
        rows = np.arange(len(starts))
    else:
        is_first = np.concatenate([[True], group[1:] != group[:-1]]) if len(group) else np.empty(0, bool)
        starts, ends = _cut(np.append(offsets[:-1][is_first], offsets[-1]), sequence_length)
        room = min(sequence_length, int(offsets[-1]))  # what holds all tokens is one bin, whatever room is left
        bins = fit((ends - starts).astype(np.int32), room)
        rows = _shuffle(bins, key)
        order = np.lexsort((starts, rows))
        starts, ends, rows = starts[order], ends[order], rows[order]
    return _index(offsets, starts, ends, rows)


def fit(lengths: Int32s, capacity: int) -> Int32s:
    """The bin of each item by best-fit decreasing; bins count from 0 in the order of their first item.

    Every item, the longest first, goes into the bin with the least room that still holds it (Ding et al. 2024, "Fewer
    truncations improve language modeling", arXiv:2404.10830); of equal bins into the one that was filled last. Items
    must be from 1 to `capacity` long. Bins with equal room form a stack and a tree over all rooms finds the next one
    that is not empty, so that an item costs O(log capacity).
    """
    order = np.argsort(-lengths, kind="stable")
    result: Int32s = _fit(lengths, order, capacity)
    return result


def _fit_all(lengths: Int32s, order: Int64s, capacity: int) -> Int32s:
    leaves = 1
    while leaves <= capacity:
        leaves *= 2
    is_used = np.zeros(2 * leaves, np.bool_)  # a node is used when a room under it has a bin
    top = np.full(capacity + 1, -1, np.int32)  # last filled bin of each room
    below = np.empty(len(lengths), np.int32)
    bins = np.empty(len(lengths), np.int32)
    count = 0
    for item in order:
        need = lengths[item]
        node = leaves + need
        if not is_used[node]:
            while node > 1 and not (node % 2 == 0 and is_used[node + 1]):
                node //= 2
            node += node > 1
        if node > 1:
            while node < leaves:
                node = 2 * node if is_used[2 * node] else 2 * node + 1
            room = node - leaves
            chosen = top[room]
            top[room] = below[chosen]
            while node > 1 and top[room] < 0 and not (node < leaves and (is_used[2 * node] or is_used[2 * node + 1])):
                is_used[node] = False
                node //= 2
        else:
            room, chosen, count = capacity, count, count + 1
        bins[item] = chosen
        room -= need
        below[chosen] = top[room]
        top[room] = chosen
        node = leaves + room
        while room and node > 0 and not is_used[node]:
            is_used[node] = True
            node //= 2
    return bins


_fit = numba.njit(cache=True)(_fit_all)


def _cut(borders: Int64s, length: int) -> tuple[Int64s, Int64s]:
    """Starts and ends of the segments of at most `length` tokens into which the runs between the borders are cut."""
    counts = -(-np.diff(borders) // length)
    run = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = borders[run] + number * length
    return starts, np.minimum(starts + length, borders[run + 1])


def _shuffle(bins: Int32s, key: int) -> Int64s:
    """The row of each item when bins are put into the order of a hash of (key, bin)."""
    count = int(bins.max()) + 1 if len(bins) else 0
    with np.errstate(over="ignore"):
        hashes = mix(mix(np.arange(count, dtype=np.uint64) + np.uint64(1)) ^ np.uint64(key % 2**64))
    rank = np.empty(count, np.int64)
    rank[np.argsort(hashes, kind="stable")] = np.arange(count)
    return rank[bins]


def _index(offsets: Int64s, starts: Int64s, ends: Int64s, rows: npt.NDArray[np.integer[Any]]) -> pa.Table:
    """Segments, in the order of their rows, as pieces of documents."""
    first = np.searchsorted(offsets, starts, side="right") - 1
    counts = np.searchsorted(offsets, ends, side="left") - first
    segment = np.repeat(np.arange(len(starts)), counts)
    document = first[segment] + np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    base = offsets[document]
    start = np.maximum(starts[segment], base) - base
    length = np.minimum(ends[segment], offsets[document + 1]) - base - start
    num_rows = int(rows[-1]) + 1 if len(rows) else 0
    borders = pa.array(np.searchsorted(rows[segment], np.arange(num_rows + 1)).astype(np.int32))
    totals = np.bincount(rows, ends - starts, num_rows) if num_rows else np.empty(0)
    lists = (pa.ListArray.from_arrays(borders, pa.array(v.astype(np.int32))) for v in (document, start, length))
    return pa.table([*lists, pa.array(totals.astype(np.int32))], schema=PACKING)
