import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PlanError
from stages.filter.selection import Predicate, SelectConfig, select_stage
from tests.contract import check_stage

COLUMNS = pa.schema([("size", pa.int64()), ("lines", pa.int64()), ("language", pa.string())])


def stage(**rules: str):  # type: ignore[no-untyped-def]
    predicates = tuple(Predicate(name=name.replace("_", "-"), sql=sql) for name, sql in rules.items())
    return select_stage(SelectConfig(predicates=predicates), [COLUMNS])


def marks(*rows: tuple[int, int | None, str | None]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(COLUMNS.names, row, strict=True)) for row in rows], schema=COLUMNS)


def test_a_dropped_row_names_every_predicate_that_it_fails() -> None:
    table = marks((1, 5, "Python"), (2, 50, "Python"), (3, 50, "C"))
    out = check_stage(stage(short="lines < 10", python="language = 'Python'"), table)
    assert out["keep"].to_pylist() == [True, False, False]
    assert out["reasons"].to_pylist() == [[], ["short"], ["short", "python"]]


def test_null_drops_as_unknown() -> None:
    out = check_stage(
        stage(short="lines < 10", python="language = 'Python'"),
        marks((1, None, "Python"), (1, 1, None), (1, 1, "Python")),
    )
    assert out["keep"].to_pylist() == [False, False, True]
    assert out["reasons"].to_pylist() == [["unknown:short"], ["unknown:python"], []]


def test_counts_give_rows_bytes_and_reasons() -> None:
    chosen = stage(short="lines < 10")
    table = marks((100, 5, "Python"), (20, 50, "Python"), (3, None, "C"))
    out = chosen.open()(table)
    assert chosen.stage.count is not None
    counts = chosen.stage.count(
        pa.table(
            {
                **dict(zip(table.column_names, table.columns, strict=True)),
                "keep": out["keep"],
                "reasons": out["reasons"],
            }
        )
    )
    assert counts == {"reason:short": 1, "reason:unknown:short": 1, "out_rows": 1, "out_bytes": 100, "bytes": 123}


SHORT_C = stage(short="lines < 50", c="language = 'C'")


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 99), st.none() | st.sampled_from(["C", "Go"]))))
def test_select_equals_the_obvious_loop(rows: list[tuple[int, int | None, str | None]]) -> None:
    out = SHORT_C.open()(marks(*rows))
    for (_, lines, language), keep, reasons in zip(
        rows, out["keep"].to_pylist(), out["reasons"].to_pylist(), strict=True
    ):
        expected = []
        if lines is None or lines >= 50:
            expected.append("unknown:short" if lines is None else "short")
        if language != "C":
            expected.append("unknown:c" if language is None else "c")
        assert reasons == expected
        assert keep == (not expected)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("random() < 0.5", "random"),
        ("now() IS NULL", "now"),
        ("getenv('HOME') IS NULL", "getenv"),
        ("read_text('/etc/passwd') IS NULL", "read_text"),
        ("lines", "must be BOOLEAN"),
        ("words < 5", "names 'words'; columns: language, lines, size"),
        ("(SELECT max(lines) FROM marks) > 1", "subquery"),
        ("sum(lines) > 1", "aggregates"),
        ("row_number() OVER () < 5", "window"),
        ("lines <", "not a SQL expression"),
        ("lines < 1; DROP TABLE marks", "not a SQL expression"),
        ("lines < 1), (lines > 2", "must be one expression"),
        ("lines < 'many'", "Conversion Error"),
    ],
)
def test_a_predicate_that_is_not_a_stable_expression_over_marks_is_refused(sql: str, message: str) -> None:
    with pytest.raises(PlanError, match="predicate 'rule'") as caught:
        stage(rule=sql)
    assert message in str(caught.value)


def test_names_of_predicates_are_checked() -> None:
    with pytest.raises(ValueError, match="must not be empty or hold ':'"):
        Predicate(name="unknown:x", sql="true")
    with pytest.raises(ValueError, match="distinct names"):
        SelectConfig(predicates=(Predicate(name="a", sql="true"), Predicate(name="a", sql="false")))
