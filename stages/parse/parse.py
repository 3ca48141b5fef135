"""Source text to rows of `schemas.ast`: parse, read columns, name concepts and units, check that nothing is lost."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tree_sitter import Tree as ParsedTree

from schemas.ast import AST, ERROR, GRAMMARS_KEY, MISSING, UNITS
from stages.parse.concepts import assign_concepts, find_marked
from stages.parse.loaded import Loaded, load_grammar
from stages.parse.subtree import Columns, make_columns, read_tree
from stages.parse.tree import Tree
from stages.parse.units import RANGES, UnitRow, find_units

_MARGIN = 64
"""Room for hidden missing nodes, which tree-sitter does not count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A parsed document: trimmed columns and what follows from them."""

    loaded: Loaded
    source: bytes
    columns: Columns
    concept: npt.NDArray[np.uint8]
    depth: int
    is_lossless: bool
    units: list[UnitRow]

    @property
    def unexpected(self) -> npt.NDArray[np.int32]:
        """The characters of the ERROR nodes without children."""
        columns = self.columns
        is_childless = columns.last == np.arange(1, len(columns.last) + 1)
        found: npt.NDArray[np.int32] = columns.unexpected[is_childless & (columns.flags & ERROR > 0)]
        return found

    @property
    def tree(self) -> Tree:
        """The tree for code that walks it."""
        return _tree(self.source, self.loaded, self.columns, self.concept, self.unexpected)


def parse_source(source: bytes, grammar: str) -> Parsed:
    """Parse any bytes with a grammar of `stages.parse.loaded.grammars`.

    Raises KeyError for an unknown grammar, ValueError for more than 2^31 - 1 bytes.
    """
    if len(source) >= 1 << 31:
        raise ValueError(f"{len(source)} bytes of source do not fit 32-bit offsets; split the document")
    loaded = load_grammar(grammar)
    built = loaded.parser.parse(source)
    columns, depth = _read(built, loaded)
    data = np.frombuffer(source, np.uint8)
    concept = assign_concepts(columns, data, loaded)
    tree = _tree(source, loaded, columns, concept, columns.unexpected[:0])
    units = find_units(tree, loaded, find_marked(columns, data, loaded))
    return Parsed(
        loaded=loaded,
        source=source,
        columns=columns,
        concept=concept,
        depth=depth,
        is_lossless=is_rebuilt(columns, data),
        units=units,
    )


def _read(built: ParsedTree, loaded: Loaded) -> tuple[Columns, int]:
    capacity = built.root_node.descendant_count + _MARGIN
    while True:
        columns = make_columns(capacity)
        nodes, depth = read_tree(built, loaded.address, columns)
        if nodes >= 0:
            return Columns._make(column[:nodes] for column in columns), depth
        capacity *= 2


def _tree(
    source: bytes,
    loaded: Loaded,
    columns: Columns,
    concept: npt.NDArray[np.uint8],
    unexpected: npt.NDArray[np.int32],
) -> Tree:
    return Tree(
        source=source,
        kinds=loaded.kinds,
        fields=loaded.fields,
        kind=columns.kind.data,
        concept=concept.data,
        to_parent=columns.to_parent.data,
        start=columns.start.data,
        length=columns.length.data,
        field=columns.field.data,
        flags=columns.flags.data,
        last=columns.last.data,
        unexpected=unexpected.data,
    )


def is_rebuilt(columns: Columns, source: npt.NDArray[np.uint8]) -> bool:
    """Whether the leaves stand in order, apart and inside the text, so that with the gaps they give its bytes back."""
    return bool(_rebuild(columns.start, columns.length, columns.last, source))


def _rebuild_source(
    start: npt.NDArray[np.int32],
    length: npt.NDArray[np.int32],
    last: npt.NDArray[np.int32],
    source: npt.NDArray[np.uint8],
) -> bool:
    """Whether leaves and the gaps before, between and after them, put together in order, are the source."""
    rebuilt = np.empty(len(source), np.uint8)
    at = 0
    for node in range(len(start)):
        if last[node] != node + 1:
            continue
        begin, end = start[node], start[node] + length[node]
        if begin < at or end > len(source):
            return False
        rebuilt[at:begin] = source[at:begin]
        rebuilt[begin:end] = source[begin:end]
        at = end
    rebuilt[at:] = source[at:]
    return np.array_equal(rebuilt, source)


_rebuild = numba.njit(cache=True)(_rebuild_source)


def parsed_batch(rows: Sequence[Parsed | str]) -> pa.RecordBatch:
    """Rows of `AST` and `UNITS`: a parsed document each, or the status of one that has no tree."""
    trees = [row if isinstance(row, Parsed) else None for row in rows]
    arrays = [
        pa.array(["parsed" if isinstance(row, Parsed) else row for row in rows], pa.string()),
        _scalars(trees, pa.string(), lambda t: t.loaded.grammar.name),
        _scalars(trees, pa.string(), lambda t: t.loaded.version),
        _scalars(trees, pa.int32(), lambda t: len(t.concept)),
        _scalars(trees, pa.int32(), lambda t: int(np.count_nonzero(t.columns.flags & ERROR))),
        _scalars(trees, pa.int32(), lambda t: int(np.count_nonzero(t.columns.flags & MISSING))),
        _scalars(trees, pa.int32(), lambda t: t.depth),
        _scalars(trees, pa.bool_(), lambda t: t.is_lossless),
        _lists(trees, "ast_unexpected", lambda t: t.unexpected),
        _lists(trees, "node_kind", lambda t: t.columns.kind),
        _lists(trees, "node_concept", lambda t: t.concept),
        _lists(trees, "node_to_parent", lambda t: t.columns.to_parent),
        _lists(trees, "node_start", lambda t: t.columns.start),
        _lists(trees, "node_length", lambda t: t.columns.length),
        _lists(trees, "node_field", lambda t: t.columns.field),
        _lists(trees, "node_flags", lambda t: t.columns.flags),
        _units(trees),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([*AST, *UNITS]))


def grammar_metadata(names: Iterable[str]) -> dict[bytes, bytes]:
    """The names of kinds and fields of some grammars, as the metadata of a schema."""
    tables = {
        name: {"version": loaded.version, "kinds": loaded.kinds[:-1], "fields": loaded.fields}
        for name, loaded in ((name, load_grammar(name)) for name in sorted(names))
    }
    return {GRAMMARS_KEY: json.dumps(tables, ensure_ascii=False, separators=(",", ":")).encode()}


def _scalars(trees: Sequence[Parsed | None], kind: pa.DataType, of: Callable[[Parsed], object]) -> pa.Array:
    return pa.array([None if tree is None else of(tree) for tree in trees], kind)


def _lists(trees: Sequence[Parsed | None], name: str, of: Callable[[Parsed], npt.NDArray[np.generic]]) -> pa.Array:
    field = AST.field(name)
    parts = [None if tree is None else of(tree) for tree in trees]
    there = [part for part in parts if part is not None]
    values = pa.array(np.concatenate(there) if there else [], field.type.value_type)
    return _list_array(field.type, values, [0 if part is None else len(part) for part in parts], trees)


def _list_array(kind: pa.DataType, values: pa.Array, sizes: Sequence[int], trees: Sequence[Parsed | None]) -> pa.Array:
    offsets = pa.array(np.cumsum([0, *sizes], dtype=np.int32), pa.int32())
    nulls = pa.array([tree is None for tree in trees], pa.bool_())
    return pa.ListArray.from_arrays(offsets, values, type=kind, mask=nulls)


def _units(trees: Sequence[Parsed | None]) -> pa.Array:
    kind = UNITS.field("units").type
    rows = [row for tree in trees if tree is not None for row in tree.units]
    columns: list[list[Any]] = []
    for position, name in enumerate(UnitRow._fields):
        values: list[Any] = [row[position] for row in rows]
        columns += [[value[side] for value in values] for side in (0, 1)] if name in RANGES else [values]
    fields = list(kind.value_type)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    values = pa.StructArray.from_arrays(arrays, fields=fields)
    return _list_array(kind, values, [0 if tree is None else len(tree.units) for tree in trees], trees)
