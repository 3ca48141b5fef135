"""The stage: laws, statuses, losslessness, hostile input, names in the metadata."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.parquet import parquet_bytes, read_parquet
from pipeline.stage import configured
from schemas.ast import CONCEPTS, GRAMMARS_KEY, STATUSES
from stages.parse.cursor import cursor_rows
from stages.parse.loaded import grammars, load_grammar
from stages.parse.parse import parse_source
from stages.parse.syntax import STAGE, SyntaxConfig
from tests.contract import check_stage
from tests.golden import digest

PYTHON = 'import os\n\n\nclass A:\n    """Ä."""\n\n    async def f(self, x=1):\n        return [x, "é"]\n'
ROWS = [
    (PYTHON, "Python"),
    ("", "Python"),
    (None, "Python"),
    ("def f(:\n  ]", "Python"),
    ("x", None),
    ("x", "Klingon"),
    ('{"a": [1, 2.5, null, "ü"]}', "JSON"),
    ("x = 1\r\ny = 2\rz = '\u2028'\n\x00", "Python"),
    ("\ufeffx = 1", "Python"),
    ("x = " + "(" * 2000 + ")" * 2000, "Python"),
]
_ALPHABET = "(){}[]<>;:,.='\"#/*-+ \n\tabif0é"
SYNTAX = configured(STAGE, SyntaxConfig())


@pytest.fixture(scope="module")
def parse():
    return SYNTAX.open()


def table(*rows: tuple[str | None, str | None]) -> pa.Table:
    texts, languages = zip(*rows, strict=True)
    return pa.table({"text": pa.array(texts, pa.string()), "language": pa.array(languages, pa.string())})


def test_syntax_keeps_the_laws_of_a_stage_and_its_golden_output():
    out = check_stage(SYNTAX, table(*ROWS))
    assert digest(out) == "244cd5539a22a1cafd964d62bc2954a2a6d2775ad2cfafb2ada85c00ca35bc3c"


def test_every_row_has_a_tree_or_a_status_that_says_why_not(parse):
    out = parse(table(*ROWS))
    statuses = ["parsed"] * 2 + ["no-text", "parsed", "no-grammar", "no-grammar"] + ["parsed"] * 4
    assert out["ast_status"].to_pylist() == statuses
    assert set(statuses) <= set(STATUSES)
    parsed = [status == "parsed" for status in statuses]
    for name in out.column_names[1:]:
        assert out[name].is_valid().to_pylist() == parsed, name
    assert out["ast_lossless"].drop_null().to_pylist() == [True] * sum(parsed)


def test_errors_and_missing_tokens_are_counted(parse):
    out = parse(table(("def f(:\n  ]", "Python"), ("int f() { return 1 }", "C"), ("x = 1", "Python"))).to_pylist()
    assert out[0]["ast_errors"] > 0
    assert out[1]["ast_missing"] > 0
    assert (out[2]["ast_errors"], out[2]["ast_missing"]) == (0, 0)


def test_a_reader_needs_no_grammar_for_the_names(parse):
    out = parse(table((PYTHON, "Python"), ("{}", "JSON"), ("x", None)))
    stored = read_parquet(pa.BufferReader(parquet_bytes(out)))
    names = json.loads(stored.schema.metadata[GRAMMARS_KEY])
    assert sorted(names) == ["json", "python"]
    row = stored.slice(0, 1).to_pylist()[0]
    kinds = [names["python"]["kinds"][kind] for kind in row["node_kind"]]
    assert kinds[:4] == ["module", "import_statement", "import", "dotted_name"]
    assert [list(CONCEPTS)[number] for number in row["node_concept"]][:2] == ["source", "declaration.import"]
    fields = [names["python"]["fields"][number] for number in row["node_field"]]
    assert fields[:4] == ["", "", "", "name"]
    assert names["python"]["version"] == row["grammar_version"]


def test_units_of_a_row_are_in_the_order_of_the_text_with_byte_ranges(parse):
    row = parse(table((PYTHON, "Python"))).to_pylist()[0]
    source = PYTHON.encode()
    seen = [
        (u["kind"], u["qualified_name"], u["parent"], u["is_async"], source[u["name_start"] or 0 : u["name_end"] or 0])
        for u in row["units"]
    ]
    assert seen == [
        ("import", None, None, False, b""),
        ("class", "A", None, False, b"A"),
        ("method", "A.f", 1, True, b"f"),
    ]
    method = row["units"][2]
    assert source[method["parameters_start"] : method["parameters_end"]] == b"(self, x=1)"
    assert source[row["units"][1]["doc_start"] : row["units"][1]["doc_end"]] == '"""Ä."""'.encode()


def test_a_document_beyond_the_limits_costs_only_itself():
    small = STAGE.open(SyntaxConfig(max_source_bytes=20))
    rows = [("x = 1", "Python"), ("x = 12345678901234567890", "Python"), ("y = 1", "Python")]
    assert small(table(*rows))["ast_status"].to_pylist() == ["parsed", "oversize", "parsed"]
    quick = STAGE.open(SyntaxConfig(max_seconds=1))
    rows[1] = ("f(a, [b], {c: d})\n" * 1_500_000, "Python")
    assert quick(table(*rows))["ast_status"].to_pylist() == ["parsed", "timeout", "parsed"]
    tight = STAGE.open(SyntaxConfig(max_memory_bytes=300_000_000))
    assert tight(table(*rows))["ast_status"].to_pylist() == ["parsed", "memory", "parsed"]


def test_a_hundred_thousand_levels_are_parsed_and_counted(parse):
    deep = "(" * 100_000 + "1" + ")" * 100_000
    row = parse(table((deep, "Python"))).to_pylist()[0]
    assert row["ast_depth"] == 100_003
    assert row["ast_errors"] == 0
    assert row["ast_lossless"]


def test_nested_functions_do_not_make_names_that_grow_with_the_square_of_their_depth():
    levels = 3000
    source = "".join(f"{' ' * i}def {'f' * 20}():\n" for i in range(levels)) + " " * levels + "pass"
    units = parse_source(source.encode(), "python").units
    assert sum(len(unit.qualified_name or "") for unit in units) < 1_000_000


def test_an_import_nested_beyond_the_stack_costs_only_itself():
    source = b"use a::b;\nuse " + b"a::{" * 3000 + b"b" + b"}" * 3000 + b";\nfn f() {}\n"
    parsed = parse_source(source, "rust")
    assert [(unit.kind, unit.module or unit.name) for unit in parsed.units] == [
        ("import", "a"),
        ("import", None),
        ("function", "f"),
    ]
    assert parsed.is_lossless


@pytest.mark.parametrize("name", sorted(grammars()))
@settings(max_examples=15, deadline=None)
@given(
    source=st.one_of(
        st.binary(max_size=200), st.text(alphabet="(){}[]<>;:,.='\"#/*-+ \n\tabif0é", max_size=200).map(str.encode)
    )
)
def test_any_bytes_are_read_as_the_cursor_shows_them_and_rebuilt(name: str, source: bytes):
    parsed = parse_source(source, name)
    assert parsed.is_lossless
    hidden = parsed.columns.flags & 16 != 0
    expected = cursor_rows(load_grammar(name).parser.parse(source))
    assert len(parsed.concept) - hidden.sum() == len(expected)
    if not hidden.any():
        assert list(zip(*(column.tolist() for column in parsed.columns[:7]), strict=True)) == expected


@pytest.mark.parametrize(
    "config",
    [{"max_source_bytes": 0}, {"max_source_bytes": 1 << 31}, {"max_seconds": 0}, {"max_memory_bytes": -1}],
)
def test_limits_out_of_range_are_refused(config):
    with pytest.raises(ValueError, match=r"must be"):
        SyntaxConfig(**config)
