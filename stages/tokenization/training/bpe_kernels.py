"""Kernels of `bpe`: where every pair stands, how often it occurs, and which occurs most.

Tokens lie in `symbols` at their first byte, so a token's size says where the next begins; the last byte of a longer one
holds `-2 - first byte`, so that the previous is found too; -1 stands before, between and after the pretokens. The
places of one pair are a doubly linked list. Only the merge that makes a token can raise the count of a pair with it, so
each pair enters the queue once, after that merge, and its count there is corrected when it comes to the top.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Number = int | np.signedinteger[Any]

_BORDER = -1
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Text(NamedTuple):
    """The distinct pretokens. All arrays but `weights` have one entry per byte and border."""

    symbols: Int32
    pretoken: Int32
    """Which pretoken a byte belongs to."""
    after: Int32
    before: Int32
    """Neighbours in the list of places of the pair that begins here; -1 ends it."""
    weights: Int64
    """Count of each pretoken."""


class Sizes(NamedTuple):
    """Of every token."""

    bytes: Int32
    units: Int32
    """What `limit` bounds."""
    limit: Int64
    """One value: no pair with more units is counted."""


class Pairs(NamedTuple):
    """Hash table of pairs."""

    keys: Int64
    """left << 32 | right; -1 where free."""
    counts: Int64
    heads: Int32
    """First place of the pair, or -1."""
    used: Int64
    """One value: taken slots."""


def empty_pairs(slots: int) -> Pairs:
    """A table of a power of two of slots."""
    return Pairs(np.full(slots, -1), np.zeros(slots, np.int64), np.full(slots, -1, np.int32), np.zeros(1, np.int64))


def _find_slot(keys: Int64, key: Number) -> Number:
    mask = len(keys) - 1
    slot = np.int64(np.uint64(key) * _MULTIPLIER >> np.uint64(32)) & mask
    while keys[slot] != key and keys[slot] != -1:
        slot = (slot + 1) & mask
    return slot


slot_of = numba.njit(cache=True)(_find_slot)


def _link_pair(text: Text, sizes: Sizes, pairs: Pairs, at: Number, left: Number, right: Number) -> Number:
    """Count the pair that begins at a place. Returns its key if it is new, -1 otherwise."""
    if sizes.units[left] + sizes.units[right] > sizes.limit[0]:
        return -1
    key = np.int64(left) << 32 | right
    slot = slot_of(pairs.keys, key)
    created: Number = -1
    if pairs.keys[slot] == -1:
        pairs.keys[slot], pairs.heads[slot] = key, -1
        pairs.used[0] += 1
        created = key
    pairs.counts[slot] += text.weights[text.pretoken[at]]
    head = pairs.heads[slot]
    text.after[at], text.before[at] = head, -1
    if head >= 0:
        text.before[head] = at
    pairs.heads[slot] = at
    return created


def _unlink_pair(text: Text, sizes: Sizes, pairs: Pairs, at: Number, left: Number, right: Number) -> None:
    if sizes.units[left] + sizes.units[right] > sizes.limit[0]:
        return
    slot = slot_of(pairs.keys, np.int64(left) << 32 | right)
    pairs.counts[slot] -= text.weights[text.pretoken[at]]
    after, before = text.after[at], text.before[at]
    if after >= 0:
        text.before[after] = before
    if before >= 0:
        text.after[before] = after
    else:
        pairs.heads[slot] = after


_link = numba.njit(cache=True)(_link_pair)
_unlink = numba.njit(cache=True)(_unlink_pair)


def _place_tokens(text: Text, sizes: Sizes, pretokens: Number, starts: Int32, tokens: Int32) -> None:
    """Fill `symbols` and `pretoken` of a text from the tokens of each pretoken."""
    at = 1
    text.symbols[0] = _BORDER
    for number in range(pretokens):
        for index in range(starts[number], starts[number + 1]):
            token = tokens[index]
            size = sizes.bytes[token]
            text.symbols[at + size - 1] = -2 - at
            text.symbols[at] = token
            text.pretoken[at : at + size] = number
            at += size
        text.symbols[at] = _BORDER
        at += 1


def _link_before(text: Text, sizes: Sizes, pairs: Pairs, at: Number) -> Number:
    """Count the pairs before a place, the last first, so that lists run forwards.

    Stops when the table is half full. Returns the place up to which pairs are still to be counted; 0 when all are.
    """
    symbols = text.symbols
    while at > 0 and 2 * pairs.used[0] < len(pairs.keys):
        at -= 1
        if symbols[at] >= 0:
            following = symbols[at + sizes.bytes[symbols[at]]]
            if following >= 0:
                _link(text, sizes, pairs, at, symbols[at], following)
    return at


place_tokens = numba.njit(cache=True)(_place_tokens)
link_before = numba.njit(cache=True)(_link_before)


def _merge_at(text: Text, sizes: Sizes, pairs: Pairs, at: Number, new: Number, made: Int64, count: Number) -> Number:
    """Merge the two tokens at a place; their own pair is left to the caller. Adds new pairs to `made`."""
    symbols = text.symbols
    left = symbols[at]
    middle = at + sizes.bytes[left]
    right = symbols[middle]
    end = middle + sizes.bytes[right]
    previous, following = symbols[at - 1], symbols[end]
    start = -1 if previous == _BORDER else at - 1 if previous >= 0 else -2 - previous
    if start >= 0 and not (left == right and symbols[start] == left):
        _unlink(text, sizes, pairs, start, symbols[start], left)
    if following >= 0 and not (left == right and following == right):
        _unlink(text, sizes, pairs, middle, right, following)
    symbols[middle] = symbols[end - 1] = -2 - at
    symbols[at] = new
    if start >= 0:
        key = _link(text, sizes, pairs, start, symbols[start], new)
        made[count] = key
        count += key >= 0
    if following >= 0:
        key = _link(text, sizes, pairs, at, new, following)
        made[count] = key
        count += key >= 0
    return count


_merge_place = numba.njit(cache=True)(_merge_at)


def _merge_everywhere(
    text: Text, sizes: Sizes, pairs: Pairs, left: Number, right: Number, new: Number, made: Int64
) -> Int64:
    """Merge a pair wherever it stands, from the left in each pretoken. Returns the new pairs, in `made`.

    `made` has room for two pairs per token and one more.
    """
    slot = slot_of(pairs.keys, np.int64(left) << 32 | right)
    at: Number = pairs.heads[slot]
    count: Number = 0
    pairs.heads[slot], pairs.counts[slot] = -1, 0
    if left != right:
        while at >= 0:
            after = text.after[at]
            count = _merge_place(text, sizes, pairs, at, new, made, count)
            at = after
        return made[:count]
    length, place = 0, at
    while place >= 0:
        length, place = length + 1, text.after[place]
    places = np.empty(length, np.int32)
    for index in range(length):
        places[index] = at
        at = text.after[at]
    places.sort()
    size = sizes.bytes[left]
    for place in places:
        if text.symbols[place] == left and text.symbols[place + size] == left:
            count = _merge_place(text, sizes, pairs, place, new, made, count)
    return made[:count]


merge_everywhere = numba.njit(cache=True)(_merge_everywhere)


def _move_pairs(old: Pairs, new: Pairs) -> None:
    """Enter the pairs that still stand somewhere into another table."""
    for slot in range(len(old.keys)):
        if old.keys[slot] >= 0 and old.heads[slot] >= 0:
            target = slot_of(new.keys, old.keys[slot])
            new.keys[target], new.counts[target] = old.keys[slot], old.counts[slot]
            new.heads[target] = old.heads[slot]
            new.used[0] += 1


move_pairs = numba.njit(cache=True)(_move_pairs)
