"""Kernels of `less_is_better`: reading a batch of units with a lexicon, and moving tokens up and down in it."""

import numba
import numpy as np
import numpy.typing as npt

from stages.tokenization.draws import draw, happens
from stages.tokenization.training.trie import match_two

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_MAX_STEPS = 32
"""Moves of one token in one batch; more would bring it no further than the first places."""


def _draw_units(key: np.uint64, cumulative: Longs, chosen: Longs) -> None:
    """Units, each as probable as it is frequent."""
    total = np.uint64(cumulative[-1])
    for index in range(len(chosen)):
        target = np.int64(draw(key, index) % total)
        chosen[index] = np.searchsorted(cumulative, target, side="right")


draw_units = numba.njit(cache=True)(_draw_units)


def _prefer_longest(
    keys: Longs, children: Ints, values: Ints, data: Bytes, at: int, end: int, found: tuple[int, int, int, int]
) -> bool:
    """Whether reading on from the longest token takes fewer tokens than from the second longest, until both meet.

    With equal numbers the reading with the lower sum of places in the lexicon is preferred.
    """
    first, first_length, second, second_length = found
    tokens, places = 0, max(first - 255, 0) - max(second - 255, 0)
    long_end, short_end = at + first_length, at + second_length
    while long_end != short_end:
        if short_end < long_end:
            token, length, _, _ = match_two(keys, children, values, data, short_end, end)
            short_end, tokens, places = short_end + length, tokens - 1, places - max(token - 255, 0)
        else:
            token, length, _, _ = match_two(keys, children, values, data, long_end, end)
            long_end, tokens, places = long_end + length, tokens + 1, places + max(token - 255, 0)
    return tokens < 0 or (tokens == 0 and places <= 0)


_prefers = numba.njit(cache=True)(_prefer_longest)


def _count_chars(data: Bytes, start: int, end: int) -> int:
    count = 0
    for at in range(start, end):
        count += (data[at] & 0xC0) != 0x80
    return count


_chars = numba.njit(cache=True)(_count_chars)


def _read_units(
    keys: Longs, children: Ints, values: Ints, offsets: Longs, data: Bytes, chosen: Longs,
    key: np.uint64, share: float, max_chars: int, scores: Longs, candidates: Longs
) -> int:  # fmt: skip
    """Cut the chosen units greedily; add each lexicon token's rewards less punishments to `scores`.

    Writes (start, end) of a share of the adjacent pairs that may become tokens, and returns how many.
    """
    total, draws = 0, 0
    for unit in chosen:
        at, end, before = int(offsets[unit]), int(offsets[unit + 1]), -1
        while at < end:
            found = match_two(keys, children, values, data, at, end)
            first, first_length, second, _ = found
            if first > 255:
                won = _prefers(keys, children, values, data, at, end, found)
                scores[first - 256] += 1 if won else -1
                if not won and second > 255:
                    scores[second - 256] += 1
            if before >= 0 and _chars(data, before, at + first_length) <= max_chars:
                if happens(draw(key, draws), share):
                    candidates[total, 0], candidates[total, 1] = before, at + first_length
                    total += 1
                draws += 1
            before, at = at, at + first_length
    return total


read_units = numba.njit(cache=True)(_read_units)


def _move(scores: Longs, percent: int) -> Longs:
    """The place that each token strives for: each reward takes it this part of the way to the front, with 16 bits more
    than whole places, and each punishment as far back."""
    places = np.empty(len(scores), np.int64)
    for token in range(len(scores)):
        place = token << 16
        for _ in range(min(abs(scores[token]), _MAX_STEPS)):
            step = place * percent // 100 + 65_536
            place = max(place - step, 0) if scores[token] > 0 else place + step
        places[token] = place
    return places


move_tokens = numba.njit(cache=True)(_move)
