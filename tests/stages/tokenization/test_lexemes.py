"""Tokens that stay inside lexemes: every leaf encoded by itself by the reference is the slow twin."""

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stage import Transform, configured
from schemas.ast import AST
from schemas.tokens import TOKENIZER_KEY
from stages.parse.parse import parse_source, parsed_batch
from stages.tokenization import lexemes
from stages.tokenization.align import STAGE as ALIGN
from stages.tokenization.align import AlignConfig
from stages.tokenization.certify import EncoderMismatchError
from stages.tokenization.encode import EncodeConfig
from stages.tokenization.engines import Gigatoken, Reference
from stages.tokenization.lexemes import NODE_COLUMNS, STAGE, LexemesConfig, lexemes_stage
from stages.tokenization.pieces import Pieces, pieces_of
from stages.tokenization.vocabulary import load_vocabulary
from tests.contract import check_stage
from tests.golden import digest
from tests.stages.tokenization.test_encode import save_trained

GOLDEN = "fabc112a8308370b830309dc22dff79b45904d6cc609b1cb26ab09a9dd4aa9cd"

TORCH = EncodeConfig(engine="torch", device="cuda")
PYTHON = "def añadir(self, xs):\n    return xs.append(f'{self}  ')  # 漢字, don't\n\n"
GO = "package main\n\nfunc main() {\n\tx := (((1)))\n}\n"

Nodes = list[tuple[int, int, int]]
"""How far back the parent stands, start, length."""
Row = tuple[str | None, Nodes | None]


@lru_cache(maxsize=1)
def opened() -> tuple[Transform, Reference, Pieces]:
    vocabulary = load_vocabulary("cl100k_base")
    return STAGE.open(LexemesConfig()), Reference(vocabulary), pieces_of(vocabulary)


def parsed(text: str, language: str) -> Nodes:
    batch = parsed_batch([parse_source(text.encode(), language)])
    return list(zip(*(batch[name][0].as_py() for name in NODE_COLUMNS), strict=True))


def table_of(rows: Sequence[Row]) -> pa.Table:
    columns: dict[str, Any] = {"text": pa.array([row[0] for row in rows], pa.string())}
    for position, name in enumerate(NODE_COLUMNS):
        values = [None if row[1] is None else [node[position] for node in row[1]] for row in rows]
        columns[name] = pa.array(values, AST.field(name).type)
    return pa.table(columns, schema=STAGE.reads)


def slowly(text: str | None, nodes: Nodes | None) -> list[int] | None:
    """Each leaf with the gap before it, encoded by the reference."""
    if text is None:
        return None
    data, cuts = text.encode(), [0]
    for number, (_, start, length) in enumerate(nodes or []):
        is_leaf = number + 1 == len(nodes or []) or (nodes or [])[number + 1][0] != 1
        cut = start + length
        if is_leaf and length > 0 and cuts[-1] < cut < len(data) and data[cut] & 0xC0 != 0x80:
            cuts.append(cut)
    cuts.append(len(data))
    return [token for begin, end in pairwise(cuts) for token in opened()[1].encode_text(data[begin:end].decode())]


ROWS: list[Row] = [
    (PYTHON, parsed(PYTHON, "python")),
    (GO, parsed(GO, "go")),
    (None, None),
    ("", []),
    ("", parsed("", "python")),
    ("no tree (but text)", None),
    (None, parsed(GO, "go")),
]


def test_lexemes_keep_the_laws_of_a_stage_and_their_golden_output():
    out = check_stage(configured(STAGE, LexemesConfig()), table_of(ROWS))
    assert out["tokens"].to_pylist() == [slowly(*row) for row in ROWS]
    assert digest(out) == GOLDEN


def test_no_token_spans_two_lexemes_and_the_text_stays_whole():
    transform, reference, pieces = opened()
    table = table_of(ROWS[:2])
    tokens = transform(table)["tokens"]
    for text, ids in zip((PYTHON, GO), tokens.to_pylist(), strict=True):
        assert pieces.decode(ids) == text.encode()
        assert len(ids) > len(reference.encode_text(text))
    trees = pa.Table.from_batches(
        [parsed_batch([parse_source(t.encode(), n) for t, n in ((PYTHON, "python"), (GO, "go"))])]
    )
    given = {name: trees[name] for name in ALIGN.reads.names if name not in ("text", "tokens")}
    laid = ALIGN.open(AlignConfig())(pa.table({"text": table["text"], "tokens": tokens, **given}))
    assert laid["whole_leaves"].to_pylist() == laid["leaves"].to_pylist()
    assert laid["aligned_tokens"].to_pylist() == [len(ids) for ids in tokens.to_pylist()]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.text("ab (é漢\n", max_size=20),
            st.none() | st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 40), st.integers(-1, 9)), max_size=8),
        ),
        max_size=4,
    )
)
def test_trees_of_any_shape_cut_at_most_between_characters(rows):
    assert opened()[0](table_of(rows))["tokens"].to_pylist() == [slowly(*row) for row in rows]


def test_small_batches_give_the_same_ids(monkeypatch):
    whole = opened()[0](table_of(ROWS))
    monkeypatch.setattr(lexemes, "_BATCH_BYTES", 7)
    assert digest(opened()[0](table_of(ROWS))) == digest(whole)
    assert json.loads(whole.schema.metadata[TOKENIZER_KEY])["kind"] == "ranks"


class Wrong(Gigatoken):
    """gigatoken with one bit flipped in the last token of texts that contain `poison`."""

    def encode(self, offsets, data):
        starts, ids = super().encode(offsets, data)
        if b"poison" in data.tobytes():
            ids = ids.copy()
            ids[-1] ^= 1
        return starts, ids


def test_an_engine_that_is_wrong_on_a_lexeme_is_refused(monkeypatch):
    monkeypatch.setattr(lexemes, "open_engine", lambda name, vocabulary, reference, device: Wrong(vocabulary))
    transform = STAGE.open(LexemesConfig())
    assert transform(table_of(ROWS)).num_rows == len(ROWS)
    with pytest.raises(EncoderMismatchError, match="use engine='reference'"):
        transform(table_of([("fine = poison", parsed("fine = poison", "python"))]))


def test_a_vocabulary_that_puts_a_space_before_each_text_is_refused(tmp_path):
    with_space = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    config = save_trained(tmp_path / "tokenizer.json", pre_tokenizer=with_space)
    with pytest.raises(ValueError, match="byte for byte"):
        STAGE.open(LexemesConfig(encode=config))


def test_columns_of_a_tree_that_disagree_are_refused():
    table = table_of(ROWS[:1])
    shorter = pa.array([[]], AST.field("node_length").type)
    with pytest.raises(ValueError, match="must have one element per node"):
        opened()[0](table.set_column(table.schema.names.index("node_length"), "node_length", shorter))


def test_the_stage_asks_for_what_its_engine_needs():
    plain, device = (lexemes_stage(LexemesConfig(encode=c)).stage for c in (EncodeConfig(), TORCH))
    assert (plain.resources.gpus, plain.stateful, plain.libraries) == (0, False, STAGE.libraries)
    assert (device.resources.gpus, device.stateful) == (1, True)
    assert "torch" in device.libraries


def test_the_reference_engine_gives_the_same_ids():
    slow = STAGE.open(LexemesConfig(encode=EncodeConfig(engine="reference")))
    assert digest(slow(table_of(ROWS))) == digest(opened()[0](table_of(ROWS)))
