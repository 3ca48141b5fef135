"""The trainer against an obvious one, against that of Hugging Face tokenizers, and in its own laws."""

import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from stages.tokenization.pieces import byte_alphabet
from stages.tokenization.training.alphabet import count_characters, join_pieces
from stages.tokenization.training.bpe import BpeConfig, Trained, byte_order, no_merges, train_bpe

Words = Mapping[bytes, int]
WORDS = st.dictionaries(
    st.text("aab ", max_size=8).map(str.encode) | st.binary(max_size=6), st.integers(1, 4), max_size=12
)
TEXT = (
    """Grain is ground between two stones. The upper stone, the runner stone, turns; the bed stone does not.
A grist mill grinds grist into flour: the miller's grist, the farmer's grist, everybody's grist.
The grinding stones are dressed; the dressing is a pattern of furrows; the furrows carry the flour outwards.
def grind(grist, stones):
    for grain in grist:
        yield stones.grind(grain)
    return stones.flour
"""
    * 3
)


def train(words: Words, start: Trained | None = None, **config: object) -> Trained:
    counts = np.array(list(words.values()), np.int64)
    return train_bpe(pa.array(list(words), pa.binary()), counts, BpeConfig(**config), start=start)  # type: ignore[arg-type]


def encode(trained: Trained, piece: bytes) -> list[bytes]:
    ids = trained.merger().encode(np.array([0, len(piece)]), np.frombuffer(piece, np.uint8))[1]
    return [trained.tokens[token] for token in ids]


def train_slowly(words: Words, size: int, min_count: int = 2, longest: int = 1 << 30) -> list[tuple[bytes, bytes]]:
    """The pairs of bytes that are merged: count everything anew for every merge."""
    tokens = [bytes([byte]) for byte in byte_order()]
    spelt = {word: [bytes([byte]) for byte in word] for word in words}
    merges: list[tuple[bytes, bytes]] = []
    while len(tokens) < size:
        counts = Counter[tuple[bytes, bytes]]()
        for word, parts in spelt.items():
            for pair in pairwise(parts):
                counts[pair] += words[word]
        number = {token: index for index, token in enumerate(tokens)}
        possible = [
            (-count, number[a], number[b])
            for (a, b), count in counts.items()
            if count >= min_count and len(a + b) <= longest and a + b not in number
        ]
        if not possible:
            break
        _, left, right = min(possible)
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
        spelt = {word: merge_slowly(parts, merges[-1]) for word, parts in spelt.items()}
    return merges


def merge_slowly(parts: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    merged: list[bytes] = []
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            merged.append(pair[0] + pair[1])
            at += 2
        else:
            merged.append(parts[at])
            at += 1
    return merged


def pairs_of(trained: Trained) -> list[tuple[bytes, bytes]]:
    return [(trained.tokens[left], trained.tokens[right]) for left, right, _ in trained.merges.tolist()]


def pretokens(text: str) -> Counter[bytes]:
    """As the byte-level pre-tokenizer of Hugging Face tokenizers cuts."""
    alphabet = byte_alphabet()
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return Counter(bytes(alphabet[character] for character in piece) for piece, _ in cut)


@given(WORDS, st.integers(257, 275), st.integers(1, 3), st.sampled_from([0, 2, 3, 5]))
@settings(max_examples=300, deadline=None)
def test_merges_are_those_of_counting_everything_anew(words: Words, size: int, min_count: int, longest: int) -> None:
    trained = train(words, vocabulary_size=size, min_count=min_count, max_token_length=longest)
    assert pairs_of(trained) == train_slowly(words, size, min_count, longest or 1 << 30)


def test_merges_are_those_of_hugging_face_tokenizers() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    written = json.loads(tokenizer.to_str())["model"]
    alphabet = {byte: character for character, byte in byte_alphabet().items()}
    pairs = pairs_of(train(pretokens(TEXT), vocabulary_size=420))
    ours = [["".join(alphabet[byte] for byte in half) for half in pair] for pair in pairs]
    assert len(ours) > 120
    assert ours == written["merges"]


@given(WORDS, st.permutations(range(12)))
@settings(max_examples=50, deadline=None)
def test_the_order_of_pretokens_does_not_matter(words: Words, order: list[int]) -> None:
    items = list(words.items())
    shuffled = dict(items[number] for number in order if number < len(items))
    one, other = train(words, vocabulary_size=270), train(shuffled, vocabulary_size=270)
    assert one.tokens == other.tokens
    assert one.merges.tolist() == other.merges.tolist()


@given(WORDS, st.integers(258, 266))
@settings(max_examples=50, deadline=None)
def test_going_on_from_a_vocabulary_gives_what_training_at_once_gives(words: Words, size: int) -> None:
    first = train(words, vocabulary_size=size)
    gone_on = train(words, first, vocabulary_size=275)
    assert gone_on.tokens == train(words, vocabulary_size=275).tokens


@given(WORDS)
@settings(max_examples=50, deadline=None)
def test_every_token_has_one_merge_and_spells_itself(words: Words) -> None:
    trained = train(words, vocabulary_size=280, min_count=1)
    assert len(set(trained.tokens)) == len(trained.tokens)
    assert trained.merges[:, 2].tolist() == list(range(256, len(trained.tokens)))
    for left, right, new in trained.merges.tolist():
        assert max(left, right) < new
        assert trained.tokens[left] + trained.tokens[right] == trained.tokens[new]
    offsets = np.cumsum([0, *map(len, trained.tokens)])
    ids = trained.merger().encode(offsets, np.frombuffer(b"".join(trained.tokens), np.uint8))[1]
    assert ids.tolist() == list(range(len(trained.tokens)))


def test_allow_forbids_tokens() -> None:
    words = pretokens(TEXT)
    counts = np.array(list(words.values()))
    asked: list[bytes] = []

    def allow(token: bytes) -> bool:
        asked.append(token)
        return b"s" not in token

    trained = train_bpe(pa.array(list(words), pa.binary()), counts, BpeConfig(vocabulary_size=400), allow=allow)
    assert len(trained.tokens) > 300
    assert all(b"s" not in token for token in trained.tokens[256:])
    assert any(b"s" in token for token in asked)


class TestCharacters:
    TEXT = "naïve façade — Straße naïve façade straße 漢字 漢字 漢 🎉 größer große Straßen " * 3

    def test_no_token_holds_a_part_of_a_character_beside_other_text(self) -> None:
        words = pretokens(self.TEXT)
        trained = train(words, vocabulary_size=330, unit="characters", max_token_length=3)
        for token in trained.tokens[256:]:
            try:
                assert len(token.decode()) <= 3
            except UnicodeDecodeError:  # the first bytes of one character, on the way to it
                assert len(token) < 4
                assert token[0] >= 0xC2
                assert all(byte & 0xC0 == 0x80 for byte in token[1:])
        assert "ß".encode() in trained.tokens
        assert "🎉".encode() in trained.tokens
        assert any(len(token.decode(errors="replace")) == 3 for token in trained.tokens)

    def test_characters_outside_the_alphabet_stay_bytes(self) -> None:
        words = pretokens(self.TEXT)
        trained = train(words, vocabulary_size=300, unit="characters", alphabet_size=2)
        whole = [t.decode() for t in trained.tokens if len(t) > 1 and t[0] >= 0xC2 and t.decode(errors="ignore")]
        assert sorted({c for t in whole for c in t if c > "\x7f"}) == sorted("ß漢")
        assert encode(trained, "字".encode()) == [b"\xe5", b"\xad", b"\x97"]

    def test_an_alphabet_that_does_not_fit_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="exceed vocabulary_size=260"):
            train(pretokens(self.TEXT), vocabulary_size=260, unit="characters")


class TestForcedTokens:
    def test_they_are_single_tokens_and_change_nothing_else(self) -> None:
        words = pretokens(TEXT)
        forced = (b" unheard", b" of", b"xyzzy", "naïve".encode())
        trained = train(words, vocabulary_size=400, forced_tokens=forced)
        assert len(trained.tokens) == 400
        assert all(encode(trained, token) == [token] for token in forced)
        kept = next(n for n, token in enumerate(trained.tokens) if token in forced and n > 300) - 30
        plain = train(words, vocabulary_size=400)
        assert trained.tokens[:kept] == plain.tokens[:kept]

    def test_too_many_are_an_error(self) -> None:
        forced = tuple(b"%c%c" % (a, b) for a in b"qxzjk" for b in b"QXZJK")
        with pytest.raises(ValueError, match="25 forced tokens do not fit a vocabulary of 270"):
            BpeConfig(vocabulary_size=270, forced_tokens=forced)
        with pytest.raises(ValueError, match="1 forced tokens do not fit a vocabulary of 270"):  # 25 with its parts
            train({b"ab": 3}, vocabulary_size=270, forced_tokens=(b"abcdefghijklmnopqrstuvwxyz",))


def test_nothing_to_learn_gives_the_bytes() -> None:
    for words in ({}, {b"": 5}, {b"a": 9}, {b"ab": 1}):
        trained = train(words, vocabulary_size=300)
        assert trained.tokens == no_merges().tokens
        assert trained.merges.shape == (0, 3)


def test_pretokens_may_be_a_slice() -> None:
    words = pa.array([b"skipped", b"abab", b"ab"], pa.binary())[1:]
    trained = train_bpe(words, np.array([2, 2]), BpeConfig(vocabulary_size=260))
    assert trained.tokens[256:] == (b"ab", b"abab")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocabulary_size": 256}, "vocabulary_size must be above the 256 bytes, got 256"),
        ({"min_count": 0}, "min_count must be at least 1"),
        ({"max_token_length": 1}, "max_token_length must be 0"),
        ({"alphabet_size": -1}, "alphabet_size must not be negative"),
        ({"unit": "words"}, "unit='words' must be bytes or characters"),
        ({"forced_tokens": (b"a",)}, "at least two bytes each"),
    ],
)
def test_bad_values(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BpeConfig(**values)  # type: ignore[arg-type]


def test_bad_counts() -> None:
    with pytest.raises(ValueError, match="2 pretokens need a count each that is not negative, got 1 counts"):
        train_bpe(pa.array([b"a", b"b"], pa.binary()), np.array([1]), BpeConfig())
    with pytest.raises(ValueError, match="not negative"):
        train_bpe(pa.array([b"a"], pa.binary()), np.array([-1]), BpeConfig())


@given(st.lists(st.text(max_size=6) | st.binary(max_size=6), max_size=5))
@settings(max_examples=100, deadline=None)
def test_characters_are_counted_and_bytes_that_are_none_are_not(pieces: list[str | bytes]) -> None:
    spelt = [piece if isinstance(piece, bytes) else piece.encode() for piece in pieces]
    counts = np.arange(1, len(spelt) + 1)
    offsets, data = np.cumsum([0, *map(len, spelt)]), np.frombuffer(b"".join(spelt), np.uint8)
    totals = count_characters(offsets, data, counts)
    expected = Counter[str]()
    for piece, count in zip(spelt, counts.tolist(), strict=True):
        for character in piece.decode(errors="ignore"):
            expected[character] += count
    found = {chr(code): int(totals[code]) for code in np.flatnonzero(totals)}
    assert all(found[character] >= count for character, count in expected.items())
    if all(isinstance(piece, str) for piece in pieces):
        assert found == expected


def test_pieces_are_joined_without_spelling_a_known_token() -> None:
    pieces = [b"a", b"b", b"c", b"d"]
    assert join_pieces([b"abcd"], {}) == []
    assert join_pieces(pieces, {}) == [(b"a", b"b"), (b"ab", b"c"), (b"abc", b"d")]
    assert join_pieces(pieces, {b"abc": 1}) == [(b"a", b"b"), (b"c", b"d"), (b"ab", b"cd")]
    with pytest.raises(ValueError, match="forced token b'abc' can only be made through tokens that exist"):
        join_pieces(pieces[:3], {b"ab": 1, b"bc": 2})
