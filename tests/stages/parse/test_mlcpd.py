"""MLCPD's format: what it declares, what it emits, and what its published rows are good for."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotate import extend
from schemas.ast import AST, CONCEPTS, GRAMMARS_KEY, STATUSES, UNITS
from stages.parse.loaded import load_grammar
from stages.parse.mlcpd import (
    LANGUAGES,
    MLCPD,
    MlcpdConfig,
    from_mlcpd,
    linguist_language,
    mlcpd_batches,
    mlcpd_language,
    to_mlcpd,
)
from stages.parse.parse import grammar_metadata, parse_source, parsed_batch
from stages.parse.reading import Node, s_expression, tree_of

SOURCE = '''import os
from a.b import c as d, e


class A(B):
    """Ä."""

    def __init__(self, x: int = 1) -> None:
        self.x = -x if x else x + 1

    async def f(self):
        for i in [1, "é"]:
            print(i)


g = lambda: 1
'''
COLUMNS = [name for name in AST.names if name.startswith("node_")]

POINT = {"properties": {"row": {"type": "integer"}, "column": {"type": "integer"}}, "type": "object"}
IDS = {"type": "array", "items": {"type": "integer"}}
OPTIONAL = {"type": ["integer", "null"]}
LEAVES = {
    "declarations": ["functions", "variables", "classes", "imports", "modules", "enums"],
    "statements": ["expressions", "assignments", "loops", "conditionals", "returns", "exceptions"],
    "expressions": ["calls", "literals", "identifiers", "binary_operations", "unary_operations", "member_access"],
}
FUNCTION = {
    "universal_type": {"enum": ["function", "method", "constructor", "lambda"]},
    **dict.fromkeys(("name_node", "parameters_node", "return_type_node", "body_node"), OPTIONAL),
    "name": {"type": ["string", "null"]},
    "text_snippet": {"type": "string", "maxLength": 100},
}
CLASS = {
    "universal_type": {"enum": ["class", "struct", "interface", "trait", "enum"]},
    **dict.fromkeys(("name_node", "body_node"), OPTIONAL),
    "name": {"type": ["string", "null"]},
    "text_snippet": {"type": "string", "maxLength": 100},
}
IMPORT = {
    "module_path": {"type": ["string", "null"]},
    "imported_items": {"type": "array", "items": {"type": "string"}},
    "text": {"type": "string"},
}
NODE = {
    "id": {"type": "integer"},
    "type": {"type": "string"},
    "text": {"type": "string"},
    "start_byte": {"type": "integer"},
    "end_byte": {"type": "integer"},
    "start_point": POINT,
    "end_point": POINT,
    "children": IDS,
    "parent": OPTIONAL,
    "field_name": {"type": ["string", "null"]},
    "is_named": {"type": "boolean"},
    "is_error": {"type": "boolean"},
    "language_specific": {"type": "object"},
}


def exactly(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def listed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": exactly({"node_id": {"type": "integer"}, **properties})}


BOTH = {
    "node_categories": exactly({group: exactly(dict.fromkeys(leaves, IDS)) for group, leaves in LEAVES.items()}),
    "cross_language_map": exactly(
        {
            "function_declarations": listed(FUNCTION),
            "class_declarations": listed(CLASS),
            "import_statements": listed(IMPORT),
        }
    ),
}
DECLARED = exactly(
    {
        "schema_version": {"type": "string"},
        "language": {"type": "string"},
        "success": {"type": "boolean"},
        "metadata": exactly(
            {
                "lines": {"type": "integer"},
                "avg_line_length": {"type": "number"},
                "nodes": {"type": "integer"},
                "errors": {"type": "integer"},
                "source_hash": {"type": "string"},
                "categorized_nodes": {"type": "integer"},
            },
            "source_hash",
        ),
        "ast": exactly({"root": {"type": "string"}, "nodes": {"type": "array", "items": exactly(NODE)}, **BOTH}),
        **BOTH,
        "errors": {
            "type": "array",
            "items": exactly(
                {"type": {"type": "string"}, "message": {"type": "string"}, "start_point": POINT, "end_point": POINT},
                "start_point",
                "end_point",
            ),
        },
        "source_context": exactly({"original_source": {"type": "string"}}),
        "original_source_code": {"type": "string"},
    }
)
"""What MLCPD declares and what it emits, as one JSON schema without loopholes."""


def documents(*rows: tuple[str | None, str | None, str]) -> pa.Table:
    """Documents with their trees: (text, language, status); `parsed` ones are parsed as Python."""
    texts, languages, statuses = zip(*rows, strict=True)
    trees = [
        parse_source(text.encode(), "python") if status == "parsed" else status
        for text, status in zip(texts, statuses, strict=True)
    ]
    parsed = pa.Table.from_batches([parsed_batch(trees)]).replace_schema_metadata(grammar_metadata(["python"]))
    table = pa.table({"text": pa.array(texts, pa.string()), "language": pa.array(languages, pa.string())})
    return extend(table, parsed)


def python(*texts: str) -> pa.Table:
    return documents(*((text, "Python", "parsed") for text in texts))


def document_of(row: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a row, checked."""
    document: dict[str, Any] = json.loads(row["universal_schema"])
    jsonschema.validate(document, DECLARED)
    assert document["node_categories"] == document["ast"]["node_categories"]
    assert document["cross_language_map"] == document["ast"]["cross_language_map"]
    return document


def test_a_row_has_mlcpds_columns_with_true_content():
    table = to_mlcpd(python(SOURCE))
    assert table.schema.equals(MLCPD)
    (row,) = table.to_pylist()
    assert (row["language"], row["code"], row["line_count"]) == ("python", SOURCE, 16)
    assert row["avg_line_length"] == round(sum(map(len, SOURCE.splitlines())) / 16, 2)
    tree = parse_source(SOURCE.encode(), "python").tree
    assert (row["ast_node_count"], row["num_errors"]) == (len(tree), 0)
    dump = row["lang_specific_parse"].split("\n")
    assert len(dump) == len(tree)
    assert dump[1:3] == ['  (import_statement) "import os"', '    (import) "import"']
    document = document_of(row)
    assert document["success"]
    assert document["language"] == "python"
    assert document["source_context"]["original_source"] == document["original_source_code"] == SOURCE
    assert document["metadata"] == {
        "lines": 16,
        "avg_line_length": row["avg_line_length"],
        "nodes": len(tree),
        "errors": 0,
        "source_hash": hashlib.sha256(SOURCE.encode()).hexdigest(),
        "categorized_nodes": sum(len(v) for g in document["node_categories"].values() for v in g.values()),
    }


def test_nodes_are_all_nodes_with_their_places():
    source = "x = 'é'; y(z)\r\n\tw\n"
    document = document_of(to_mlcpd(python(source)).to_pylist()[0])
    built = load_grammar("python").parser.parse(source.encode())
    expected, nodes = [], [built.root_node]
    while nodes:
        node = nodes.pop()
        expected.append(node)
        nodes += reversed(node.children)
    found = document["ast"]["nodes"]
    assert document["ast"]["root"] == "module"
    assert [node["id"] for node in found] == list(range(len(expected)))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["type"] == theirs.type
        assert ours["text"].encode() == theirs.text
        assert (ours["start_byte"], ours["end_byte"]) == theirs.byte_range
        assert (ours["start_point"]["row"], ours["start_point"]["column"]) == tuple(theirs.start_point)
        assert (ours["end_point"]["row"], ours["end_point"]["column"]) == tuple(theirs.end_point)
        assert [found[child]["start_byte"] for child in ours["children"]] == [c.start_byte for c in theirs.children]
        assert all(found[child]["parent"] == ours["id"] for child in ours["children"])
        assert (ours["is_named"], ours["is_error"]) == (theirs.is_named, theirs.is_error)
    fields = [node["field_name"] for node in found if node["field_name"]]
    assert fields == ["left", "right", "function", "arguments"]


def test_categories_hold_what_their_names_say():
    document = document_of(to_mlcpd(python(SOURCE)).to_pylist()[0])
    nodes, categories = document["ast"]["nodes"], document["node_categories"]

    def texts(group: str, leaf: str) -> list[str]:
        return [nodes[node]["text"].split("\n")[0] for node in categories[group][leaf]]

    assert texts("declarations", "classes") == ["class A(B):"]
    assert texts("declarations", "functions") == ["def __init__(self, x: int = 1) -> None:", "async def f(self):"]
    assert texts("declarations", "imports") == ["import os", "from a.b import c as d, e"]
    assert texts("statements", "loops") == ['for i in [1, "é"]:']
    assert texts("statements", "conditionals") == ["-x if x else x + 1"]
    assert texts("expressions", "calls") == ["print(i)"]
    assert texts("expressions", "binary_operations") == ["x + 1"]
    assert texts("expressions", "unary_operations") == ["-x"]
    assert texts("expressions", "member_access") == ["self.x"]
    assert {"print", "i", "self", "x"} <= set(texts("expressions", "identifiers"))
    assert not categories["declarations"]["enums"]


def test_links_name_declarations_and_their_parts():
    document = document_of(to_mlcpd(python(SOURCE)).to_pylist()[0])
    nodes, links = document["ast"]["nodes"], document["cross_language_map"]

    def seen(entry: dict[str, Any], part: str) -> str | None:
        node = entry[f"{part}_node"]
        return None if node is None else nodes[node]["text"].split("\n")[0]

    assert [
        (f["universal_type"], f["name"], *(seen(f, p) for p in ("name", "parameters", "return_type", "body")))
        for f in links["function_declarations"]
    ] == [
        ("constructor", "__init__", "__init__", "(self, x: int = 1)", "None", "self.x = -x if x else x + 1"),
        ("method", "f", "f", "(self)", None, 'for i in [1, "é"]:'),
        ("lambda", "g", "g", None, None, "1"),
    ]
    (declared,) = links["class_declarations"]
    assert (declared["universal_type"], declared["name"], seen(declared, "name")) == ("class", "A", "A")
    assert seen(declared, "body") == '"""Ä."""'
    assert declared["text_snippet"] == SOURCE[SOURCE.index("class") :][:100]
    assert [(i["module_path"], i["imported_items"], i["text"]) for i in links["import_statements"]] == [
        ("os", [], "import os"),
        ("a.b", ["c", "e"], "from a.b import c as d, e"),
    ]
    body = nodes[links["function_declarations"][0]["body_node"]]
    assert body["type"] == "block"


def test_a_body_is_found_with_what_stands_behind_it():
    source = "def f():\n    if x: y\n    # behind\n\n\ndef g():\n    if x:\n        y\n    # behind\n"
    document = document_of(to_mlcpd(python(source)).to_pylist()[0])
    bodies = [entry["body_node"] for entry in document["cross_language_map"]["function_declarations"]]
    assert [document["ast"]["nodes"][body]["type"] for body in bodies] == ["block", "block"]


def test_errors_are_counted_listed_and_flagged():
    (row,) = to_mlcpd(python("def f(:\n  ]\n")).to_pylist()
    document = document_of(row)
    assert not document["success"]
    flagged = [node for node in document["ast"]["nodes"] if node["is_error"]]
    assert row["num_errors"] == document["metadata"]["errors"] == len(document["errors"]) == len(flagged) > 0
    for error, node in zip(document["errors"], flagged, strict=True):
        assert error["type"] == "ERROR"
        assert (error["start_point"], error["end_point"]) == (node["start_point"], node["end_point"])
    assert document["errors"][0]["message"].startswith("unexpected def f(:")


def test_documents_without_a_tree_say_why():
    rows = [("x", "Klingon", "no-grammar"), (None, "Python", "no-text"), ("y\nz", None, "timeout")]
    table = to_mlcpd(documents(*rows, ("x", "Python", "parsed")))
    assert table["ast_node_count"].to_pylist() == [None, None, None, 3]
    assert table["num_errors"].to_pylist() == [None, None, None, 0]
    assert table["line_count"].to_pylist() == [1, None, 2, 1]
    assert table["language"].to_pylist() == ["klingon", "python", None, "python"]
    for row, (_, _, status) in zip(table.to_pylist(), rows, strict=False):
        document = document_of(row)
        assert not document["success"]
        assert document["errors"] == [{"type": status, "message": STATUSES[status]}]
        assert document["ast"]["nodes"] == []
    assert to_mlcpd(documents(*rows)).num_rows == 3
    assert to_mlcpd(documents(*rows).slice(0, 0)).schema.equals(MLCPD)


def test_a_tree_that_would_explode_is_left_out():
    source = "x = " + "(" * 3000 + ")" * 3000
    for config in (MlcpdConfig(max_row_bytes=20_000_000), MlcpdConfig(max_row_bytes=8_000)):
        rows = to_mlcpd(python(source, "y"), config).to_pylist()
        document = document_of(rows[0])
        assert document["errors"][0]["type"] == "oversize"
        assert "max_row_bytes" in document["errors"][0]["message"]
        assert document_of(rows[1])["success"]
    with pytest.raises(ValueError, match="max_row_bytes must be from 1"):
        MlcpdConfig(max_row_bytes=0)


def test_batches_are_bounded():
    table = pa.concat_tables([python("x = '" + "a" * 3_000_000 + "'\n")] * 3)
    assert [batch.num_rows for batch in mlcpd_batches(table, MlcpdConfig())] == [1, 1, 1]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="the table has no column 'units'"):
        to_mlcpd(python("x").drop_columns("units"))
    with pytest.raises(ValueError, match="no metadata 'gristmill:grammars'"):
        to_mlcpd(python("x").replace_schema_metadata(None))
    with pytest.raises(ValueError, match="the table has no column 'code'"):
        from_mlcpd(pa.table({"language": ["python"]}))
    with pytest.raises(ValueError, match="trees='printed' must be"):
        from_mlcpd(to_mlcpd(python("x")), "printed")  # type: ignore[arg-type]


def test_languages_have_mlcpds_names():
    for name, theirs in LANGUAGES.items():
        assert mlcpd_language(name) == theirs
    assert [mlcpd_language(name) for name in ("Rust", "F#", "../../Evil Name")] == ["rust", "f-sharp", "evil-name"]
    assert linguist_language("python") == linguist_language(" Python ") == "Python"
    assert linguist_language("klingon") is None


# --- the reader ---

_WORDS = (
    "( ) { } [ ] , ; : . def class return if else elif for while import from as public static const var function try "
    "async await comment string_content string_start string_end expression_statement block module dotted_name program "
    'class_body " string_fragment'
)
_SKIPPED = frozenset(_WORDS.split())


def emit(source: str, language: str = "python") -> str:
    """What MLCPD's converter makes of a source: characters cut at byte offsets, nodes dropped, links broken."""
    nodes: list[dict[str, Any]] = []

    def visit(node: Any, parent: int | None) -> int | None:
        text = source[node.start_byte : node.end_byte]
        if node.type in _SKIPPED or text.strip() in _SKIPPED:
            for child in node.children:
                visit(child, parent)
            return None
        points = {"start_point": node.start_point, "end_point": node.end_point}
        number = len(nodes)
        entry = {"id": number, "type": node.type, "text": text, "parent": parent, "children": []}
        nodes.append(entry | {name: {"row": p[0], "column": p[1]} for name, p in points.items()})
        nodes[number]["children"] = [c for c in (visit(child, number) for child in node.children) if c is not None]
        return number

    root = load_grammar("python").parser.parse(source.encode()).root_node
    visit(root, None)
    functions = [node["id"] for node in nodes if "function" in node["type"]]
    return json.dumps(
        {
            "language": language,
            "success": True,
            "metadata": {"lines": 1, "avg_line_length": 1.0, "nodes": len(nodes), "errors": 0, "source_hash": "x"},
            "ast": {"root": root.type, "nodes": nodes},
            "node_categories": {"declarations": {"functions": functions}},
            "cross_language_map": {"function_declarations": [], "class_declarations": [], "import_statements": []},
            "original_source_code": source,
        }
    )


def emitted(*rows: tuple[str | None, str | None, str | None]) -> pa.Table:
    """MLCPD's columns that are read: (language, code, universal_schema)."""
    names = ("language", "code", "universal_schema")
    columns = zip(*rows, strict=True)
    return pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)})


def test_parsing_again_repairs_everything():
    rows = emitted(("python", SOURCE, emit(SOURCE)), ("klingon", "x", "{}"), ("python", None, None))
    table = from_mlcpd(rows)
    assert table.column_names == [*AST.names, *UNITS.names]
    assert table["ast_status"].to_pylist() == ["parsed", "no-grammar", "no-text"]
    expected = python(SOURCE)
    assert table.slice(0, 1).equals(expected.select(table.column_names))
    assert GRAMMARS_KEY in table.schema.metadata


def nodes_of(table: pa.Table, *texts: str) -> Iterator[Node]:
    for row, text in enumerate(texts):
        yield Node(tree_of(table.append_column("text", pa.array(texts, pa.string())), row))
        assert text is not None


def test_published_nodes_are_read_as_they_are():
    table = from_mlcpd(emitted(("python", SOURCE, emit(SOURCE))), "published")
    (row,) = table.to_pylist()
    assert (row["ast_status"], row["grammar"], row["grammar_version"], row["units"]) == ("parsed", "python", None, None)
    (root,) = nodes_of(table, SOURCE)
    assert (root.type, root.concept, root.start, root.end) == ("module", "source", 0, len(SOURCE.encode()))
    published = [node.type for node in root.walk()]
    assert published[1:] == [node["type"] for node in json.loads(emit(SOURCE))["ast"]["nodes"]]
    whole = {
        (node.type, node.start, node.end): node for node in Node(parse_source(SOURCE.encode(), "python").tree).walk()
    }
    for node in list(root.walk())[1:]:
        assert node.text == whole[node.type, node.start, node.end].text  # bytes, where MLCPD cuts characters
        assert node.is_named == whole[node.type, node.start, node.end].is_named
    assert [n.text for n in root.walk() if n.type == "identifier" and n.start > SOURCE.index("g =")] == ["g"]
    assert "expression.call" in {node.concept for node in root.walk()}
    assert row["ast_nodes"] == len(published)
    assert s_expression(root.tree).startswith("(module (import_statement (identifier))")


def test_our_own_export_comes_back_whole():
    sources = [SOURCE, "", "def f(:\n  ]\n", "# c\nx = 1 \\\n  + 'é'\n", "if x:\n", "\n\n  x  \n"]
    given_table = python(*sources)
    table = from_mlcpd(to_mlcpd(given_table), "published")
    for name in ("ast_nodes", "ast_errors", "ast_missing", "ast_depth", "ast_lossless", *COLUMNS):
        assert table[name].to_pylist() == given_table[name].to_pylist(), name
    statuses = [("x", "Klingon", "no-grammar"), (None, "Python", "no-text"), ("y", "Python", "timeout")]
    back = from_mlcpd(to_mlcpd(documents(*statuses, ("x", "Python", "parsed"))), "published")
    assert back["ast_status"].to_pylist() == ["no-grammar", "no-text", "timeout", "parsed"]


def test_kinds_that_our_grammar_lacks_are_named_too():
    document = json.loads(emit("x = 1\n"))
    document["ast"]["nodes"][0]["type"] = "old_assignment"
    table = from_mlcpd(emitted(("python", "x = 1\n", json.dumps(document))), "published")
    (root,) = nodes_of(table, "x = 1\n")
    (node,) = root
    assert (node.type, node.concept, node.is_named) == ("old_assignment", "none", True)
    assert [list(CONCEPTS)[c] for c in table["node_concept"][0].as_py()][2] == "expression.identifier"


def node(**changes: Any) -> dict[str, Any]:
    point = {"row": 0, "column": 0}
    plain = {"id": 0, "type": "identifier", "text": "", "parent": None, "children": []}
    return plain | {"start_point": point, "end_point": point} | changes


def ast(*nodes: Any, root: Any = "module") -> str:
    return json.dumps({"ast": {"root": root, "nodes": list(nodes)}})


HOSTILE = {
    "null": None,
    "nothing": "",
    "no JSON": "{",
    "deep JSON": "[" * 100_000,
    "list": "[]",
    "number": "1",
    "no tree": "{}",
    "tree of null": '{"ast": null}',
    "nodes of text": '{"ast": {"root": "module", "nodes": "abc"}}',
    "no root": '{"ast": {"nodes": []}}',
    "root is empty": ast(root=""),
    "root is a list": ast(root=[]),
    "node is null": ast(None),
    "node is a list": ast([]),
    "id twice": ast(node(), node()),
    "id is null": ast(node(id=None)),
    "id is a list": ast(node(id=[])),
    "id is true": ast(node(id=True)),
    "id of the first root is a list": ast(node(id=[], type="module")),
    "parent of nowhere": ast(node(parent=7)),
    "parent is itself": ast(node(parent=0)),
    "parent comes later": ast(node(parent=1), node(id=1)),
    "parent is text": ast(node(parent="0")),
    "parent is a list": ast(node(), node(id=1, parent=[])),
    "row too large": ast(node(end_point={"row": 99, "column": 0})),
    "row is negative": ast(node(end_point={"row": -1, "column": 0})),
    "column too large": ast(node(end_point={"row": 0, "column": 10**18})),
    "column is huge": ast(node(end_point={"row": 0, "column": 2**64 - 1})),
    "column is negative": ast(node(end_point={"row": 0, "column": -1})),
    "column is a fraction": ast(node(end_point={"row": 0, "column": 0.5})),
    "point is null": ast(node(end_point=None)),
    "ends before it starts": ast(node(start_byte=2, end_byte=1)),
    "byte is text": ast(node(start_byte="0", end_byte=1)),
    "child outside": ast(node(start_byte=0, end_byte=1), node(id=1, parent=0, start_byte=1, end_byte=2)),
    "siblings overlap": ast(node(start_byte=0, end_byte=2), node(id=1, start_byte=1, end_byte=2)),
    "not in pre-order": ast(node(), node(id=1), node(id=2, parent=0)),
    "type is null": ast(node(type=None)),
    "lone surrogate": '{"ast": {"root": "module", "nodes": [{"id": 0, "type": "\\ud800"}]}}',
}


def test_hostile_json_is_unreadable_and_costs_only_its_row():
    rows = [("python", "xyz", value) for value in HOSTILE.values()]
    table = from_mlcpd(emitted(*rows, ("python", "xyz", emit("xyz"))), "published")
    statuses = dict(zip(HOSTILE, table["ast_status"].to_pylist(), strict=False))
    assert statuses == dict.fromkeys(HOSTILE, "unreadable")
    assert table["ast_status"][-1].as_py() == "parsed"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda leaf: st.lists(leaf, max_size=3)
    )
)
def test_no_value_anywhere_crashes_the_reader(value):
    rows = []
    for key in node(start_byte=0, end_byte=1, field_name="left", is_named=True, language_specific={"extra": True}):
        document = orjson.dumps(
            {"ast": {"root": "module", "nodes": [node(), node(id=1, parent=0) | {key: str(value)}]}}
        )
        rows.append(("python", "xyz", document.decode()))
        rows.append(("python", "xyz", json.dumps({"ast": {"root": "module", "nodes": [node() | {key: value}]}})))
        rows.append(("python", "xyz", json.dumps({"ast": {"root": value, "nodes": [node()]}, "errors": value})))
    assert set(from_mlcpd(emitted(*rows), "published")["ast_status"].to_pylist()) <= {"parsed", "unreadable"}
