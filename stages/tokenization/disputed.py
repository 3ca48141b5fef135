"""Characters that gigatoken and the references class differently, because they know different Unicode versions.

A text that holds one is split differently, so gigatoken leaves it to the reference. Such texts are rare: the characters
are those that Unicode 17 (2025) added to letters, marks and numbers.
"""

import numba
import numpy as np
import numpy.typing as npt

RANGES = (
    (0x088F, 0x088F), (0x0C5C, 0x0C5C), (0x0CDC, 0x0CDC), (0x1ACF, 0x1ADD), (0x1AE0, 0x1AEB), (0xA7CE, 0xA7CF),
    (0xA7D2, 0xA7D2), (0xA7D4, 0xA7D4), (0xA7F1, 0xA7F1), (0x10940, 0x10959), (0x10EC5, 0x10EC7), (0x10EFA, 0x10EFB),
    (0x11B60, 0x11B67), (0x11DB0, 0x11DDB), (0x11DE0, 0x11DE9), (0x16EA0, 0x16EB8), (0x16EBB, 0x16ED3),
    (0x16FF2, 0x16FF6), (0x187F8, 0x187FF), (0x18D09, 0x18D1E), (0x18D80, 0x18DF2), (0x1E6C0, 0x1E6DE),
    (0x1E6E0, 0x1E6F5), (0x1E6FE, 0x1E6FF), (0x2B73A, 0x2B73F), (0x2CEA2, 0x2CEAD), (0x323B0, 0x33479),
)  # fmt: skip
"""First and last code points: where gigatoken 0.10 differs from tiktoken 0.14 and tokenizers 0.23 in any split."""

_LEAD = 0xE0
"""No byte of a disputed character's UTF-8 begins lower than this: ASCII, Latin, Greek and Cyrillic are passed over."""
_BLOCK = 256


def _table() -> npt.NDArray[np.bool_]:
    table = np.zeros(1 << 21, np.bool_)
    for first, last in RANGES:
        table[first : last + 1] = True
    return table


_DISPUTED = _table()


def disputed_rows(offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Numbers of the texts that hold a disputed character, ascending."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    _mark(offsets, data, _DISPUTED, found)
    return np.flatnonzero(found)


def _mark_rows(
    offsets: npt.NDArray[np.int32],
    data: npt.NDArray[np.uint8],
    table: npt.NDArray[np.bool_],
    found: npt.NDArray[np.bool_],
) -> None:
    """Sets `found` of the texts that hold a character of the table. Each block of bytes is first looked at as a whole:
    one without any high byte, as most are in code and English, costs a few vector instructions."""
    row, at, end = 0, int(offsets[0]), int(offsets[-1])
    while at < end:
        stop = min(at + _BLOCK, end)
        if _high_bits(data[at:stop]) >= _LEAD:
            for place in range(at, stop):
                if data[place] >= _LEAD and table[_decode(data, place, end)]:
                    while offsets[row + 1] <= place:
                        row += 1
                    found[row] = True
        at = stop


def _or_bytes(block: npt.NDArray[np.uint8]) -> int:
    bits = np.uint8(0)
    for byte in block:
        bits |= byte
    return int(bits)


def _decode_at(data: npt.NDArray[np.uint8], place: int, end: int) -> int:
    """The code point of three or four bytes that begins here; 0 where the buffer ends before."""
    width = 3 if data[place] < 0xF0 else 4
    if place + width > end:
        return 0
    code = int(data[place]) & (0x0F if width == 3 else 0x07)
    for follow in range(1, width):
        code = code << 6 | int(data[place + follow]) & 0x3F
    return code


_high_bits = numba.njit(cache=True)(_or_bytes)
_decode = numba.njit(cache=True)(_decode_at)
_mark = numba.njit(cache=True)(_mark_rows)
