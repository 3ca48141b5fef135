"""Kernels of the hybrid: words cut into roots and affixes, and ids turned back into text with their case."""

import numba
import numpy as np
import numpy.typing as npt

from stages.tokenization.training.trie import child, match_two

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Edges = tuple[Longs, Ints, Ints]
"""Keys, children and values of a trie."""

SPAN = -1
"""Stands for bytes that are left to byte-pair encoding."""

_PLAIN, _TITLE, _UPPER, _UPPER_ON = range(4)
_MAX_ROOTS, _MAX_AFFIXES = 64, 16
_BLANK = 0x20


def _capital(byte: int) -> bool:
    return 0x41 <= byte <= 0x5A


_is_capital = numba.njit(cache=True)(_capital)


def _small(byte: int) -> bool:
    """A small ASCII letter, or a byte of a character beyond ASCII, whose case is left alone."""
    return 0x61 <= byte <= 0x7A or byte >= 0x80


_is_small = numba.njit(cache=True)(_small)


def _cut_name(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """End and case of the part of a name at `at`: `http`, `Server`, `MAX`; of `HTTPServer` first `HTTP`."""
    stop = at
    while stop < end and _is_capital(data[stop]):
        stop += 1
    capitals = stop - at
    if capitals > 1:
        if stop < end and _is_small(data[stop]):
            return stop - 1, _UPPER if capitals > 2 else _TITLE
        return stop, _UPPER
    while stop < end and _is_small(data[stop]):
        stop += 1
    return stop, _TITLE if capitals else _PLAIN


_part = numba.njit(cache=True)(_cut_name)


def _match_word(
    roots: Edges, affixes: Edges, lower: Bytes, start: int, end: int, shortest: int, found: Ints
) -> int:  # fmt: skip
    """The longest root with affixes up to `end`, each the longest that fits: how many ids stand in `found`."""
    ends, ids, known, node = np.empty(_MAX_ROOTS, np.int64), np.empty(_MAX_ROOTS, np.int32), 0, 0
    letters = start + int(lower[start] == _BLANK)
    for at in range(start, end):
        node = child(roots[0], roots[1], node, np.int64(lower[at]))
        if node < 0 or known == _MAX_ROOTS:
            break
        if roots[2][node] >= 0 and at + 1 - letters >= shortest:
            ends[known], ids[known] = at + 1, roots[2][node]
            known += 1
    for choice in range(known - 1, -1, -1):
        at, count = int(ends[choice]), 1
        found[0] = ids[choice]
        while at < end and count <= _MAX_AFFIXES:
            affix, length, _, _ = match_two(affixes[0], affixes[1], affixes[2], lower, at, end)
            if affix < 0:
                break
            found[count] = affix
            at, count = at + length, count + 1
        if at == end:
            return count
    return 0


_match = numba.njit(cache=True)(_match_word)


def _analyse_words(
    offsets: Longs, data: Bytes, lower: Bytes, roots: Edges, affixes: Edges, shortest: int, cases: Ints,
    items: Ints, spans: Ints, first: Longs,
) -> tuple[int, int]:  # fmt: skip
    """Write each word as ids and spans: the numbers of items and of spans. `spans` are starts and ends in `data`."""
    found = np.empty(_MAX_AFFIXES + 2, np.int32)
    total, held = 0, 0
    for word in range(len(offsets) - 1):
        first[word] = total
        at, rest, end = int(offsets[word]), int(offsets[word]), int(offsets[word + 1])
        while at < end:
            begin = at
            at += int(data[at] == _BLANK)
            if at == end or not (_is_capital(data[at]) or _is_small(data[at])):
                at = begin + 1
                continue
            at, case = _part(data, at, end)
            count = _match(roots, affixes, lower, begin, at, shortest, found)
            if not count:
                continue
            if rest < begin:
                spans[held, 0], spans[held, 1], items[total] = rest, begin, SPAN
                held, total = held + 1, total + 1
            if case != _PLAIN:
                items[total] = cases[case - 1]
                total += 1
            items[total : total + count] = found[:count]
            total, rest = total + count, at
        if rest < end:
            spans[held, 0], spans[held, 1], items[total] = rest, end, SPAN
            held, total = held + 1, total + 1
    first[-1] = total
    return total, held


analyse_words = numba.njit(cache=True)(_analyse_words)


def _fill_words(items: Ints, first: Longs, span_ends: Ints, span_ids: Ints, ends: Longs, ids: Ints) -> int:
    """Items with the spans' ids in their places; where each word's ids end goes to `ends` after the first."""
    total, span = 0, 0
    for word in range(len(first) - 1):
        for item in items[first[word] : first[word + 1]]:
            if item != SPAN:
                ids[total] = item
                total += 1
                continue
            for at in range(span_ends[span], span_ends[span + 1]):
                ids[total] = span_ids[at]
                total += 1
            span += 1
        ends[word + 1] = total
    return total


fill_words = numba.njit(cache=True)(_fill_words)


def _spread(codes: Ints, first: Longs, ends: Longs, word_ids: Ints, starts: Longs, ids: Ints) -> None:
    """The ids of every occurrence of a word, text by text; `starts` of the texts after the first are written too."""
    total = 0
    for text in range(len(first) - 1):
        for code in codes[first[text] : first[text + 1]]:
            for at in range(ends[code], ends[code + 1]):
                ids[total] = word_ids[at]
                total += 1
        starts[text + 1] = total


spread = numba.njit(cache=True)(_spread)


def _decode_ids(
    ids: Ints, offsets: Longs, pieces: Bytes, is_affix: npt.NDArray[np.bool_], cases: Ints, text: Bytes
) -> int:  # fmt: skip
    """Write the bytes of these ids until `text` is full: how many bytes there are, or would be.

    A title mark raises the first letter of the next token, an upper mark all of it and of the affixes after it.
    """
    total, mode = 0, _PLAIN
    for token in ids:
        if token == cases[0] or token == cases[1]:
            mode = _TITLE if token == cases[0] else _UPPER
            continue
        if mode == _UPPER_ON and not is_affix[token]:
            mode = _PLAIN
        start = offsets[token]
        first_letter = start + (pieces[start] == _BLANK) if offsets[token + 1] > start else start
        for at in range(start, offsets[token + 1]):
            byte = pieces[at]
            raised = mode >= _UPPER or (mode == _TITLE and at == first_letter)
            if total < len(text):
                text[total] = byte - 0x20 if raised and 0x61 <= byte <= 0x7A else byte
            total += 1
        mode = _UPPER_ON if mode >= _UPPER else _PLAIN
    return total


decode_ids = numba.njit(cache=True)(_decode_ids)


def _find_lossy(
    starts: Longs, ids: Ints, texts: Ints, data: Bytes,
    offsets: Longs, pieces: Bytes, is_affix: npt.NDArray[np.bool_], cases: Ints, lossy: npt.NDArray[np.bool_],
) -> None:  # fmt: skip
    """Mark the texts that their ids do not give back byte for byte."""
    for text in range(len(starts) - 1):
        source = data[texts[text] : texts[text + 1]]
        room = np.empty(len(source), np.uint8)
        size = decode_ids(ids[starts[text] : starts[text + 1]], offsets, pieces, is_affix, cases, room)
        lossy[text] = size != len(source) or not np.array_equal(room, source)


find_lossy = numba.njit(cache=True)(_find_lossy)
