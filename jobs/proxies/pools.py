"""What proxies read: a pool of tokens per domain, a stream mixed from pools, and validation sets.

All is flat arrays in memory; a proxy reads at most as many tokens of a domain as it trains on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numba
import numpy as np
import numpy.typing as npt

from jobs.mixtures.space import Floats, MixtureSpace
from stages.tokenization.pieces import Pieces

Ids = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

BYTE_VOCABULARY = 257
"""Ids where the unit is the byte: 256 bytes, and the end of a document."""
END_OF_BYTES = 256

BLOCK_TOKENS = 2048
"""A longer document is laid into the stream in blocks of this length: none fills a stretch of training alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPool:
    """Documents of one domain in shuffled order, each ended by the end-of-document id."""

    domain: str
    tokens: Ids
    offsets: Longs
    """One more than documents; document i is `tokens[offsets[i]:offsets[i + 1]]`, never empty."""
    units_per_token: float = 1.0
    """Entries of `tokens` per token of the corpus: 1, or the bytes of a token where the unit is the byte."""

    def __post_init__(self) -> None:
        _check_flat(f"pool {self.domain}", self.tokens, self.offsets)

    def front(self, count: float) -> "TokenPool":
        """Whole documents from the front: at least one, and of all such cuts the nearest to `count` entries."""
        after = int(np.searchsorted(self.offsets, count, "right"))
        before = max(1, after - 1)
        end = min(after, len(self.offsets) - 1)
        if abs(int(self.offsets[before]) - count) <= abs(int(self.offsets[end]) - count):
            end = before
        return replace(self, tokens=self.tokens[: self.offsets[end]], offsets=self.offsets[: end + 1])

    def in_bytes(self, pieces: Pieces, end_of_document: int) -> "TokenPool":
        """The same documents as bytes."""
        tokens, offsets = to_bytes(self.tokens, self.offsets, pieces, end_of_document)
        return TokenPool(
            domain=self.domain, tokens=tokens, offsets=offsets, units_per_token=len(tokens) / len(self.tokens)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Named validation sets; each is documents, each ended by the end-of-document id."""

    names: tuple[str, ...]
    tokens: Ids
    offsets: Longs
    """One more than sets; set i is `tokens[offsets[i]:offsets[i + 1]]`, never empty."""
    num_bytes: Longs
    """UTF-8 bytes of the text of each set."""

    def __post_init__(self) -> None:
        _check_flat("validation", self.tokens, self.offsets)
        sets = len(self.offsets) - 1
        if len(self.names) != sets or len(set(self.names)) != sets or len(self.num_bytes) != sets:
            raise ValueError(f"{sets} validation sets with {len(self.names)} names; every set needs one of its own")
        if self.num_bytes.min() <= 0:
            raise ValueError(f"validation set {self.names[int(self.num_bytes.argmin())]} has no text")

    @staticmethod
    def of(sets: Mapping[str, Ids], token_bytes: Ids) -> "Validation":
        """Sets by name, in this order; `token_bytes` int32[V] is the length of each id's bytes (0: no text)."""
        if not sets:
            raise ValueError("no validation set; a proxy is judged by at least one")
        sizes = np.array([len(tokens) for tokens in sets.values()], np.int64)
        texts = [int(token_bytes[tokens].sum(dtype=np.int64)) for tokens in sets.values()]
        return Validation(
            names=tuple(sets),
            tokens=np.concatenate([*sets.values()]),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            num_bytes=np.array(texts, np.int64),
        )

    def in_bytes(self, pieces: Pieces, end_of_document: int) -> "Validation":
        """The same sets as bytes."""
        tokens, offsets = to_bytes(self.tokens, self.offsets, pieces, end_of_document)
        return replace(self, tokens=tokens, offsets=offsets)


def _check_flat(what: str, tokens: Ids, offsets: Longs) -> None:
    if tokens.dtype != np.int32 or offsets.dtype != np.int64:
        raise ValueError(f"{what} has tokens of {tokens.dtype} and offsets of {offsets.dtype}; give int32 and int64")
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(tokens) or np.diff(offsets).min() <= 0:
        raise ValueError(
            f"{what} has offsets that do not rise from 0 to its {len(tokens)} tokens; leave out empty ones"
        )


def proxy_pool_tokens(space: MixtureSpace, proxy_tokens: int) -> Longs:
    """int64[K]: tokens of each domain that a proxy may use, at least 1 and at most `proxy_tokens`.

    They are tokens_k * proxy_tokens / target_tokens: from such a pool a proxy repeats a domain as often as the corpus
    will, whatever the mixture (matched repetition, arXiv 2606.07597).
    """
    wanted = [-(-tokens * proxy_tokens // space.target_tokens) for tokens in space.tokens]
    return np.array([min(max(tokens, 1), proxy_tokens) for tokens in wanted], np.int64)


def match_repetition(pools: Sequence[TokenPool], space: MixtureSpace, proxy_tokens: int) -> tuple[TokenPool, ...]:
    """What a proxy may use of each pool: as `proxy_pool_tokens`, to whole documents, and at least one.

    `proxy_tokens` counts entries of the pools. Where these are bytes, the budget stands for as many tokens as the
    proportional mixture has in it.
    """
    names = tuple(pool.domain for pool in pools)
    if names != space.domains:
        raise ValueError(f"pools of {names} for domains {space.domains}; give one pool per domain in this order")
    units = np.array([pool.units_per_token for pool in pools])
    mean_units = float(space.proportional @ units)
    wanted = np.array(space.tokens, np.float64) * units * proxy_tokens / (space.target_tokens * mean_units)
    return tuple(pool.front(min(count, proxy_tokens)) for pool, count in zip(pools, wanted.tolist(), strict=True))


def count_shares(weights: Floats, total: int) -> Longs:
    """int64[K] that sums to `total`: weights * total rounded by largest remainder, of equal ones the first."""
    exact = np.asarray(weights, np.float64) * total
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return counts


def mix(pools: Sequence[TokenPool], weights: Floats, proxy_tokens: int, seed: int) -> Ids:
    """int32[proxy_tokens]: the stream that a proxy trains on.

    Weights are shares of tokens of the corpus; where entries are bytes, a domain's share of them is larger the more
    bytes its tokens have. Every pool is read from its front, again and again, and laid evenly into the stream with a
    shift that depends on seed, domain and number of the document alone. So like mixtures make like streams: the same
    documents in the same order, and little noise between their proxies.
    """
    units = np.array([pool.units_per_token for pool in pools])
    weights = np.asarray(weights, np.float64)
    if weights.shape != units.shape or weights.min() < -1e-9 or abs(float(weights.sum()) - 1) > 1e-6:
        raise ValueError(f"weights {weights.tolist()} are no mixture of {len(pools)} pools: none below 0, the sum 1")
    if proxy_tokens < 1:
        raise ValueError(f"proxy_tokens is {proxy_tokens}; give at least 1")
    shares = np.maximum(weights, 0.0) * units
    counts = count_shares(shares / shares.sum(), proxy_tokens).tolist()
    laid = [_lay(pool, count, seed) for pool, count in zip(pools, counts, strict=True)]
    places = np.concatenate([keys for _, _, keys in laid])
    sizes = np.concatenate([lengths for _, lengths, _ in laid])
    order = np.argsort(places, kind="stable")
    targets = np.empty(len(order), np.int64)
    targets[order] = np.cumsum(sizes[order]) - sizes[order]
    stream = np.empty(proxy_tokens, np.int32)
    first = 0
    for pool, (begins, lengths, _) in zip(pools, laid, strict=True):
        copy_blocks(pool.tokens, begins, lengths, targets[first : first + len(begins)], stream)
        first += len(begins)
    return stream


def _lay(pool: TokenPool, count: int, seed: int) -> tuple[Longs, Longs, Floats]:
    """Where the blocks of the first `count` entries of the repeated pool begin, how long they are, and their places.

    A place is the share of the stream before the block. Blocks of one domain keep their order.
    """
    if count == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    documents = np.diff(pool.offsets)
    blocks = -(-documents // BLOCK_TOKENS)
    number = np.arange(blocks.sum()) - np.repeat(np.cumsum(blocks) - blocks, blocks)
    begins = np.repeat(pool.offsets[:-1], blocks) + number * BLOCK_TOKENS
    lengths = np.minimum(np.repeat(pool.offsets[1:], blocks) - begins, BLOCK_TOKENS)
    epochs = -(-count // len(pool.tokens))
    begins, lengths = np.tile(begins, epochs), np.tile(lengths, epochs)
    before = np.cumsum(lengths) - lengths
    kept = int(np.searchsorted(before, count))
    begins, lengths, before = begins[:kept], lengths[:kept], before[:kept]
    lengths[-1] = count - before[-1]
    domain = int.from_bytes(blake2b(pool.domain.encode(), digest_size=8).digest(), "little")
    shifts = np.random.Generator(np.random.Philox(key=[seed, domain])).random(kept)
    return begins, lengths, (before + shifts * lengths) / count


def _copy_all(tokens: Ids, begins: Longs, lengths: Longs, targets: Longs, stream: Ids) -> None:
    for block in range(len(begins)):
        begin, target = begins[block], targets[block]
        for at in range(lengths[block]):
            stream[target + at] = tokens[begin + at]


copy_blocks = numba.njit(cache=True)(_copy_all)


def to_bytes(tokens: Ids, offsets: Longs, pieces: Pieces, end_of_document: int) -> tuple[Ids, Longs]:
    """Bytes of the tokens (0 to 255, and 256 for the end of a document), and the same borders among them.

    Other special ids vanish. Raises ValueError for an id that the vocabulary does not have.
    """
    lengths = np.zeros(max(len(pieces), end_of_document + 1), np.int64)
    lengths[: len(pieces)] = pieces.lengths
    lengths[end_of_document] = 1
    if len(tokens) and not (tokens.min() >= 0 and tokens.max() < len(lengths)):
        raise ValueError(f"token ids go from {tokens.min()} to {tokens.max()}, beyond the {len(lengths)} of the pieces")
    ends = np.concatenate([[0], np.cumsum(lengths[tokens])]).astype(np.int64)
    spelt = np.empty(int(ends[-1]), np.int32)
    spell(tokens, ends, pieces.offsets, pieces.data, end_of_document, spelt)
    return spelt, ends[offsets]


def _spell_all(
    tokens: Ids, ends: Longs, offsets: Longs, data: npt.NDArray[np.uint8], end_of_document: int, spelt: Ids
) -> None:
    for number in range(len(tokens)):
        token, at = tokens[number], ends[number]
        if token == end_of_document:
            spelt[at] = END_OF_BYTES
            continue
        for byte in range(offsets[token], offsets[token + 1]):
            spelt[at] = data[byte]
            at += 1


spell = numba.njit(cache=True)(_spell_all)
