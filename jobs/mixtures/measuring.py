"""Train a proxy on a mixture of stored samples and measure it on stored validation sets."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.mixtures.space import Floats, MixtureSpace
from jobs.proxies.gpt import GptConfig
from jobs.proxies.ngram import NgramConfig
from jobs.proxies.objective import measure
from jobs.proxies.pools import (
    BYTE_VOCABULARY,
    TokenPool,
    Validation,
    match_repetition,
    mix,
    proxy_pool_tokens,
)
from jobs.vocabularies import pieces_named
from pipeline.store import Shard, Store
from stages.tokenization.pieces import Pieces

ProxyConfig = NgramConfig | GptConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What the ids of a corpus stand for."""

    vocabulary: str
    """Name or file of the vocabulary."""
    end_of_document: int
    """Id that ends every document."""
    vocabulary_sha256: str = ""
    """Of the file; empty for a vocabulary that ships in a package."""
    split: str = ""
    """Of a file of ranks."""

    def pieces(self) -> Pieces:
        """The bytes of each id. Raises ValueError where the vocabulary is not there or has other content."""
        return pieces_named(self.vocabulary, self.vocabulary_sha256, self.split)


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """What all proxies of a search read."""

    domains: tuple[str, ...]
    train: tuple[Shard, ...]
    """`DOMAIN_SAMPLE` of each domain, in their order."""
    validation_sets: tuple[str, ...]
    validation: tuple[Shard, ...]
    """`DOMAIN_SAMPLE` of each validation set."""


def needed_tokens(proxy: ProxyConfig, space: MixtureSpace) -> npt.NDArray[np.int64]:
    """int64[K]: tokens of each domain that a proxy may read."""
    return proxy_pool_tokens(space, proxy.proxy_tokens)


def libraries_of(proxy: ProxyConfig) -> tuple[str, ...]:
    """Distributions whose version is part of a run's identity."""
    return () if isinstance(proxy, NgramConfig) else ("torch",)


def measure_mixture(
    store: Store,
    proxy: ProxyConfig,
    text: Text,
    space: MixtureSpace,
    weights: Floats,
    samples: Samples,
    *,
    key: str,
    device: str,
) -> Floats:
    """float64[S]: bits per byte on every validation set of a proxy trained on the mixture.

    A proxy that keeps checkpoints keeps them in the user's own part of the machine's temporary folder, under the key.
    """
    pools, validation, vocabulary_size = _data(_Cached(store), samples, text, proxy.unit == "bytes")
    fitting = match_repetition(pools, space, proxy.proxy_tokens)
    stream = mix(fitting, weights, proxy.proxy_tokens, proxy.seed)
    folder = Path(gettempdir()) / f"gristmill-proxies-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    checkpoint = folder / f"{key}.pt"
    return measure(proxy, stream, vocabulary_size, validation, checkpoint=checkpoint, device=device)


@dataclass(frozen=True, slots=True)
class _Cached:
    """A store that counts as equal to others: shards are found by their keys alone."""

    store: Store

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Cached)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=1)
def _data(
    cached: _Cached, samples: Samples, text: Text, in_bytes: bool
) -> tuple[tuple[TokenPool, ...], Validation, int]:
    """Pools, validation sets and the number of different units; read once per process."""
    pieces = text.pieces()
    pools = tuple(
        _pool(cached.store.read(shard), domain) for domain, shard in zip(samples.domains, samples.train, strict=True)
    )
    sets = {
        name: _tokens(_chosen(cached.store.read(shard), is_validation=True))
        for name, shard in zip(samples.validation_sets, samples.validation, strict=True)
    }
    if empty := [name for name, tokens in sets.items() if not len(tokens)]:
        raise ValueError(
            f"{', '.join(empty)}: too few tokens to hold some out; leave it out, merge it or validate on another corpus"
        )
    validation = Validation.of(sets, _lengths(pieces, text.end_of_document))
    if not in_bytes:
        return pools, validation, max(len(pieces), text.end_of_document + 1)
    spelt = tuple(pool.in_bytes(pieces, text.end_of_document) for pool in pools)
    return spelt, validation.in_bytes(pieces, text.end_of_document), BYTE_VOCABULARY


def _lengths(pieces: Pieces, end_of_document: int) -> npt.NDArray[np.int32]:
    lengths = np.zeros(max(len(pieces), end_of_document + 1), np.int32)
    lengths[: len(pieces)] = pieces.lengths
    lengths[end_of_document] = 0
    return lengths


def _chosen(sample: pa.Table, *, is_validation: bool) -> pa.Table:
    return sample.filter(pc.equal(sample["is_validation"], is_validation))


def _pool(sample: pa.Table, domain: str) -> TokenPool:
    train = _chosen(sample, is_validation=False)
    lengths = pc.list_value_length(train["tokens"]).to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenPool(domain=domain, tokens=_tokens(train), offsets=offsets)


def _tokens(table: pa.Table) -> npt.NDArray[np.int32]:
    parts: Sequence[npt.NDArray[np.int32]] = [chunk.flatten().to_numpy() for chunk in table["tokens"].chunks]
    return np.concatenate([np.empty(0, np.int32), *parts])
