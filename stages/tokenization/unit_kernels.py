"""Kernels of units: where a stretch of a line ends, alternative by alternative of `training.units.unit_pattern`.

Time is linear in the text: only whitespace before line breaks that are too far away is looked at again.
"""

import numba
import numpy as np
import numpy.typing as npt

from stages.tokenization.classes import NUMBER, SPACE

Bytes = npt.NDArray[np.uint8]

MAX_DIGITS = 3
"""Most characters of a unit of a number."""

_LF, _CR = 0x0A, 0x0D


def _class_at(data: Bytes, at: int, end: int, classes: Bytes) -> tuple[int, int]:
    """Class of the character at `at`, and where the next begins, never after `end` whatever the bytes are."""
    code = np.int64(data[at])
    if code < 0x80:
        return classes[code], at + 1
    more = 1 if code < 0xE0 else 2 if code < 0xF0 else 3
    code &= 0x3F >> more
    after = min(at + 1 + more, end)
    for position in range(at + 1, after):
        code = code << 6 | data[position] & 0x3F
    return classes[code], after


_look = numba.njit(cache=True)(_class_at)


def _is_line_break(byte: int) -> bool:
    return byte in (_LF, _CR)


_is_break = numba.njit(cache=True)(_is_line_break)


def _breaks_end(data: Bytes, at: int, end: int, classes: Bytes, max_chars: int) -> int:
    """End of the last line break that at most `max_chars` of whitespace lead to from `at`; `at` where there is none."""
    found = at
    for _ in range(max_chars + 1):
        if at >= end:
            break
        kind, after = _look(data, at, end, classes)
        if kind != SPACE:
            break
        if _is_break(data[at]):
            found = after
        at = after
    return found


_breaks = numba.njit(cache=True)(_breaks_end)


def _unit_end(data: Bytes, at: int, end: int, classes: Bytes, max_chars: int) -> int:
    """Where the unit that begins at `at` ends."""
    if _is_break(data[at]):
        return _breaks(data, at, end, classes, max_chars)
    kind, after = _look(data, at, end, classes)
    is_number, count = kind == NUMBER, 0
    limit = MAX_DIGITS if is_number else max_chars
    while at < end and count < limit and not _is_break(data[at]):
        kind, after = _look(data, at, end, classes)
        if (kind == NUMBER) != is_number:
            break
        at, count = after, count + 1
    return at if is_number else _breaks(data, at, end, classes, max_chars)


unit_end = numba.njit(cache=True)(_unit_end)
