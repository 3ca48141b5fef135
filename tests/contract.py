"""The laws that every stage keeps. One line in a stage's test applies them all: `check_stage(configured, table)`."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.annotate import extend
from pipeline.stage import Configured
from tests.golden import digest


def check_stage(configured: Configured[Any], table: pa.Table, *, tolerance: float = 0.0) -> pa.Table:
    """Check the laws on `table`, which should hold nulls, empty and odd values, and return the stage's output for it.

    `tolerance` is the absolute difference allowed between floats of a stage that is not `exact`.
    """
    stage = configured.stage
    assert tolerance == 0.0 or not stage.exact, f"{stage.name} is declared exact; it needs no tolerance"
    assert table.num_rows >= 3, "give check_stage at least 3 rows, so that it can split and slice"
    for field in stage.reads:
        assert table.schema.field(field.name).type == field.type, f"{field.name} must be {field.type}: {table.schema}"
    table = table.select(stage.reads.names).combine_chunks()
    before, transform = digest(table), configured.open()

    expected = transform(table)
    _check_written(configured, expected)
    for law, given, wanted in _cases(table, expected):
        _assert_same(f"{stage.name}: {law}", transform(given), wanted, tolerance)
    _assert_same(f"{stage.name}: deterministic, opened again", configured.open()(table), expected, tolerance)
    _check_counts(configured, extend(table, expected))
    assert digest(table) == before, f"{stage.name} changed its input"
    return expected


def _check_written(configured: Configured[Any], out: pa.Table) -> None:
    out.validate(full=True)
    for field in configured.stage.writes:
        nulls = out.column(field.name).null_count
        assert field.nullable or nulls == 0, f"{field.name} is declared not nullable; {nulls} values are null"


def _cases(table: pa.Table, expected: pa.Table) -> list[tuple[str, pa.Table, pa.Table]]:
    rows = table.num_rows
    middle = rows // 2
    backwards = np.arange(rows)[::-1].copy()
    padded = pa.concat_tables([table.slice(middle), table, table.slice(0, middle)]).combine_chunks()
    chunked = pa.concat_tables([table.slice(row, 1) for row in range(rows)])
    singles = [(f"row {row} alone", table.slice(row, 1), expected.slice(row, 1)) for row in _some(rows)]
    return [
        ("deterministic", table, expected),
        ("row-local, first part", table.slice(0, middle), expected.slice(0, middle)),
        ("row-local, second part", table.slice(middle), expected.slice(middle)),
        ("row-local, backwards", table.take(backwards), expected.take(backwards)),
        ("row-local, twice the rows", pa.concat_tables([table, table]), pa.concat_tables([expected, expected])),
        *singles,
        ("empty slice", table.slice(rows), expected.slice(rows)),
        ("empty table without chunks", table.schema.empty_table(), expected.slice(0, 0)),
        ("sliced input", padded.slice(rows - middle, rows), expected),
        ("chunked input", chunked, expected),
        ("bytes under nulls", _dirty_nulls(table), expected),
    ]


def _some(rows: int) -> list[int]:
    return sorted({int(row) for row in np.linspace(0, rows - 1, 20)})


def _dirty_nulls(table: pa.Table) -> pa.Table:
    """The same table with bytes lying under the nulls of string and binary columns, which Arrow allows."""
    for index, field in enumerate(table.schema):
        if not (pa.types.is_string(field.type) or pa.types.is_binary(field.type)):
            continue
        column = pa.concat_arrays(table.column(index).chunks) if table.column(index).num_chunks else None
        if column is None or not column.null_count:
            continue
        filled = column.fill_null("under\r\n\tnull" if pa.types.is_string(field.type) else b"under\0null")
        validity = pa.array(column.is_valid().to_numpy(zero_copy_only=False)).buffers()[1]
        dirty = pa.Array.from_buffers(field.type, len(column), [validity, *filled.buffers()[1:]])
        table = table.set_column(index, field, dirty)
    return table


def _check_counts(configured: Configured[Any], chained: pa.Table) -> None:
    count = configured.stage.count
    if count is None:
        return
    middle = chained.num_rows // 2
    whole, parts = Counter(count(chained)), Counter(count(chained.slice(0, middle)))
    parts.update(count(chained.slice(middle)))
    assert +whole == +parts, f"{configured.stage.name}: counts of parts must add up: {whole} and {parts}"
    assert all(value >= 0 for value in whole.values()), f"{configured.stage.name}: negative counts: {whole}"


def _assert_same(law: str, got: pa.Table, wanted: pa.Table, tolerance: float) -> None:
    assert got.schema == wanted.schema, f"{law}: schema\n{got.schema}\nexpected\n{wanted.schema}"
    assert got.num_rows == wanted.num_rows, f"{law}: {got.num_rows} rows, expected {wanted.num_rows}"
    for name in wanted.column_names:
        left, right = (pa.concat_arrays([pa.array([], side.type), *side.chunks]) for side in (got[name], wanted[name]))
        if tolerance:
            assert _is_close(left, right, tolerance), f"{law}: column {name} differs by more than {tolerance}"
            continue
        if digest(pa.table({name: left})) != digest(pa.table({name: right})):
            pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
            differing = [(row, a, b) for row, (a, b) in enumerate(pairs) if a != b][:3]
            raise AssertionError(f"{law}: column {name}, (row, got, expected): {differing}")


def _is_close(left: pa.Array, right: pa.Array, tolerance: float) -> bool:
    if len(left) != len(right) or not left.is_valid().equals(right.is_valid()):
        return False
    kind = left.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_close(left.flatten(), right.flatten(), tolerance)
    if pa.types.is_floating(kind):
        sides = (side.drop_null().to_numpy(zero_copy_only=False) for side in (left, right))
        return bool(np.allclose(*sides, rtol=0, atol=tolerance, equal_nan=True))
    return left.equals(right)
