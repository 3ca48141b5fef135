"""Counts characters, lines and runs of each text, so that SQL can drop minified, generated and encoded files.

Reads `text`; writes one count per column of `LINES`, null where `text` is.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Stage, Transform
from stages.text_views import string_chunks, text_views

LINES = pa.schema(
    [
        (name, pa.int64())
        for name in (
            "chars",
            "letter_chars",
            "digit_chars",
            "alnum_chars",
            "space_chars",
            "control_chars",
            "non_ascii_chars",
            "lines",
            "blank_lines",
            "line_chars",
            "max_line_chars",
            "max_word_chars",
            "max_run_chars",
        )
    ]
)
"""Exact counts of code points, as 64-bit integers, so that a predicate may multiply instead of dividing:
`max_line_chars > 1000`, `line_chars > 100 * lines` (mean line over 100), `4 * alnum_chars < chars` (under a quarter).

chars: all code points of the text.
letter_chars, digit_chars: Unicode letters (L) and decimal digits (Nd); alnum_chars: letters and every number (L, N).
space_chars: whitespace, CR and LF included. control_chars: the other C0 and C1 controls. non_ascii_chars: U+0080 up.
lines: lines ended by CR LF, CR, LF or the end of the text; what follows a last line break counts only if not empty.
blank_lines: lines of nothing but whitespace. line_chars: characters outside line breaks.
max_line_chars: longest line without its line break. max_word_chars: longest run without whitespace.
max_run_chars: longest run of one and the same character, whitespace left out.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinesConfig:
    """Nothing to set: thresholds belong to `select`, so that changing one counts nothing again."""


_OTHER, _LETTER, _DIGIT, _NUMBER, _SPACE, _BREAK, _CONTROL = range(7)
_NUM_CLASSES = 7
_TABLE_SIZE = 1 << 21
"""All values that four bytes of UTF-8 can spell, beyond Unicode too, so that no text reads outside the table."""


def _character_classes() -> npt.NDArray[np.uint8]:
    """The class of each code point. The Unicode data are pyarrow's: the same in every Python."""
    points = np.arange(0x110000, dtype=np.uint32)
    points = points[(points < 0xD800) | (points > 0xDFFF)]
    characters = _strings(points)
    table = np.full(_TABLE_SIZE, _OTHER, np.uint8)
    for kind, kernel in (
        (_NUMBER, pc.utf8_is_alnum),
        (_LETTER, pc.utf8_is_alpha),
        (_DIGIT, pc.utf8_is_decimal),
        (_SPACE, pc.utf8_is_space),
    ):
        table[points[kernel(characters).to_numpy(zero_copy_only=False)]] = kind
    controls = np.r_[0x00:0x20, 0x7F:0xA0]
    table[controls[table[controls] != _SPACE]] = _CONTROL
    table[[0x0A, 0x0D]] = _BREAK
    return table


def _strings(points: npt.NDArray[np.uint32]) -> pa.StringArray:
    """One string per code point."""
    widths = 1 + (points >= 0x80).astype(np.int32) + (points >= 0x800) + (points >= 0x10000)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(widths, dtype=np.int32)])
    data = points.astype("<u4").tobytes().decode("utf-32-le").encode()
    return pa.StringArray.from_buffers(len(points), pa.py_buffer(offsets.tobytes()), pa.py_buffer(data))


def _code_point(data: npt.NDArray[np.uint8], after_lead: int, end: int) -> tuple[np.int64, int]:
    """Code point of a UTF-8 sequence of two to four bytes, and where the next begins, never after `end`."""
    lead = np.int64(data[after_lead - 1])
    if lead < 0xE0:
        more, code = 1, lead & 0x1F
    elif lead < 0xF0:
        more, code = 2, lead & 0x0F
    else:
        more, code = 3, lead & 0x07
    after = min(after_lead + more, end)
    for position in range(after_lead, after):
        code = code << 6 | data[position] & 0x3F
    return code, after


_decode = numba.njit(cache=True)(_code_point)


def _measure_row(
    data: npt.NDArray[np.uint8],
    at: int,
    end: int,
    classes: npt.NDArray[np.uint8],
    counts: npt.NDArray[np.int64],
) -> tuple[int, int, int, int, int, int]:
    """One pass over a text; adds to `counts` by class, returns what is not a class count."""
    non_ascii, lines, blank_lines, max_line, max_word, max_run = 0, 0, 0, 0, 0, 0
    line, word_start, run, previous, is_blank = 0, 0, 0, np.int64(-1), True
    while at < end:
        code, at = np.int64(data[at]), at + 1
        if code >= 0x80:
            code, at = _decode(data, at, end)
            non_ascii += 1
        kind = classes[code]
        counts[kind] += 1
        if kind == _BREAK:
            if code == 0x0D and at < end and data[at] == 0x0A:
                counts[_BREAK] += 1
                at += 1
            lines, blank_lines, max_line = lines + 1, blank_lines + is_blank, max(max_line, line)
            max_word = max(max_word, line - word_start)
            line, word_start, previous, is_blank = 0, 0, np.int64(-1), True
        elif kind == _SPACE:
            max_word = max(max_word, line - word_start)
            line, word_start, previous = line + 1, line + 1, np.int64(-1)
        else:
            line, is_blank = line + 1, False
            run = run + 1 if code == previous else 1
            max_run, previous = max(max_run, run), code
    if line:
        lines, blank_lines, max_line = lines + 1, blank_lines + is_blank, max(max_line, line)
        max_word = max(max_word, line - word_start)
    return non_ascii, lines, blank_lines, max_line, max_word, max_run


_measure = numba.njit(cache=True)(_measure_row)


def _measure_rows(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    valid: npt.NDArray[np.bool_],
    classes: npt.NDArray[np.uint8],
    out: npt.NDArray[np.int64],
) -> None:
    """Fill one row of `out` (columns of `LINES` by rows) per valid text; rows of nulls stay as they are."""
    counts = np.zeros(_NUM_CLASSES, np.int64)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        counts[:] = 0
        non_ascii, lines, blank_lines, max_line, max_word, max_run = _measure(
            data, offsets[row], offsets[row + 1], classes, counts
        )
        chars = counts.sum()
        marks = (
            chars,
            counts[_LETTER],
            counts[_DIGIT],
            counts[_LETTER] + counts[_DIGIT] + counts[_NUMBER],
            counts[_SPACE] + counts[_BREAK],
            counts[_CONTROL],
            non_ascii,
            lines,
            blank_lines,
            chars - counts[_BREAK],
            max_line,
            max_word,
            max_run,
        )
        for column, mark in enumerate(marks):
            out[column, row] = mark


_kernel = numba.njit(cache=True)(_measure_rows)


def _open(_: LinesConfig) -> Transform:
    classes = _character_classes()

    def measure(table: pa.Table) -> pa.Table:
        batches = [_measure_chunk(chunk, classes) for chunk in string_chunks(table["text"])]
        return pa.Table.from_batches(batches, schema=LINES)

    return measure


def _measure_chunk(text: pa.StringArray, classes: npt.NDArray[np.uint8]) -> pa.RecordBatch:
    offsets, data = text_views(text)
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    out = np.zeros((len(LINES), len(text)), np.int64)
    _kernel(data, offsets, valid, classes, out)
    return pa.record_batch([pa.array(counts, pa.int64(), mask=~valid) for counts in out], schema=LINES)


STAGE: Stage[LinesConfig] = Stage(
    name="lines",
    version=1,
    reads=pa.schema([("text", pa.string())]),
    writes=LINES,
    open=_open,
    libraries=("pyarrow",),
)
