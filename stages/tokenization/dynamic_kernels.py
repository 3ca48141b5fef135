"""Kernels of `dynamic`: BPE training on words of token ids, few merges at a time."""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from stages.tokenization.merging_tables import Ids, Int, Longs, slot_of

Flags = npt.NDArray[np.bool_]


class Pairs(NamedTuple):
    """Pairs of neighbours by number, in the order in which they came to be."""

    table: Ids
    """Hash table of numbers; -1 where empty."""
    keys: Longs
    """Left id in the upper half, right id in the lower."""
    counts: Longs
    heads: Longs
    """Last link of the chain of words in which the pair has come to be; -1 for none."""
    size: Longs
    """One element: how many pairs there are."""


def _number_of_pair(pairs: Pairs, left: Int, right: Int) -> Int:
    """The number of a pair, which is given the next one if it has none yet."""
    key = (np.int64(left) << 32) | np.int64(right)
    slot = slot_of(key, len(pairs.table))
    while pairs.table[slot] >= 0 and pairs.keys[pairs.table[slot]] != key:
        slot = (slot + 1) & (len(pairs.table) - 1)
    if pairs.table[slot] < 0:
        pairs.table[slot] = pairs.size[0]
        pairs.keys[pairs.size[0]] = key
        pairs.size[0] += 1
    return np.int64(pairs.table[slot])


_number = numba.njit(cache=True)(_number_of_pair)


def _count_pairs(begin: Int, size: Int, ids: Ids, pairs: Pairs, weight: Int) -> None:
    """Add `weight` to the count of every pair of neighbours of a word."""
    for at in range(begin, begin + size - 1):
        pairs.counts[_number(pairs, ids[at], ids[at + 1])] += weight


_count = numba.njit(cache=True)(_count_pairs)


def _chain_word(word: Int, begin: Int, size: Int, ids: Ids, new: Int, pairs: Pairs, links: Longs, used: Int) -> Int:
    """Put a word into the chains of its pairs that have the id `new`, or of all if that is negative; once into each."""
    for at in range(begin, begin + size - 1):
        if new < 0 or ids[at] == new or ids[at + 1] == new:
            number = _number(pairs, ids[at], ids[at + 1])
            if pairs.heads[number] >= 0 and links[pairs.heads[number], 0] == word:
                continue
            links[used, 0], links[used, 1] = word, pairs.heads[number]
            pairs.heads[number] = used
            used += 1
    return used


_chain = numba.njit(cache=True)(_chain_word)


def _find_best(pairs: Pairs) -> Int:
    """The most frequent pair, of equals that with the lowest ids; -1 if none occurs twice."""
    best, most = -1, np.int64(2)
    for number in range(pairs.size[0]):
        count = pairs.counts[number]
        if count > most or (count == most and (best < 0 or pairs.keys[number] < pairs.keys[best])):
            best, most = number, count
    return best


_best = numba.njit(cache=True)(_find_best)


def _replace_pair(begin: Int, size: Int, ids: Ids, left: Int, right: Int, new: Int) -> Int:
    """Put `new` for the pair in one word, from the left; gives the new size."""
    out, at = begin, begin
    while at < begin + size:
        is_pair = at + 1 < begin + size and ids[at] == left and ids[at + 1] == right
        ids[out] = new if is_pair else ids[at]
        at += 2 if is_pair else 1
        out += 1
    return out - begin


_replace = numba.njit(cache=True)(_replace_pair)


def _has_pair(begin: Int, size: Int, ids: Ids, left: Int, right: Int) -> bool:
    for at in range(begin, begin + size - 1):  # noqa: SIM110 - numba compiles no generator
        if ids[at] == left and ids[at + 1] == right:
            return True
    return False


_has = numba.njit(cache=True)(_has_pair)


def _make_pairs(most: int, slots: int) -> Pairs:
    table, keys = np.full(slots, -1, np.int32), np.empty(most, np.int64)
    return Pairs(table, keys, np.zeros(most, np.int64), np.full(most, -1, np.int64), np.zeros(1, np.int64))


_make = numba.njit(cache=True)(_make_pairs)


def _merge_words(words: Longs, sizes: Longs, ids: Ids, weights: Longs, merges: int, base: int, slots: int) -> Ids:
    """Merge pairs in distinct words, which occur `weights` times; shortens `sizes`, gives the pairs.

    A word may stand in a chain without the pair by now; that is looked at when its turn comes. Each of n tokens goes
    into one merge at most, which makes two pairs at most: 3 n pairs and links are enough.
    """
    pairs, links = _make(3 * len(ids) + 1, slots), np.empty((3 * len(ids) + 1, 2), np.int64)
    merged = np.empty((merges, 2), np.int32)
    used: Int = np.int64(0)
    every = np.int64(-1)
    for word in range(len(sizes)):
        _count(words[word], sizes[word], ids, pairs, weights[word])
        used = _chain(word, words[word], sizes[word], ids, every, pairs, links, used)
    for number in range(merges):
        best = _best(pairs)
        if best < 0:
            return merged[:number]
        left, right, new = pairs.keys[best] >> 32, pairs.keys[best] & 0xFFFFFFFF, base + number
        merged[number, 0], merged[number, 1] = left, right
        link = pairs.heads[best]
        while link >= 0:
            word, link = links[link, 0], links[link, 1]
            if not _has(words[word], sizes[word], ids, left, right):
                continue
            _count(words[word], sizes[word], ids, pairs, -weights[word])
            sizes[word] = _replace(words[word], sizes[word], ids, left, right, new)
            _count(words[word], sizes[word], ids, pairs, weights[word])
            used = _chain(word, words[word], sizes[word], ids, new, pairs, links, used)
    return merged


merge_words = numba.njit(cache=True)(_merge_words)


def _join_words(
    borders: Longs, starts: Longs, codes: Ids, words: Longs, sizes: Longs, ids: Ids, rows: Longs, out: Ids
) -> None:
    """Write the words of all rows after their merges, and where each row begins."""
    total, word = 0, 0
    for row in range(len(borders) - 1):
        while word < len(starts) and starts[word] < borders[row + 1]:
            begin = words[codes[word]]
            for at in range(begin, begin + sizes[codes[word]]):
                out[total] = ids[at]
                total += 1
            word += 1
        rows[row + 1] = total


join_words = numba.njit(cache=True)(_join_words)


def _mark_words(offsets: Ids, ids: Ids, lengths: Longs, pieces: Longs, starts: Longs, flags: Flags) -> None:
    """Flag each token that begins where a word does, or has no bytes. `starts` ends with the number of all bytes."""
    number, size, word = 0, 0, 0
    for row in range(len(lengths)):
        for at in range(offsets[row], offsets[row] + lengths[row]):
            token = ids[at]
            length = pieces[token + 1] - pieces[token] if 0 <= token < len(pieces) - 1 else 0
            while starts[word] < size:
                word += 1
            flags[number] = length == 0 or starts[word] == size
            size += length
            number += 1


mark_words = numba.njit(cache=True)(_mark_words)
