"""Where fill-in-the-middle cuts a text: kernels over UTF-8 bytes, one stream of draws per document.

Every cut is at the border of a character. A byte that continues no character counts as none of its own.
"""

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

from stages.tokenization.draws import Keys, below, draw, happens

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]
Cuts = npt.NDArray[np.int64]
"""Rows by (start, end) of the middle as positions in the buffer; -1 for a text that is not cut."""

Whole: TypeAlias = int | np.signedinteger[Any]

PLAIN, PSM, SPM = range(3)

_CHOSEN, _SPM, _KIND, _FIRST, _SECOND = range(5)
"""Numbers of a document's draws."""


def _scan_chars(data: Bytes, start: Whole, end: Whole) -> int:
    chars = 0
    for at in range(start, end):
        chars += (data[at] & 0xC0) != 0x80
    return chars


_count_chars = numba.njit(cache=True)(_scan_chars)


def _skip_chars(data: Bytes, start: Whole, end: Whole, chars: Whole) -> Whole:
    """Position after so many characters."""
    at = start
    while at < end:
        if (data[at] & 0xC0) != 0x80:
            if chars == 0:
                break
            chars -= 1
        at += 1
    return at


_after_chars = numba.njit(cache=True)(_skip_chars)


def _scan_lines(data: Bytes, start: Whole, end: Whole) -> Whole:
    """Lines ended by LF or the end of the text."""
    lines = 0
    for at in range(start, end):
        lines += data[at] == 10
    return lines + (end > start and data[end - 1] != 10)


_count_lines = numba.njit(cache=True)(_scan_lines)


def _skip_lines(data: Bytes, start: Whole, end: Whole, lines: Whole) -> Whole:
    at = start
    while at < end and lines:
        lines -= data[at] == 10
        at += 1
    return at


_after_lines = numba.njit(cache=True)(_skip_lines)


def _step_back(data: Bytes, start: Whole, at: Whole, end: Whole) -> Whole:
    """The border of a character at or before `at`."""
    while start < at < end and (data[at] & 0xC0) == 0x80:
        at -= 1
    return at


_border = numba.njit(cache=True)(_step_back)


def _choose(keys: Keys, offsets: Offsets, valid: npt.NDArray[np.bool_], rate: float, spm_rate: float) -> Bytes:
    modes = np.zeros(len(keys), np.uint8)
    for row in range(len(keys)):
        if valid[row] and offsets[row + 1] > offsets[row] and happens(draw(keys[row], _CHOSEN), rate):
            modes[row] = SPM if happens(draw(keys[row], _SPM), spm_rate) else PSM
    return modes


choose_modes = numba.njit(cache=True)(_choose)
"""The mode of each text: `PLAIN` for nulls, empty texts and those that the rate leaves out."""


def _anywhere(keys: Keys, offsets: Offsets, data: Bytes, modes: Bytes) -> Cuts:
    cuts = np.full((len(keys), 2), np.int64(-1))
    for row in range(len(keys)):
        if modes[row] == PLAIN:
            continue
        start, end = offsets[row], offsets[row + 1]
        borders = _count_chars(data, start, end) + 1
        a, b = below(draw(keys[row], _FIRST), borders), below(draw(keys[row], _SECOND), borders)
        cuts[row, 0] = _after_chars(data, start, end, min(a, b))
        cuts[row, 1] = _after_chars(data, start, end, max(a, b))
    return cuts


cut_documents = numba.njit(cache=True)(_anywhere)
"""Two borders of characters, each uniform over all of the text; the middle between them may be empty."""


def _spans(keys: Keys, offsets: Offsets, data: Bytes, modes: Bytes, max_lines: int, max_chars: int) -> Cuts:
    cuts = np.full((len(keys), 2), np.int64(-1))
    for row in range(len(keys)):
        if modes[row] == PLAIN:
            continue
        start, end = offsets[row], offsets[row + 1]
        if happens(draw(keys[row], _KIND), 0.5):
            units = _count_lines(data, start, end)
            length = 1 + below(draw(keys[row], _FIRST), int(min(max_lines, units)))
            first = below(draw(keys[row], _SECOND), int(units - length + 1))
            cuts[row, 0] = _after_lines(data, start, end, first)
            cuts[row, 1] = _after_lines(data, cuts[row, 0], end, length)
        else:
            units = _count_chars(data, start, end)
            length = 1 + below(draw(keys[row], _FIRST), min(max_chars, units))
            first = below(draw(keys[row], _SECOND), int(units - length + 1))
            cuts[row, 0] = _after_chars(data, start, end, first)
            cuts[row, 1] = _after_chars(data, cuts[row, 0], end, length)
    return cuts


cut_spans = numba.njit(cache=True)(_spans)
"""Whole lines or a short run of characters, half of the documents each; the length is uniform, then the place."""


def _tally_nodes(first: int, last: int, size: int, starts: Offsets, lengths: Offsets, kinds: Bytes, ok: Bytes) -> Cuts:
    """Candidates of a document by concept. A node that is empty, the whole text or outside it is none."""
    counts = np.zeros(256, np.int64)
    for node in range(first, last):
        inside = starts[node] >= 0 and 0 < lengths[node] <= size - starts[node]
        if ok[kinds[node]] and inside and lengths[node] < size:
            counts[kinds[node]] += 1
    return counts


_tally = numba.njit(cache=True)(_tally_nodes)


def _nodes(
    keys: Keys,
    offsets: Offsets,
    data: Bytes,
    modes: Bytes,
    first: npt.NDArray[np.int64],
    starts: Offsets,
    lengths: Offsets,
    kinds: Bytes,
    ok: Bytes,
) -> Cuts:
    cuts = np.full((len(keys), 2), np.int64(-1))
    for row in range(len(keys)):
        if modes[row] == PLAIN:
            continue
        start, end = offsets[row], offsets[row + 1]
        size = end - start
        counts = _tally(first[row], first[row + 1], size, starts, lengths, kinds, ok)
        there = np.flatnonzero(counts)
        if len(there) == 0:
            modes[row] = PLAIN
            continue
        kind = there[below(draw(keys[row], _FIRST), len(there))]
        left = below(draw(keys[row], _SECOND), counts[kind])
        for node in range(first[row], first[row + 1]):
            inside = starts[node] >= 0 and 0 < lengths[node] <= size - starts[node]
            if kinds[node] == kind and inside and lengths[node] < size:
                if left == 0:
                    at = start + np.int64(starts[node])
                    cuts[row, 0] = _border(data, start, at, end)
                    cuts[row, 1] = _border(data, start, at + lengths[node], end)
                    break
                left -= 1
    return cuts


cut_nodes = numba.njit(cache=True)(_nodes)
"""One node: a concept drawn among those of the document that `ok` allows, then one of its nodes, both uniformly.

Nodes of row r are `first[r]` to `first[r + 1]`, with bytes `starts` and `lengths` inside the text. A document without a
candidate becomes `PLAIN` in `modes`.
"""


def _order(
    modes: Bytes,
    first: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    ids: Offsets,
    sentinels: Offsets,
    starts: Offsets,
) -> Offsets:
    out = np.empty(starts[-1], np.int32)
    for row in range(len(modes)):
        at, segment = starts[row], first[row]
        if modes[row] == PLAIN:
            out[at : starts[row + 1]] = ids[offsets[segment] : offsets[segment + 1]]
            continue
        prefix = ids[offsets[segment] : offsets[segment + 1]]
        middle = ids[offsets[segment + 1] : offsets[segment + 2]]
        suffix = ids[offsets[segment + 2] : offsets[segment + 3]]
        out[at] = sentinels[0]
        at += 1
        if modes[row] == PSM:
            out[at : at + len(prefix)] = prefix
            at += len(prefix)
        out[at] = sentinels[2]
        at += 1
        out[at : at + len(suffix)] = suffix
        at += len(suffix)
        out[at] = sentinels[1]
        at += 1
        if modes[row] == SPM:
            out[at : at + len(prefix)] = prefix
            at += len(prefix)
        out[at : at + len(middle)] = middle
    return out


order_tokens = numba.njit(cache=True)(_order)
"""Ids of the segments of each row (one if plain, else prefix, middle, suffix) in the order of its mode, with sentinels.

`sentinels` are the ids of prefix, middle and suffix; `starts` says where each row's tokens begin.
"""
