"""Kernels of the n-gram proxy: one hash table of all n-grams, their counts, and probabilities by interpolation.

An n-gram is a node of a tree: its key is its context's node and its last token, 64 bits that are compared whole, so
two n-grams are never taken for one. Nodes 0 to V - 1 are the tokens alone; `ROOT` is the empty context.
"""

from typing import TypeAlias

import numba
import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Int: TypeAlias = "int | np.int64"

NONE = -1
_KEY, _NODE = 0, 1
_EMPTY = np.int64(-1)
_HASH = np.uint64(0x9E3779B97F4A7C15)


def _slot_of(key: Int, slots: Int) -> Int:
    mixed = np.uint64(key) * _HASH
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _HASH
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(slots - 1))


_slot = numba.njit(cache=True)(_slot_of)


def _find_slot(table: Longs, context: Int, token: Int) -> Int:
    """Slot of an n-gram, or the empty one where it belongs. Linear probing; the table is never full."""
    key = (np.int64(context) << 32) | np.int64(token)
    slot = _slot(key, len(table))
    while table[slot, _KEY] != key and table[slot, _KEY] != _EMPTY:
        slot = (slot + 1) & (len(table) - 1)
    return slot


_find = numba.njit(cache=True)(_find_slot)


def empty_table(slots: int) -> Longs:
    """int64[slots, 2]: key and node of every slot."""
    return np.full((slots, 2), _EMPTY, np.int64)


def _rehash_all(table: Longs, larger: Longs) -> None:
    for slot in range(len(table)):
        key = table[slot, _KEY]
        if key != _EMPTY:
            place = _find(larger, key >> 32, key & 0xFFFFFFFF)
            larger[place, _KEY], larger[place, _NODE] = key, table[slot, _NODE]


rehash = numba.njit(cache=True)(_rehash_all)


def _count_some(stream: Ids, start: Int, contexts: Longs, table: Longs, counts: Longs, nodes: Int) -> tuple[Int, Int]:
    """Count the n-grams that end at `start` and later, until the next might not find room among the nodes.

    `contexts` int64[order] are the nodes of the 0 to order - 1 tokens before. Of the longest n-grams, `counts` are
    occurrences; of the shorter ones, different tokens before them. Returns the next position and the number of nodes.
    """
    order = len(contexts)
    for at in range(start, len(stream)):
        if nodes + order > len(counts):
            return at, nodes
        token = np.int64(stream[at])
        shorter = token
        if order == 1:
            counts[token] += 1
        for level in range(1, order):
            before = contexts[level]
            contexts[level] = shorter
            if before == NONE:
                shorter = np.int64(NONE)
                for rest in range(level + 1, order):
                    contexts[rest] = NONE
                break
            slot = _find(table, before, token)
            if table[slot, _KEY] == _EMPTY:
                table[slot, _KEY], table[slot, _NODE] = (before << 32) | token, nodes
                counts[shorter] += 1
                nodes += 1
            shorter = table[slot, _NODE]
            if level == order - 1:
                counts[shorter] += 1
    return len(stream), nodes


count_some = numba.njit(cache=True)(_count_some)


def _total_up(table: Longs, counts: Longs, vocabulary_size: int) -> tuple[Longs, Ids]:
    """Of every context, the last the empty one: what all its n-grams count, and how many count 1, 2 and more.

    int64[nodes + 1] and int32[nodes + 1, 4]. Sums of integers: the order of the table does not matter.
    """
    nodes = len(counts)
    totals, kinds = np.zeros(nodes + 1, np.int64), np.zeros((nodes + 1, 4), np.int32)
    for slot in range(len(table)):
        if table[slot, _KEY] != _EMPTY:
            context, count = table[slot, _KEY] >> 32, counts[table[slot, _NODE]]
            totals[context] += count
            kinds[context, min(count, 3)] += 1
    for token in range(vocabulary_size):
        totals[nodes] += counts[token]
        kinds[nodes, min(counts[token], 3)] += 1
    return totals, kinds


total_up = numba.njit(cache=True)(_total_up)


def _discount_all(
    table: Longs, counts: Longs, totals: Longs, kinds: Ids, vocabulary_size: int, discounts: Floats
) -> tuple[Floats, Floats]:
    """What each n-gram keeps of its context's mass, and what each context leaves to its shorter one.

    The first is float64[nodes]: (count - discount) / total. The second is float64[nodes + 1]: all discounts / total,
    and 1 for a context that nothing followed. `discounts` float64[4] are of counts 0, 1, 2 and more.
    """
    nodes = len(counts)
    kept, rest = np.zeros(nodes), np.ones(nodes + 1)
    for context in range(nodes + 1):
        if totals[context] > 0:
            taken = (
                discounts[1] * kinds[context, 1] + discounts[2] * kinds[context, 2] + discounts[3] * kinds[context, 3]
            )
            rest[context] = taken / totals[context]
    for slot in range(len(table)):
        if table[slot, _KEY] != _EMPTY:
            node = table[slot, _NODE]
            if counts[node] > 0:
                total = totals[table[slot, _KEY] >> 32]
                kept[node] = (counts[node] - discounts[min(counts[node], 3)]) / total
    for token in range(vocabulary_size):
        if counts[token] > 0:
            kept[token] = (counts[token] - discounts[min(counts[token], 3)]) / totals[nodes]
    return kept, rest


discount_all = numba.njit(cache=True)(_discount_all)


def _score_all(
    stream: Ids, table: Longs, kept: Floats, rest: Floats, order: int, vocabulary_size: int, found: Floats
) -> None:
    """Fill float64[len(stream)]: the probability of every token after those before it.

    p(w | c) = kept(c w) + rest(c) * p(w | c without its first token), and 1 / V below the empty context.
    """
    root = len(rest) - 1
    contexts = np.full(order, NONE, np.int64)
    for at in range(len(stream)):
        token = np.int64(stream[at])
        probability = kept[token] + rest[root] / vocabulary_size
        longer = token
        for level in range(1, order):
            before = contexts[level]
            contexts[level] = longer
            longer = np.int64(NONE)
            if before != NONE:
                slot = _find(table, before, token)
                probability *= rest[before]
                if table[slot, _KEY] != _EMPTY:
                    longer = table[slot, _NODE]
                    probability += kept[longer]
        found[at] = probability


score_all = numba.njit(cache=True)(_score_all)
