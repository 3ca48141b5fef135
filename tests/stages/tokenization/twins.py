"""Slow and obvious ways to the same result."""

from collections.abc import Sequence
from itertools import pairwise


def merge_slowly(piece: bytes, merges: Sequence[tuple[int, int, int]]) -> list[int]:
    """Byte-pair encoding: look for the first listed merge, the leftmost of equals, apply it, begin again."""
    order = {(left, right): (number, new) for number, (left, right, new) in enumerate(merges)}
    ids = list(piece)
    while True:
        found = [(*order[pair], at) for at, pair in enumerate(pairwise(ids)) if pair in order]
        if not found:
            return ids
        _, new, at = min(found, key=lambda entry: (entry[0], entry[2]))
        ids[at : at + 2] = [new]
