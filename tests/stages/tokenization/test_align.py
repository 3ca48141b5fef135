"""Tokens beside the tree against a slow twin, on programs parsed here and on trees made by hand."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.parquet import parquet_bytes
from pipeline.stage import Transform, configured
from schemas.alignment import ALIGNMENT, ALIGNMENT_STATUSES
from schemas.ast import AST, CONCEPTS, ERROR, MISSING, NAMED
from stages.parse.parse import parse_source, parsed_batch
from stages.tokenization.align import IDENTIFIERS, NODE_COLUMNS, STAGE, AlignConfig, group_runs
from stages.tokenization.engines import Reference
from stages.tokenization.pieces import Pieces, pieces_of
from stages.tokenization.vocabulary import load_vocabulary
from tests.contract import check_stage
from tests.golden import digest

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "code"
PROGRAMS = {
    "python": "import networkx as nx\n\n\ndef añadir(self, graph_of_nodes: nx.Graph) -> None:\n"
    "    graph_of_nodes.add_node(f'{self}\\n' + \"x\")  # 漢字\n",
    "typescript": "class AbstractFactory extends Base<string> { #made = new Map(); get(x?: Foo) { return x.made; } }",
    "java": 'class HttpServerFactory<T> { int f(String s) { return s.length() + "tokenization".length(); } }',
    "go": "package main\n\nfunc (r *Reader) ReadAll(xs ...int) error {\n\treturn r.readAll(xs)\n}\n",
}
CONCEPT = {name: number for number, name in enumerate(CONCEPTS)}
NAME, STRING, NONE = CONCEPT["expression.identifier"], CONCEPT["expression.literal"], 0

GOLDEN = "4b3e7c8be78fd33f5a39f1e571c9b2a23155009b7e5fd056d48b73c2715a2708"

Node = tuple[int, int, int, int, int]
"""Concept, how far back the parent stands, start, length, flags."""
Row = tuple[str | None, list[int] | None, list[Node] | None]


@lru_cache(maxsize=1)
def opened() -> tuple[Transform, Reference, Pieces]:
    vocabulary = load_vocabulary("cl100k_base")
    return STAGE.open(AlignConfig()), Reference(vocabulary), pieces_of(vocabulary)


def encode(text: str) -> list[int]:
    return opened()[1].encode_text(text)


def table_of(rows: Sequence[Row]) -> pa.Table:
    columns: dict[str, Any] = {"text": pa.array([row[0] for row in rows], pa.string())}
    columns["tokens"] = pa.array([row[1] for row in rows], STAGE.reads.field("tokens").type)
    for position, name in enumerate(NODE_COLUMNS):
        values = [None if row[2] is None else [node[position] for node in row[2]] for row in rows]
        columns[name] = pa.array(values, AST.field(name).type)
    return pa.table(columns, schema=STAGE.reads)


def parsed(text: str, language: str) -> list[Node]:
    batch = parsed_batch([parse_source(text.encode(), language)])
    return list(zip(*(batch[name][0].as_py() for name in NODE_COLUMNS), strict=True))


def aligned(*rows: Row) -> list[dict[str, Any]]:
    return opened()[0](table_of(rows)).to_pylist()


def slowly(tokens: Sequence[int], nodes: Sequence[Node]) -> dict[str, Any]:
    """The slow obvious twin: every token against every leaf."""
    sizes = opened()[2].lengths[tokens]
    starts = [0, *np.cumsum(sizes).tolist()]
    leaves = [n for n, node in enumerate(nodes) if node[3] and (n + 1 == len(nodes) or nodes[n + 1][1] != 1)]
    within = [
        [n for n in leaves if nodes[n][2] < end and nodes[n][2] + nodes[n][3] > begin]
        for begin, end in pairwise(starts)
    ]
    last = [found[-1] if found else -1 for found in within]
    names = [n for n in leaves if list(CONCEPTS)[nodes[n][0]] in IDENTIFIERS and nodes[n][4] == NAMED]
    owners = sorted({n for n in last if n in names})
    broken = {n for found in within if len(found) > 1 for n in found}

    def concept(node: int) -> int:
        while nodes[node][0] == 0 and nodes[node][1]:
            node -= nodes[node][1]
        return nodes[node][0]

    return {
        "alignment_status": "aligned",
        "token_start": starts[:-1],
        "token_leaf": last,
        "token_concept": [concept(n) if n >= 0 else 0 for n in last],
        "token_group": [owners.index(n) + 1 if n in owners else 0 for n in last],
        "aligned_tokens": sum(len(found) <= 1 for found in within),
        "leaves": len(leaves),
        "whole_leaves": len(set(leaves) - broken),
        "identifiers": len(owners),
        "identifier_tokens": sum(n in owners for n in last),
    }


ROWS: list[Row] = [
    *((text, encode(text), parsed(text, language)) for language, text in PROGRAMS.items()),
    (None, None, None),
    ("", [], None),
    ("", [], [(CONCEPT["source"], 0, 0, 0, NAMED)]),
    ("no tree", encode("no tree"), None),
    ("no tokens", None, [(CONCEPT["source"], 0, 0, 9, NAMED)]),
    (None, [1, 2], [(CONCEPT["source"], 0, 0, 9, NAMED)]),
    ("other tokens", encode("other words"), [(CONCEPT["source"], 0, 0, 12, NAMED)]),
    ("outside", encode("outside"), [(CONCEPT["source"], 0, 0, 99, NAMED)]),
    ("unknown", [99_999_999], [(CONCEPT["source"], 0, 0, 7, NAMED)]),
]
STATUSES = ["aligned"] * 4 + [
    "no-text", "no-tree", "aligned", "no-tree", "no-tokens", "no-text", "lossy", "unordered", "lossy"
]  # fmt: skip


def test_align_keeps_the_laws_of_a_stage_and_its_golden_output():
    out = check_stage(configured(STAGE, AlignConfig()), table_of(ROWS))
    assert out["alignment_status"].to_pylist() == STATUSES
    assert set(STATUSES) == set(ALIGNMENT_STATUSES)
    assert digest(out) == GOLDEN


@pytest.mark.parametrize("language", PROGRAMS)
def test_align_equals_the_slow_twin_on_programs(language):
    text = PROGRAMS[language]
    tokens, nodes = encode(text), parsed(text, language)
    assert aligned((text, tokens, nodes)) == [slowly(tokens, nodes)]


@st.composite
def hand_made(draw: st.DrawFn) -> tuple[str, list[Node]]:
    """A text and a flat or nested tree whose leaves stand in order, some of them empty."""
    text = draw(st.text("ab_ (é漢\n", max_size=40))
    size, at, nodes = len(text.encode()), 0, [(CONCEPT["source"], 0, 0, 0, NAMED)]
    while at <= size and len(nodes) < 30:
        start = draw(st.integers(at, size))
        length = draw(st.integers(0, min(size - start, 5)))
        concept, flags = (
            draw(st.sampled_from([NAME, NAME, STRING, NONE])),
            draw(st.sampled_from([NAMED, 0, NAMED | ERROR])),
        )
        if draw(st.booleans()):
            nodes.append((draw(st.sampled_from([STRING, NONE])), len(nodes), start, length, NAMED))
            nodes.append((concept, 1, start, length, flags))
        else:
            nodes.append((concept, len(nodes), start, length, flags))
        at = start + length
        if draw(st.integers(0, 5)) == 0:
            break
    return text, nodes


@settings(max_examples=60, deadline=None)
@given(st.lists(hand_made(), max_size=4))
def test_align_equals_the_slow_twin_on_trees_made_by_hand(documents):
    rows = [(text, encode(text), nodes) for text, nodes in documents]
    assert aligned(*rows) == [slowly(tokens, nodes) for _, tokens, nodes in rows]


def test_columns_of_a_small_program():
    text = "foo_bar.baz('x y')"
    (row,) = aligned((text, encode(text), parsed(text, "python")))
    spelt = [opened()[2][token] for token in encode(text)]
    assert spelt == [b"foo", b"_bar", b".b", b"az", b"('", b"x", b" y", b"')"]
    assert row["token_start"] == [0, 3, 7, 9, 11, 13, 14, 16]
    assert row["token_group"] == [1, 1, 2, 2, 0, 0, 0, 0]
    names = [list(CONCEPTS)[number] for number in row["token_concept"]]
    assert names[:4] == ["expression.identifier"] * 4
    assert names[5:7] == ["expression.literal"] * 2
    assert (row["aligned_tokens"], len(spelt)) == (5, 8)
    assert (row["identifiers"], row["identifier_tokens"]) == (2, 4)
    assert row["leaves"] == 8
    assert row["whole_leaves"] == 2


def test_missing_nodes_and_errors_are_no_identifiers():
    for flags in (NAMED | ERROR, NAMED | MISSING, 0):
        nodes = [(CONCEPT["source"], 0, 0, 3, NAMED), (NAME, 1, 0, 3, flags)]
        (row,) = aligned(("abc", encode("abc"), nodes))
        assert (row["identifiers"], row["token_group"]) == (0, [0])


@pytest.mark.parametrize(
    "leaves", [[(0, 4), (3, 4)], [(5, 2), (0, 2)], [(-1, 3)], [(6, 3)], [(2**31 - 2, 2**31 - 1)], [(9, 1)]]
)
def test_leaves_that_overlap_or_stand_outside_cost_the_tree_alone(leaves):
    bad = [(CONCEPT["source"], 0, 0, 8, NAMED)] + [(NAME, n + 1, *leaf, NAMED) for n, leaf in enumerate(leaves)]
    good = [(CONCEPT["source"], 0, 0, 8, NAMED), (NAME, 1, 0, 8, NAMED)]
    text, tokens = "abcdefgh", encode("abcdefgh")
    rows = aligned((text, tokens, good), (text, tokens, bad), (text, tokens, good))
    assert [row["alignment_status"] for row in rows] == ["aligned", "unordered", "aligned"]
    assert rows[0] == rows[2]
    assert rows[1]["token_start"] == rows[0]["token_start"]
    assert rows[1]["token_leaf"] is rows[1]["leaves"] is None


def test_a_space_that_sentencepiece_puts_before_a_text_is_no_byte_of_it():
    text, tokens = "def f", encode(" def f")
    (row,) = aligned((text, tokens, parsed(text, "python")))
    assert row["alignment_status"] == "aligned"
    assert row["token_start"] == [0, 3]


def test_columns_of_a_tree_that_disagree_are_refused():
    table = table_of(ROWS[:2])
    shorter = pa.array([[], []], AST.field("node_length").type)
    with pytest.raises(ValueError, match="must have one element per node"):
        opened()[0](table.set_column(table.schema.names.index("node_length"), "node_length", shorter))


def test_runs_of_groups_give_means_of_identifiers():
    kind = ALIGNMENT.field("token_group").type
    groups = pa.array([[9], [1, 1, 0, 0, 2], None, [], [2, 2, 3, 0]], kind).slice(1)
    first, start, length = group_runs(groups)
    assert first.tolist() == [0, 4, 4, 4, 7]
    assert start.tolist() == [0, 2, 3, 4, 5, 7, 8]
    assert length.tolist() == [2, 1, 1, 1, 2, 1, 1]
    vectors = np.arange(9, dtype=np.float64)[:, None]
    means = np.add.reduceat(vectors, start) / length[:, None]
    assert means[:, 0].tolist() == [0.5, 2, 3, 4, 5.5, 7, 8]
    assert [part.tolist() for part in group_runs(pa.array([], kind))] == [[0], [], []]


def test_columns_take_little_room():
    text = PROGRAMS["python"] * 100
    table = table_of([(text, encode(text), parsed(text, "python"))] * 20)
    out = opened()[0](table)
    per_token = {
        name: len(parquet_bytes(out.select([name]))) / (20 * len(table["tokens"][0]))
        for name in ("token_start", "token_leaf", "token_concept", "token_group")
    }
    assert max(per_token.values()) < 1.5, per_token


def test_config_that_is_wrong_says_what_to_do():
    with pytest.raises(ValueError, match="vocabulary 'some/ranks' is no file"):
        AlignConfig(vocabulary="some/ranks", split="cl100k")


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpora are not here")
@pytest.mark.parametrize(("name", "language"), [("python-0", "python"), ("cpp", "cpp"), ("scala", "scala")])
def test_align_equals_the_slow_twin_on_real_code(name, language):
    texts = pq.read_table(CORPUS / f"{name}.parquet", columns=["content"])["content"].cast(pa.string()).to_pylist()
    rows = [(text, encode(text), parsed(text, language)) for text in texts if len(text) < 3_000][:40]
    assert aligned(*rows) == [slowly(tokens, nodes) for _, tokens, nodes in rows]
