"""Merges of a batch: against counting all pairs anew for every merge, and undone again."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.text_views import text_views
from stages.tokenization.dynamic import MergedBatch, begin_words, merge_batch
from stages.tokenization.engines import Reference
from stages.tokenization.pieces import Pieces, pieces_of
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.vocabulary import load_vocabulary
from tests.golden import digest

GOLDEN = "c077fa614d8df848e696ff887923d4834c58abe49c24de8c78cb8b575bb3adaa"
BASE = 100_300
TEXTS = [
    "def tokenization(detokenize):\n    return detokenize.tokenization\n" * 3,
    "",
    "tokenization, retokenization " * 4,
]


@lru_cache(maxsize=1)
def shipped() -> tuple[Reference, Pieces]:
    vocabulary = load_vocabulary("cl100k_base")
    return Reference(vocabulary), pieces_of(vocabulary)


def lists(rows: Sequence[list[int] | None]) -> pa.Array:
    return pa.array(rows, pa.list_(pa.int32()))


def flags(rows: Sequence[list[bool] | None]) -> pa.Array:
    return pa.array(rows, pa.list_(pa.bool_()))


def encoded(texts: Sequence[str]) -> pa.Array:
    return lists([[*shipped()[0].encode_text(text), 100_257] for text in texts])


def merge_slowly(rows, words, merges, base):
    """The slow obvious twin: count every pair of the batch, merge the best one everywhere, begin again."""
    split: list[list[list[int]]] = []
    for row, begins in zip(rows, words, strict=True):
        split.append([])
        for at, token in enumerate(row or []):
            if at == 0 or begins[at]:
                split[-1].append([])
            split[-1][-1].append(token)
    pairs = []
    for number in range(merges):
        counts = Counter(pair for row in split for word in row for pair in pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        pairs.append(list(best))
        for row in split:
            for word in row:
                at = 0
                while at + 1 < len(word):
                    if (word[at], word[at + 1]) == best:
                        word[at : at + 2] = [base + number]
                    at += 1
    merged = [[token for word in row for token in word] for row in split]
    return [None if row is None else found for row, found in zip(rows, merged, strict=True)], pairs


def undo(batch: MergedBatch) -> list[list[int] | None]:
    parts = batch.parts().to_pylist()
    return [
        None if row is None else [t for token in row for t in (parts[token - BASE] if token >= BASE else [token])]
        for row in batch.tokens.to_pylist()
    ]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.none() | st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30), max_size=5),
    st.integers(0, 8),
)
def test_merging_equals_the_slow_twin(rows, merges):
    tokens = [None if row is None else [token for token, _ in row] for row in rows]
    words = [None if row is None else [begins for _, begins in row] for row in rows]
    batch = merge_batch(lists(tokens), flags(words), merges=merges, base=BASE)
    wanted = merge_slowly(tokens, words, merges, BASE)
    assert (batch.tokens.to_pylist(), batch.pairs.tolist()) == wanted
    assert undo(batch) == tokens


def test_a_batch_gets_shorter_and_its_order_decides_nothing():
    tokens = encoded(TEXTS)
    words = begin_words(tokens, shipped()[1], "cl100k")
    batch = merge_batch(tokens, words, merges=20, base=BASE)
    back = np.array([2, 1, 0])
    other = merge_batch(tokens.take(back), words.take(back), merges=20, base=BASE)
    assert undo(batch) == tokens.to_pylist()
    assert other.pairs.tolist() == batch.pairs.tolist()
    assert other.tokens.to_pylist() == batch.tokens.to_pylist()[::-1]
    assert len(batch.tokens.flatten()) < 0.8 * len(tokens.flatten())
    assert digest(pa.table({"tokens": pa.concat_arrays([batch.tokens, batch.parts()])})) == GOLDEN


def test_a_word_of_many_equal_tokens_takes_time_that_grows_with_its_length():
    number = 1 << 17
    words = flags([[True] + [False] * (number - 1)])
    batch = merge_batch(lists([[7] * number]), words, merges=40, base=BASE)
    assert batch.pairs.tolist() == [[7, 7], *([BASE + n, BASE + n] for n in range(15))]
    assert batch.tokens.to_pylist() == [[BASE + 15] * 2]


def test_slices_and_empty_batches():
    tokens = pa.concat_arrays([lists([[9, 9, 9], None]), encoded(TEXTS[:1])]).slice(1)
    words = begin_words(tokens, shipped()[1], "cl100k")
    batch = merge_batch(tokens, words, merges=5, base=BASE)
    alone = encoded(TEXTS[:1])
    assert batch.tokens.to_pylist()[0] is None
    assert len(batch.pairs) == 5
    assert (
        batch.tokens.to_pylist()[1:]
        == merge_batch(alone, begin_words(alone, shipped()[1], "cl100k"), merges=5, base=BASE).tokens.to_pylist()
    )
    for rows in ([], [None], [[]]):
        empty = merge_batch(lists(rows), flags(rows), merges=3, base=BASE)
        assert (empty.tokens.to_pylist(), empty.pairs.tolist(), empty.parts().to_pylist()) == (rows, [], [])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab 1'\n漢é_(", max_size=30), min_size=1, max_size=4))
def test_words_begin_where_the_scanner_says(texts):
    found = begin_words(encoded(texts), shipped()[1], "cl100k").to_pylist()
    for text, row, ids in zip(texts, found, encoded(texts).to_pylist(), strict=True):
        begins = [0, *np.cumsum(shipped()[1].lengths[ids[:-1]]).tolist()]
        starts, _ = pretoken_starts(*text_views(pa.array([text])), "cl100k")
        assert row[-1]
        assert [at for at, flag in zip(begins, row[:-1], strict=False) if flag] == starts.tolist()


def test_wrong_arguments_say_what_is_expected():
    with pytest.raises(ValueError, match="one flag per token in every row"):
        merge_batch(lists([[1, 2]]), flags([[True]]), merges=1, base=BASE)
    with pytest.raises(ValueError, match="ids go from 1 to 7; they must be below base=7"):
        merge_batch(lists([[1, 7]]), flags([[True, True]]), merges=1, base=7)
    with pytest.raises(ValueError, match="must be positive"):
        merge_batch(lists([[1]]), flags([[True]]), merges=-1, base=7)
