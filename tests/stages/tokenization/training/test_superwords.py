"""Superword vocabularies: what they learn, and the same ids from Hugging Face tokenizers and from our engine."""

import json
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from stages.tokenization.training.methods import SUPERBPE, SUPERTOKENS
from stages.tokenization.training.superwords import (
    SuperwordConfig,
    UnitEngine,
    count_superwords,
    max_unit_chars,
    train_superbpe,
)
from stages.tokenization.training.units import add_counts
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary
from tests.stages.tokenization.training.samples import CODE, END, PROSE, TEXT

TEXTS = pa.array(
    [
        PROSE * 3,
        CODE * 3,
        "By the way: 12345 of the 67890 words are in the list of the words,\r\nand the rest of the words not.\n" * 3,
        "",
    ]
)
IDS = pa.array([bytes([number] * 16) for number in range(len(TEXTS))], pa.binary(16))
CONFIG = SuperwordConfig(vocabulary_size=370, subword_share=0.85, max_words=3)
METHODS = [SUPERBPE, SUPERTOKENS]


@lru_cache
def trained(method):
    counts = method.count(TEXTS, IDS, CONFIG.cuts)
    return Vocabulary(name=method.name, content=method.train(counts, CONFIG, [END]), split="", special_tokens={})


@lru_cache
def hugging_face(method):
    tokenizer = tokenizers.Tokenizer.from_str(trained(method).content.decode())
    tokenizer.encode_special_tokens = True
    return tokenizer


@lru_cache
def engine(method):
    return UnitEngine(trained(method))


def encode(method, texts):
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in encoded)]).astype(np.int32)
    starts, ids = engine(method).encode(offsets, np.frombuffer(b"".join(encoded), np.uint8))
    assert (starts.dtype, ids.dtype) == (np.int64, np.int32)
    return [ids[a:b].tolist() for a, b in pairwise(starts)]


def words_of(method):
    return [name.replace("Ġ", " ").replace("Ċ", "\n") for name in json.loads(trained(method).content)["model"]["vocab"]]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
@given(st.lists(TEXT, max_size=3))
def test_engine_gives_the_ids_of_hugging_face_and_they_give_the_text(method, texts):
    tokenizer = hugging_face(method)
    rows = encode(method, texts)
    assert rows == [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert [tokenizer.decode(row, skip_special_tokens=False) for row in rows] == texts


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_text_becomes_superwords(method):
    [row] = encode(method, ["Most of the time, the end of the list."])
    tokens = [words_of(method)[token] for token in row]
    assert any(token.strip().count(" ") == 1 for token in tokens), tokens


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_tokens_keep_to_their_bounds(method):
    words = words_of(method)
    assert len(words) - (END in words) == CONFIG.vocabulary_size
    assert max(len(word.split()) for word in words) == CONFIG.max_words
    inside = [word.rstrip("\r\nč") for word in words]
    assert not [word for word in inside if "\n" in word]
    assert not [word for word in words if any(c.isdigit() for c in word) and not word.isdigit() and word != END]


def test_fewer_tokens_than_inside_words():
    words, units = count_superwords(TEXTS, CONFIG.cuts)
    plain = train_superbpe(words, units, SuperwordConfig(vocabulary_size=370, subword_share=1.0))
    superwords = train_superbpe(words, units, CONFIG)
    assert superwords.tokens[: CONFIG.transition] == plain.tokens[: CONFIG.transition]
    lengths = [sum(trained_on(vocabulary, units)) for vocabulary in (plain, superwords)]
    assert lengths[1] < 0.95 * lengths[0]


def trained_on(vocabulary, units):
    pieces, counts = units
    offsets = np.cumsum([0, *(len(piece.as_py()) for piece in pieces)])
    starts, _ = vocabulary.merger().encode(offsets, np.frombuffer(b"".join(pieces.to_pylist()), np.uint8))
    return (np.diff(starts) * counts).tolist()


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_the_same_file_from_counts_of_any_parts(method):
    parts = [method.count(TEXTS[a:b], IDS[a:b], CONFIG.cuts) for a, b in ((2, 4), (0, 1), (1, 2))]
    counts = [add_counts(kind) for kind in zip(*parts, strict=True)]
    assert method.train(counts, CONFIG, [END]) == trained(method).content


def test_seed_changes_supertokens():
    other = SuperwordConfig(vocabulary_size=370, max_words=3, seed=1)
    assert SUPERTOKENS.train(SUPERTOKENS.count(TEXTS, IDS, other.cuts), other, [END]) != trained(SUPERTOKENS).content


def test_bounds_hold_for_one_long_line():
    [row] = encode(SUPERBPE, ["the end of " * 20_000])
    assert row == hugging_face(SUPERBPE).encode("the end of " * 20_000).ids
    assert max_unit_chars(trained(SUPERBPE)) == 1024


def test_other_vocabularies_have_no_units():
    with pytest.raises(ValueError, match="does not cut text into units"):
        UnitEngine(load_vocabulary("cl100k_base"))
    content = json.loads(trained(SUPERBPE).content) | {"pre_tokenizer": {"type": "ByteLevel"}}
    plain = Vocabulary(name="plain", content=json.dumps(content).encode(), split="", special_tokens={})
    with pytest.raises(ValueError, match="vocabulary plain does not cut text into units"):
        UnitEngine(plain)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_words": 0}, "max_words must be at least 1"),
        ({"vocabulary_size": 256}, "must be above the 256 bytes"),
        ({"subword_share": 1.5}, "must be a share from 0 to 1"),
        ({"max_unit_chars": 20_000}, "must be at most 10000"),
        ({"max_token_bytes": 1}, "max_token_bytes must be at least 2"),
    ],
)
def test_bad_values_are_errors(values, message):
    with pytest.raises(ValueError, match=message):
        SuperwordConfig(**values)
