"""Word borders over bytes: against the scanner text by text, against tokens, and unpacked again."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.annotate import annotate
from pipeline.stage import configured
from schemas.words import WORDS
from stages.text_views import text_views
from stages.tokenization import encode, words
from stages.tokenization.encode import EncodeConfig
from stages.tokenization.pieces import pieces_of
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.vocabulary import load_vocabulary
from stages.tokenization.words import STAGE, WordsConfig, unpack_words
from tests import machine
from tests.contract import check_stage
from tests.golden import digest

GOLDEN = "f8ff7f424d26408202b5c296575d2534245a66edaa9c94b9664ce38058dfe3d2"
TEXTS = [
    "def f(x):\n    return x\n",
    None,
    "",
    "漢字かな  e\u0301 don't",
    "x",
    "a" * 17,
    " " * 8,
    "1234567 HTTPServer",
    None,
]


def table(*texts):
    return pa.table({"text": pa.array(texts, pa.string())})


def test_words_keep_the_laws_of_a_stage_and_their_golden_output():
    out = check_stage(configured(STAGE, WordsConfig()), table(*TEXTS))
    assert digest(out) == GOLDEN


def test_bits_of_a_small_text():
    text = "def f(x):\n    return x\n"
    out = STAGE.open(WordsConfig(split="cl100k"))(table(text)).to_pylist()[0]
    bits = "".join(f"{byte:08b}"[::-1] for byte in out["word_borders"])
    assert bits[: len(text)] == "".join("1" if at in {0, 3, 5, 7, 10, 13, 20, 22} else "0" for at in range(len(text)))
    assert "1" not in bits[len(text) :]
    assert out["num_words"] == 8


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.text("ab 1'\n漢é_(", max_size=40) | st.text(max_size=20), max_size=6),
    st.sampled_from(["r50k", "cl100k", "o200k"]),
)
def test_borders_are_those_of_the_scanner_text_by_text(texts, split):
    given_texts = table(*texts)
    out = STAGE.open(WordsConfig(split=split))(given_texts)
    column = pa.array(texts, pa.string())
    bitmaps = pa.concat_arrays([pa.array([], pa.binary()), *out["word_borders"].chunks])
    raw, begins = unpack_words(column, bitmaps)
    for row, text in enumerate(texts):
        if text is None:
            assert (raw[row].as_py(), begins[row].as_py(), out["num_words"][row].as_py()) == (None, None, None)
            continue
        alone, _ = pretoken_starts(*text_views(pa.array([text])), split)
        assert bytes(raw[row].as_py()) == text.encode()
        assert np.flatnonzero(begins[row].as_py()).tolist() == alone.tolist()
        assert out["num_words"][row].as_py() == len(alone)


def test_every_word_begins_with_a_token_of_the_same_split():
    text = "def añadir(x):\n\treturn x + 'ñandú'  # 漢字 12345\r\n" * 3
    ids = encode.STAGE.open(EncodeConfig())(table(text))["tokens"][0].as_py()
    begins = {0, *np.cumsum(pieces_of(load_vocabulary("cl100k_base")).lengths[ids]).tolist()}
    out = STAGE.open(WordsConfig(split="cl100k"))(table(text))
    _, flags = unpack_words(pa.array([text]), out["word_borders"].chunk(0))
    assert set(np.flatnonzero(flags[0].as_py()).tolist()) < begins


def test_a_chain_writes_tokens_and_words_from_one_reading(tmp_path):
    documents = machine.given("documents", table(*TEXTS))
    both = annotate(
        "units", documents, stages=[configured(encode.STAGE, EncodeConfig()), configured(STAGE, WordsConfig())]
    )
    (made,) = machine.run(machine.site_of(tmp_path), both).tables(both)
    assert made.column_names == ["tokens", "num_tokens", *WORDS.names]
    assert made["num_words"].to_pylist() == STAGE.open(WordsConfig())(table(*TEXTS))["num_words"].to_pylist()


def test_small_batches_give_the_same_bitmaps(monkeypatch):
    whole = STAGE.open(WordsConfig())(table(*TEXTS))
    monkeypatch.setattr(words, "_BATCH_BYTES", 5)
    assert digest(STAGE.open(WordsConfig())(table(*TEXTS))) == digest(whole)


def test_unpacking_of_slices_and_of_columns_that_do_not_fit():
    text = pa.array(["other", "two words", None, "x y"])
    bitmaps = STAGE.open(WordsConfig())(pa.table({"text": text}))["word_borders"].chunk(0)
    raw, begins = unpack_words(text.slice(1, 3), bitmaps.slice(1, 3))
    assert [None if row is None else bytes(row) for row in raw.to_pylist()] == [b"two words", None, b"x y"]
    assert begins.to_pylist()[0] == [at in (0, 3) for at in range(9)]
    assert raw.values.buffers()[1].address == text.buffers()[2].address
    with pytest.raises(ValueError, match=r"row 0: 1 bytes of borders for 9 bytes of text"):
        unpack_words(text.slice(1, 1), bitmaps.slice(0, 1))
    assert [part.to_pylist() for part in unpack_words(text.slice(4), bitmaps.slice(4))] == [[], []]


def test_config_that_is_wrong_says_what_to_do():
    with pytest.raises(ValueError, match="must be one of r50k"):
        WordsConfig(split="gpt9")
