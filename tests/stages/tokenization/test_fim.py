"""Fill-in-the-middle: laws, the text given back, cuts against a slow twin, sentinels, trees."""

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ast import CONCEPTS
from schemas.documents import ID
from schemas.fim import source_order
from schemas.tokens import TOKENIZER_KEY
from stages.parse import syntax
from stages.tokenization import fim
from stages.tokenization.draws import below, document_keys, draw, happens
from stages.tokenization.encode import EncodeConfig
from stages.tokenization.engines import Reference
from stages.tokenization.fim import FimConfig, fim_stage, sentinels_of
from stages.tokenization.pieces import pieces_of
from stages.tokenization.vocabulary import load_vocabulary
from tests.contract import check_stage
from tests.golden import digest
from tests.stages.tokenization.test_encode import save_trained

TEXTS = [
    "", None, "def f(x):\n    return x\n", "<|fim_middle|> is text", "漢字かな", "\r\n\r\n  \t", "e\u0301\U0001f600",
    "a", None, "\x00\ufeff", "HTTPServer's I'LL 12345", "x" + " " * 99 + "y", "no line break", "\n\n\n", "é\n" * 40,
]  # fmt: skip
PYTHON = '''import os


class A:
    def f(self, x=1):
        """Ä."""
        if x > 1:
            return os.path.join("é", x)
        for y in range(3):
            print(y)
'''
SENTINELS = [100258, 100259, 100260]
"""Prefix, middle, suffix of cl100k_base."""
VOCABULARY = load_vocabulary("cl100k_base")
PIECES = pieces_of(VOCABULARY)
CONFIGS = {
    level: FimConfig(level=level, rate=0.9, seed=3, encode=EncodeConfig(engine="reference"))
    for level in ("document", "span", "node")
}
GOLDEN = {
    "document": "3543b369bda76a2aea6f1d4b9dd7fdf14f893232980d496fc9cb34324bc4fca0",
    "span": "d47d8cf2f2d8f445ccfca6695f54d1d15b7570ac4f3df8a57c324f42bb95fbe4",
    "node": "e7d82888e1dd5bd056235a1200fc27c8827f3e50f370dd234f1ee08cd4bd2d5b",
}


def ids_of(number: int, salt: int = 0) -> pa.Array:
    digests = [hashlib.sha256(f"{salt}:{row}".encode()).digest()[:16] for row in range(number)]
    return pa.array(digests, ID)


def table(texts, salt=0) -> pa.Table:
    return pa.table({"document_id": ids_of(len(texts), salt), "text": pa.array(texts, pa.string())})


def with_trees(texts, language="Python") -> pa.Table:
    given_texts = pa.table({"text": pa.array(texts, pa.string()), "language": pa.array([language] * len(texts))})
    parsed = syntax.STAGE.open(syntax.SyntaxConfig())(given_texts)
    base = table(texts)
    for name in fim.NODE_COLUMNS:
        base = base.append_column(name, parsed[name])
    return base


@pytest.fixture(scope="module")
def opened():
    """The stages, opened once; `level` to function."""
    return {level: fim_stage(config).open() for level, config in CONFIGS.items()}


def check_row(text: str, row: dict, sentinels=SENTINELS, pieces=PIECES) -> None:
    """The tokens are the sentinels at their places, and the segments between them the parts of the text."""
    prefix, middle, suffix = sentinels
    order, source = row["tokens"], text.encode()
    marks = [(at, token) for at, token in enumerate(order) if token in sentinels]
    decoded = pieces.decode(np.array([token for token in order if token not in sentinels], np.int64))
    assert decoded == b"".join(
        source[a:b] for a, b in source_order(row["fim_mode"], row["fim_start"], row["fim_end"], len(source))
    )
    if row["fim_mode"] == "none":
        assert (marks, row["fim_start"], row["fim_end"]) == ([], None, None)
        return
    assert [token for _, token in marks] == [prefix, suffix, middle]
    (_, _), (at_suffix, _), (at_middle, _) = marks
    source[: row["fim_start"]].decode()
    source[: row["fim_end"]].decode()
    parts = [
        pieces.decode(np.array(p, np.int64))
        for p in (order[1:at_suffix], order[at_suffix + 1 : at_middle], order[at_middle + 1 :])
    ]
    head, body, tail = source[: row["fim_start"]], source[row["fim_start"] : row["fim_end"]], source[row["fim_end"] :]
    assert order[0] == prefix
    assert parts == ([head, tail, body] if row["fim_mode"] == "psm" else [b"", tail, head + body])


@pytest.mark.parametrize("level", ["document", "span"])
def test_fim_keeps_the_laws_of_a_stage_and_its_golden_output(level):
    out = check_stage(fim_stage(CONFIGS[level]), table(TEXTS))
    assert digest(out) == GOLDEN[level]


def test_fim_at_nodes_keeps_the_laws_of_a_stage_and_its_golden_output():
    out = check_stage(fim_stage(CONFIGS["node"]), with_trees([PYTHON, *TEXTS, PYTHON * 2]))
    assert digest(out) == GOLDEN["node"]


@settings(max_examples=150)
@given(st.sampled_from(["document", "span"]), st.lists(st.none() | st.text(max_size=40), max_size=6), st.integers(0, 9))
def test_every_text_can_be_put_together_again(opened, level, texts, salt):
    out = opened[level](table(texts, salt)).to_pylist()
    for text, row in zip(texts, out, strict=True):
        if text is None:
            assert set(row.values()) == {None}
        else:
            check_row(text, row)


def test_middles_of_nodes_are_nodes_and_differ_by_document(opened):
    texts = [PYTHON] * 60
    given_table = with_trees(texts)
    rows = opened["node"](given_table).to_pylist()
    tree = given_table.slice(0, 1).to_pylist()[0]
    nodes = set(zip(tree["node_start"], tree["node_length"], tree["node_concept"], strict=True))
    allowed = {number for number, name in enumerate(CONCEPTS) if name in FimConfig().concepts}
    spans = {(start, start + length) for start, length, concept in nodes if concept in allowed}
    middles = set()
    for row in rows:
        check_row(PYTHON, row)
        if row["fim_mode"] != "none":
            middles.add((row["fim_start"], row["fim_end"]))
    assert middles <= spans
    assert len(middles) >= 8
    assert PYTHON.encode().index(b"return") in {start for start, _ in middles}


def test_documents_without_candidates_are_encoded_plainly(opened):
    base = with_trees([PYTHON, "no tree", None], language="Klingon")
    assert base["node_start"].null_count == 3
    assert opened["node"](base)["fim_mode"].to_pylist() == ["none", "none", None]


def test_nodes_outside_the_text_are_no_candidates(opened):
    texts = ["ab" * 5] * 40
    block = list(CONCEPTS).index("statement.block")
    values = {"node_start": [-1, 8, 3, 0, 5], "node_length": [2, 5, 0, 10, 4], "node_concept": [block] * 5}
    base = table(texts)
    for name, kind in zip(fim.NODE_COLUMNS, (pa.int32(), pa.int32(), pa.uint8()), strict=True):
        element = syntax.STAGE.writes.field(name).type
        base = base.append_column(name, pa.array([values[name]] * 40, element))
        assert element.value_type == kind
    cut = {(r["fim_start"], r["fim_end"]) for r in opened["node"](base).to_pylist() if r["fim_mode"] != "none"}
    assert cut == {(5, 9)}


def test_columns_of_nodes_that_differ_in_length_are_refused(opened):
    base = with_trees([PYTHON, PYTHON])
    shorter = base["node_start"].combine_chunks().slice(0, 1).to_pylist()[0][:-1]
    column = pa.array([shorter, base["node_start"][1].as_py()], base["node_start"].type)
    with pytest.raises(ValueError, match="same number of nodes"):
        opened["node"](base.set_column(2, base.schema.field("node_start"), column))


def slow_cuts(config: FimConfig, text: str, key: np.uint64) -> tuple[str, int | None, int | None]:
    """Mode and middle of one text, over Python strings."""
    chosen, spm, kind, first, second = (np.uint64(draw(key, number)) for number in range(5))
    if not text or not happens(chosen, config.rate):
        return "none", None, None
    mode = "spm" if happens(spm, config.spm_rate) else "psm"
    if config.level == "document":
        a, b = sorted(int(below(number, len(text) + 1)) for number in (first, second))
    else:
        is_lines = happens(kind, 0.5)
        parts = re.findall(r"[^\n]*\n|[^\n]+", text) if is_lines else list(text)
        length = 1 + below(first, min(config.max_span_lines if is_lines else config.max_span_chars, len(parts)))
        at = below(second, len(parts) - length + 1)
        a, b = len("".join(parts[:at])), len("".join(parts[: at + length]))
    return mode, len(text[:a].encode()), len(text[:b].encode())


@settings(max_examples=150)
@given(st.sampled_from(["document", "span"]), st.text("ab é漢\n\r\U0001f600", max_size=60), st.integers(0, 1 << 62))
def test_cuts_equal_the_slow_twin(opened, level, text, salt):
    given_table = table([text], salt)
    row = opened[level](given_table).to_pylist()[0]
    key = document_keys(given_table["document_id"].combine_chunks(), CONFIGS[level].seed, fim._STREAM)[0]
    assert (row["fim_mode"], row["fim_start"], row["fim_end"]) == slow_cuts(CONFIGS[level], text, key)


def test_rates_are_shares_of_the_documents_and_the_seed_changes_them():
    texts = ["some text to cut"] * 2000
    config = FimConfig(rate=0.5, spm_rate=0.25, encode=EncodeConfig(engine="reference"))
    modes = [fim_stage(replace(config, seed=seed)).open()(table(texts))["fim_mode"].to_pylist() for seed in (0, 1)]
    assert 0.46 < 1 - modes[0].count("none") / 2000 < 0.54
    assert 0.09 < modes[0].count("spm") / 2000 < 0.16
    assert modes[0] != modes[1]
    for rate, expected in ((0.0, {"none"}), (1.0, {"psm", "spm"})):
        assert set(fim_stage(replace(config, rate=rate)).open()(table(texts[:50]))["fim_mode"].to_pylist()) == expected


def test_both_engines_give_the_same_tokens(opened):
    fast = fim_stage(replace(CONFIGS["document"], encode=EncodeConfig())).open()
    encoded, expected = fast(table(TEXTS)), opened["document"](table(TEXTS))
    assert digest(encoded) == digest(expected)
    assert json.loads(encoded.schema.metadata[TOKENIZER_KEY])["engine"] == "gigatoken"
    assert json.loads(expected.schema.metadata[TOKENIZER_KEY])["engine"] == "reference"


def test_small_batches_give_the_same_tokens(opened, monkeypatch):
    whole = digest(opened["document"](table(TEXTS)))
    monkeypatch.setattr(fim, "_BATCH_BYTES", 7)
    assert digest(opened["document"](table(TEXTS))) == whole


def test_a_vocabulary_without_sentinels_takes_ids(opened):
    config = replace(CONFIGS["document"], encode=EncodeConfig(vocabulary="o200k_base", engine="reference"))
    with pytest.raises(ValueError, match=r"no special token '<\|fim_prefix\|>'.*set prefix.*such as 2000"):
        fim_stage(config).open()
    numbered = replace(config, prefix=200_020, middle=200_021, suffix=200_022)
    pieces = pieces_of(load_vocabulary("o200k_base"))
    rows = fim_stage(numbered).open()(table(["def f(x):\n    return x\n"] * 9)).to_pylist()
    for row in rows:
        check_row("def f(x):\n    return x\n", row, [200_020, 200_021, 200_022], pieces)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prefix": 5}, "prefix=5 must be an id that no text encodes to"),
        ({"prefix": -1}, "prefix=-1 must be an id"),
        ({"suffix": 100259}, "three different tokens"),
        ({"middle": "<MID>"}, "no special token '<MID>'"),
    ],
)
def test_sentinels_that_cannot_be_ones_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        sentinels_of(FimConfig(**fields), VOCABULARY, PIECES)


def test_a_vocabulary_that_adds_a_space_is_refused(tmp_path):
    spaced = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    encoding = replace(save_trained(tmp_path / "spaced.json", pre_tokenizer=spaced), engine="reference")
    with pytest.raises(ValueError, match="byte for byte"):
        fim_stage(FimConfig(encode=encoding, prefix=900, middle=901, suffix=902)).open()


def test_a_trained_vocabulary_keeps_its_text(tmp_path):
    encoding = save_trained(tmp_path / "plain.json")
    config = FimConfig(encode=encoding, prefix=900, middle=901, suffix=902, rate=1.0)
    pieces = pieces_of(load_vocabulary(encoding.vocabulary, sha256=encoding.vocabulary_sha256))
    texts = ["def f(x):\n    return x + 1\n", "naïve 漢字"]
    for text, row in zip(texts, fim_stage(config).open()(table(texts)).to_pylist(), strict=True):
        check_row(text, row, [900, 901, 902], pieces)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 1.5}, "rate must be from 0 to 1"),
        ({"spm_rate": -0.1}, "spm_rate"),
        ({"level": "word"}, "document, span, node"),
        ({"max_span_lines": 0}, "max_span_lines=0"),
        ({"concepts": ("body",)}, r"concepts \['body'\] are unknown"),
        ({"concepts": ()}, "must not be empty"),
    ],
)
def test_config_that_is_wrong_says_what_to_do(fields, message):
    with pytest.raises(ValueError, match=message):
        FimConfig(**fields)


def test_the_order_of_the_source_is_known_by_mode():
    assert source_order("none", None, None, 9) == [(0, 9)]
    assert source_order("psm", 2, 5, 9) == [(0, 2), (5, 9), (2, 5)]
    assert source_order("spm", 2, 5, 9) == [(5, 9), (0, 2), (2, 5)]
    with pytest.raises(ValueError, match="fim_mode"):
        source_order("msp", 0, 1, 2)


def test_reference_and_segments_agree_on_a_cut_inside_a_word(opened):
    reference = Reference(VOCABULARY)
    text = "internationalisation"
    for row in opened["document"](table([text] * 30)).to_pylist():
        if row["fim_mode"] == "psm":
            start, end = row["fim_start"], row["fim_end"]
            parts = [reference.encode_text(part) for part in (text[:start], text[end:], text[start:end])]
            assert row["tokens"] == [100258, *parts[0], 100260, *parts[1], 100259, *parts[2]]
