"""Kernels of `align`: one pass over the tokens and the nodes of each document together."""

from typing import NamedTuple, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

from schemas.alignment import ALIGNMENT_STATUSES
from schemas.ast import ERROR, EXTRA, MISSING, NAMED

COUNTS = ("aligned_tokens", "leaves", "whole_leaves", "identifiers", "identifier_tokens")

Bytes = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Int: TypeAlias = "int | np.int64"

_ALIGNED, _NO_TREE, _LOSSY, _UNORDERED = (
    list(ALIGNMENT_STATUSES).index(name) for name in ("aligned", "no-tree", "lossy", "unordered")
)
_ODD = ERROR | MISSING | EXTRA


class Nodes(NamedTuple):
    """Columns of `schemas.ast.AST`: of one tree, or of all rows end to end."""

    concept: Bytes
    to_parent: Ids
    start: Ids
    length: Ids
    flags: Bytes


def _find_starts(text: Bytes, tokens: Ids, offsets: Longs, pieces: Bytes, starts: Ids) -> bool:
    """Fill where each token begins; whether the tokens spell the text, a space before it allowed (SentencePiece)."""
    total = 0
    for token in tokens:
        if token < 0 or token >= len(offsets) - 1:
            return False
        total += offsets[token + 1] - offsets[token]
    at = len(text) - total
    if at < -1 or at > 0:
        return False
    for number in range(len(tokens)):
        token = tokens[number]
        starts[number] = max(at, 0)
        for byte in range(offsets[token], offsets[token + 1]):
            if pieces[byte] != (text[at] if at >= 0 else 32):
                return False
            at += 1
    return True


_spell = numba.njit(cache=True)(_find_starts)


def _next_leaf(node: Int, tree: Nodes, known: Bytes) -> Int:
    """The first leaf that covers bytes from this node on, or how many nodes there are.

    Fills `known`, on the way, with the concept of each node or of the nearest above it that has one.
    """
    nodes = len(tree.start)
    while node < nodes:
        known[node] = tree.concept[node]
        if tree.concept[node] == 0 and 0 < tree.to_parent[node] <= node:
            known[node] = known[node - tree.to_parent[node]]
        has_child = node + 1 < nodes and tree.to_parent[node + 1] == 1
        if not has_child and tree.length[node] > 0:
            break
        node += 1
    return node


_leaf = numba.njit(cache=True)(_next_leaf)


def _align_row(
    size: int,
    starts: Ids,
    tree: Nodes,
    is_name: Flags,
    known: Bytes,
    leaf: Ids,
    token_concept: Bytes,
    group: Ids,
    counts: Ids,
) -> bool:
    """Walk tokens and leaves of a text of `size` bytes together; whether the leaves are in order and inside it."""
    nodes, broken, named = len(tree.start), np.int64(-1), np.int64(-1)
    node = np.int64(_leaf(np.int64(0), tree, known))
    if node < nodes and tree.start[node] < 0:
        return False
    for token in range(len(starts)):
        end = np.int64(starts[token + 1]) if token + 1 < len(starts) else np.int64(size)
        first, last, overlapped = node, np.int64(-1), 0
        while node < nodes and tree.start[node] < end:
            last, overlapped = node, overlapped + 1
            leaf_end = np.int64(tree.start[node]) + tree.length[node]
            if leaf_end > end:
                break
            node = np.int64(_leaf(node + 1, tree, known))
            counts[1] += 1
            if node < nodes and tree.start[node] < leaf_end:
                return False
        counts[0] += overlapped <= 1
        if overlapped > 1:
            counts[2] -= overlapped - (first == broken)
            broken = last
        leaf[token], token_concept[token], group[token] = last, known[last] if last >= 0 else 0, 0
        if last >= 0 and is_name[tree.concept[last]] and tree.flags[last] & (NAMED | _ODD) == NAMED:
            counts[3] += last != named
            counts[4] += 1
            named, group[token] = last, counts[3]
    counts[2] += counts[1]
    return bool(node == nodes)


_walk = numba.njit(cache=True)(_align_row)


def _tree_of(nodes: Nodes, offsets: Ids, row: int) -> Nodes:
    """The columns of one row. `offsets`: rows by column."""
    return Nodes(
        nodes.concept[offsets[0, row] : offsets[0, row + 1]],
        nodes.to_parent[offsets[1, row] : offsets[1, row + 1]],
        nodes.start[offsets[2, row] : offsets[2, row + 1]],
        nodes.length[offsets[3, row] : offsets[3, row + 1]],
        nodes.flags[offsets[4, row] : offsets[4, row + 1]],
    )


_tree = numba.njit(cache=True)(_tree_of)


def _align_rows(
    text_offsets: Ids,
    text: Bytes,
    token_offsets: Ids,
    tokens: Ids,
    node_offsets: Ids,
    nodes: Nodes,
    piece_offsets: Longs,
    pieces: Bytes,
    is_name: Flags,
    status: Bytes,
    borders: Longs,
    token_start: Ids,
    token_leaf: Ids,
    token_concept: Bytes,
    token_group: Ids,
    counts: Ids,
) -> None:
    """Fill the outputs row after row. A row that fails leaves nothing behind but its status.

    `borders`: where the elements of each row begin in `token_start`, and in the other lists.
    """
    rows, longest = len(status), 0
    for row in range(rows):
        longest = max(longest, node_offsets[0, row + 1] - node_offsets[0, row])
    known = np.zeros(longest, np.uint8)
    for row in range(rows):
        spelt, aligned = borders[0, row], borders[1, row]
        borders[0, row + 1], borders[1, row + 1] = spelt, aligned
        if status[row] != _ALIGNED and status[row] != _NO_TREE:
            continue
        ids = tokens[token_offsets[row] : token_offsets[row + 1]]
        size = np.int64(text_offsets[row + 1]) - text_offsets[row]
        starts = token_start[spelt : spelt + len(ids)]
        source = text[text_offsets[row] : text_offsets[row + 1]]
        if not _spell(source, ids, piece_offsets, pieces, starts):
            status[row] = _LOSSY
            continue
        borders[0, row + 1] = spelt + len(ids)
        if status[row] == _NO_TREE:
            continue
        end = aligned + len(ids)
        is_ordered = _walk(
            size,
            starts,
            _tree(nodes, node_offsets, row),
            is_name,
            known,
            token_leaf[aligned:end],
            token_concept[aligned:end],
            token_group[aligned:end],
            counts[:, row],
        )
        if is_ordered:
            borders[1, row + 1] = end
        else:
            status[row] = _UNORDERED


align_rows = numba.njit(cache=True)(_align_rows)
