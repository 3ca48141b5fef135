"""Functions, classes, modules and imports of a tree: names, parts, documentation, nesting."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np

from stages.parse.grammar import CLASS_LIKE
from stages.parse.loaded import CONCEPT_NUMBER, Loaded
from stages.parse.paths import UnitPaths
from stages.parse.tree import Tree

Range: TypeAlias = tuple[int, int] | tuple[None, None]
_NOWHERE: Range = (None, None)

_COMMENT = CONCEPT_NUMBER["comment"]
_ARGUMENT, _ARGUMENTS = CONCEPT_NUMBER["expression.argument"], CONCEPT_NUMBER["expression.arguments"]

_FAR_BYTES = 4096
"""A comment that far before a unit does not belong to it."""
_CALLEE_BYTES = 200
_HEADER_BYTES = 4096
"""As much of the source before a name is searched for decorators and modifiers."""
_IMPORTED_CHARS = 65_536
_TRIMMED_LEVELS = 64
"""Bodies within bodies that may all end with the same white space."""
_QUALIFIED_CHARS = 4096
"""A longer qualified name is left out: a file of nested functions must not grow with the square of its depth."""

_OPERATOR = re.compile(r"\boperator\b")
_CONVERSION = re.compile(r"operator\s+[^\W\d][^(]*(?=\()")
"""The name of a C++ conversion without its parameters."""
_TEMPLATE_ARGUMENTS = re.compile(r"<[^<>]*>")


class UnitRow(NamedTuple):
    """One unit, in the order of the columns of `schemas.ast.UNITS`; a range stands for two of them."""

    kind: str
    name: str | None
    qualified_name: str | None
    parent: int | None
    node: int
    start: int
    end: int
    name_range: Range = _NOWHERE
    parameters: Range = _NOWHERE
    returns: Range = _NOWHERE
    body: Range = _NOWHERE
    doc: Range = _NOWHERE
    module: str | None = None
    names: list[str] | None = None
    is_async: bool = False
    is_test: bool = False


RANGES = ("name_range", "parameters", "returns", "body", "doc")
"""Fields of a `UnitRow` that are ranges."""


@dataclass(slots=True)
class _Around:
    """What encloses the units to come."""

    last: int
    kind: str = ""
    name: str | None = None
    qualified: str | None = None
    unit: int | None = None


@dataclass(slots=True)
class _Walk:
    """The state of one walk over the marked nodes of a tree."""

    tree: Tree
    loaded: Loaded
    comments: list[int] = field(default_factory=list)
    comment_starts: list[int] = field(default_factory=list)
    rows: list[UnitRow] = field(default_factory=list)
    around: list[_Around] = field(default_factory=list)


def find_units(tree: Tree, loaded: Loaded, marked: Sequence[int]) -> list[UnitRow]:
    """All units and imports among the marked nodes, in their order."""
    if not marked:
        return []
    comments = np.flatnonzero(np.asarray(tree.concept) == _COMMENT)
    starts = np.asarray(tree.start)[comments].tolist()
    walk = _Walk(tree, loaded, comments.tolist(), starts, around=[_Around(len(tree))])
    for node in marked:
        while walk.around[-1].last <= node:
            walk.around.pop()
        for place, module, names in _imports(tree, loaded, node):
            start, parent = tree.start[place], walk.around[-1].unit
            row = UnitRow("import", None, None, parent, place, start, tree.end(place), module=module, names=names)
            walk.rows.append(row)
        _visit(walk, node)
    return walk.rows


def _imports(tree: Tree, loaded: Loaded, node: int) -> list[tuple[int, str | None, list[str] | None]]:
    """The imports of a node; one without module and names for what no program writes: nested or long beyond measure."""
    read = loaded.imports.get(tree.kind[node])
    if read is None:
        return []
    found: list[tuple[int, str | None, list[str] | None]] = []
    try:
        for place, module, names in read(tree, node):
            if len(module) + sum(map(len, names)) > _IMPORTED_CHARS:
                return [(node, None, None)]
            found.append((place, module, names))
    except RecursionError:
        return [(node, None, None)]
    return found


def _visit(walk: _Walk, node: int) -> None:
    tree, loaded = walk.tree, walk.loaded
    for paths in loaded.units.get(tree.kind[node], ()):
        if paths.when is None or paths.when(tree, node):
            _enter(walk, node, paths)
            break


def _enter(walk: _Walk, node: int, paths: UnitPaths) -> None:
    tree, loaded, around = walk.tree, walk.loaded, walk.around[-1]
    name_node = paths.name(tree, node)
    if name_node is not None and tree.length[name_node] > _QUALIFIED_CHARS:
        name_node = None
    separator = "" if paths.unit == "module" else loaded.grammar.separator
    name, owner = _split_name(tree.text(name_node), separator) if name_node is not None else (None, None)
    if paths.owner is not None and (owner_node := paths.owner(tree, node)) is not None:
        owner = tree.text(owner_node)
    qualified = None if name is None else ".".join(part for part in (around.qualified, owner, name) if part)
    if qualified is not None and len(qualified) > _QUALIFIED_CHARS:
        qualified = None
    if paths.unit == "scope":
        walk.around.append(_Around(tree.last[node], "scope", name, qualified or around.qualified, around.unit))
        return
    kind = _kind_of(paths.unit, name, owner, around, loaded)
    body, parameters = paths.body(tree, node), paths.parameters(tree, node)
    header = _header(walk, node, name_node, parameters, body)
    last = node if body is None else max(node, body, key=tree.last.__getitem__)  # a macro's body stands after it
    row = UnitRow(
        kind=kind,
        name=name,
        qualified_name=qualified,
        parent=around.unit,
        node=node,
        start=tree.start[node],
        end=_end(tree, last),
        name_range=_range(tree, name_node),
        parameters=_range(tree, parameters, paths.parameters_end(tree, node)),
        returns=_range(tree, paths.returns(tree, node)),
        body=_NOWHERE if body is None else (tree.start[body], _end(tree, body)),
        doc=_NOWHERE if kind == "lambda" else _documentation(walk, node, body),
        is_async=_is_async(loaded, tree, node, header),
        is_test=_is_test(walk, node, kind, name, header),
    )
    walk.around.append(_Around(tree.last[last], kind, name, qualified or around.qualified, len(walk.rows)))
    walk.rows.append(row)


def _is_async(loaded: Loaded, tree: Tree, node: int, header: bytes) -> bool:
    """Whether one of the words stands in the header, or directly in the node behind the name: `func f() async`."""
    if loaded.grammar.async_pattern.search(header):
        return True
    return any(tree.kind[child] in loaded.async_words for child in tree.children(node)) if loaded.async_words else False


def _range(tree: Tree, node: int | None, last: int | None = None) -> Range:
    return _NOWHERE if node is None else (tree.start[node], tree.end(node if last is None else last))


def _end(tree: Tree, node: int) -> int:
    """Byte after the node, without the white space and comments behind it that some grammars take in."""
    for _ in range(_TRIMMED_LEVELS):
        end, last = tree.end(node), tree.last[node] - 1
        is_comment = tree.concept[last] == _COMMENT and last != node and tree.end(last) == end
        if not is_comment and not tree.source[end - 1 : end].isspace():
            break
        children = [child for child in tree.children(node) if tree.concept[child] != _COMMENT and tree.length[child]]
        if not children:
            break
        node = children[-1]
    return tree.end(node)


def _split_name(text: str, separator: str) -> tuple[str | None, str | None]:
    """Name and owner: `A<T>::f` gives `f` and `A`; white space inside a name is collapsed."""
    text = " ".join(text.split())
    if not separator:
        return text or None, None
    operator = _OPERATOR.search(text)
    head, tail = (text[: operator.start()], text[operator.start() :]) if operator else (text, "")
    while head != (bare := _TEMPLATE_ARGUMENTS.sub("", head)):
        head = bare
    parts = [part.strip() for part in head.split(separator)]
    if conversion := _CONVERSION.match(tail):
        tail = conversion[0].strip()
    name = re.sub(r"\s+(?=\W)", "", tail) if tail else re.sub(r"~\s+", "~", parts[-1])
    return name or None, ".".join(part for part in parts[:-1] if part) or None


def _kind_of(unit: str, name: str | None, owner: str | None, around: _Around, loaded: Loaded) -> str:
    if unit == "function" and (around.kind in CLASS_LIKE or owner):
        unit = "method"
    if unit != "method" or name is None:
        return unit
    class_name = owner.rpartition(".")[2] if owner else around.name
    is_named_so = loaded.grammar.class_name_constructs and name == (class_name or "").partition("<")[0]
    return "constructor" if is_named_so or name in loaded.grammar.constructors else unit


def _anchor(walk: _Walk, node: int) -> int:
    """The outermost node that belongs to the unit: its decorators, `export`, `template`."""
    tree = walk.tree
    while node and tree.kind[node - tree.to_parent[node]] in walk.loaded.wrappers:
        node -= tree.to_parent[node]
    return _foremost(walk, node) if walk.loaded.leading else node


def _foremost(walk: _Walk, node: int) -> int:
    """The first of the nodes before a node, beside it, that belong to it."""
    tree, parent = walk.tree, node - walk.tree.to_parent[node]
    while node - 1 > parent:
        before = node - 1
        while before - tree.to_parent[before] != parent:
            before -= tree.to_parent[before]
        if tree.kind[before] not in walk.loaded.leading:
            break
        node = before
    return node


def _header(walk: _Walk, node: int, *parts: int | None) -> bytes:
    """The source before the first part inside the unit, decorators included; the end of it where it is long."""
    tree = walk.tree
    start = tree.start[_anchor(walk, node)]
    inside = (tree.start[part] for part in parts if part is not None and part > node)
    end = next(inside, min(tree.end(node), start + _HEADER_BYTES))
    return tree.source[max(start, end - _HEADER_BYTES) : end]


def _documentation(walk: _Walk, node: int, body: int | None) -> Range:
    """The unit's docstring, else the comments directly before it."""
    tree, source = walk.tree, walk.tree.source
    docstring = walk.loaded.grammar.docstring
    if docstring is not None and body is not None and (found := docstring(tree, body)) is not None:
        return _range(tree, found)
    at = start = tree.start[_anchor(walk, node)]
    end = None
    index = bisect_left(walk.comment_starts, start) - 1
    while index >= 0:
        comment = walk.comments[index]
        comment_start, comment_end = tree.start[comment], tree.end(comment)
        while comment_end > comment_start and source[comment_end - 1] in b"\r\n":  # some grammars include them
            comment_end -= 1
        if not 0 <= at - comment_end <= _FAR_BYTES or not _is_adjacent(source, comment_start, comment_end, at):
            break
        end, at, index = comment_end if end is None else end, comment_start, index - 1
    return _NOWHERE if end is None else (at, end)


def _is_adjacent(source: bytes, start: int, end: int, following: int) -> bool:
    """Whether a comment begins its line and nothing but a line break and indentation follows up to `following`."""
    gap = source[end:following]
    if gap.strip() or max(gap.count(b"\n"), gap.count(b"\r")) > 1:
        return False
    far = max(0, start - _FAR_BYTES)
    line = max(source.rfind(b"\n", far, start), source.rfind(b"\r", far, start))
    return (line >= 0 or far == 0) and not source[max(line + 1, far) : start].strip()


def _is_test(walk: _Walk, node: int, kind: str, name: str | None, header: bytes) -> bool:
    tree, tests = walk.tree, walk.loaded.tests
    if tests.name is not None and name is not None and tests.name.search(name.encode()):
        return True
    if tests.header is not None and tests.header.search(header):
        return True
    if tests.callee is None or kind != "lambda":
        return False
    arguments = node - tree.to_parent[node]
    if tree.concept[arguments] == _ARGUMENT:
        arguments -= tree.to_parent[arguments]
    if tree.concept[arguments] != _ARGUMENTS:
        return False
    call = tree.start[arguments - tree.to_parent[arguments]]
    return tests.callee.match(tree.source[call : min(call + _CALLEE_BYTES, tree.start[node])]) is not None
