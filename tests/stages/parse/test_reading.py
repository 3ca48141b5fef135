"""Published trees: read without a grammar, walked as objects, printed as tree-sitter prints them, drawn as graphs."""

import ctypes
import importlib
import json
import re
import subprocess
import sys

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_sitter import Language, Parser
from tree_sitter import Tree as ParsedTree

from pipeline.annotate import extend
from pipeline.parquet import parquet_bytes, read_parquet
from schemas.ast import AST, ERROR, GRAMMARS_KEY
from stages.parse.kinds import Kinds
from stages.parse.loaded import load_grammar
from stages.parse.parse import grammar_metadata, parse_source, parsed_batch
from stages.parse.reading import Node, grammar_names, s_expression, to_networkx, tree_of
from stages.parse.subtree import make_columns, read_tree
from stages.parse.tree import Tree

SOURCE = 'import os\n\n\nclass A:\n    """Ä."""\n\n    async def f(self, x=1):\n        return [x, "é"]\n'
_ALPHABET = "(){}[]<>;:,.='\"#@/*-+ \n\tabif0é$?\\\x00"


def published(*sources: str | None) -> pa.Table:
    """Documents and trees as a user finds them in a Parquet file."""
    rows = ["no-text" if source is None else parse_source(source.encode(), "python") for source in sources]
    trees = pa.Table.from_batches([parsed_batch(rows)]).replace_schema_metadata(grammar_metadata(["python"]))
    table = extend(pa.table({"text": pa.array(sources, pa.string())}), trees)
    return read_parquet(pa.BufferReader(parquet_bytes(table)))


def test_reading_needs_no_tree_sitter():
    program = "import sys; sys.modules['tree_sitter'] = None; import stages.parse.reading, stages.parse.tree"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("source", [SOURCE, "", "def f(:\n  ]\n", "x = " + "(" * 500 + ")" * 500])
def test_a_tree_is_the_one_that_was_parsed(source):
    table = published("x", None, source)
    assert table.schema.metadata[GRAMMARS_KEY]
    tree, parsed = tree_of(table, 2, grammar_names(table.schema)), parse_source(source.encode(), "python").tree
    for name in ("source", "kinds", "fields"):
        assert getattr(tree, name) == getattr(parsed, name)
    for name in ("kind", "concept", "to_parent", "start", "length", "field", "flags", "last", "unexpected"):
        assert list(getattr(tree, name)) == list(getattr(parsed, name)), name
    assert s_expression(tree) == str(load_grammar("python").parser.parse(source.encode()).root_node)


def test_columns_are_not_copied():
    table = published(SOURCE)
    assert np.shares_memory(np.asarray(tree_of(table, 0).start), table["node_start"].chunk(0).values.to_numpy())


def broken(table: pa.Table, name: str, change: dict[int, int]) -> pa.Table:
    values = table[name][0].as_py()
    for place, value in change.items():
        values[place] = value
    return table.set_column(
        table.schema.get_field_index(name), AST.field(name), pa.array([values], AST.field(name).type)
    )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("node_kind", {3: 9999}, "row 0 has kind 9999, but only"),
        ("node_field", {1: 250}, "row 0 has field 250, but only"),
        ("node_concept", {1: 250}, "row 0 has concept 250, but only"),
        ("node_start", {1: 5000}, "row 0 has nodes outside its text of"),
        ("node_length", {1: -1}, "row 0 has nodes outside its text of"),
        ("node_to_parent", {0: 1}, "not that of a tree in pre-order"),
        ("node_to_parent", {2: 0}, "not that of a tree in pre-order"),
        ("node_to_parent", {2: 3}, "not that of a tree in pre-order"),
        ("node_to_parent", {5: -1}, "not that of a tree in pre-order"),
        ("node_to_parent", {8: 4}, "not that of a tree in pre-order"),
    ],
)
def test_columns_that_hold_no_tree_are_errors(name, change, message):
    with pytest.raises(ValueError, match=message):
        tree_of(broken(published(SOURCE), name, change), 0)


def test_what_is_missing_is_named():
    table = published(SOURCE, None)
    for changed, row, message in [
        (table, 1, "row 1 has no tree: no-text: the document has no text"),
        (table.drop_columns("text"), 0, "the table has no column 'text'"),
        (table.replace_schema_metadata(None), 0, "no metadata 'gristmill:grammars'"),
        (table.replace_schema_metadata({GRAMMARS_KEY: b"{}"}), 0, "is of grammar 'python', which"),
        (table.set_column(0, "text", pa.array([None, None], pa.string())), 0, "has a tree but no text"),
        (table.set_column(0, "text", pa.array(["x", ""], pa.string())), 0, "of different documents"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            tree_of(changed, row)


def both(source: bytes, module: str) -> tuple[Tree, ParsedTree]:
    """A tree as columns, and as tree-sitter holds it; of any grammar that is installed, without concepts."""
    entry = importlib.import_module(module).language
    language, pointer = Language(entry()), ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    built, names = Parser(language).parse(source), Kinds(module, language)
    columns = make_columns(2 * built.root_node.descendant_count + 64)
    nodes, _ = read_tree(built, pointer(entry(), b"tree_sitter.Language"), columns)
    views = {name: array[:nodes].data for name, array in columns._asdict().items()}
    is_childless = (columns.flags[:nodes] & ERROR != 0) & (columns.last[:nodes] == np.arange(1, nodes + 1))
    views["unexpected"] = columns.unexpected[:nodes][is_childless].data
    views["concept"] = np.zeros(nodes, np.uint8).data
    return Tree(source=source, kinds=names.kinds, fields=names.fields, **views), built


@pytest.mark.parametrize(
    "module", ["tree_sitter_python", "tree_sitter_c", "tree_sitter_javascript", "tree_sitter_ruby"]
)
@given(source=st.one_of(st.text(_ALPHABET, max_size=60), st.binary(max_size=40)))
def test_s_expressions_are_those_of_tree_sitter(module, source):
    tree, built = both(source if isinstance(source, bytes) else source.encode(), module)
    assert s_expression(tree) == str(built.root_node)


@pytest.mark.parametrize(
    ("source", "module", "part"),
    [
        (b"x = ?", "tree_sitter_python", "(module (ERROR (identifier) (UNEXPECTED '?')))"),
        (b"a \x01 b", "tree_sitter_c", "(UNEXPECTED 1)"),
        (b"a \x7f b", "tree_sitter_c", "(UNEXPECTED 127)"),
        (b"a \xff b", "tree_sitter_c", "(UNEXPECTED INVALID)"),
        (b"a \x00 b", "tree_sitter_c", "(UNEXPECTED '\\0')"),
        ("a € b".encode(), "tree_sitter_c", "(UNEXPECTED 8364)"),
        (b"int f() { return 1 }", "tree_sitter_c", '(MISSING ";")'),
        (b"int f(int a) { if (a) }", "tree_sitter_c", "consequence: (expression_statement"),
        (b"int f() { return a + ; }", "tree_sitter_c", "right: (MISSING identifier)"),
    ],
)
def test_what_is_unexpected_or_missing_is_printed_as_tree_sitter_does(source, module, part):
    tree, built = both(source, module)
    assert s_expression(tree) == str(built.root_node)
    assert part in s_expression(tree)


def test_every_node_can_be_printed_and_fields_of_it_are_left_out():
    data = b"def f(a, b=[1]) -> int:\n    return a\nprint(f(1) if x else 2)\n"
    tree, built = parse_source(data, "python").tree, load_grammar("python").parser.parse(data)
    found, nodes = [], [built.root_node]
    while nodes:
        node = nodes.pop()
        found.append(str(node))
        nodes += reversed(node.children)
    assert [s_expression(tree, node) for node in range(len(tree))] == found


def test_a_deep_tree_is_printed():
    depth = 100_000
    tree = parse_source(b"(" * depth + b"1" + b")" * depth, "python").tree
    assert s_expression(tree).count("(parenthesized_expression") == depth
    assert len(to_networkx(tree)) == len(tree)


def test_nodes_are_objects():
    tree = tree_of(published(SOURCE), 0)
    root = Node(tree)
    assert (root.type, root.concept, root.parent, root.field) == ("module", "source", None, None)
    assert [child.type for child in root] == ["import_statement", "class_definition"]
    declaration = root.children[1]
    assert declaration.child("name").text == "A"
    assert declaration.child("superclasses") is None
    assert declaration.child("name").parent == declaration
    assert declaration.child("name").field == "name"
    assert [child.type for child in declaration.named_children] == ["identifier", "block"]
    assert [child.is_named for child in declaration] == [False, True, False, True]
    assert [node.text for node in root.walk() if node.concept == "expression.literal"] == ['"""Ä."""', "1", '"é"']
    assert [node.index for node in root.walk()] == list(range(len(tree)))
    assert len({Node(tree, 1), Node(tree, 1), root}) == 2
    assert root != Node(tree_of(published(SOURCE), 0))
    assert repr(declaration.child("name")) == f"<Node {declaration.child('name').index} identifier 18..19>"
    assert (declaration.start, declaration.end) == (12, len(SOURCE.encode()) - 1)
    with pytest.raises(KeyError, match="nonsense"):
        root.child("nonsense")


def test_errors_missing_tokens_and_extras_are_seen():
    tree, _ = both(b"int f() { return 1 } // c\nint @ x;\n", "tree_sitter_c")
    seen = [(node.type, node.is_error, node.is_missing, node.is_extra) for node in Node(tree).walk()]
    assert ("ERROR", True, False, True) in seen or ("ERROR", True, False, False) in seen
    assert (";", False, True, False) in seen
    assert ("comment", False, False, True) in seen


def test_a_graph_has_every_node_with_its_attributes():
    tree = tree_of(published(SOURCE), 0)
    graph = to_networkx(tree)
    assert nx.is_arborescence(graph)
    assert graph.nodes[0] == {
        "kind": "module",
        "concept": "source",
        "start": 0,
        "end": len(SOURCE.encode()),
        "field": None,
        "named": True,
        "error": False,
        "missing": False,
    }
    assert list(graph.successors(0)) == list(tree.children(0))
    leaves = [data["text"] for _, data in graph.nodes(data=True) if "text" in data]
    assert "".join(leaves) == "".join(SOURCE.split())


def test_without_networkx_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(ModuleNotFoundError, match="gristmill\\[graph\\]"):
        to_networkx(parse_source(b"x", "python").tree)


def test_names_come_from_the_metadata_alone():
    names = grammar_names(published(SOURCE).schema)["python"]
    stored = json.loads(published(SOURCE).schema.metadata[GRAMMARS_KEY])["python"]
    assert names.kinds == (*stored["kinds"], "ERROR")
    assert names.version == load_grammar("python").version
