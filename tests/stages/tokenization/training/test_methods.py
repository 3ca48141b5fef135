"""What all methods share: no text, slices of a column, and ids that do not depend on the batch."""

import json
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
import tokenizers

from stages.text_views import text_views
from stages.tokenization.certify import EncoderMismatchError, certify_engine
from stages.tokenization.encode import EncodeConfig, encode_stage
from stages.tokenization.engines import Gigatoken, Reference
from stages.tokenization.pieces import merges_of, pieces_of
from stages.tokenization.training.hybrid import Dictionary, HybridConfig, read_hybrid
from stages.tokenization.training.hybrid_engine import HybridEngine
from stages.tokenization.training.less_is_better import GreedyEngine, LibConfig
from stages.tokenization.training.methods import HYBRID, LIB, SUPERBPE, SUPERTOKENS, open_unit_engine
from stages.tokenization.training.superwords import SuperwordConfig, UnitEngine
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary

TEXTS = pa.array(["one line of words\n" * 3, "", "two lines of 1234 words\r\n\r\n" * 2, "Überall words"])
IDS = pa.array([bytes([number] * 16) for number in range(len(TEXTS))], pa.binary(16))
WORDS = Dictionary(roots=(b"line", b"word"), affixes=(b"s",))
CASES = [
    (SUPERBPE, SuperwordConfig(vocabulary_size=280), UnitEngine),
    (SUPERTOKENS, SuperwordConfig(vocabulary_size=280), UnitEngine),
    (LIB, LibConfig(vocabulary_size=280, batches=5, batch_bytes=500), GreedyEngine),
    (HYBRID, HybridConfig(vocabulary_size=280, dictionary=WORDS), HybridEngine),
]
NAMES = [method.name for method, _, _ in CASES]


def make_engine(engine, content):
    if engine is HybridEngine:
        return engine(read_hybrid(content))
    return engine(Vocabulary(name="made", content=content, split="", special_tokens={}))


def rows_of(engine, texts):
    starts, ids = engine.encode(*text_views(texts))
    assert len(starts) == len(texts) + 1
    return [ids[starts[row] : starts[row + 1]].tolist() for row in range(len(texts))]


@pytest.mark.parametrize(("method", "config", "engine"), CASES, ids=NAMES)
def test_rows_are_the_same_in_slices_and_alone(method, config, engine):
    made = make_engine(engine, method.train(method.count(TEXTS, IDS, config.cuts), config, ["<|endoftext|>"]))
    rows = rows_of(made, TEXTS)
    assert rows_of(made, TEXTS[1:4]) == rows[1:4]
    assert [rows_of(made, TEXTS[row : row + 1])[0] for row in range(len(TEXTS))] == rows
    assert rows_of(made, TEXTS[:0]) == []
    assert rows[1] == []


@pytest.mark.parametrize(("method", "config", "engine"), CASES, ids=NAMES)
def test_slices_are_counted_alone(method, config, engine):
    whole, part = (
        method.count(pa.array(TEXTS[2:].to_pylist()), IDS[2:], config.cuts),
        method.count(TEXTS[2:], IDS[2:], config.cuts),
    )
    for (pieces, counts), (others, other_counts) in zip(whole, part, strict=True):
        assert pieces.equals(others)
        assert np.array_equal(counts, other_counts)


@pytest.mark.parametrize(("method", "config", "engine"), CASES, ids=NAMES)
def test_no_text_gives_a_vocabulary_of_bytes(method, config, engine):
    content = method.train(method.count(TEXTS[1:2], IDS[1:2], config.cuts), config, [])
    assert len(json.loads(content).get("tokens") or json.loads(content)["model"]["vocab"]) in (256, 258)
    assert rows_of(make_engine(engine, content), pa.array(["añ"])) != [[]]


@pytest.mark.parametrize(("method", "config", "engine"), CASES[:3], ids=NAMES[:3])
def test_unit_engines_are_certified_as_others_are(method, config, engine):
    content = method.train(method.count(TEXTS, IDS, config.cuts), config, ["<|endoftext|>"])
    saved = tokenizers.Tokenizer.from_str(content.decode()).to_str().encode()
    vocabulary = Vocabulary(name="saved", content=saved, split="", special_tokens={})
    opened = open_unit_engine(vocabulary)
    assert isinstance(opened, engine)
    certify_engine(opened, Reference(vocabulary), vocabulary)


def test_usual_vocabularies_have_no_unit_engine():
    with pytest.raises(ValueError, match="does not cut text into units"):
        open_unit_engine(load_vocabulary("cl100k_base"))


@pytest.mark.parametrize(("method", "config", "engine"), CASES, ids=NAMES)
def test_the_encode_stage_takes_every_file(method, config, engine, tmp_path):
    content = method.train(method.count(TEXTS, IDS, config.cuts), config, ["<|endoftext|>"])
    path = tmp_path / f"{method.name}.json"
    path.write_bytes(content)
    chosen = EncodeConfig(vocabulary=str(path), vocabulary_sha256=sha256(content).hexdigest(), engine="units")
    stage = encode_stage(chosen)
    table = stage.stage.open(chosen)(pa.table({"text": pa.chunked_array([TEXTS, pa.array([None], pa.string())])}))
    assert table["tokens"].to_pylist() == [*rows_of(make_engine(engine, content), TEXTS), None]
    vocabulary = load_vocabulary(str(path), sha256=chosen.vocabulary_sha256)
    assert vocabulary.kind == ("hybrid" if method is HYBRID else "tokenizer.json")
    assert vocabulary.special_token() >= 256


def test_a_hybrid_is_for_units_alone():
    _, config, _ = CASES[3]
    content = HYBRID.train(HYBRID.count(TEXTS, IDS, config.cuts), config, [])
    vocabulary = Vocabulary(name="made", content=content, split="", special_tokens={}, is_hybrid=True)
    for use in (pieces_of, merges_of, Gigatoken):
        with pytest.raises(ValueError, match=r"made is a hybrid, no tokenizer\.json: only engine='units' knows it"):
            use(vocabulary)


@pytest.mark.parametrize("other", ["gigatoken", "torch"])
@pytest.mark.parametrize(("method", "config", "engine"), CASES, ids=NAMES)
def test_engines_that_cannot_encode_a_file_advise_units(method, config, engine, other, tmp_path):
    if other == "torch":
        pytest.importorskip("torch")
    content = method.train(method.count(TEXTS, IDS, config.cuts), config, ["<|endoftext|>"])
    path = tmp_path / f"{method.name}.json"
    path.write_bytes(content)
    chosen = EncodeConfig(vocabulary=str(path), vocabulary_sha256=sha256(content).hexdigest(), engine=other)
    with pytest.raises((ValueError, EncoderMismatchError), match="engine='units'") as caught:
        encode_stage(chosen).stage.open(chosen)
    assert "engine='reference'" not in str(caught.value)


def test_units_that_differ_advise_the_reference(monkeypatch):
    method, config, _ = CASES[0]
    content = method.train(method.count(TEXTS, IDS, config.cuts), config, [])
    vocabulary = Vocabulary(name="made", content=content, split="", special_tokens={})
    made, reference = UnitEngine(vocabulary), Reference(vocabulary)
    monkeypatch.setattr(made, "_max_chars", 1)
    with pytest.raises(EncoderMismatchError, match="use engine='reference' for this vocabulary"):
        certify_engine(made, reference, vocabulary)
