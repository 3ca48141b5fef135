"""Counts of pretokens against a Counter."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.tokenization.scanner import SPLIT_RULES
from stages.tokenization.scanner_counts import count_pretokens
from tests.stages.tokenization.test_scanner import TEXTS, cut


@given(st.lists(TEXTS, max_size=6), st.sampled_from(sorted(SPLIT_RULES)))
@settings(max_examples=200, deadline=None)
def test_counts_are_those_of_a_counter(texts: list[str], split: str) -> None:
    spelt = [text.encode() for text in texts]
    offsets, data = np.cumsum([0, *map(len, spelt)]), np.frombuffer(b"".join(spelt), np.uint8)
    rows = np.arange(0, len(texts), 2)
    counted = count_pretokens(offsets, data, rows, split)
    expected = Counter(piece for pieces in cut(texts, split)[::2] for piece in pieces)
    assert dict(zip(counted.pretokens.to_pylist(), counted.counts.tolist(), strict=True)) == expected
    assert counted.pretokens.to_pylist() == list(expected)


def test_tables_grow_and_hashes_depend_on_bytes_alone() -> None:
    words = [f"word{number} " for number in range(60_000)]
    text = "".join(words).encode()
    data = np.frombuffer(b"x" + text, np.uint8)
    one = count_pretokens(np.array([1, 1 + len(text)]), data, np.array([0]), "r50k")
    assert int(one.counts.sum()) == 120_001
    assert len(one.pretokens) == 60_003
    again = count_pretokens(np.array([0, len(text)]), data[1:], np.array([0]), "r50k")
    assert one.hashes.tolist() == again.hashes.tolist()
    assert len(set(one.hashes.tolist())) == len(one.hashes)
