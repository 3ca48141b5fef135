"""The n-gram proxy: it is Kneser-Ney, its probabilities sum to 1, and equal streams give equal bits."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.proxies.ngram import NgramConfig, NgramModel, bits_per_byte, train_ngram
from jobs.proxies.pools import Validation, mix
from tests.jobs.proxies.samples import flat, pool_of, write_language

DISCOUNTS = (0.7, 1.1, 1.4)


class Twin:
    """Interpolated Kneser-Ney by its definition, with dictionaries."""

    def __init__(self, stream: Sequence[int], order: int, vocabulary_size: int) -> None:
        self.order, self.vocabulary_size = order, vocabulary_size
        grams = [tuple(stream[at : at + order]) for at in range(len(stream) - order + 1)]
        self.counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
        self.counts[order] = Counter(grams)
        for length in range(order - 1, 0, -1):
            longer = {tuple(stream[at : at + length + 1]) for at in range(len(stream) - length)}
            self.counts[length] = Counter(gram[1:] for gram in longer)

    def probability(self, context: Sequence[int], token: int) -> float:
        context = tuple(context[max(0, len(context) - self.order + 1) :])
        counts = {gram[-1]: n for gram, n in self.counts[len(context) + 1].items() if gram[:-1] == context}
        lower = self.probability(context[1:], token) if context else 1 / self.vocabulary_size
        if not counts:
            return lower
        cut = {other: DISCOUNTS[min(n, 3) - 1] for other, n in counts.items()}
        kept = counts[token] - cut[token] if token in counts else 0.0
        return (kept + sum(cut.values()) * lower) / sum(counts.values())


def after(model: NgramModel, context: Sequence[int]) -> np.ndarray:
    """float64[V]: the probability of every token after the context."""
    streams = [np.array([*context, token], np.int32) for token in range(model.vocabulary_size)]
    return np.array([model.probabilities(stream)[-1] for stream in streams])


@settings(max_examples=60)
@given(
    stream=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    other=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    order=st.integers(1, 4),
)
def test_probabilities_are_those_of_the_definition(stream: list[int], other: list[int], order: int) -> None:
    model = train_ngram(NgramConfig(proxy_tokens=1, order=order), np.array(stream, np.int32), 7)
    twin = Twin(stream, order, 7)
    expected = [twin.probability(other[:at], token) for at, token in enumerate(other)]
    assert model.probabilities(np.array(other, np.int32)) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), order=st.integers(1, 6), size=st.integers(1, 3_000))
def test_probabilities_sum_to_one_in_every_context(seed: int, order: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    stream = (generator.zipf(1.3, size) % 50).astype(np.int32)
    model = train_ngram(NgramConfig(proxy_tokens=1, order=order), stream, 50)
    seen = stream[: generator.integers(size) + 1]
    unseen = generator.integers(0, 50, 5)
    for context in ([], seen.tolist()[-6:], unseen.tolist(), [*seen.tolist()[-3:], 49]):
        found = after(model, context)
        assert found.min() > 0
        assert abs(math.fsum(found) - 1) < 1e-9


def test_a_table_grows_without_changing_a_bit() -> None:
    stream = np.random.default_rng(5).integers(0, 3_000, 60_000).astype(np.int32)
    grown = train_ngram(NgramConfig(proxy_tokens=1), stream, 3_000)
    assert len(grown.table) > 1 << 16, "the table was to grow from its first size"
    again = train_ngram(NgramConfig(proxy_tokens=1), stream, 3_000)
    assert np.array_equal(grown.table, again.table)
    assert grown.kept.tobytes() == again.kept.tobytes()
    assert grown.rest.tobytes() == again.rest.tobytes()
    assert grown.probabilities(stream).tobytes() == again.probabilities(stream).tobytes()


def test_memory_is_bounded() -> None:
    stream = np.random.default_rng(5).integers(0, 3_000, 60_000).astype(np.int32)
    with pytest.raises(ValueError, match=r"set hash_bits above 15, or lower order=3 or proxy_tokens"):
        train_ngram(NgramConfig(proxy_tokens=1, hash_bits=15), stream, 3_000)


def test_bits_are_of_all_tokens_by_the_bytes_of_the_text() -> None:
    stream = flat(write_language(0, 20, 12))
    model = train_ngram(NgramConfig(proxy_tokens=1), stream, 12)
    sets = {"a": stream[:62], "b": stream[62:124]}
    validation = Validation.of(sets, np.array([2] * 11 + [0], np.int32))
    expected = [-np.log2(model.probabilities(tokens)).sum() / (2 * 61) for tokens in sets.values()]
    assert bits_per_byte(model, validation) == pytest.approx(expected, rel=1e-12)


def test_more_of_a_language_is_always_better_for_its_texts() -> None:
    languages = {name: write_language(seed, 60, 40) for seed, name in enumerate("abc")}
    pools = [pool_of(name, documents[10:]) for name, documents in languages.items()]
    sets = {name: flat(documents[:10]) for name, documents in languages.items()}
    validation = Validation.of(sets, np.array([1] * 39 + [0], np.int32))
    config = NgramConfig(proxy_tokens=2_500)
    for domain in range(3):
        losses = []
        for share in (0.0, 0.1, 0.3, 0.6, 0.9, 1.0):
            weights = np.full(3, (1 - share) / 2)
            weights[domain] = share
            model = train_ngram(config, mix(pools, weights, config.proxy_tokens, config.seed), 40)
            losses.append(float(bits_per_byte(model, validation)[domain]))
        assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"proxy_tokens": 0}, "at least 1"),
        ({"order": 17}, "1 to 16"),
        ({"hash_bits": 5}, "10 to 31"),
        ({"unit": "words"}, "tokens or bytes"),
        ({"discounts": (0.5, 2.5, 1.0)}, "at most its count"),
    ],
)
def test_a_config_says_what_is_wrong(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NgramConfig(**{"proxy_tokens": 10, **changes})


@pytest.mark.parametrize("stream", [np.array([3], np.int32), np.array([-1], np.int32), np.array([1]), np.int32([])])
def test_a_stream_holds_ids_of_the_vocabulary(stream: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"vocabulary has 3|int32 and not empty"):
        train_ngram(NgramConfig(proxy_tokens=1), stream, 3)
