import re
import unicodedata
from itertools import groupby

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stage import configured
from stages.filter.lines import LINES, STAGE, LinesConfig
from tests.contract import check_stage
from tests.golden import digest

LINES_STAGE = configured(STAGE, LinesConfig())
ODD = [
    "", None, "\n", "\r\n", "\r", "\n\r", "a", "a\n", "a\r\nb\rc\nd", "  \n\t\n x", "\x00\x01\x7f\x85\u2028",
    "漢字かな 123 ½ ٣", "\U0001f600\U0001f600\U0001f600", "aaaa    aaaaa", "e\u0301" * 3, "-" * 1200, None,
]  # fmt: skip


@pytest.fixture(scope="module")
def measure():
    return LINES_STAGE.open()


def counted_slowly(text: str) -> dict[str, int]:
    """The same counts in plain Python."""
    lines = re.split("\r\n|\r|\n", text)
    if not lines[-1]:
        lines.pop()
    words = [word for line in lines for word in re.split(r"\s+", line)]
    runs = [(char, len(list(same))) for char, same in groupby(text)]
    return {
        "chars": len(text),
        "letter_chars": sum(map(str.isalpha, text)),
        "digit_chars": sum(map(str.isdecimal, text)),
        "alnum_chars": sum(unicodedata.category(char)[0] in "LN" for char in text),
        "space_chars": sum(map(str.isspace, text)),
        "control_chars": sum(unicodedata.category(char) == "Cc" and not char.isspace() for char in text),
        "non_ascii_chars": sum(not char.isascii() for char in text),
        "lines": len(lines),
        "blank_lines": sum(not line.strip() for line in lines),
        "line_chars": sum(map(len, lines)),
        "max_line_chars": max(map(len, lines), default=0),
        "max_word_chars": max(map(len, words), default=0),
        "max_run_chars": max((length for char, length in runs if not char.isspace()), default=0),
    }


def test_lines_keeps_the_laws_of_a_stage_and_its_golden_output():
    out = check_stage(LINES_STAGE, pa.table({"text": pa.array(ODD, pa.string())}))
    assert digest(out) == "b45231b407d87ce9a40b424d8297abef4b2fb44bdb827ad8034855f6fc5de972"


def test_lines_of_mixed_line_breaks_are_counted_by_hand():
    out = LINES_STAGE.open()(pa.table({"text": ["ab 12\r\n\r\n\tx\rlast--- "]})).to_pylist()[0]
    assert out == {
        "chars": 20, "letter_chars": 7, "digit_chars": 2, "alnum_chars": 9, "space_chars": 8, "control_chars": 0,
        "non_ascii_chars": 0, "lines": 4, "blank_lines": 1, "line_chars": 15, "max_line_chars": 8,
        "max_word_chars": 7, "max_run_chars": 3,
    }  # fmt: skip


def test_lines_of_null_text_are_null(measure):
    out = measure(pa.table({"text": pa.array([None, "a"])}))
    assert [out[name].null_count for name in LINES.names] == [1] * len(LINES)


assigned = st.characters(exclude_categories=["Cs", "Cn"])
texts = st.text(st.one_of(st.sampled_from("\r\n \ta1-é漢\U0001f600\x00\x85\u2028"), assigned))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | texts))
def test_lines_equal_the_slow_count(measure, rows):
    out = measure(pa.table({"text": pa.array(rows, pa.string())})).to_pylist()
    for row, counts in zip(rows, out, strict=True):
        assert counts == (dict.fromkeys(LINES.names) if row is None else counted_slowly(row))


@pytest.mark.parametrize("damage", [b"\xf7\xbf\xbf\xbf", b"a\xf0", b"\xe0\x80", b"\xff\xff\xff\xff\xff", b"\x80"])
def test_lines_reads_nothing_outside_a_text_that_is_not_utf8(measure, damage):
    text = pa.StringArray.from_buffers(
        2, pa.array([0, len(damage), len(damage)], pa.int32()).buffers()[1], pa.py_buffer(damage)
    )
    out = measure(pa.table({"text": text}))
    assert out["chars"].to_pylist()[1] == 0
    assert 1 <= out["chars"].to_pylist()[0] <= len(damage)
