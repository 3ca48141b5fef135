"""The order of repositories: files behind what they import, whatever the shards; runs, bounds, documents apart."""

import hashlib
from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.repository_order import RepositoryConfig, _digest, import_order, repository_order
from schemas.ast import UNITS
from schemas.documents import SHA256
from schemas.repository import REPOSITORY
from stages.parse import syntax
from tests import machine

DOCUMENT = pa.schema(
    [
        *((name, pa.string()) for name in ("origin", "revision", "path", "member", "language")),
        ("text_hash", SHA256),
        ("size", pa.int64()),
    ]
)
Row = tuple[str, str, str, str | None]
"""Origin, path, text (empty: no text) and member."""
SHOP: list[Row] = [
    ("git:shop", "app.py", "from shop import cart\nimport os\n", None),
    ("git:shop", "shop/__init__.py", "from .cart import Cart\n", None),
    ("git:shop", "shop/cart.py", "from . import item, tax\n", None),
    ("git:shop", "shop/item.py", "from .tax import rate\n", None),
    ("git:shop", "shop/tax.py", "", None),
    ("git:other", "a.py", "import b\n", None),
    ("git:other", "b.py", "import a\nimport c\n", None),
    ("git:other", "c.py", "x = 1\n", None),
    ("file:lines.jsonl", "lines.jsonl", "import a\n", "17"),
]


@pytest.fixture(scope="module")
def parse():
    return syntax.STAGE.open(syntax.SyntaxConfig())


def tables(parse, rows: list[Row]) -> tuple[pa.Table, pa.Table]:
    documents = [
        (origin, "1", path, member, "Python", hashlib.sha256(path.encode()).digest(), 10 + len(text))
        for origin, path, text, member in rows
    ]
    table = pa.table(
        [pa.array(c, f.type) for c, f in zip(zip(*documents, strict=True), DOCUMENT, strict=True)], schema=DOCUMENT
    )
    texts = pa.table({"text": [row[2] for row in rows], "language": table["language"]})
    return table, parse(texts).select(["units"]).cast(UNITS)


def order_of(store: Path, parse: Any, *shards: list[Row], **fields: int) -> dict[str, tuple[int, int] | None]:
    """Key and rank by origin and path."""
    made = [tables(parse, rows) for rows in shards]
    documents = machine.given("documents", *(table for table, _ in made))
    units = machine.given("syntax", *(table for _, table in made), beside=documents)
    order = repository_order(documents, units, RepositoryConfig(**fields))
    found = machine.run(machine.site_of(store), order).tables(order)
    assert all(table.schema.equals(REPOSITORY) for table in found)
    rows = [
        row for shard, table in zip(shards, found, strict=True) for row in zip(shard, table.to_pylist(), strict=True)
    ]
    return {
        f"{row[0]}/{row[1]}": (r["repository_key"], r["repository_rank"]) if r["repository_key"] is not None else None
        for row, r in rows
    }


def ranked(order: dict[str, tuple[int, int] | None], origin: str) -> list[str]:
    inside = {name: place for name, place in order.items() if name.startswith(origin) and place is not None}
    return [name.removeprefix(f"{origin}/") for name in sorted(inside, key=lambda name: inside[name][1])]


def test_files_stand_behind_what_they_import(tmp_path, parse):
    order = order_of(tmp_path, parse, SHOP)
    assert ranked(order, "git:shop") == ["shop/tax.py", "shop/item.py", "shop/cart.py", "app.py", "shop/__init__.py"]
    assert ranked(order, "git:other") == ["c.py", "b.py", "a.py"]
    assert order["file:lines.jsonl/lines.jsonl"] is None
    assert {key for key, _ in (order[f"git:shop/{path}"] for path in ranked(order, "git:shop"))} == {
        _digest("git:shop", "1", "0")
    }


@settings(max_examples=8)
@given(st.permutations(SHOP), st.integers(1, 8))
def test_no_cut_into_shards_changes_the_order(tmp_path_factory, parse, rows, cut):
    whole = order_of(tmp_path_factory.mktemp("store"), parse, SHOP)
    parts = order_of(tmp_path_factory.mktemp("store"), parse, rows[:cut], rows[cut:], rows_per_partition=3)
    assert parts == whole


def test_a_document_without_text_is_apart(tmp_path, parse):
    documents, units = tables(parse, SHOP)
    hashes = [None, *documents["text_hash"].to_pylist()[1:]]
    documents = documents.set_column(5, DOCUMENT.field("text_hash"), pa.array(hashes, SHA256))
    base = machine.given("documents", documents)
    order = repository_order(base, machine.given("syntax", units, beside=base))
    (table,) = machine.run(machine.site_of(tmp_path), order).tables(order)
    assert table["repository_rank"].to_pylist() == [None, 3, 2, 1, 0, 2, 1, 0, None]


def test_documents_without_trees_stand_by_path(tmp_path, parse):
    documents, units = tables(parse, SHOP)
    nothing = pa.table([pa.nulls(units.num_rows, UNITS.field("units").type)], schema=UNITS)
    base = machine.given("documents", documents)
    order = repository_order(base, machine.given("syntax", nothing, beside=base))
    (table,) = machine.run(machine.site_of(tmp_path), order).tables(order)
    assert table["repository_rank"].to_pylist() == [0, 1, 2, 3, 4, 0, 1, 2, None]


def test_a_repository_beyond_the_bound_is_in_the_order_of_its_paths(tmp_path, parse):
    order = order_of(tmp_path, parse, SHOP, max_files=4)
    assert ranked(order, "git:shop") == sorted(row[1] for row in SHOP if row[0] == "git:shop")
    assert ranked(order, "git:other") == ["c.py", "b.py", "a.py"]


def test_a_large_repository_is_cut_into_runs(tmp_path, parse):
    order = order_of(tmp_path, parse, SHOP, max_run_bytes=45)
    places = [order[f"git:shop/{path}"] for path in ranked(order, "git:shop")]
    keys = [place[0] for place in places if place is not None]
    sizes = {row[1]: 10 + len(row[2]) for row in SHOP}
    assert [sizes[path] for path in ranked(order, "git:shop")] == [10, 32, 34, 42, 33]
    assert keys == [_digest("git:shop", "1", str(run)) for run in (0, 0, 1, 2, 3)]


def test_an_empty_corpus_has_an_empty_order(tmp_path, parse):
    documents, units = tables(parse, SHOP)
    base = machine.given("documents", documents.slice(0, 0))
    order = repository_order(base, machine.given("syntax", units.slice(0, 0), beside=base))
    assert machine.run(machine.site_of(tmp_path), order).tables(order)[0].num_rows == 0


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=30))
def test_only_edges_of_cycles_are_broken(files, drawn):
    edges = [sorted({v for a, v in drawn if a == u}) for u in range(16)]
    order = import_order(edges, files)
    assert sorted(order) == list(range(files))
    graph = nx.DiGraph([(u, v) for u, targets in enumerate(edges) for v in targets])
    graph.add_nodes_from(range(len(edges)))
    component = {node: number for number, nodes in enumerate(nx.strongly_connected_components(graph)) for node in nodes}
    place = {node: at for at, node in enumerate(order)}
    for u in range(files):
        for v in nx.descendants(graph, u):
            if v < files and component[u] != component[v]:
                assert place[v] < place[u]


def test_a_long_chain_needs_no_recursion():
    length = 100_000
    assert import_order([[n + 1] for n in range(length - 1)] + [[]], length) == list(reversed(range(length)))


def test_imports_beyond_the_bounds_are_left_out(tmp_path, parse):
    many = "".join(f"import m{n}\n" for n in range(400)) + "import z\n"
    long = "from z import " + ", ".join(f"name{n}" for n in range(2000)) + "\n"
    rows: list[Row] = [("git:x", "a.py", many, None), ("git:x", "b.py", long, None), ("git:x", "z.py", "", None)]
    assert ranked(order_of(tmp_path, parse, rows), "git:x") == ["a.py", "b.py", "z.py"]


@pytest.mark.parametrize("name", ["max_files", "max_run_bytes", "rows_per_partition"])
def test_config_that_is_wrong_says_so(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        RepositoryConfig(**{name: 0})
