"""Reads a source and checks that every part has the rows and no more than the bytes that the scan planned."""

from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.source import Source
from schemas.documents import PROBLEMS
from tests.builders import read_units, scan_all

Config = TypeVar("Config")


def read_planned(source: Source[Config], config: Config, folder: Path) -> pa.Table:
    units = scan_all(source, config, folder)
    tables = read_units(source, config, units, folder)
    assert [table.num_rows for table in tables] == [part.rows for unit in units for part in unit.parts]
    assert scan_all(source, config, folder) == units
    table = pa.concat_tables([source.writes.empty_table(), *tables])
    assert table.equals(pa.concat_tables([source.writes.empty_table(), *read_units(source, config, units, folder)]))
    assert len({unit.identity for unit in units}) == len(units)
    assert pc.is_null(table["content"]).equals(pc.is_valid(table["problem"]))
    assert set(table["problem"].drop_null().to_pylist()) <= set(PROBLEMS)
    names = [tuple(row.values()) for row in table.select(["origin", "revision", "path", "member"]).to_pylist()]
    assert len(set(names)) == len(names)
    return table


def summary(table: pa.Table) -> list[tuple[str, str | None, bytes | None, str | None]]:
    """(path, member, content, problem) of each row."""
    return [tuple(row.values()) for row in table.select(["path", "member", "content", "problem"]).to_pylist()]
