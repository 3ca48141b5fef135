"""Counts over all syntax trees by language, status, kind and concept: one exchange with one partition.

Reads `language` and `text` of the documents and the trees of `schemas.ast.AST`; writes `SYNTAX_STATISTICS`. Only
integers are added, so no cut into shards changes a byte. Memory of a map: about 10 bytes per node of its shard, besides
text and trees; of the reduce: 100 bytes per language, kind and shard.
"""

import json
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset import Dataset
from pipeline.errors import PlanError
from pipeline.exchange import PARTITION, Exchange, Feed, Place, Reduced, exchange
from schemas.ast import CONCEPTS, ERROR_KIND, GRAMMARS_KEY, NAMED
from schemas.syntax_statistics import SYNTAX_STATISTICS

NAME = "syntax-statistics"
"""Of the step."""

_DOCUMENT = ("language", "text")
_TREE = ("ast_status", "grammar", "ast_errors", "ast_missing", "ast_lossless")
_NODE = ("node_kind", "node_concept", "node_flags")

_TALLY = """
WITH nodes_by_number AS (
    SELECT language, grammar, kind, concept, is_named, count(*) AS count FROM nodes GROUP BY ALL
)
SELECT language, status, measure, NULL AS kind, NULL AS concept, NULL AS is_named, count
FROM (UNPIVOT documents ON COLUMNS(* EXCLUDE (language, status)) INTO NAME measure VALUE count)
UNION ALL
SELECT languages.name, 'parsed', 'nodes', kinds.name, concepts.name, is_named, count
FROM nodes_by_number
JOIN languages ON languages.number = language
JOIN kinds ON kinds.grammar = nodes_by_number.grammar AND kinds.number = kind
JOIN concepts ON concepts.number = concept
"""

_ADD = """
SELECT language, status, measure, kind, concept, is_named, sum(count)::BIGINT AS count
FROM counts GROUP BY ALL HAVING sum(count) > 0
ORDER BY ALL NULLS LAST
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatisticsConfig:
    """Nothing to set: the counts are the same for every corpus."""


def syntax_statistics(documents: Dataset, syntax: Dataset) -> Dataset:
    """The one-shard dataset of `SYNTAX_STATISTICS` rows over all documents, dropped ones too.

    `syntax` is the sidecar that `stages.parse.syntax` wrote, with the names of kinds in its metadata.
    """
    feed = Feed(map=_tally, datasets=(documents, syntax), columns=(_DOCUMENT, (*_TREE, *_NODE)))
    functions = Exchange(
        name=NAME,
        version=1,
        spills=SYNTAX_STATISTICS,
        writes=SYNTAX_STATISTICS,
        reduce=_add,
        libraries=("duckdb",),
    )
    return exchange(functions, StatisticsConfig(), [feed], partitions=lambda *_: 1)


def _tally(config: StatisticsConfig, place: Place, table: pa.Table) -> pa.Table:
    languages, language = _numbered(table["language"])
    grammars, grammar = _numbered(table["grammar"])
    sizes = pc.fill_null(pc.list_value_length(table["node_kind"]), 0).to_numpy()
    flags = pc.list_flatten(table["node_flags"])
    counts = _query(
        f"WITH counts AS ({_TALLY}) {_ADD}",
        documents=_documents(table),
        nodes=pa.table(
            {
                "language": np.repeat(language, sizes),
                "grammar": np.repeat(grammar, sizes),
                "kind": pc.list_flatten(table["node_kind"]),
                "concept": pc.list_flatten(table["node_concept"]),
                "is_named": pc.not_equal(pc.bit_wise_and(flags, pa.scalar(NAMED, pa.uint8())), 0),
            }
        ),
        languages=pa.table({"number": np.arange(len(languages), dtype=np.uint32), "name": languages}),
        kinds=_kinds(table.schema, grammars),
        concepts=pa.table({"number": np.arange(len(CONCEPTS), dtype=np.uint8), "name": list(CONCEPTS)}),
    )
    return counts.append_column(PARTITION, pa.array(np.zeros(counts.num_rows, np.int32)))


def _add(config: StatisticsConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    return Reduced(table=_query(_ADD, counts=rows))


def _documents(table: pa.Table) -> pa.Table:
    """One row per document with what it adds to every measure of documents."""
    text = table["text"]
    sizes, breaks = pc.binary_length(text), pc.count_substring(text, "\n")
    is_open = pc.and_(pc.greater(sizes, 0), pc.invert(pc.ends_with(text, "\n")))
    broken = pc.add(table["ast_errors"], table["ast_missing"])
    measures = {
        "files": pa.array(np.ones(table.num_rows, np.int64)),
        "bytes": sizes,
        "lines": pc.add(breaks, is_open.cast(pa.int32())),
        "line_bytes": pc.subtract(pc.subtract(sizes, breaks), pc.count_substring(text, "\r\n")),
        "errors": table["ast_errors"],
        "missing": table["ast_missing"],
        "without_errors": pc.equal(broken, 0),
        "lossless": table["ast_lossless"],
    }
    numbers = {name: pc.fill_null(values.cast(pa.int64()), 0) for name, values in measures.items()}
    return pa.table({"language": table["language"], "status": table["ast_status"], **numbers})


def _numbered(names: "pa.ChunkedArray[Any]") -> "tuple[pa.Array[Any], np.ndarray[Any, np.dtype[np.uint32]]]":
    """Distinct names, null too, and the number of each row's."""
    encoded = pc.dictionary_encode(names.combine_chunks(), null_encoding="encode")
    return encoded.dictionary, encoded.indices.to_numpy().astype(np.uint32)


def _kinds(schema: pa.Schema, grammars: "pa.Array[Any]") -> pa.Table:
    """Names of all kinds of the grammars, by number of the grammar and of the kind. Raises PlanError without them."""
    tables = json.loads((schema.metadata or {}).get(GRAMMARS_KEY, b"{}"))
    parts = []
    for number, grammar in enumerate(grammars.to_pylist()):
        if grammar is None:
            continue
        if grammar not in tables:
            raise PlanError(
                f"{NAME}: the trees do not name the kinds of grammar {grammar!r}; pass the sidecar that the stage "
                "`syntax` wrote"
            )
        kinds = tables[grammar]["kinds"]
        parts += [(number, kind, name) for kind, name in enumerate(kinds)] + [(number, ERROR_KIND, "ERROR")]
    columns = zip(*parts, strict=True) if parts else ((), (), ())
    arrays = [pa.array(c, t) for c, t in zip(columns, (pa.uint16(), pa.uint16(), pa.string()), strict=True)]
    return pa.table(arrays, names=["grammar", "number", "name"])


def _query(sql: str, **tables: pa.Table) -> pa.Table:
    """What a query over Arrow tables gives, as `SYNTAX_STATISTICS`."""
    settings: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "enable_external_access": False}
    with duckdb.connect(config=settings) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(sql).to_arrow_table().cast(SYNTAX_STATISTICS)
