"""Trees and units on a terminal: one line per node with its concept in colour."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.terminal import printable
from schemas.ast import CONCEPTS, ERROR, MISSING, NAMED
from stages.parse.tree import Tree

_CONCEPTS = tuple(CONCEPTS)
_STYLES = {
    "declaration": "green",
    "statement": "yellow",
    "expression": "cyan",
    "type": "magenta",
    "pattern": "magenta",
    "macro": "blue",
    "markup": "blue",
    "data": "blue",
    "style": "blue",
    "query": "blue",
    "source": "bold",
    "comment": "bright_black",
    "token": "bright_black",
    "error": "bold red",
}
"""Style by the first part of a concept's name."""

_LEAF_CHARS = 60
_INDENTED = 60
"""Levels that are indented; deeper ones are numbered."""


def print_tree(console: Console, tree: Tree, *, anonymous: bool, depth: int | None) -> None:
    """One line per node: field, kind, concept, where it is, and its text if it is a leaf."""
    for line in tree_lines(tree, anonymous=anonymous, depth=depth):
        console.print(line, soft_wrap=True)


def tree_lines(tree: Tree, *, anonymous: bool, depth: int | None) -> Iterator[Text]:
    """The lines of `print_tree`. Nodes at more than `depth` levels below the root are left out."""
    position = _Position(tree.source)
    ends: list[int] = []
    for node in range(len(tree)):
        while ends and ends[-1] <= node:
            ends.pop()
        level = len(ends)
        ends.append(tree.last[node])
        if (depth is not None and level > depth) or not (anonymous or tree.flags[node] & (NAMED | ERROR | MISSING)):
            continue
        yield _line(tree, node, level, position)


class _Position:
    """Line and column of bytes that come in order: one pass over the source."""

    def __init__(self, source: bytes) -> None:
        self._source, self._at, self._line, self._begin = source, 0, 1, 0

    def __call__(self, byte: int) -> str:
        if byte > self._at:
            self._line += self._source.count(b"\n", self._at, byte)
            self._begin = max(self._begin, self._source.rfind(b"\n", self._at, byte) + 1)
            self._at = byte
        return f"{self._line}:{byte - self._begin + 1}"


def _line(tree: Tree, node: int, level: int, position: _Position) -> Text:
    concept = _CONCEPTS[tree.concept[node]]
    style = _STYLES.get(concept.partition(".")[0], "")
    line = Text("  " * min(level, _INDENTED) + (f"({level}) " if level > _INDENTED else ""))
    if tree.field[node]:
        line.append(f"{tree.fields[tree.field[node]]}: ", style="bright_black")
    named = tree.flags[node] & NAMED
    line.append(printable(tree.type(node)) if named else json.dumps(tree.type(node), ensure_ascii=False), style=style)
    if concept != "none" and named:
        line.append(f"  {concept}", style=style)
    if tree.flags[node] & MISSING:
        line.append("  MISSING", style="bold red")
    line.append(f"  {position(tree.start[node])}", style="bright_black")
    if named and tree.last[node] == node + 1 and tree.length[node]:
        line.append(f"  {_shortened(tree.text(node))}")
    return line


def _shortened(text: str) -> str:
    quoted = json.dumps(text[: _LEAF_CHARS + 1], ensure_ascii=False)
    return printable(quoted if len(text) <= _LEAF_CHARS else quoted[: _LEAF_CHARS - 2] + '..."')


def print_units(console: Console, units: Iterable[Mapping[str, Any]]) -> None:
    """Two tables: units with their parts, and imports."""
    named = [unit for unit in units if unit["kind"] != "import"]
    imported = [unit for unit in units if unit["kind"] == "import"]
    if named:
        table = Table(title="units", title_justify="left", box=None, pad_edge=False)
        for head in ("lines", "kind", "name", "parameters", "returns", "marks", "documentation"):
            table.add_column(head, overflow="fold")
        for unit in named:
            cells = (unit["lines"], unit["kind"], unit["qualified_name"] or "-", unit["parameters"], unit["returns"])
            table.add_row(*(_cell(cell) for cell in (*cells, " ".join(unit["marks"]), unit["doc"])))
        console.print(table)
    if imported:
        table = Table(title="imports", title_justify="left", box=None, pad_edge=False)
        for head in ("lines", "module", "names"):
            table.add_column(head, overflow="fold")
        for unit in imported:
            table.add_row(*(_cell(cell) for cell in (unit["lines"], unit["module"], ", ".join(unit["names"] or []))))
        console.print(table)


def _cell(value: str | None) -> Text:
    first = " ".join((value or "").split())
    return Text(printable(first if len(first) <= _LEAF_CHARS else first[: _LEAF_CHARS - 3] + "..."))


def described_units(tree: Tree, units: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The units with their parts as text, and the lines on which they stand."""

    breaks = np.flatnonzero(np.frombuffer(tree.source, np.uint8) == ord("\n")).tolist()

    def text(unit: Mapping[str, Any], part: str) -> str | None:
        start = unit[f"{part}_start"]
        return None if start is None else tree.source[start : unit[f"{part}_end"]].decode("utf-8", "replace")

    def lines(unit: Mapping[str, Any]) -> str:
        start, end = unit["start"], max(unit["start"], unit["end"] - 1)
        first, last = (bisect_left(breaks, byte) + 1 for byte in (start, end))
        return f"{first}-{last}" if last > first else str(first)

    return [
        {
            "kind": unit["kind"],
            "name": unit["name"],
            "qualified_name": unit["qualified_name"],
            "parent": unit["parent"],
            "lines": lines(unit),
            "start": unit["start"],
            "end": unit["end"],
            "parameters": text(unit, "parameters"),
            "returns": text(unit, "returns"),
            "doc": text(unit, "doc"),
            "module": unit["module"],
            "names": unit["names"],
            "marks": [mark for mark in ("async", "test") if unit[f"is_{mark}"]],
        }
        for unit in units
    ]
