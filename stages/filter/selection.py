"""The one step that decides: named SQL predicates over marks, with the reason of every drop.

Reads the columns that the predicates name. Writes `keep` and `reasons`. DuckDB evaluates the predicates over columns
that are already zipped by row, with external access off, its configuration locked and volatile functions refused.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import PlanError
from pipeline.stage import Configured, Counts, Stage, Transform, configured
from schemas.columns import columns
from schemas.corpus import DECISION


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicate:
    """A document is kept only if this is true of it."""

    name: str
    """Stands in `reasons` of the documents for which it is false; `unknown:NAME` where it is NULL."""
    sql: str
    """A boolean DuckDB expression over columns of the documents and sidecars."""

    def __post_init__(self) -> None:
        if not self.name or ":" in self.name:
            raise ValueError(f"predicate name {self.name!r} must not be empty or hold ':'")


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectConfig:
    """What a document must satisfy."""

    predicates: tuple[Predicate, ...]

    def __post_init__(self) -> None:
        names = [predicate.name for predicate in self.predicates]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"predicates must be at least one and have distinct names, got {names}")


def select_stage(config: SelectConfig, available: Sequence[pa.Schema]) -> Configured[SelectConfig]:
    """The stage for these predicates over the columns of these schemas.

    The schemas must have `size`, for the funnel. Raises PlanError for a predicate that is not one SQL expression, names
    an unknown column, is not boolean or calls a function whose value may change between calls.
    """
    fields = {field.name: field for schema in reversed(available) for field in schema}
    named: dict[str, pa.Field[Any]] = {}
    with _connect() as connection:
        for predicate in config.predicates:
            for column in _columns_of(connection, predicate):
                if column not in fields:
                    raise PlanError(
                        f"predicate {predicate.name!r} names {column!r}; columns: {', '.join(sorted(fields))}"
                    )
                named[column] = fields[column]
        named["size"] = fields["size"]
        reads = columns(*(named[name] for name in sorted(named)))
        _check_types(connection, config, reads)
    stage = Stage(
        name="select",
        version=1,
        reads=reads,
        writes=DECISION,
        open=_open,
        libraries=("duckdb",),
        count=_count,
    )
    return configured(stage, config)


def _open(config: SelectConfig) -> Transform:
    connection = _connect()
    values = ", ".join(f"({p.sql})::BOOLEAN AS p{i}" for i, p in enumerate(config.predicates))
    names = np.array([[p.name, f"unknown:{p.name}"] for p in config.predicates], dtype=object)

    def select(table: pa.Table) -> pa.Table:
        connection.register("marks", table)
        verdicts = connection.sql(f"SELECT {values} FROM marks").to_arrow_table()  # noqa: S608 - checked at planning
        connection.unregister("marks")
        is_null = np.stack([pc.is_null(c).to_numpy() for c in verdicts.columns], axis=1)
        is_true = np.stack([pc.fill_null(c, False).to_numpy() for c in verdicts.columns], axis=1)
        fails = ~is_true
        rows, predicates = np.nonzero(fails)
        reasons = pa.array(names[predicates, is_null[rows, predicates].astype(int)], pa.string())
        offsets = np.concatenate([[0], np.cumsum(fails.sum(axis=1))]).astype(np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), reasons)
        return pa.table({"keep": pa.array(is_true.all(axis=1)), "reasons": lists}, schema=DECISION)

    return select


def _count(table: pa.Table) -> Counts:
    reasons = Counter(pc.list_flatten(table["reasons"]).to_pylist())
    counts = {f"reason:{name}": count for name, count in sorted(reasons.items())}
    kept = table["size"].filter(table["keep"])
    sizes = {"bytes": pc.sum(table["size"]).as_py() or 0, "out_bytes": pc.sum(kept).as_py() or 0}
    return counts | sizes | {"out_rows": len(kept)}


def _connect() -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "enable_external_access": False}
    connection = duckdb.connect(config=settings)
    connection.execute("SET lock_configuration = true")
    return connection


def _columns_of(connection: duckdb.DuckDBPyConnection, predicate: Predicate) -> list[str]:
    """Columns that an expression names. Raises PlanError unless it is one expression of stable functions."""
    parsed = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({predicate.sql}\n)"]).fetchall()
    tree: dict[str, Any] = json.loads(parsed[0][0])
    where = f"predicate {predicate.name!r}: {predicate.sql!r}"
    if tree["error"]:
        raise PlanError(f"{where} is not a SQL expression: {tree.get('error_message', 'unknown error')}")
    statements = tree["statements"]
    if len(statements) != 1 or len(statements[0]["node"]["select_list"]) != 1:
        raise PlanError(f"{where} must be one expression")
    names = []
    for node in _nodes(statements[0]["node"]["select_list"]):
        kind = node.get("class")
        if kind in ("SUBQUERY", "STAR", "WINDOW"):
            raise PlanError(f"{where} holds a {kind.lower()}; a predicate looks at one row only")
        if kind == "COLUMN_REF":
            names.append(node["column_names"][0])
        if kind == "FUNCTION":
            _check_function(connection, str(node["function_name"]), where)
    return names


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _check_function(connection: duckdb.DuckDBPyConnection, name: str, where: str) -> None:
    query = "SELECT DISTINCT function_type, stability FROM duckdb_functions() WHERE function_name = ?"
    found = connection.execute(query, [name.lower()]).fetchall()
    if any(kind == "aggregate" for kind, _ in found):
        raise PlanError(f"{where} aggregates with {name}; a predicate looks at one row only")
    if not found or any(
        kind not in ("scalar", "macro") or stability not in ("CONSISTENT", None) for kind, stability in found
    ):
        raise PlanError(f"{where} calls {name}, which is unknown, reads outside or may change between calls")


def _check_types(connection: duckdb.DuckDBPyConnection, config: SelectConfig, reads: pa.Schema) -> None:
    """Evaluate every predicate on one row of nulls. Raises PlanError where it fails or is not boolean."""
    connection.register("marks", pa.table({field.name: pa.nulls(1, field.type) for field in reads}))
    for predicate in config.predicates:
        try:
            found = connection.sql(f"SELECT ({predicate.sql}) AS verdict FROM marks").to_arrow_table()  # noqa: S608
        except duckdb.Error as error:
            raise PlanError(f"predicate {predicate.name!r}: {predicate.sql!r}: {error}") from error
        if found.schema.types != [pa.bool_()]:
            raise PlanError(
                f"predicate {predicate.name!r} gives {found.schema.types[0]}; it must be BOOLEAN: {predicate.sql!r}"
            )
