"""MLCPD's format, both ways: rows of documents and trees to rows as MLCPD publishes them, and those to trees.

MLCPD: https://github.com/JugalGajjar/MultiLang-Code-Parser-Dataset. Its files are also documents like any others:
`parquet:python_parsed_*.parquet?text_column=code&language_column=language` as a source, then parsed as usual.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa

from pipeline.stage import Transform
from schemas.ast import AST, ERROR, MISSING, STATUSES, UNITS
from stages.parse.loaded import grammar_of
from stages.parse.mlcpd_json import Ast, Head, dump, size
from stages.parse.mlcpd_trees import published_trees
from stages.parse.reading import Names, grammar_names, tree_of
from stages.parse.syntax import STAGE, SyntaxConfig

MLCPD = pa.schema(
    [
        pa.field("language", pa.string()),
        pa.field("code", pa.string()),
        pa.field("avg_line_length", pa.float64()),
        pa.field("line_count", pa.int64()),
        pa.field("lang_specific_parse", pa.string()),
        pa.field("ast_node_count", pa.int64()),
        pa.field("num_errors", pa.int64()),
        pa.field("universal_schema", pa.string()),
    ]
)
"""Columns of MLCPD's files.

language: as MLCPD writes it (`c-sharp`, `cpp`). code: the text. line_count, avg_line_length: lines, and their mean
length in characters without line breaks. lang_specific_parse: all nodes, one line each, indented by depth.
ast_node_count: nodes. num_errors: ERROR and MISSING nodes. These three are null where there is no tree.
universal_schema: JSON by MLCPD's `schema.json`; `success` says whether there is a tree without an error, `errors` lists
every ERROR and MISSING node, or why there is no tree.
"""

LANGUAGES = {
    "C": "c",
    "C#": "c-sharp",
    "C++": "cpp",
    "Go": "go",
    "Java": "java",
    "JavaScript": "javascript",
    "Python": "python",
    "Ruby": "ruby",
    "Scala": "scala",
    "TypeScript": "typescript",
}
"""Linguist name to the name in MLCPD's column `language`."""

_BATCH_BYTES = 32_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class MlcpdConfig:
    """What a row may take."""

    max_row_bytes: int = 256_000_000
    """Of the JSON, and of the dump; both repeat the text at every level. A larger tree is left out as `oversize`."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_row_bytes <= 1_000_000_000:
            raise ValueError(f"max_row_bytes must be from 1 to 1,000,000,000, got {self.max_row_bytes}")


def mlcpd_language(language: str) -> str:
    """MLCPD's name of a language; of one that it does not have, the Linguist name in its manner."""
    return LANGUAGES.get(language) or re.sub(r"[^a-z0-9]+", "-", language.lower().replace("#", "-sharp")).strip("-")


def to_mlcpd(table: pa.Table, config: MlcpdConfig | None = None) -> pa.Table:
    """Rows of `MLCPD`, one per row of `text`, `language`, `AST` and `UNITS`."""
    return pa.Table.from_batches(mlcpd_batches(table, config or MlcpdConfig()), schema=MLCPD)


def mlcpd_batches(table: pa.Table, config: MlcpdConfig) -> Iterator[pa.RecordBatch]:
    """The same in batches of about 32 MB, one row at least. Holds one batch and the JSON of one row.

    Raises ValueError if the table lacks a column or the names of its grammars.
    """
    needed = ("text", "language", *AST.names, *UNITS.names)
    if missing := [name for name in needed if name not in table.column_names]:
        raise ValueError(f"the table has no column {missing[0]!r}; the export needs {', '.join(needed)}")
    has_trees = table["grammar"].null_count < table.num_rows
    grammars = grammar_names(table.schema) if has_trees else {}
    rows: list[tuple[object, ...]] = []
    held = 0
    for number in range(table.num_rows):
        row = _row(table, number, grammars, config)
        rows.append(row)
        held += sum(len(value) for value in row if isinstance(value, str | bytes))
        if held >= _BATCH_BYTES:
            yield _batch(rows)
            rows, held = [], 0
    if rows:
        yield _batch(rows)


def _batch(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, MLCPD, strict=True)], schema=MLCPD
    )


def _row(table: pa.Table, number: int, grammars: Mapping[str, Names], config: MlcpdConfig) -> tuple[object, ...]:
    text, language = table["text"][number].as_py(), table["language"][number].as_py()
    name = None if language is None else mlcpd_language(language)
    status = table["ast_status"][number].as_py()
    head = Head(name=name, text=text)
    if status == "parsed":
        tree = tree_of(table, number, grammars)
        if size(tree) <= config.max_row_bytes:
            json = head.json(Ast(tree), table["units"][number].as_py() or [])
            if len(json) <= config.max_row_bytes:
                errors = int(np.count_nonzero(np.asarray(tree.flags) & (ERROR | MISSING)))
                return (name, text, head.mean_chars, head.lines, "\n".join(dump(tree)), len(tree), errors, json)
        status, reason = "oversize", f"the tree takes more than max_row_bytes = {config.max_row_bytes} as JSON"
    else:
        reason = STATUSES.get(status, status)
    lines = (None, None) if text is None else (head.mean_chars, head.lines)
    return (name, text, *lines, None, None, None, head.failure(status, reason))


def from_mlcpd(
    table: pa.Table, trees: Literal["parsed", "published"] = "parsed", config: SyntaxConfig | None = None
) -> pa.Table:
    """Rows of `AST` and `UNITS`, one per row of `MLCPD`, with the names of kinds and fields as metadata.

    parsed: `code` is parsed again, isolated as the stage `syntax` does it; repairs all that MLCPD's converter breaks.
    published: the nodes of `universal_schema` as they are, see `stages.parse.mlcpd_trees`; `units` is null.
    `ast_status` says why a row has no tree; `unreadable` where the JSON holds none. Raises ValueError for other `trees`
    and for a table that lacks a column.
    """
    if trees not in ("parsed", "published"):
        raise ValueError(f"trees={trees!r} must be 'parsed' or 'published'")
    needed = ("language", "code", *(["universal_schema"] if trees == "published" else []))
    if missing := [name for name in needed if name not in table.column_names]:
        raise ValueError(f"the table has no column {missing[0]!r}; MLCPD's files have {', '.join(MLCPD.names)}")
    languages = [None if name is None else linguist_language(name) for name in table["language"].to_pylist()]
    if trees == "published":
        return published_trees(languages, table["code"], table["universal_schema"])
    documents = pa.table({"text": table["code"].cast(pa.string()), "language": pa.array(languages, pa.string())})
    return _syntax(config or SyntaxConfig())(documents)


@cache
def _syntax(config: SyntaxConfig) -> Transform:
    """The stage with its child process, which lives as long as this process."""
    return STAGE.open(config)


def linguist_language(name: str) -> str | None:
    """The Linguist name of a language as MLCPD writes it somewhere; None for one that no grammar parses."""
    return _linguist_names().get(name.strip().lower().replace("_", "-"))


@cache
def _linguist_names() -> dict[str, str]:
    return {mlcpd_language(language): language for language in grammar_of()} | {"csharp": "C#"}
