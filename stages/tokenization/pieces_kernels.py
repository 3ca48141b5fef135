"""Kernels of `pieces`: the merge that makes each token of a rank file."""

import numba
import numpy as np

from stages.tokenization.merging_tables import NEVER, Bytes, Ids, Int, Longs, find_piece


def _score_pair(cuts: Longs, at: Int, table: Ids, offsets: Longs, pieces: Bytes) -> Int:
    """The token of part `at` and the next together, which is its rank; `NEVER` if they are none."""
    token = find_piece(pieces, cuts[at], cuts[at + 2], table, offsets, pieces)
    return token if token >= 0 else np.int64(NEVER)


_score = numba.njit(cache=True)(_score_pair)


def _merge_to_two(parts: Int, cuts: Longs, scores: Longs, table: Ids, offsets: Longs, pieces: Bytes) -> Int:
    """Merge the pair of the lowest rank, the leftmost of equals, until two parts are left; gives how many are."""
    for at in range(parts - 1):
        scores[at] = _score(cuts, at, table, offsets, pieces)
    while parts > 2:
        best = 0
        for at in range(1, parts - 1):
            best = at if scores[at] < scores[best] else best
        if scores[best] == NEVER:
            break
        parts -= 1
        for at in range(best + 1, parts + 1):
            cuts[at], scores[at - 1] = cuts[at + 1], scores[at]
        for at in range(max(best - 1, 0), min(best + 1, parts - 1)):
            scores[at] = _score(cuts, at, table, offsets, pieces)
    return parts


_merge = numba.njit(cache=True)(_merge_to_two)


def _find_halves(offsets: Longs, pieces: Bytes, table: Ids) -> Ids:
    """Left and right half of every token: what its bytes are just before the last merge; -1 where there is none.

    Each token of n bytes takes n^2 steps at most. `table` holds all tokens with bytes.
    """
    halves, longest = np.full((len(offsets) - 1, 2), -1, np.int32), np.int64(0)
    for token in range(len(halves)):
        longest = max(longest, offsets[token + 1] - offsets[token])
    cuts, scores = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    for token in range(len(halves)):
        parts = offsets[token + 1] - offsets[token]
        for at in range(parts + 1):
            cuts[at] = offsets[token] + at
        if _merge(parts, cuts, scores, table, offsets, pieces) == 2:
            for side in range(2):
                halves[token, side] = find_piece(pieces, cuts[side], cuts[side + 1], table, offsets, pieces)
    return halves


find_halves = numba.njit(cache=True)(_find_halves)
