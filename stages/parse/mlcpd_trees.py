"""The nodes that MLCPD publishes, as rows of `AST`: what is left of each tree, under the numbers of our grammars.

MLCPD drops the root and many nodes but keeps `parent` right; `children` is not used, and offsets come from rows and
columns. A root of the name in `ast.root` is put over nodes without a parent. Names of kinds that our grammar does not
have are added to its names in the metadata; their nodes have the concept `none`. Unknown fields are left out.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from schemas.ast import AST, ERROR, ERROR_KIND, EXTRA, GRAMMARS_KEY, HIDDEN, MISSING, NAMED, STATUSES, UNITS
from stages.parse.concepts import assign_concepts
from stages.parse.loaded import CONCEPT_NUMBER, Loaded, grammar_of, load_grammar
from stages.parse.parse import Parsed, is_rebuilt, parsed_batch
from stages.parse.subtree import Columns, make_columns

_ROWS_AT_ONCE = 256
_MARKS = {"extra": EXTRA, "missing": MISSING, "hidden": HIDDEN}


class _UnreadableError(ValueError):
    """The JSON of a row holds no tree."""


def published_trees(languages: Sequence[str | None], code: pa.ChunkedArray, schemas: pa.ChunkedArray) -> pa.Table:
    """One row per document, given its Linguist language, its text and its JSON. `units` and `grammar_version` are null:
    without fields there are no units, and nobody knows which grammars MLCPD was made with.
    """
    kinds: dict[str, _Kinds] = {}
    pieces = []
    for first in range(0, len(languages), _ROWS_AT_ONCE):
        rows = range(first, min(len(languages), first + _ROWS_AT_ONCE))
        pieces.append(parsed_batch([_row(languages[row], code[row], schemas[row], kinds) for row in rows]))
    table = pa.Table.from_batches(pieces, schema=pa.schema([*AST, *UNITS]))
    for name in ("grammar_version", "units"):
        position, kind = table.schema.get_field_index(name), table.schema.field(name)
        table = table.set_column(position, kind, pa.nulls(table.num_rows, kind.type))
    names = {
        name: {"version": None, "kinds": [*own.loaded.kinds[:-1], *own.added], "fields": own.loaded.fields}
        for name, own in sorted(kinds.items())
    }
    return table.replace_schema_metadata({GRAMMARS_KEY: json.dumps(names, ensure_ascii=False).encode()})


def _row(language: str | None, code: pa.Scalar, schema: pa.Scalar, kinds: "dict[str, _Kinds]") -> Parsed | str:
    grammar = grammar_of().get(language or "")
    if not code.is_valid:
        return "no-text"
    if grammar is None:
        return "no-grammar"
    if not schema.is_valid:
        return "unreadable"
    own = kinds.setdefault(grammar, _Kinds(load_grammar(grammar)))
    before = dict(own.added)
    try:
        return _read(orjson.loads(schema.as_py()), code.as_py().encode(), own)
    except _UnreadableError as error:
        own.added.clear()
        own.added.update(before)
        return str(error)
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        return "unreadable"


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Numbers of a grammar's kinds by name; new names are added as they come."""

    loaded: Loaded
    added: dict[str, int] = field(default_factory=dict)
    known: dict[tuple[str, bool], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        language = self.loaded.parser.language
        assert language is not None
        for number in reversed(range(len(self.loaded.kinds) - 1)):  # the first of several wins
            self.known[self.loaded.kinds[number], language.node_kind_is_named(number)] = number
        for name, is_named in list(self.known):
            self.known[name, is_named] = language.id_for_node_kind(name, is_named) or self.known[name, is_named]

    def number(self, name: str, *, is_named: bool | None, is_token: bool) -> tuple[int, bool]:
        """Number of a kind, and whether it is named. `is_token`: its text is its name, if nothing else tells."""
        if name == "ERROR":
            return ERROR_KIND, True
        ways = [is_named] if is_named is not None else [False, True] if is_token else [True, False]
        for way in (*ways, True, False):
            if (name, way) in self.known:
                return self.known[name, way], way if is_named is None else is_named
        number = self.added.setdefault(name, len(self.loaded.kinds) - 1 + len(self.added))
        if number >= ERROR_KIND:
            raise _UnreadableError("unreadable")
        return number, not is_token if is_named is None else is_named


def _need(value: Any, kind: type) -> Any:
    """The value, if it is of that type."""
    if type(value) is not kind:
        raise _UnreadableError("unreadable")
    return value


def _check(holds: bool) -> None:
    if not holds:
        raise _UnreadableError("unreadable")


def _read(document: Any, source: bytes, kinds: _Kinds) -> Parsed:
    """The tree that a JSON holds. Raises _UnreadableError with the status of a row that has none."""
    ast = _need(_need(document, dict).get("ast"), dict)
    nodes, root = _need(ast.get("nodes"), list), _need(ast.get("root"), str)
    if not root:
        raise _UnreadableError(_status(document.get("errors")))
    for node in nodes:
        _need(node, dict)
    is_rooted = bool(nodes) and nodes[0].get("type") == root
    is_rooted = is_rooted and [node.get("parent") for node in nodes].count(None) == 1
    if not is_rooted:
        nodes = [{"id": None, "type": root, "start_byte": 0, "end_byte": len(source), "is_named": True}, *nodes]
    columns = make_columns(len(nodes))
    _place(nodes, source, columns)
    _name(nodes, source, columns, kinds)
    depth = _close(columns)
    loaded, data = kinds.loaded, np.frombuffer(source, np.uint8)
    concept = assign_concepts(columns, data, loaded)
    concept[(columns.kind >= len(loaded.kinds) - 1) & (columns.kind != ERROR_KIND)] = CONCEPT_NUMBER["none"]
    return Parsed(
        loaded=loaded,
        source=source,
        columns=columns,
        concept=concept,
        depth=depth,
        is_lossless=is_rebuilt(columns, data),
        units=[],
    )


def _status(errors: Any) -> str:
    """What our own export says of a document without a tree."""
    said = errors[0].get("type") if isinstance(errors, list) and errors and isinstance(errors[0], dict) else None
    return said if isinstance(said, str) and said in STATUSES and said != "parsed" else "unreadable"


def _place(nodes: Sequence[dict[str, Any]], source: bytes, columns: Columns) -> None:
    """Parents and bytes of all nodes; children lie inside their parents, one after another."""
    line_starts = [0, *(np.flatnonzero(np.frombuffer(source, np.uint8) == ord("\n")) + 1).tolist()]
    positions: dict[int | None, int] = {}
    ends: list[int] = []
    free: list[int] = []  # where the next child of each node may begin
    for index, node in enumerate(nodes):
        name, above = node.get("id"), node.get("parent")
        for number in (name, above):
            _check(number is None or type(number) is int)
        _check(name not in positions)
        start = _offset(node, "start", line_starts)
        end = _offset(node, "end", line_starts)
        _check(0 <= start <= end <= len(source))
        parent = positions.get(above, -1) if index else 0
        if index:
            _check(parent >= 0 and free[parent] <= start and end <= ends[parent])
            free[parent] = end
        positions[name] = index
        if not index:
            positions[None] = 0  # nodes without a parent stand below the root
        ends.append(end)
        free.append(start)
        columns.to_parent[index], columns.start[index], columns.length[index] = index - parent, start, end - start


def _offset(node: dict[str, Any], side: str, line_starts: Sequence[int]) -> int:
    if (offset := node.get(f"{side}_byte")) is not None:
        return int(_need(offset, int))
    point = _need(node.get(f"{side}_point"), dict)
    row, column = _need(point.get("row"), int), _need(point.get("column"), int)
    _check(0 <= row < len(line_starts) and column >= 0)
    return int(line_starts[row] + column)


def _name(nodes: Sequence[dict[str, Any]], source: bytes, columns: Columns, kinds: _Kinds) -> None:
    """Kinds, fields and flags of all nodes."""
    fields = {name: number for number, name in enumerate(kinds.loaded.fields)}
    for index, node in enumerate(nodes):
        name, is_named, marks = _need(node.get("type"), str), node.get("is_named"), node.get("language_specific")
        start = int(columns.start[index])
        is_token = source[start : start + int(columns.length[index])] == name.encode()
        named = is_named if isinstance(is_named, bool) else None
        columns.kind[index], named = kinds.number(name, is_named=named, is_token=is_token)
        said = node.get("field_name")
        columns.field[index] = fields.get(said, 0) if isinstance(said, str) else 0
        flags = NAMED * named | ERROR * (name == "ERROR")
        if isinstance(marks, dict):
            flags |= sum(bit for mark, bit in _MARKS.items() if marks.get(mark) is True)
        columns.flags[index] = flags


def _close(columns: Columns) -> int:
    """Fill in where nodes end in pre-order; gives the depth. Raises _UnreadableError for another order."""
    path: list[int] = []
    depth = 0
    for node, parent in _parents(columns):
        while path and path[-1] != parent:
            columns.last[path.pop()] = node
        _check(bool(path) == bool(node))
        path.append(node)
        depth = max(depth, len(path))
    columns.last[path] = len(columns.kind)
    return depth


def _parents(columns: Columns) -> Iterator[tuple[int, int]]:
    for node, back in enumerate(columns.to_parent.tolist()):
        yield node, node - back
