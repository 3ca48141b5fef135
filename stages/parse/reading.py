"""Published trees for their users: rows of `AST` and `text` to trees, nodes as objects, S-expressions, graphs.

Needs neither tree-sitter nor a grammar: the names of kinds and fields travel with the data (`GRAMMARS_KEY`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.ast import AST, CONCEPTS, ERROR, ERROR_KIND, EXTRA, GRAMMARS_KEY, MISSING, NAMED, STATUSES
from stages.parse.tree import Tree

if TYPE_CHECKING:
    import networkx as nx

_CONCEPTS = tuple(CONCEPTS)
_COLUMNS = ("kind", "concept", "to_parent", "start", "length", "field", "flags")
_ESCAPES = {-1: "INVALID", 0: "'\\0'", 9: "'\\t'", 10: "'\\n'", 13: "'\\r'"}
_BY_PARSER = -2
"""In `ast_unexpected`: the parser and not the lexer gave up."""
_ROOT = -1
"""Stands for the field of the node at which an S-expression begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Names of a grammar's kinds and fields, by number."""

    version: str | None
    kinds: tuple[str, ...]
    """The last one is `ERROR`."""
    fields: tuple[str, ...]


def grammar_names(schema: pa.Schema) -> dict[str, Names]:
    """The names of every grammar of a table, from the metadata of its schema.

    Raises ValueError if the schema has none.
    """
    stored = (schema.metadata or {}).get(GRAMMARS_KEY)
    if stored is None:
        raise ValueError(
            f"the schema has no metadata {GRAMMARS_KEY.decode()!r}, which names kinds and fields; keep the metadata of "
            "the Parquet file (pyarrow.parquet.read_schema(file).metadata)"
        )
    return {
        name: Names(version=table["version"], kinds=(*table["kinds"], "ERROR"), fields=tuple(table["fields"]))
        for name, table in json.loads(stored).items()
    }


def tree_of(table: pa.Table, row: int, grammars: Mapping[str, Names] | None = None) -> Tree:
    """The tree of one row of a table that has the columns of `AST` and the document's `text`.

    `grammars` are those of `grammar_names(table.schema)`: give them when reading many rows. Columns are not copied.
    Raises ValueError for a row without a tree and for columns that do not hold one.
    """
    needed = ("text", *AST.names)
    if missing := [name for name in needed if name not in table.column_names]:
        raise ValueError(f"the table has no column {missing[0]!r}; a tree needs {', '.join(needed)}")
    status = table["ast_status"][row].as_py()
    if status != "parsed":
        raise ValueError(f"row {row} has no tree: {status}: {STATUSES.get(status, 'an unknown status')}")
    grammar = table["grammar"][row].as_py()
    names = (grammar_names(table.schema) if grammars is None else grammars).get(grammar)
    if names is None:
        raise ValueError(f"row {row} is of grammar {grammar!r}, which the metadata {GRAMMARS_KEY.decode()!r} lacks")
    text = table["text"][row]
    if not text.is_valid:
        raise ValueError(f"row {row} has a tree but no text; join the rows of `documents` and the trees in their order")
    source = text.as_buffer().to_pybytes()
    arrays = {name: table[f"node_{name}"][row].values.to_numpy() for name in _COLUMNS}
    last = _check(arrays, names, len(source), f"row {row}")
    views = {name: memoryview(array) for name, array in arrays.items()}
    views |= {"last": last.data, "unexpected": table["ast_unexpected"][row].values.to_numpy().data}
    tree = Tree(source=source, kinds=names.kinds, fields=names.fields, **views)
    given, childless = len(tree.unexpected), len(_childless_errors(tree))
    if given != childless:
        raise ValueError(
            f"row {row} has {given} entries of ast_unexpected for {childless} ERROR nodes without children"
        )
    return tree


def _check(arrays: Mapping[str, npt.NDArray[Any]], names: Names, size: int, place: str) -> npt.NDArray[np.int32]:
    """The ends of all nodes, once the columns are known to hold a tree of the source."""
    nodes = len(arrays["kind"])
    if any(len(array) != nodes for array in arrays.values()) or not nodes:
        raise ValueError(f"{place}: its node columns have no or unequal lengths; they must have one entry per node")
    kind, field, concept = (arrays[name] for name in ("kind", "field", "concept"))
    for what, bad, known in (
        ("kind", kind[(kind >= len(names.kinds) - 1) & (kind != ERROR_KIND)], len(names.kinds) - 1),
        ("field", field[field >= len(names.fields)], len(names.fields)),
        ("concept", concept[concept >= len(_CONCEPTS)], len(_CONCEPTS)),
    ):
        if len(bad):
            raise ValueError(
                f"{place} has {what} {bad[0]}, but only {known} are named: table and metadata do not match"
            )
    start, length = arrays["start"], arrays["length"]
    if (start < 0).any() or (length < 0).any() or (start.astype(np.int64) + length > size).any():
        raise ValueError(
            f"{place} has nodes outside its text of {size} bytes: text and tree are of different documents"
        )
    last = np.empty(nodes, np.int32)
    if not _find_ends(arrays["to_parent"], last):
        raise ValueError(f"{place}: node_to_parent is not that of a tree in pre-order")
    return last


def _find_last(to_parent: npt.NDArray[np.int32], last: npt.NDArray[np.int32]) -> bool:
    """Fill `last` with the index after each node's last descendant; False if the nodes are no tree in pre-order."""
    nodes = len(to_parent)
    path = np.empty(nodes, np.int32)
    top = -1
    for node in range(nodes):
        if (to_parent[node] <= 0 or to_parent[node] > node) if node else to_parent[node] != 0:
            return False
        while top >= 0 and path[top] != node - to_parent[node]:
            last[path[top]] = node
            top -= 1
        if node and top < 0:
            return False
        top += 1
        path[top] = node
    for open_node in path[: top + 1]:
        last[open_node] = nodes
    return True


_find_ends = numba.njit(cache=True)(_find_last)


def s_expression(tree: Tree, node: int = 0) -> str:
    """What tree-sitter prints for a node: the named nodes with their fields, and what is missing or unexpected."""
    flags, field, last = tree.flags, tree.field, tree.last
    unexpected = dict(zip(_childless_errors(tree), tree.unexpected, strict=True)) if len(tree.unexpected) else {}
    out: list[str] = []
    open_nodes: list[tuple[int, str, int]] = []  # where it ends, what closes it, the field that its children inherit
    for at in range(node, last[node]):
        while open_nodes and open_nodes[-1][0] <= at:
            out.append(open_nodes.pop()[1])
        bits, held_by = flags[at], field[at] if open_nodes else _ROOT
        if open_nodes and not held_by and not bits & EXTRA:
            held_by = open_nodes[-1][2]
        is_shown, has_children = bits & (NAMED | MISSING), last[at] > at + 1
        if is_shown:
            if held_by != _ROOT:
                out.append(f" {tree.fields[held_by]}: " if held_by else " ")
            out.append(_opening(tree, at, unexpected.get(at, _BY_PARSER)))
        elif held_by == _ROOT:
            out.append(f"({tree.type(at)}" if has_children else f'("{tree.type(at)}")')
        if has_children:
            open_nodes.append((last[at], ")" if is_shown else "", 0 if is_shown else held_by))
        elif is_shown:
            out.append(")")
    out += [closing for _, closing, _ in reversed(open_nodes)]
    return "".join(out)


def _childless_errors(tree: Tree) -> list[int]:
    errors = np.flatnonzero(np.asarray(tree.flags) & ERROR)
    found: list[int] = errors[np.asarray(tree.last)[errors] == errors + 1].tolist()
    return found


def _opening(tree: Tree, node: int, unexpected: int) -> str:
    bits, name = tree.flags[node], tree.type(node)
    if unexpected != _BY_PARSER:
        shown = f"'{chr(unexpected)}'" if 32 <= unexpected < 127 else str(unexpected)
        return f"(UNEXPECTED {_ESCAPES.get(unexpected, shown)}"
    if bits & MISSING:
        return f"(MISSING {name}" if bits & NAMED else f'(MISSING "{name}"'
    return f"({name}"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node of a tree as an object: a view, made when asked for. Iterating gives the children.

    Two nodes are equal if they are the same node of the same `Tree` object.
    """

    tree: Tree
    index: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.tree is other.tree and self.index == other.index

    def __hash__(self) -> int:
        return hash((id(self.tree), self.index))

    def __repr__(self) -> str:
        return f"<Node {self.index} {self.type} {self.start}..{self.end}>"

    def __iter__(self) -> Iterator["Node"]:
        return (Node(self.tree, child) for child in self.tree.children(self.index))

    @property
    def type(self) -> str:
        """Name of its kind in the grammar."""
        return self.tree.type(self.index)

    @property
    def concept(self) -> str:
        """A key of `schemas.ast.CONCEPTS`."""
        return _CONCEPTS[self.tree.concept[self.index]]

    @property
    def field(self) -> str | None:
        """Name of the field by which the parent holds it."""
        return self.tree.fields[self.tree.field[self.index]] or None

    @property
    def text(self) -> str:
        """Its source."""
        return self.tree.text(self.index)

    @property
    def start(self) -> int:
        """First byte in the UTF-8 of the text."""
        return self.tree.start[self.index]

    @property
    def end(self) -> int:
        """Byte after it."""
        return self.tree.end(self.index)

    @property
    def parent(self) -> "Node | None":
        """The node above; None for the root."""
        above = self.tree.parent(self.index)
        return None if above is None else Node(self.tree, above)

    @property
    def children(self) -> list["Node"]:
        """All children, anonymous ones too."""
        return list(self)

    @property
    def named_children(self) -> list["Node"]:
        """The named ones among them."""
        return [Node(self.tree, child) for child in self.tree.named(self.index)]

    def child(self, field: str) -> "Node | None":
        """The first child in a field. Raises KeyError for a field that the grammar does not have."""
        found = self.tree.child(self.index, field)
        return None if found is None else Node(self.tree, found)

    def walk(self) -> Iterator["Node"]:
        """The node and everything below it, in the order of the text."""
        return (Node(self.tree, index) for index in range(self.index, self.tree.last[self.index]))

    @property
    def is_named(self) -> bool:
        """Whether it is a rule of the grammar and no mere token."""
        return bool(self.tree.flags[self.index] & NAMED)

    @property
    def is_error(self) -> bool:
        """Whether it is what the parser could not read."""
        return bool(self.tree.flags[self.index] & ERROR)

    @property
    def is_missing(self) -> bool:
        """Whether the parser has put it there to go on."""
        return bool(self.tree.flags[self.index] & MISSING)

    @property
    def is_extra(self) -> bool:
        """Whether it may stand anywhere, as comments may."""
        return bool(self.tree.flags[self.index] & EXTRA)


def to_networkx(tree: Tree) -> "nx.DiGraph":
    """The tree as a graph: nodes are their numbers, edges go from parent to child in the order of the text.

    Nodes have kind, concept, start, end, field (None where there is none), named, error and missing; leaves have text.
    Raises ModuleNotFoundError without networkx.
    """
    try:
        import networkx as nx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_networkx needs networkx, which is not installed; pip install 'gristmill[graph]'", name="networkx"
        ) from error
    graph = nx.DiGraph()
    for index in range(len(tree)):
        node, is_leaf = Node(tree, index), tree.last[index] == index + 1
        graph.add_node(
            index,
            kind=node.type,
            concept=node.concept,
            start=node.start,
            end=node.end,
            field=node.field,
            named=node.is_named,
            error=node.is_error,
            missing=node.is_missing,
            **({"text": node.text} if is_leaf else {}),
        )
    graph.add_edges_from((index - tree.to_parent[index], index) for index in range(1, len(tree)))
    return graph
