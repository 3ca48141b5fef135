"""Merges that are set rather than learnt: characters made of their bytes, and forced tokens made of their pieces."""

from collections.abc import Mapping, Sequence
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

Pair = tuple[bytes, bytes]

_CODE_POINTS = 0x110000


def count_characters(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """How often each code point stands in the pretokens. Bytes that are no UTF-8 count nothing."""
    total = np.zeros(_CODE_POINTS, np.int64)
    _count(offsets, data, counts, total)
    return total


def _count_texts(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    counts: npt.NDArray[np.int64],
    total: npt.NDArray[np.int64],
) -> None:
    for number in range(len(counts)):
        at, end = offsets[number], offsets[number + 1]
        while at < end:
            lead = np.int64(data[at])
            more = 0 if lead < 0xC2 else 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3 if lead < 0xF5 else 0
            code = lead if more == 0 else lead & 0x3F >> more
            at += 1
            taken = 0
            while taken < more and at < end and data[at] & 0xC0 == 0x80:
                code = code << 6 | data[at] & 0x3F
                at, taken = at + 1, taken + 1
            if taken == more and code < _CODE_POINTS and (more or lead < 0x80):
                total[code] += counts[number]


_count = numba.njit(cache=True)(_count_texts)


def character_merges(totals: npt.NDArray[np.int64], size: int, min_count: int) -> list[Pair]:
    """The merges that make the `size` most frequent characters beyond ASCII, those of equal count by code point.

    The bytes of a character are joined from the left. Its first byte says how many follow, so that no merge of one
    character can cut into another.
    """
    codes = np.flatnonzero(totals >= min_count)
    codes = codes[(codes >= 0x80) & ((codes < 0xD800) | (codes > 0xDFFF))]
    chosen = codes[np.argsort(-totals[codes], kind="stable")[:size]]
    merges: dict[Pair, None] = {}
    for code in np.sort(chosen).tolist():
        spelt = chr(code).encode()
        merges.update({(spelt[:end], spelt[end : end + 1]): None for end in range(1, len(spelt))})
    # a first part before what is made of it
    return sorted(merges, key=lambda pair: (len(pair[0]), pair))


def join_pieces(pieces: Sequence[bytes], known: Mapping[bytes, int]) -> list[Pair]:
    """Merges that make one token of adjacent tokens, none of which spells a known token.

    Raises ValueError where there is no such way.
    """

    @cache
    def made(first: int, end: int) -> tuple[Pair, ...] | None:
        if end - first == 1:
            return ()
        if b"".join(pieces[first:end]) in known:
            return None
        for middle in range(end - 1, first, -1):
            left, right = made(first, middle), made(middle, end)
            if left is not None and right is not None:
                return (*left, *right, (b"".join(pieces[first:middle]), b"".join(pieces[middle:end])))
        return None

    found = made(0, len(pieces))
    if found is None:
        raise ValueError(f"forced token {b''.join(pieces)!r} can only be made through tokens that exist; leave it out")
    return list(dict.fromkeys(found))
