"""One document and its tree as MLCPD's JSON and dump: nodes with their text at every level, categories, links, errors.

Source of the format: `schema.json` (declared) and `parse_converter.py` (emitted) of MLCPD; keys that it declares inside
`ast` and emits at the top stand in both places.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from schemas.ast import CONCEPTS, ERROR, EXTRA, HIDDEN, MISSING, NAMED
from stages.parse.tree import Tree

JSON_LANGUAGES = {"c-sharp": "csharp"}
"""Name in the column `language` to the one that `schema.json` declares, where it is another."""

CATEGORIES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "declarations": {
        "functions": ("declaration.function",),
        "variables": ("declaration.variable",),
        "classes": ("declaration.class",),
        "imports": ("declaration.import",),
        "modules": ("declaration.module",),
        "enums": ("declaration.enum",),
    },
    "statements": {
        "expressions": ("statement.expression",),
        "assignments": ("statement.assignment",),
        "loops": ("statement.loop",),
        "conditionals": ("statement.conditional", "statement.match", "statement.case", "expression.conditional"),
        "returns": ("statement.return",),
        "exceptions": ("statement.exception", "statement.handler"),
    },
    "expressions": {
        "calls": ("expression.call",),
        "literals": ("expression.literal",),
        "identifiers": ("expression.identifier",),
        "binary_operations": ("expression.binary",),
        "unary_operations": ("expression.unary",),
        "member_access": ("expression.member",),
    },
}
"""MLCPD's categories and the concepts whose nodes they hold."""

_FUNCTIONS = frozenset({"function", "method", "constructor", "lambda"})
_CLASSES = frozenset({"class", "struct", "interface", "trait", "enum"})
_NUMBERS = {name: number for number, name in enumerate(CONCEPTS)}
_SNIPPET_CHARS = 100
_NODES_AT_ONCE = 4096
_NODE_BYTES = 350
"""What the JSON of a node takes without its text."""


def size(tree: Tree) -> int:
    """About the size of the JSON or the dump, whichever is larger, without writing them."""
    texts = int(np.asarray(tree.length).sum(dtype=np.int64))
    depths = int(np.asarray(tree.last).sum(dtype=np.int64)) - len(tree) * (len(tree) + 1) // 2
    return texts + max(2 * depths, _NODE_BYTES * len(tree) + 2 * len(tree.source))


class Head:
    """What a row says of its document."""

    def __init__(self, *, name: str | None, text: str | None) -> None:
        self.text = text or ""
        self._language = JSON_LANGUAGES.get(name or "", name or "")
        self._has_text = text is not None
        breaks = self.text.count("\n")
        self.lines = breaks + bool(self.text and not self.text.endswith("\n"))
        self.mean_chars = round((len(self.text) - breaks) / self.lines, 2) if self.lines else 0.0

    def json(self, ast: "Ast", units: list[dict[str, Any]]) -> bytes:
        """The whole JSON of a document with a tree. The nodes are written piece by piece."""
        errors, categories, links = ast.errors(), ast.categories(), ast.links(units)
        categorized = sum(len(nodes) for leaves in categories.values() for nodes in leaves.values())
        top = self._top(success=not errors, nodes=len(ast.tree), errors=len(errors), categorized=categorized)
        both = orjson.dumps({"node_categories": categories, "cross_language_map": links})[1:-1]
        root = orjson.dumps(ast.tree.type(0))
        opening = [orjson.dumps(top)[:-1], b',"ast":{"root":', root, b',"nodes":[']
        return b"".join([*opening, b",".join(ast.nodes()), b"],", both, b"},", both, b",", self._end(errors)])

    def failure(self, status: str, reason: str) -> bytes:
        """The JSON of a document without a tree."""
        top = self._top(success=False, nodes=0, errors=1, categorized=0)
        categories: dict[str, dict[str, list[int]]] = {g: {leaf: [] for leaf in v} for g, v in CATEGORIES.items()}
        both = {"node_categories": categories, "cross_language_map": _no_links()}
        ends = {"ast": {"root": "", "nodes": [], **both}, **both}
        return orjson.dumps(top | ends)[:-1] + b"," + self._end([{"type": status, "message": reason}])

    def _top(self, *, success: bool, nodes: int, errors: int, categorized: int) -> dict[str, object]:
        metadata: dict[str, object] = {
            "lines": self.lines,
            "avg_line_length": self.mean_chars,
            "nodes": nodes,
            "errors": errors,
        }
        if self._has_text:
            metadata["source_hash"] = hashlib.sha256(self.text.encode()).hexdigest()
        metadata["categorized_nodes"] = categorized
        return {"schema_version": "1.0", "language": self._language, "success": success, "metadata": metadata}

    def _end(self, errors: list[dict[str, Any]]) -> bytes:
        """What follows the tree, without the opening brace."""
        source = {"source_context": {"original_source": self.text}, "original_source_code": self.text}
        return orjson.dumps({"errors": errors} | source)[1:]


def _marks(bits: int) -> dict[str, bool]:
    return {name: True for name, bit in {"extra": EXTRA, "missing": MISSING, "hidden": HIDDEN}.items() if bits & bit}


def _no_links() -> dict[str, list[dict[str, Any]]]:
    return {"function_declarations": [], "class_declarations": [], "import_statements": []}


class Ast:
    """A tree as the parts of MLCPD's JSON. Ids of nodes are their numbers."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        source = np.frombuffer(tree.source, np.uint8)
        self._line_starts = np.concatenate(([0], np.flatnonzero(source == ord("\n")) + 1))

    def nodes(self) -> Iterator[bytes]:
        """The elements of `nodes`, some thousand at a time."""
        tree = self.tree
        start, end = np.asarray(tree.start), np.asarray(tree.start) + np.asarray(tree.length)
        for first in range(0, len(tree), _NODES_AT_ONCE):
            piece = slice(first, first + _NODES_AT_ONCE)
            points = zip(self._points(start[piece]), self._points(end[piece]), strict=True)
            nodes = [self._node(first + offset, *both) for offset, both in enumerate(points)]
            yield orjson.dumps(nodes)[1:-1]

    def _node(self, node: int, start: dict[str, int], end: dict[str, int]) -> dict[str, object]:
        tree, bits = self.tree, self.tree.flags[node]
        return {
            "id": node,
            "type": tree.type(node),
            "text": tree.text(node),
            "start_byte": tree.start[node],
            "end_byte": tree.end(node),
            "start_point": start,
            "end_point": end,
            "children": list(tree.children(node)),
            "parent": tree.parent(node),
            "field_name": tree.fields[tree.field[node]] or None,
            "is_named": bool(bits & NAMED),
            "is_error": bool(bits & (ERROR | MISSING)),
            "language_specific": _marks(bits) if bits & (EXTRA | MISSING | HIDDEN) else {},
        }

    def _points(self, offsets: npt.NDArray[np.int32]) -> list[dict[str, int]]:
        """Rows and columns of offsets, columns in bytes, as tree-sitter counts them."""
        rows = np.searchsorted(self._line_starts, offsets, side="right") - 1
        columns = offsets - self._line_starts[rows]
        return [{"row": row, "column": column} for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]

    def categories(self) -> dict[str, dict[str, list[int]]]:
        """`node_categories`."""
        concept = np.asarray(self.tree.concept)
        return {
            group: {
                leaf: np.flatnonzero(np.isin(concept, [_NUMBERS[name] for name in concepts])).tolist()
                for leaf, concepts in leaves.items()
            }
            for group, leaves in CATEGORIES.items()
        }

    def errors(self) -> list[dict[str, Any]]:
        """`errors`: one entry per ERROR and MISSING node."""
        tree = self.tree
        nodes = np.flatnonzero(np.asarray(tree.flags) & (ERROR | MISSING))
        starts, lengths = np.asarray(tree.start)[nodes], np.asarray(tree.length)[nodes]
        found = []
        for node, start, end in zip(nodes.tolist(), self._points(starts), self._points(starts + lengths), strict=True):
            is_missing = tree.flags[node] & MISSING
            said = f"missing {tree.type(node)}" if is_missing else f"unexpected {self._snippet(node)}"
            kind = "MISSING" if is_missing else "ERROR"
            found.append({"type": kind, "message": said, "start_point": start, "end_point": end})
        return found

    def links(self, units: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """`cross_language_map`."""
        links = _no_links()
        for unit in units:
            if unit["kind"] in _FUNCTIONS:
                links["function_declarations"].append(self._declaration(unit, "name", "parameters", "returns", "body"))
            elif unit["kind"] in _CLASSES:
                links["class_declarations"].append(self._declaration(unit, "name", "body"))
            elif unit["kind"] == "import":
                node = unit["node"]
                said = {"module_path": unit["module"], "imported_items": unit["names"] or []}
                links["import_statements"].append({"node_id": node, **said, "text": self.tree.text(node)})
        return links

    def _declaration(self, unit: dict[str, Any], *parts: str) -> dict[str, object]:
        keys = {"returns": "return_type_node"}
        found = {
            keys.get(p, f"{p}_node"): self._find(unit["node"], unit[f"{p}_start"], unit[f"{p}_end"]) for p in parts
        }
        said = {"name": unit["name"], "text_snippet": self._snippet(unit["node"])}
        return {"node_id": unit["node"], "universal_type": unit["kind"], **found, **said}

    def _find(self, unit: int, start: int | None, end: int | None) -> int | None:
        """The outermost node of a range: inside a unit, else anywhere (a lambda's name stands outside)."""
        if start is None or end is None:
            return None
        tree = self.tree
        for low, high in ((unit + 1, tree.last[unit]), (0, len(tree))):
            node = bisect_left(tree.start, start, low, high)  # starts never fall in pre-order
            while node < high and tree.start[node] == start:
                if self._ends_at(node, end):
                    return node
                node += 1
        return None

    def _ends_at(self, node: int, end: int) -> bool:
        """Whether a node ends there, but for white space and comments: units leave them out, some grammars do not."""
        tree, after = self.tree, self.tree.last[node]
        if tree.end(node) <= end:
            return tree.end(node) == end
        rest = bisect_left(tree.start, end, node, after)
        if not tree.source[end : end + 1].isspace() and not (rest < after and tree.start[rest] == end):
            return False
        while rest < after:
            if tree.concept[rest] == _NUMBERS["comment"]:
                rest = tree.last[rest]
            elif tree.length[rest] and not tree.source[tree.start[rest] : tree.start[rest] + 1].isspace():
                return False
            else:
                rest += 1
        return True

    def _snippet(self, node: int) -> str:
        start = self.tree.start[node]
        size = min(self.tree.length[node], 4 * _SNIPPET_CHARS)
        return self.tree.source[start : start + size].decode("utf-8", "ignore")[:_SNIPPET_CHARS]


def dump(tree: Tree) -> Iterator[str]:
    """`lang_specific_parse`: the lines of `code_parser.walk`."""
    depths = [0] * len(tree)
    for node in range(len(tree)):
        depths[node] = depth = depths[node - tree.to_parent[node]] + 1 if node else 0
        snippet = tree.text(node).replace("\n", "\\n")
        yield f'{"  " * depth}({tree.type(node)}) "{snippet}"'
