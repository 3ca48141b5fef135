"""Small pools, validation sets and languages that tests of proxies build on."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from jobs.proxies.pools import TokenPool

Ids = npt.NDArray[np.int32]


def pool_of(domain: str, documents: Sequence[Sequence[int]], units_per_token: float = 1.0) -> TokenPool:
    """A pool of these documents as they are."""
    offsets = np.concatenate([[0], np.cumsum([len(document) for document in documents])]).astype(np.int64)
    tokens = np.array([token for document in documents for token in document], np.int32)
    return TokenPool(domain=domain, tokens=tokens, offsets=offsets, units_per_token=units_per_token)


def write_language(seed: int, documents: int, vocabulary_size: int, *, length: int = 60) -> list[list[int]]:
    """Documents of a Markov chain of its own: each id is followed by few others; the last id ends each."""
    generator = np.random.default_rng(seed)
    follows = generator.integers(0, vocabulary_size - 1, (vocabulary_size, 4))
    written = []
    for _ in range(documents):
        document = [int(generator.integers(vocabulary_size - 1))]
        for draw in generator.integers(0, 4, length).tolist():
            document.append(int(follows[document[-1], draw]))
        written.append([*document, vocabulary_size - 1])
    return written


def flat(documents: Sequence[Sequence[int]]) -> Ids:
    """Documents end to end."""
    return np.array([token for document in documents for token in document], np.int32)
