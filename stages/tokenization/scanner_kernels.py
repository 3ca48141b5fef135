"""Kernels of `scanner`: where the pretoken that begins at a byte ends, one function per family of patterns.

Each follows its regular expression alternative by alternative, and looks at every byte a bounded number of times.
"""

import numba
import numpy as np
import numpy.typing as npt

from stages.tokenization.classes import LETTER, LOWER, MARK, NUMBER, OTHER, SPACE, UPPER

Bytes = npt.NDArray[np.uint8]

WORDS, CODE, CASED = range(3)
"""Families: r50k; cl100k and its like; o200k and its like."""

_APOSTROPHE, _BLANK, _SLASH, _LF, _CR = 0x27, 0x20, 0x2F, 0x0A, 0x0D


def _class_at(data: Bytes, at: int, end: int, classes: Bytes) -> tuple[int, int]:
    """Class of the character at `at`, and where the next begins, never after `end` whatever the bytes are."""
    code = np.int64(data[at])
    if code < 0x80:
        return classes[code], at + 1
    if code < 0xE0:
        more, code = 1, code & 0x1F
    elif code < 0xF0:
        more, code = 2, code & 0x0F
    else:
        more, code = 3, code & 0x07
    after = min(at + 1 + more, end)
    for position in range(at + 1, after):
        code = code << 6 | data[position] & 0x3F
    return classes[code], after


_look = numba.njit(cache=True)(_class_at)


def _run_end(data: Bytes, at: int, end: int, classes: Bytes, wanted: int) -> int:
    """Where the run of characters whose class has its bit in `wanted` ends."""
    while at < end:
        byte = data[at]
        if byte < 0x80:
            if not wanted >> classes[byte] & 1:
                break
            at += 1
            continue
        kind, after = _look(data, at, end, classes)
        if not wanted >> kind & 1:
            break
        at = after
    return at


_run = numba.njit(cache=True)(_run_end)


def _contraction_length(data: Bytes, at: int, end: int, fold: bool) -> int:
    """Bytes of `'s`, `'t`, `'re` and so on at `at`; 0 where there is none. U+017F folds to s."""
    if at + 1 >= end or data[at] != _APOSTROPHE:
        return 0
    first = data[at + 1]
    if fold and first == 0xC5 and at + 2 < end and data[at + 2] == 0xBF:
        return 3
    first = first | 0x20 if fold and 0x41 <= first <= 0x5A else first
    if first in (0x73, 0x64, 0x6D, 0x74):
        return 2
    if at + 2 >= end:
        return 0
    second = data[at + 2]
    second = second | 0x20 if fold and 0x41 <= second <= 0x5A else second
    pairs = (first == 0x6C and second == 0x6C) or (first in (0x76, 0x72) and second == 0x65)
    return 3 if pairs else 0


_contraction = numba.njit(cache=True)(_contraction_length)


def _number_end(data: Bytes, at: int, end: int, classes: Bytes, digits: int) -> int:
    """End of a number of at most `digits` characters; 0 for any number."""
    count = 0
    while at < end and (not digits or count < digits):
        kind, after = _look(data, at, end, classes)
        if kind != NUMBER:
            break
        at, count = after, count + 1
    return at


_number = numba.njit(cache=True)(_number_end)


def _space_end(data: Bytes, at: int, end: int, classes: Bytes, breaks: bool, tail: bool) -> int:
    """End of the pretoken of whitespace at `at`, which nothing after it takes.

    The last character of a run belongs to what follows it. `breaks`: a run ends after its last line break. `tail`: but
    not at the end of the text.
    """
    start, last, after_break = at, at, 0
    while at < end:
        byte = data[at]
        kind, after = classes[byte], at + 1
        if byte >= 0x80:
            kind, after = _look(data, at, end, classes)
        if kind != SPACE:
            break
        if byte in (_LF, _CR):
            after_break = after
        last, at = at, after
    if at == end and (tail or not breaks):
        return at
    if breaks and after_break:
        return after_break
    return last if last > start and at < end else at


_spaces = numba.njit(cache=True)(_space_end)

_LETTERS = 1 << LOWER | 1 << UPPER | 1 << LETTER
_SIGNS = 1 << OTHER | 1 << MARK


def _words_end(data: Bytes, at: int, end: int, classes: Bytes) -> int:
    """r50k: `'s ...| ?L+| ?N+| ?other+|s+$|s+(?!S)|s`."""
    if data[at] == _APOSTROPHE:
        length = _contraction(data, at, end, False)
        if length:
            return at + length
    kind, after = _look(data, at, end, classes)
    if kind == SPACE:
        if data[at] != _BLANK or after == end:
            return _spaces(data, at, end, classes, False, True)
        kind, _ = _look(data, after, end, classes)
        if kind == SPACE:
            return _spaces(data, at, end, classes, False, True)
    group = _LETTERS if _LETTERS >> kind & 1 else _SIGNS if _SIGNS >> kind & 1 else 1 << NUMBER
    return _run(data, after, end, classes, group)


def _code_end(data: Bytes, at: int, end: int, classes: Bytes, digits: int, tail: bool) -> int:
    """cl100k: `'(?i:s ...)|[^\\r\\nLN]?L+|N{1,3}| ?other+[\\r\\n]*|s+$|s*[\\r\\n]|s+(?!S)|s`."""
    if data[at] == _APOSTROPHE:
        length = _contraction(data, at, end, True)
        if length:
            return at + length
    kind, after = _look(data, at, end, classes)
    if _LETTERS >> kind & 1:
        return _run(data, after, end, classes, _LETTERS)
    if kind == NUMBER:
        return _number(data, at, end, classes, digits)
    following = SPACE
    if after < end:
        following, _ = _look(data, after, end, classes)
    if _LETTERS >> following & 1 and data[at] != _CR and data[at] != _LF:
        return _run(data, after, end, classes, _LETTERS)
    if kind == SPACE and not (data[at] == _BLANK and _SIGNS >> following & 1):
        return _spaces(data, at, end, classes, True, tail)
    at = _run(data, after, end, classes, _SIGNS)
    while at < end and (data[at] == _CR or data[at] == _LF):
        at += 1
    return at


_words = numba.njit(cache=True)(_words_end)
_code = numba.njit(cache=True)(_code_end)

_CAPITALS = 1 << UPPER | 1 << LETTER | 1 << MARK
_SMALLS = 1 << LOWER | 1 << LETTER | 1 << MARK


def _cased_word_end(data: Bytes, at: int, end: int, classes: Bytes) -> int:
    """End of `[^\\r\\nLN]?[capitals]*[smalls]+|[^\\r\\nLN]?[capitals]+[smalls]*` at `at`; `at` where neither fits.

    Letters without case and marks are both. The first form wins wherever it fits: where no small letter ends the run of
    capitals, it gives back capitals until a letter without case or a mark is the last, with or without the prefix.
    """
    kind, after = _look(data, at, end, classes)
    prefixed = kind == MARK or (kind in (OTHER, SPACE) and data[at] != _CR and data[at] != _LF)
    start = after if prefixed else at
    position, both = start, at
    while position < end:
        found, following = classes[data[position]], position + 1
        if data[position] >= 0x80:
            found, following = _look(data, position, end, classes)
        if found == LOWER:
            return _run(data, position, end, classes, _SMALLS)
        if not _CAPITALS >> found & 1:
            break
        position = following
        if found != UPPER:
            both = position
    if both > at:
        return both
    if kind == MARK:
        return after
    return position if position > start else at


_cased_word = numba.njit(cache=True)(_cased_word_end)


def _cased_end(data: Bytes, at: int, end: int, classes: Bytes, digits: int, contractions: bool) -> int:
    """o200k: `word(?i:'s ...)?|word(?i:'s ...)?|N{1,3}| ?other+[\\r\\n/]*|s*[\\r\\n]+|s+(?!S)|s+`."""
    word = _cased_word(data, at, end, classes)
    if word > at:
        return word + _contraction(data, word, end, True) if contractions else word
    kind, after = _look(data, at, end, classes)
    if kind == NUMBER:
        return _number(data, at, end, classes, digits)
    following = SPACE
    if after < end:
        following, _ = _look(data, after, end, classes)
    if kind == SPACE and not (data[at] == _BLANK and _SIGNS >> following & 1):
        return _spaces(data, at, end, classes, True, False)
    at = _run(data, after, end, classes, _SIGNS)
    while at < end and (data[at] == _CR or data[at] == _LF or data[at] == _SLASH):
        at += 1
    return at


_cased = numba.njit(cache=True)(_cased_end)


def _next_start(data: Bytes, at: int, end: int, classes: Bytes, rules: tuple[int, int, bool, bool]) -> int:
    """Where the pretoken at `at` ends. `rules` are (family, digits, contractions, tail)."""
    family, digits, contractions, tail = rules
    if family == CODE:
        return _code(data, at, end, classes, digits, tail)
    if family == CASED:
        return _cased(data, at, end, classes, digits, contractions)
    return _words(data, at, end, classes)


next_start = numba.njit(cache=True)(_next_start)


def _scan_texts(
    offsets: npt.NDArray[np.int64],
    data: Bytes,
    classes: Bytes,
    rules: tuple[int, int, bool, bool],
    first: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """All starts, in `starts` or a longer array; fills `first`."""
    count = 0
    for row in range(len(offsets) - 1):
        first[row] = count
        at, end = offsets[row], offsets[row + 1]
        while at < end:
            if count == len(starts):
                longer = np.empty(2 * count + 16, np.int64)
                longer[:count] = starts
                starts = longer
            starts[count] = at
            count += 1
            at = next_start(data, at, end, classes, rules)
    first[len(offsets) - 1] = count
    return starts[:count]


scan_texts = numba.njit(cache=True)(_scan_texts)
