"""The queue of `bpe`: which pair occurs most. Counts in it may be too high; they are corrected when they come up."""

from typing import NamedTuple

import numba
import numpy as np

from stages.tokenization.training.bpe_kernels import Int64, Number, Pairs, slot_of


class Queue(NamedTuple):
    """Binary heap: the highest count first, then the lowest key."""

    counts: Int64
    keys: Int64
    size: Int64
    """One value."""


def empty_queue(room: int) -> Queue:
    """A queue that holds so many pairs."""
    return Queue(np.empty(room, np.int64), np.empty(room, np.int64), np.zeros(1, np.int64))


def _is_before(queue: Queue, one: int, other: int) -> bool:
    if queue.counts[one] != queue.counts[other]:
        return bool(queue.counts[one] > queue.counts[other])
    return bool(queue.keys[one] < queue.keys[other])


_before = numba.njit(cache=True)(_is_before)


def _swap_entries(queue: Queue, one: int, other: int) -> None:
    queue.counts[one], queue.counts[other] = queue.counts[other], queue.counts[one]
    queue.keys[one], queue.keys[other] = queue.keys[other], queue.keys[one]


_swap = numba.njit(cache=True)(_swap_entries)


def _push_pair(queue: Queue, key: int, count: int) -> None:
    at = queue.size[0]
    queue.keys[at], queue.counts[at] = key, count
    queue.size[0] += 1
    while at > 0 and _before(queue, at, (at - 1) >> 1):
        _swap(queue, at, (at - 1) >> 1)
        at = (at - 1) >> 1


_push = numba.njit(cache=True)(_push_pair)


def _sink_first(queue: Queue) -> None:
    """Put the first entry where it belongs."""
    at, size = 0, queue.size[0]
    while True:
        child = 2 * at + 1
        if child >= size:
            return
        if child + 1 < size and _before(queue, child + 1, child):
            child += 1
        if not _before(queue, child, at):
            return
        _swap(queue, child, at)
        at = child


_sink = numba.njit(cache=True)(_sink_first)


def _push_all(queue: Queue, pairs: Pairs, keys: Int64, min_count: int) -> Queue:
    """Enter pairs with their counts; those too rare are left out. Returns the queue, a larger one if it was full."""
    if queue.size[0] + len(keys) > len(queue.keys):
        room = 2 * (queue.size[0] + len(keys))
        counts, entered = np.empty(room, np.int64), np.empty(room, np.int64)
        counts[: queue.size[0]] = queue.counts[: queue.size[0]]
        entered[: queue.size[0]] = queue.keys[: queue.size[0]]
        queue = Queue(counts, entered, queue.size)
    for key in keys:
        count = pairs.counts[slot_of(pairs.keys, key)]
        if key >= 0 and count >= min_count:
            _push(queue, key, count)
    return queue


def _pop_best(queue: Queue, pairs: Pairs, min_count: int) -> Number:
    """The key of the most frequent pair, taken out of the queue; -1 if all are rarer than `min_count`."""
    while queue.size[0] > 0:
        key, count = queue.keys[0], queue.counts[0]
        slot = slot_of(pairs.keys, key)
        now = pairs.counts[slot] if pairs.keys[slot] == key else 0
        if now < count and now >= min_count:
            queue.counts[0] = now
            _sink(queue)
            continue
        last = queue.size[0] - 1
        queue.keys[0], queue.counts[0] = queue.keys[last], queue.counts[last]
        queue.size[0] = last
        _sink(queue)
        if now == count:
            return int(key)
    return -1


push_all = numba.njit(cache=True)(_push_all)
pop_best = numba.njit(cache=True)(_pop_best)
