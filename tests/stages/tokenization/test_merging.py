"""Merging against a slow twin, tiktoken and Hugging Face tokenizers; dropout against the algorithm as published."""

import random
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiktoken
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.text_views import text_views
from stages.tokenization.engines import Gigatoken
from stages.tokenization.merging import Merger
from stages.tokenization.pieces import Pieces, byte_alphabet, merges_of, pieces_of
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.vocabulary import load_vocabulary
from tests.stages.tokenization.twins import merge_slowly

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "code"
BYTES = np.arange(256, dtype=np.int32)
ABC = [(97, 98, 256), (98, 99, 257), (256, 99, 258), (97, 97, 259), (259, 259, 260), (260, 260, 261), (257, 97, 262)]
"""ab, bc, abc, aa, aaaa, aaaaaaaa, bca"""


def flat(pieces: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)
    return offsets, np.frombuffer(b"".join(pieces), np.uint8)


def encoded(merger: Merger, pieces: Sequence[bytes], limit: int | None = None) -> list[list[int]]:
    starts, ids = merger.encode(*flat(pieces), limit)
    return [ids[starts[n] : starts[n + 1]].tolist() for n in range(len(pieces))]


def drop_slowly(piece: bytes, merges: Sequence[tuple[int, int, int]], dropout: float, rng: random.Random) -> list[int]:
    """Algorithm 1 of Provilkov et al. 2020, as it is written."""
    order = {(left, right): (number, new) for number, (left, right, new) in enumerate(merges)}
    ids = list(piece)
    while True:
        pairs = [(*order[pair], at) for at, pair in enumerate(pairwise(ids)) if pair in order]
        kept = [entry for entry in pairs if rng.random() >= dropout]
        if not kept:
            return ids
        _, new, at = min(kept, key=lambda entry: (entry[0], entry[2]))
        ids[at : at + 2] = [new]


@lru_cache(maxsize=1)
def shipped() -> tuple[Merger, tiktoken.Encoding, Pieces]:
    vocabulary = load_vocabulary("cl100k_base")
    ranks = vocabulary.ranks()
    pieces = pieces_of(vocabulary)
    byte_ids = np.array([ranks[bytes([byte])] for byte in range(256)], np.int32)
    merger = Merger(merges_of(vocabulary), byte_ids, True, pieces=pieces)
    return merger, tiktoken.Encoding("x", pat_str="(?s).+", mergeable_ranks=ranks, special_tokens={}), pieces


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 7)] * 2), max_size=12, unique=True),
    st.lists(st.lists(st.integers(0, 3), max_size=70), max_size=5),
    st.none() | st.integers(0, 14),
)
def test_merging_equals_the_slow_twin(pairs, texts, limit):
    pieces = [bytes(text) for text in texts]
    made = set(range(256))
    merges = []
    for left, right in pairs:  # a pair joins bytes 0 to 3 or what the first four merges made
        pair = [part if part < 4 else 252 + part for part in (left, right)]
        if set(pair) <= made:
            merges.append((*pair, 256 + len(merges)))
            made.add(256 + len(merges) - 1)
    merger = Merger(np.array(merges, np.int32), BYTES, False)
    assert encoded(merger, pieces, limit) == [merge_slowly(piece, merges[:limit]) for piece in pieces]
    zero = merger.encode_dropout(*flat(pieces), np.arange(len(pieces), dtype=np.uint64), 0.0)
    assert [part.tolist() for part in zero] == [part.tolist() for part in merger.encode(*flat(pieces))]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.binary(min_size=1, max_size=90)
        | st.text("ab \n", min_size=1, max_size=200).map(str.encode)
        | st.text(min_size=1, max_size=40).map(str.encode),
        max_size=10,
    )
)
def test_merging_equals_tiktoken(pieces):
    merger, encoding, _ = shipped()
    assert encoded(merger, pieces) == [encoding._encode_single_piece(piece) for piece in pieces]


def test_pieces_of_a_megabyte_are_merged_in_time_that_grows_with_their_length():
    merger, encoding, _ = shipped()
    pieces = [b"a" * 1_000_000, random.Random(7).randbytes(200_000), b"word " * 4_000]
    found = encoded(merger, pieces)
    assert found[2] == encoding._encode_single_piece(pieces[2])
    assert [len(shipped()[2].decode(np.array(ids))) for ids in found] == [1_000_000, 200_000, 20_000]
    assert len(found[0]) == 125_000


def test_short_and_long_pieces_meet_at_every_length():
    pieces = [b"abcab" * 30][:1] + [(b"abcaabca" * 20)[:size] for size in range(100)]
    merger = Merger(np.array(ABC, np.int32), BYTES, False)
    assert encoded(merger, pieces) == [merge_slowly(piece, ABC) for piece in pieces]


def test_merging_equals_hugging_face():
    names = {byte: name for name, byte in byte_alphabet().items()}
    text = {**names, 256: "ab", 257: "bc", 258: "abc", 259: "aa", 260: "aaaa", 261: "a" * 8, 262: "bca"}
    merges = [(text[left], text[right]) for left, right, _ in ABC]
    model = tokenizers.models.BPE(vocab={name: token for token, name in text.items()}, merges=merges)
    pieces = ["abcabca", "a" * 37, "bcabcaab" * 9]
    merger = Merger(np.array(ABC, np.int32), BYTES, False)
    assert encoded(merger, [p.encode() for p in pieces]) == [[t.id for t in model.tokenize(p)] for p in pieces]


def test_limit_gives_what_a_shorter_list_of_merges_gives():
    pieces = [b"abcaab" * 5, b"abc", b"aaaaaaaa", b"ab"]
    for whole in (False, True):
        merger = Merger(np.array(ABC, np.int32), BYTES, whole)
        for limit in range(len(ABC) + 2):
            assert encoded(merger, pieces, limit) == [merge_slowly(piece, ABC[:limit]) for piece in pieces], limit


def test_a_token_with_two_makers_is_not_taken_before_the_later_one():
    merges = [(97, 98, 256), (256, 99, 257), (98, 99, 258), (97, 258, 257), (257, 100, 259)]
    merger = Merger(np.array(merges, np.int32), BYTES, True)
    for limit in range(6):
        assert encoded(merger, [b"abcd", b"abc"], limit) == [merge_slowly(p, merges[:limit]) for p in (b"abcd", b"abc")]


def test_whole_takes_tokens_that_merges_do_not_lead_to():
    pieces = Pieces(offsets=np.append(np.arange(257), 259), data=np.array([*range(256), 120, 121, 122], np.uint8))
    merges = np.zeros((0, 3), np.int32)
    assert encoded(Merger(merges, BYTES, True, pieces=pieces), [b"xyz", b"xyzx"]) == [[256], [120, 121, 122, 120]]
    assert encoded(Merger(merges, BYTES, False, pieces=pieces), [b"xyz"]) == [[120, 121, 122]]


def test_merges_that_double_a_token_each_time_cost_no_memory():
    merges = [(97, 97, 256)] + [(255 + n, 255 + n, 256 + n) for n in range(1, 60)]
    assert encoded(Merger(np.array(merges, np.int32), BYTES, True), [b"a" * 4096]) == [[256 + 11]]


def test_offsets_may_begin_anywhere_and_pieces_may_be_empty():
    merger = Merger(np.array(ABC, np.int32), BYTES, False)
    data = np.frombuffer(b"??abcab", np.uint8)
    starts, ids = merger.encode(np.array([2, 2, 5, 7, 7], np.int64), data)
    assert (starts.tolist(), ids.tolist()) == ([0, 0, 1, 2, 2], [258, 256])
    starts, ids = merger.encode(np.array([0], np.int64), data)
    assert (starts.tolist(), ids.tolist()) == ([0], [])


def test_dropout_of_everything_leaves_bytes_and_keeps_the_text():
    merger, _, tokens = shipped()
    pieces = [b"tokenization", b" and everything else", b""]
    keys = np.arange(3, dtype=np.uint64)
    starts, ids = merger.encode_dropout(*flat(pieces), keys, 1.0)
    assert np.diff(starts).tolist() == [12, 20, 0]
    for dropout in (0.1, 0.5, 0.9):
        starts, ids = merger.encode_dropout(*flat(pieces), keys, dropout)
        assert tokens.decode(ids) == b"".join(pieces)


def test_dropout_depends_on_the_key_of_a_piece_alone():
    merger, _, _ = shipped()
    pieces = [b"reproducible", b"reproducible", b" splitting"] * 20
    keys = np.array([7, 8, 9] * 20, np.uint64)
    starts, ids = merger.encode_dropout(*flat(pieces), keys, 0.3)
    rows = [ids[starts[n] : starts[n + 1]].tolist() for n in range(60)]
    assert rows[:3] * 20 == rows
    one = merger.encode_dropout(*flat(pieces[1:2]), keys[1:2], 0.3)[1].tolist()
    assert one == rows[1]


@pytest.mark.parametrize("dropout", [0.1, 0.4, 0.8])
def test_dropout_has_the_chances_of_the_published_algorithm(dropout):
    piece, number = b"abcab", 8_000
    merger, rng = Merger(np.array(ABC, np.int32), BYTES, False), random.Random(5)
    starts, ids = merger.encode_dropout(*flat([piece] * number), np.arange(number, dtype=np.uint64), dropout)
    got = Counter(tuple(ids[starts[n] : starts[n + 1]].tolist()) for n in range(number))
    wanted = Counter(tuple(drop_slowly(piece, ABC, dropout, rng)) for _ in range(number))
    for row in {*got, *wanted}:
        spread = (got[row] + wanted[row]) ** 0.5
        assert abs(got[row] - wanted[row]) < 5 * spread, (row, got[row], wanted[row])


def test_wrong_arguments_say_what_is_expected():
    with pytest.raises(ValueError, match="no token for some byte"):
        Merger(np.zeros((0, 3), np.int32), np.full(256, -1, np.int32), False)
    with pytest.raises(ValueError, match=r"merge \[300, 97, 256\] joins an id that is no byte's"):
        Merger(np.array([(300, 97, 256)], np.int32), BYTES, False)
    merger = Merger(np.array(ABC, np.int32), BYTES, False)
    with pytest.raises(ValueError, match="limit must not be negative, got -1"):
        merger.encode(*flat([b"a"]), -1)
    with pytest.raises(ValueError, match="probability from 0 to 1, got 2"):
        merger.encode_dropout(*flat([b"a"]), np.zeros(1, np.uint64), 2)
    with pytest.raises(ValueError, match="2 keys for 1 pieces"):
        merger.encode_dropout(*flat([b"a"]), np.zeros(2, np.uint64), 0.5)
    with pytest.raises(ValueError, match="do not fit 32-bit offsets"):
        merger.encode(np.array([0, 1 << 31]), np.zeros(1, np.uint8))


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpora are not here")
@pytest.mark.parametrize("vocabulary", ["cl100k_base", "o200k_base"])
@pytest.mark.parametrize("name", ["python-0", "csharp"])
def test_merging_the_pretokens_of_real_code_gives_the_ids_of_its_texts(vocabulary, name):
    loaded = load_vocabulary(vocabulary)
    text = pq.read_table(CORPUS / f"{name}.parquet", columns=["content"])["content"].cast(pa.string()).slice(0, 1000)
    offsets, data = text_views(text.combine_chunks())
    starts, _ = pretoken_starts(offsets, data, loaded.split)
    ranks = loaded.ranks()
    byte_ids = np.array([ranks[bytes([byte])] for byte in range(256)], np.int32)
    _, expected = Gigatoken(loaded).encode(offsets, data)
    for whole in (False, True):
        merger = Merger(merges_of(loaded), byte_ids, whole)
        assert np.array_equal(merger.encode(np.append(starts, offsets[-1]), data)[1], expected)
