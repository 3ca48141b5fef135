"""Syntax trees as columns, read where the parser has built them: no call and no object per node.

The layouts are those of tree-sitter's `subtree.h` and `parser.h` on 64-bit little-endian machines, unchanged since
0.20; `stages.parse.certify` compares every grammar with the public cursor before this is trusted. The walk follows
`ts_tree_cursor_child_iterator_next` (visibility, aliases) and `ts_tree_cursor_current_field_id` (fields).
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from tree_sitter import Tree as ParsedTree

from schemas.ast import ERROR_KIND
from stages.parse.memory import load_i32, load_i64, load_u8, load_u16, load_u32

# TSLanguage
_FIELD_COUNT, _MAX_ALIASES, _TABLES = 32, 36, 40
_FIELD_SLICES, _FIELD_ENTRIES, _METADATA, _PUBLIC, _ALIASES = (_TABLES + 8 * i for i in (6, 7, 8, 9, 11))
# SubtreeHeapData
_PADDING, _SIZE, _CHILD_COUNT, _SYMBOL, _BITS, _LOOKAHEAD, _PRODUCTION = 4, 16, 36, 40, 44, 48, 66

# a frame of the walk: a node whose children are being visited
_FRAME = 10
_CHILDREN, _COUNT, _NEXT, _STRUCTURAL, _ALIAS_ROW, _FIELDS, _NUM_FIELDS, _NODE, _PASSED, _OWN = range(_FRAME)


class Columns(NamedTuple):
    """Room for nodes: one array per column."""

    kind: npt.NDArray[np.uint16]
    to_parent: npt.NDArray[np.int32]
    start: npt.NDArray[np.int32]
    length: npt.NDArray[np.int32]
    field: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    last: npt.NDArray[np.int32]
    """Index after the node's last descendant; not stored."""
    unexpected: npt.NDArray[np.int32]
    """What `ast_unexpected` holds, at the nodes that it is about."""


def make_columns(capacity: int) -> Columns:
    """Uninitialised columns of a capacity in nodes."""
    return Columns(
        kind=np.empty(capacity, np.uint16),
        to_parent=np.empty(capacity, np.int32),
        start=np.empty(capacity, np.int32),
        length=np.empty(capacity, np.int32),
        field=np.empty(capacity, np.uint8),
        flags=np.empty(capacity, np.uint8),
        last=np.empty(capacity, np.int32),
        unexpected=np.full(capacity, -2, np.int32),
    )


def read_tree(tree: ParsedTree, language: int, out: Columns) -> tuple[int, int]:
    """Fill the columns with a tree; give its nodes and depth. Nodes are -1 where the columns are too short.

    `language` is the address of the grammar's TSLanguage.
    """
    nodes, depth = _walk(tree.root_node.id, language, out)
    return int(nodes), int(depth)


class _Node(NamedTuple):
    """A subtree as the parser keeps it: what a node shows, and where its children are."""

    visible: int
    named: int
    extra: int
    missing: int
    symbol: int
    padding: int
    size: int
    children: int
    production: int


def _decode_subtree(subtree: int) -> _Node:
    """A subtree is a pointer, or a small leaf kept in the pointer itself."""
    if subtree & 1:
        return _Node(
            subtree >> 1 & 1,
            subtree >> 2 & 1,
            subtree >> 3 & 1,
            subtree >> 5 & 1,
            subtree >> 8 & 0xFF,
            subtree >> 48 & 0xFF,
            subtree >> 56 & 0xFF,
            0,
            0,
        )
    bits, children = load_u16(subtree + _BITS), load_u32(subtree + _CHILD_COUNT)
    return _Node(
        bits & 1,
        bits >> 1 & 1,
        bits >> 2 & 1,
        bits >> 9 & 1,
        load_u16(subtree + _SYMBOL),
        load_u32(subtree + _PADDING),
        load_u32(subtree + _SIZE),
        children,
        load_u16(subtree + _PRODUCTION) if children else 0,
    )


def _find_field(frame: npt.NDArray[np.int64]) -> int:
    """Field of the frame's next structural child: its own, or the one passed down by hidden parents."""
    for entry in range(frame[_NUM_FIELDS]):
        address = frame[_FIELDS] + 4 * entry
        is_inherited = load_u8(address + 3)
        if load_u8(address + 2) == frame[_STRUCTURAL] and not is_inherited:
            return load_u16(address)
    return int(frame[_PASSED])


def _push_frame(frame: npt.NDArray[np.int64], subtree: int, node: _Node, language: int) -> None:
    frame[_CHILDREN], frame[_COUNT], frame[_NEXT], frame[_STRUCTURAL] = subtree - 8 * node.children, node.children, 0, 0
    frame[_ALIAS_ROW] = frame[_FIELDS] = frame[_NUM_FIELDS] = 0
    if node.production:
        row = 2 * node.production * load_u16(language + _MAX_ALIASES)
        frame[_ALIAS_ROW] = load_i64(language + _ALIASES) + row
    if load_u32(language + _FIELD_COUNT):
        slot = load_i64(language + _FIELD_SLICES) + 4 * node.production
        frame[_FIELDS] = load_i64(language + _FIELD_ENTRIES) + 4 * load_u16(slot)
        frame[_NUM_FIELDS] = load_u16(slot + 2)


_decode = numba.njit(cache=True)(_decode_subtree)
_field = numba.njit(cache=True)(_find_field)
_push = numba.njit(cache=True)(_push_frame)


def _walk_tree(slot: int, language: int, out: Columns) -> tuple[int, int]:  # noqa: C901 - one loop, one state
    """Pre-order over the visible nodes, with a frame for every node that has children, hidden ones too."""
    stack: Any = np.empty((256, _FRAME), np.int64)
    top, nodes, level, depth, position, parent = 0, 0, 0, 0, 0, -1
    subtree = load_i64(slot)
    while True:
        if nodes:
            frame = stack[top - 1]
            if frame[_NEXT] == frame[_COUNT]:
                if frame[_OWN] >= 0:
                    out.last[frame[_OWN]] = nodes
                    level -= 1
                top -= 1
                if top == 0:
                    return nodes, depth
                continue
            subtree, parent = load_i64(frame[_CHILDREN] + 8 * frame[_NEXT]), frame[_NODE]
        node = _decode(subtree)
        visible, named, symbol, field = node.visible, node.named, node.symbol, 0
        if nodes == 0:
            position, visible = node.padding, 1
        else:
            position += node.padding if frame[_NEXT] else 0  # the first child's padding is its parent's
            if not node.extra:
                alias = load_u16(frame[_ALIAS_ROW] + 2 * frame[_STRUCTURAL]) if frame[_ALIAS_ROW] else 0
                if alias:
                    visible, named, symbol = 1, load_u8(load_i64(language + _METADATA) + 3 * alias + 1), alias
                field = _field(frame)
                frame[_STRUCTURAL] += 1
            frame[_NEXT] += 1
        own = nodes
        if visible or node.missing:
            if nodes == len(out.kind):
                return -1, 0
            is_error = symbol == ERROR_KIND
            out.kind[own] = symbol if is_error else load_u16(load_i64(language + _PUBLIC) + 2 * symbol)
            out.to_parent[own] = own - parent if own else 0
            out.start[own], out.length[own], out.field[own] = position, node.size, field
            out.flags[own] = named | is_error << 1 | node.missing << 2 | node.extra << 3 | (1 - visible) << 4
            if is_error and node.children == 0 and node.size:
                out.unexpected[own] = load_i32(subtree + _LOOKAHEAD)
            nodes += 1
            out.last[own] = nodes
            depth = max(depth, level + 1)
        if node.children == 0:
            position += node.size
            if top == 0:
                return nodes, depth
            continue
        if top == len(stack):
            longer = np.empty((2 * top, _FRAME), np.int64)
            longer[:top] = stack
            stack = longer
        _push(stack[top], subtree, node, language)
        stack[top, _NODE], stack[top, _PASSED], stack[top, _OWN] = parent, field, -1
        if visible:
            stack[top, _NODE], stack[top, _PASSED], stack[top, _OWN] = own, 0, own
            level += 1
        top += 1


_walk = numba.njit(cache=True)(_walk_tree)
