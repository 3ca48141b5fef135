"""Pools and streams: exact shares, matched repetition, like streams for like mixtures, bytes of tokens."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.mixtures.space import MixtureSpace
from jobs.proxies.pools import (
    BLOCK_TOKENS,
    TokenPool,
    Validation,
    count_shares,
    match_repetition,
    mix,
    proxy_pool_tokens,
    to_bytes,
)
from stages.tokenization.pieces import Pieces
from tests.jobs.proxies.samples import pool_of

PIECES = [b"the", b" cat", "\u00e9".encode(), b"", b""]
PIECES_AT = np.concatenate([[0], np.cumsum([len(piece) for piece in PIECES])]).astype(np.int64)
VOCABULARY = Pieces(offsets=PIECES_AT, data=np.frombuffer(b"".join(PIECES), np.uint8))
END = 3


def numbered(domain: str, number: int, sizes: list[int]) -> TokenPool:
    """A pool in which every token says its domain, by thousands, and its document."""
    return pool_of(domain, [[number * 1000 + document] * size for document, size in enumerate(sizes)])


@given(
    parts=st.lists(st.floats(0, 1), min_size=1, max_size=9).filter(lambda parts: sum(parts) > 0.01),
    total=st.integers(1, 10**9),
)
def test_shares_are_whole_and_within_one_of_exact(parts: list[float], total: int) -> None:
    weights = np.array(parts) / sum(parts)
    counts = count_shares(weights, total)
    assert counts.sum() == total
    assert np.abs(counts - weights * total).max() < 1 + 1e-6


def test_equal_remainders_go_to_the_first() -> None:
    assert count_shares(np.full(3, 1 / 3), 4).tolist() == [2, 1, 1]


@settings(max_examples=60)
@given(
    sizes=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=2, max_size=4),
    seed=st.integers(0, 2**32),
    total=st.integers(1, 300),
)
def test_a_stream_is_each_pool_again_and_again(sizes: list[list[int]], seed: int, total: int) -> None:
    pools = [numbered(str(number), number, lengths) for number, lengths in enumerate(sizes)]
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(pools)))
    stream = mix(pools, weights, total, seed)
    assert len(stream) == total
    for number, (pool, count) in enumerate(zip(pools, count_shares(weights, total).tolist(), strict=True)):
        own = stream[stream // 1000 == number]
        assert own.tolist() == np.resize(pool.tokens, count).tolist()


def test_documents_are_not_torn_and_lie_evenly() -> None:
    pools = [numbered("a", 0, [7] * 900), numbered("b", 1, [5] * 900)]
    stream = mix(pools, np.array([0.7, 0.3]), 6_000, 1)
    borders = np.flatnonzero(np.diff(stream)) + 1
    runs = Counter(len(run) for run in np.split(stream, borders))
    assert set(runs) == {5, 7}
    shares = (stream.reshape(12, 500) < 1000).mean(axis=1)
    assert shares.min() > 0.65
    assert shares.max() < 0.75


def test_a_long_document_is_laid_in_blocks() -> None:
    pools = [numbered("a", 0, [5 * BLOCK_TOKENS]), numbered("b", 1, [10] * 3 * BLOCK_TOKENS)]
    stream = mix(pools, np.array([0.25, 0.75]), 20 * BLOCK_TOKENS, 0)
    runs = np.split(stream, np.flatnonzero(np.diff(stream)) + 1)
    assert max(len(run) for run in runs) == BLOCK_TOKENS
    assert (stream < 1000).sum() == 5 * BLOCK_TOKENS


def test_an_order_depends_on_the_seed_and_names_alone() -> None:
    pools = [numbered(name, number, [8] * 400) for number, name in enumerate("abc")]
    first = mix(pools, np.array([0.4, 0.4, 0.2]), 3_000, 1)
    assert np.array_equal(first, mix(pools, np.array([0.4, 0.4, 0.2]), 3_000, 1))
    assert not np.array_equal(first, mix(pools, np.array([0.4, 0.4, 0.2]), 3_000, 2))
    assert np.array_equal(mix(pools[:2], np.array([0.5, 0.5]), 3_000, 1), mix(pools, np.array([0.5, 0.5, 0]), 3_000, 1))


def test_like_mixtures_read_the_same_documents() -> None:
    pools = [numbered(name, number, [8] * 800) for number, name in enumerate("abc")]
    near = [set(mix(pools, np.array(w), 6_000, 1).tolist()) for w in ([0.4, 0.4, 0.2], [0.39, 0.4, 0.21])]
    assert len(near[0] ^ near[1]) < 0.03 * len(near[0] | near[1])


def test_shares_are_of_tokens_where_entries_are_bytes() -> None:
    pools = [pool_of("a", [[1] * 400], 4.0), pool_of("b", [[2] * 400], 2.0)]
    stream = mix(pools, np.array([0.5, 0.5]), 300, 0)
    assert Counter(stream.tolist()) == {1: 200, 2: 100}


def test_a_proxy_repeats_a_domain_as_often_as_the_corpus() -> None:
    space = MixtureSpace(domains=("a", "b"), tokens=(10**6, 10**8), target_tokens=10**7)
    assert proxy_pool_tokens(space, 10_000).tolist() == [1_000, 10_000]
    pools = match_repetition([numbered("a", 0, [10] * 999), numbered("b", 1, [10] * 5_000)], space, 10_000)
    weights = np.array([0.3, 0.7])
    counts = count_shares(weights, 10_000)
    assert counts[0] / len(pools[0].tokens) == pytest.approx(space.epochs(weights)[0])
    assert len(pools[1].tokens) == 10_000


def test_repetition_is_matched_in_bytes_too() -> None:
    space = MixtureSpace(domains=("a", "b"), tokens=(10**6, 10**6), target_tokens=4 * 10**6)
    pools = [pool_of("a", [[1] * 10] * 9_000, 4.0), pool_of("b", [[2] * 10] * 9_000, 2.0)]
    used = match_repetition(pools, space, 30_000)
    counts = Counter(mix(used, np.array([0.5, 0.5]), 30_000, 0).tolist())
    epochs = [counts[number] / len(pool.tokens) for number, pool in enumerate(used, 1)]
    assert epochs == space.epochs(np.array([0.5, 0.5])).tolist() == [2.0, 2.0]


@pytest.mark.parametrize(("count", "kept"), [(0, 1), (3, 1), (7, 1), (8, 2), (12, 2), (14, 3), (99, 3)])
def test_a_pool_is_cut_at_the_nearest_border(count: float, kept: int) -> None:
    pool = numbered("a", 0, [5, 5, 5]).front(count)
    assert len(pool.offsets) - 1 == kept
    assert len(pool.tokens) == pool.offsets[-1]


def test_tokens_become_bytes() -> None:
    tokens = np.array([0, 1, END, 2, 4, END], np.int32)
    spelt, offsets = to_bytes(tokens, np.array([0, 3, 6], np.int64), VOCABULARY, END)
    assert spelt.tolist() == [*b"the cat", 256, *"\u00e9".encode(), 256]
    assert offsets.tolist() == [0, 8, 11]
    pool = TokenPool(domain="a", tokens=tokens, offsets=np.array([0, 3, 6], np.int64)).in_bytes(VOCABULARY, END)
    assert pool.units_per_token == 11 / 6


def test_validation_counts_bytes_of_text() -> None:
    sets = {"a": np.array([0, 1, END], np.int32), "b": np.array([2, END], np.int32)}
    validation = Validation.of(sets, VOCABULARY.lengths)
    assert validation.num_bytes.tolist() == [7, 2]
    spelt = validation.in_bytes(VOCABULARY, END)
    assert spelt.offsets.tolist() == [0, 8, 11]
    assert spelt.num_bytes.tolist() == [7, 2]


def test_mistakes_are_named() -> None:
    pools = [numbered("a", 0, [5]), numbered("b", 1, [5])]
    space = MixtureSpace(domains=("b", "a"), tokens=(5, 5), target_tokens=5)
    with pytest.raises(ValueError, match="no mixture of 2 pools"):
        mix(pools, np.array([0.5, 0.6]), 10, 0)
    with pytest.raises(ValueError, match="at least 1"):
        mix(pools, np.array([0.5, 0.5]), 0, 0)
    with pytest.raises(ValueError, match="one pool per domain in this order"):
        match_repetition(pools, space, 10)
    with pytest.raises(ValueError, match="beyond the 5 of the pieces"):
        to_bytes(np.array([9], np.int32), np.array([0, 1], np.int64), VOCABULARY, END)
    with pytest.raises(ValueError, match="leave out empty ones"):
        pool_of("a", [[1], []])
    with pytest.raises(ValueError, match="int32 and int64"):
        TokenPool(domain="a", tokens=np.array([1]), offsets=np.array([0, 1]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="set b has no text"):
        Validation.of({"a": np.array([0], np.int32), "b": np.array([END], np.int32)}, VOCABULARY.lengths)
    with pytest.raises(ValueError, match="no validation set"):
        Validation.of({}, VOCABULARY.lengths)
