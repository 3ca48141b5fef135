"""Proves, once per grammar and process, that trees are read from memory as tree-sitter's own cursor shows them."""

import sys
from importlib.metadata import version

from tree_sitter import Parser

from schemas.ast import HIDDEN
from stages.parse.cursor import CURSOR_COLUMNS, cursor_rows
from stages.parse.subtree import make_columns, read_tree

FLAGS = CURSOR_COLUMNS.index("flags")
_PROBE = b"""
#include <a.h>
import a.b as c; // \xc3\xa9
class A(B): { int f(x: int = 1, *y) { return g(x)[0] + "s" && !z; } }
def f(a, b=2):
    for i in range(3): print(i, 'x')
<p class="q">t</p> { "k": [1, 2.5, null] } a = b ? c : d;
"""


def certify_grammar(parser: Parser, address: int, name: str) -> None:
    """Raises RuntimeError if a tree of the grammar is read otherwise than the cursor shows it."""
    if sys.byteorder != "little" or sys.maxsize < 2**32:
        raise RuntimeError("trees are read from memory on 64-bit little-endian machines only; this is another")
    for size in (0, 1, 40, len(_PROBE)):
        tree = parser.parse(_PROBE[:size])
        out = make_columns(2 * len(_PROBE))
        nodes, _ = read_tree(tree, address, out)
        shown = [column[:nodes] for column in out[: len(CURSOR_COLUMNS)]]
        rows = [row for row in zip(*(column.tolist() for column in shown), strict=True) if not row[FLAGS] & HIDDEN]
        expected = cursor_rows(tree)
        if nodes != len(expected):  # hidden missing nodes shift what is counted in nodes
            rows, expected = ([(r[0], *r[2:6]) for r in side] for side in (rows, expected))
        if rows != expected:
            raise RuntimeError(
                f"trees of grammar {name} are not laid out as known in tree-sitter {version('tree-sitter')}; "
                "install the version that infra/constraints.txt names"
            )
