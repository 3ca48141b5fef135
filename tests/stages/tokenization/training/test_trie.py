"""The trie against a search through all strings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.tokenization.training.trie import build_trie, cut_pieces, match_two

STRINGS = st.lists(st.binary(min_size=1, max_size=4).map(lambda b: bytes(x % 3 for x in b)), max_size=12, unique=True)
TEXT = st.binary(max_size=20).map(lambda b: bytes(x % 3 for x in b))


def two_longest(strings, text, at):
    fitting = sorted((s for s in strings if text[at:].startswith(s)), key=len, reverse=True)[:2]
    found = [(strings.index(s), len(s)) for s in fitting] + [(-1, 0)] * (2 - len(fitting))
    return (*found[0], *found[1])


@given(STRINGS, TEXT)
def test_match_finds_the_two_longest_strings(strings, text):
    trie, data = build_trie(strings), np.frombuffer(text, np.uint8)
    for at in range(len(text)):
        found = match_two(trie.keys, trie.children, trie.values, data, at, len(text))
        assert found == two_longest(strings, text, at)


@given(STRINGS, st.lists(TEXT, max_size=4))
def test_cut_takes_the_longest_string_each_time(strings, texts):
    data = np.frombuffer(b"".join(texts), np.uint8)
    starts = np.cumsum([0, *(len(text) for text in texts)]).astype(np.int64)
    counts, ids = cut_pieces(build_trie(strings), starts, data)
    expected = []
    for text in texts:
        at, row = 0, []
        while at < len(text):
            number, length, _, _ = two_longest(strings, text, at)
            row.append(number)
            at += max(length, 1)
        expected.append(row)
    assert counts.tolist() == [len(row) for row in expected]
    assert ids.tolist() == [number for row in expected for number in row]


def test_strings_keep_their_numbers_and_the_last_of_equal_ones_counts():
    trie = build_trie([b"ab", b"abc", b"ab"], [7, 9, 3])
    counts, ids = cut_pieces(trie, np.array([0, 5]), np.frombuffer(b"abcab", np.uint8))
    assert (counts.tolist(), ids.tolist()) == ([2], [9, 3])
