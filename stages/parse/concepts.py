"""The universal concept of every node: the kind's own, unless a case of the grammar's table holds."""

import numba
import numpy as np
import numpy.typing as npt

from stages.parse.loaded import ITSELF, CaseTables, Loaded
from stages.parse.subtree import Columns

_LOOKED_AT = 4096
"""Children, and children of children, that are looked through for one that a case needs."""


def assign_concepts(columns: Columns, source: npt.NDArray[np.uint8], loaded: Loaded) -> npt.NDArray[np.uint8]:
    """Concept number (uint8) of every node of the columns."""
    out = np.empty(len(columns.kind), np.uint8)
    _assign(columns, source, loaded.concepts, loaded.cases, out)
    return out


def find_marked(columns: Columns, source: npt.NDArray[np.uint8], loaded: Loaded) -> list[int]:
    """Nodes that may be units or imports, in order."""
    marks = np.empty(len(columns.kind), np.uint8)
    _assign(columns, source, loaded.marks, loaded.mark_cases, marks)
    return np.flatnonzero(marks).tolist()


def _has_child(columns: Columns, node: int, wanted: npt.NDArray[np.bool_], through: npt.NDArray[np.bool_]) -> bool:
    child = node + 1
    for _ in range(_LOOKED_AT):
        if child >= columns.last[node]:
            break
        kind = min(columns.kind[child], len(wanted) - 1)
        if wanted[kind]:
            return True
        child = child + 1 if through[kind] else columns.last[child]
    return False


def _says(columns: Columns, node: int, source: npt.NDArray[np.uint8], cases: CaseTables, case: int) -> bool:
    """Whether the text of the node's child in the case's field, or of the node, is one of the case's words."""
    child = node
    if cases.words_of[case] != ITSELF:
        child = node + 1
        while child < columns.last[node] and columns.field[child] != cases.words_of[case]:
            child = columns.last[child]
        if child >= columns.last[node]:
            return False
    start = columns.start[child]
    for word in range(cases.first_word[case], cases.first_word[case + 1]):
        begin, size = cases.word_offsets[word], cases.word_offsets[word + 1] - cases.word_offsets[word]
        if size != columns.length[child]:
            continue
        same = 0
        while same < size and source[start + same] == cases.words[begin + same]:
            same += 1
        if same == size:
            return True
    return False


_finds = numba.njit(cache=True)(_has_child)
_is_word = numba.njit(cache=True)(_says)


def _assign_rows(
    columns: Columns,
    source: npt.NDArray[np.uint8],
    concepts: npt.NDArray[np.uint8],
    cases: CaseTables,
    out: npt.NDArray[np.uint8],
) -> None:
    error = len(concepts) - 1
    for node in range(len(out)):
        number = min(columns.kind[node], error)
        out[node] = concepts[number]
        if cases.first[number] == cases.first[number + 1]:
            continue
        parent = node - columns.to_parent[node]
        above = min(columns.kind[parent], error)
        for position in range(cases.first[number], cases.first[number + 1]):
            case = cases.order[position]
            if not (cases.parent[case, above] and cases.field[case, columns.field[node]]):
                continue
            if not cases.parent_concept[case, out[parent]]:
                continue
            if cases.needs_child[case] and not _finds(columns, node, cases.child[case], cases.through[case]):
                continue
            if cases.words_of[case] and not _is_word(columns, node, source, cases, case):
                continue
            out[node] = cases.concept[case]
            break


_assign = numba.njit(cache=True)(_assign_rows)
