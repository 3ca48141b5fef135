"""Bytes with word borders as tokens: against the bitmap of `words`, and split again."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stage import configured
from stages.tokenization import byte_words, words
from stages.tokenization.byte_words import END_OF_DOCUMENT, STAGE, byte_pieces, split_ids
from stages.tokenization.words import WordsConfig, unpack_words
from tests.contract import check_stage
from tests.golden import digest

GOLDEN = "6e474f0154df313d7ae054e5b6053fd8ed7e2b3faeffa3caabd7e70d0421b1eb"
TEXTS = ["def f(x):\n    return x\n", None, "", "漢字かな  e\u0301 don't", "a" * 17, None]


def table(*texts):
    return pa.table({"text": pa.array(texts, pa.string())})


def test_bytes_keep_the_laws_of_a_stage_and_their_golden_output():
    out = check_stage(configured(STAGE, WordsConfig()), table(*TEXTS))
    assert out["num_tokens"].to_pylist() == [None if text is None else len(text.encode()) for text in TEXTS]
    assert digest(out) == GOLDEN


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.text("ab 1'\n漢é_(", max_size=40), max_size=6), st.sampled_from(["r50k", "o200k"]))
def test_tokens_say_what_the_text_and_its_bitmap_say(texts, split):
    config, rows = WordsConfig(split=split), table(*texts)
    tokens = STAGE.open(config)(rows)["tokens"]
    bitmaps = pa.concat_arrays([pa.array([], pa.binary()), *words.STAGE.open(config)(rows)["word_borders"].chunks])
    raw, begins = (column.to_pylist() for column in unpack_words(pa.array(texts, pa.string()), bitmaps))
    found = [None if ids is None else split_ids(np.array(ids, np.int64)) for ids in tokens.to_pylist()]
    assert [None if pair is None else pair[0].tolist() for pair in found] == raw
    assert [None if pair is None else pair[1].tolist() for pair in found] == begins
    spelt = [None if ids is None else byte_pieces().decode(ids) for ids in tokens.to_pylist()]
    assert spelt == [None if text is None else text.encode() for text in texts]


def test_ids_that_are_no_bytes_stay_apart():
    raw, begins = split_ids(np.array([[97, 256 + 98], [END_OF_DOCUMENT, END_OF_DOCUMENT + 1]], np.int32))
    assert raw.tolist() == [[97, 98], [256, 257]]
    assert begins.tolist() == [[False, True], [False, False]]


def test_small_batches_give_the_same_tokens(monkeypatch):
    whole = STAGE.open(WordsConfig())(table(*TEXTS))
    monkeypatch.setattr(byte_words, "_BATCH_BYTES", 5)
    assert digest(STAGE.open(WordsConfig())(table(*TEXTS))) == digest(whole)
