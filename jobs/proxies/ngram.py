"""The n-gram proxy: modified Kneser-Ney by interpolation (Chen and Goodman, TR-10-98, section 3), exact and repeatable.

Reads a stream of tokens, writes nothing. The same stream gives the same float64 bits: one thread, sums in order.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jobs.proxies.ngram_kernels import (
    NONE,
    Floats,
    Ids,
    Longs,
    count_some,
    discount_all,
    empty_table,
    rehash,
    score_all,
    total_up,
)
from jobs.proxies.pools import Validation

_FEWEST_SLOTS = 1 << 10


@dataclass(frozen=True, kw_only=True, slots=True)
class NgramConfig:
    """A proxy that needs a second of a CPU per few million tokens."""

    proxy_tokens: int
    """Length of the training stream, in units."""
    order: int = 3
    """Longest n-grams, in units; 3 suits tokens, 6 suits bytes."""
    unit: Literal["tokens", "bytes"] = "tokens"
    discounts: tuple[float, float, float] = (0.7, 1.1, 1.4)
    """What counts of 1, 2 and more lose.

    They are not estimated from the counts of counts: where domains are repeated, few n-grams are seen once, the
    estimate collapses, and the losses jump by 0.3 bits per byte between neighbouring mixtures. On text and code
    without repetition the estimate is about this, and 0.005 bits per byte better.
    """
    hash_bits: int = 27
    """The table has at most 2**hash_bits slots of 16 bytes, and holds half as many different n-grams."""
    seed: int = 0
    """Of the order in which the stream is mixed."""

    def __post_init__(self) -> None:
        if self.proxy_tokens < 1 or not 1 <= self.order <= 16:
            raise ValueError(f"proxy_tokens={self.proxy_tokens} and order={self.order}; give at least 1, and 1 to 16")
        if not 10 <= self.hash_bits <= 31:
            raise ValueError(f"hash_bits is {self.hash_bits}; give 10 to 31")
        if self.unit not in ("tokens", "bytes"):
            raise ValueError(f"unit is {self.unit!r}; give tokens or bytes")
        if not all(0 < cut <= count + 1 for count, cut in enumerate(self.discounts)):
            raise ValueError(f"discounts are {self.discounts}; each must be above 0 and at most its count: 1, 2, 3")


@dataclass(frozen=True, kw_only=True, slots=True)
class NgramModel:
    """Probabilities of all n-grams that were seen; over the vocabulary they sum to 1 in every context.

    A node keeps (count - discount) / total of its context, the context's discounts go to the shorter context, and
    those of the empty one are shared evenly by all V ids. So each level hands on what it does not keep. 50 to 80
    bytes per different n-gram, and up to 50 more while it is trained.
    """

    order: int
    vocabulary_size: int
    table: Longs
    """int64[slots, 2]: key and node."""
    kept: Floats
    """float64[nodes]."""
    rest: Floats
    """float64[nodes + 1], the last of the empty context."""

    def probabilities(self, stream: Ids) -> Floats:
        """float64[len(stream)]: of every token after those before it in the stream."""
        _check_ids(stream, self.vocabulary_size)
        found = np.empty(len(stream))
        score_all(stream, self.table, self.kept, self.rest, self.order, self.vocabulary_size, found)
        return found


@dataclass(slots=True)
class _Counts:
    """What counting needs to go on: room for more n-grams is made when it is needed."""

    table: Longs
    counts: Longs
    nodes: int


def train_ngram(config: NgramConfig, stream: Ids, vocabulary_size: int) -> NgramModel:
    """Count the stream. Raises ValueError for ids outside the vocabulary and where `hash_bits` do not suffice."""
    _check_ids(stream, vocabulary_size)
    found = _count(config, stream, vocabulary_size)
    counts = found.counts[: found.nodes]
    totals, kinds = total_up(found.table, counts, vocabulary_size)
    discounts = np.array([0.0, *config.discounts])
    kept, rest = discount_all(found.table, counts, totals, kinds, vocabulary_size, discounts)
    return NgramModel(
        order=config.order,
        vocabulary_size=vocabulary_size,
        table=found.table,
        kept=kept,
        rest=rest,
    )


def bits_per_byte(model: NgramModel, validation: Validation) -> Floats:
    """float64[sets]: bits of all tokens of a set, the ends of documents among them, by the bytes of its text."""
    bits = []
    for begin, end in zip(validation.offsets[:-1].tolist(), validation.offsets[1:].tolist(), strict=True):
        probabilities = model.probabilities(validation.tokens[begin:end])
        bits.append(-math.fsum(np.log2(probabilities).tolist()))
    return np.array(bits) / validation.num_bytes


def _count(config: NgramConfig, stream: Ids, vocabulary_size: int) -> _Counts:
    slots = _FEWEST_SLOTS
    while 8 * slots < len(stream) and slots < 1 << config.hash_bits:
        slots *= 2
    found = _room(empty_table(slots), vocabulary_size)
    contexts, at = np.full(config.order, NONE, np.int64), 0
    while True:
        reached, nodes = count_some(stream, at, contexts, found.table, found.counts, found.nodes)
        at, found.nodes = int(reached), int(nodes)
        if at == len(stream):
            return found
        slots = 2 * len(found.table)
        if slots > 1 << config.hash_bits:
            raise ValueError(
                f"the first {at:,} of {len(stream):,} {config.unit} fill the table of n-grams; set hash_bits above "
                f"{config.hash_bits}, or lower order={config.order} or proxy_tokens"
            )
        larger = _room(empty_table(slots), vocabulary_size)
        rehash(found.table, larger.table)
        larger.counts[: len(found.counts)] = found.counts
        larger.nodes, found = found.nodes, larger


def _room(table: Longs, vocabulary_size: int) -> _Counts:
    """Room for half as many n-grams as slots, beside the tokens alone."""
    most = vocabulary_size + len(table) // 2
    return _Counts(table=table, counts=np.zeros(most, np.int64), nodes=vocabulary_size)


def _check_ids(stream: Ids, vocabulary_size: int) -> None:
    if stream.dtype != np.int32 or not len(stream):
        raise ValueError(f"a stream is int32 and not empty; this one is {stream.dtype} of length {len(stream)}")
    if not (stream.min() >= 0 and stream.max() < vocabulary_size):
        raise ValueError(f"token ids go from {stream.min()} to {stream.max()}; the vocabulary has {vocabulary_size}")
