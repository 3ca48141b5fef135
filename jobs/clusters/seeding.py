"""Where k-means starts: greedy k-means++ over unit vectors.

Arthur and Vassilvitskii, "k-means++", SODA 2007, section 2.2, with the greedy choice of its section 6: each next
centroid is the best of a few vectors, drawn with probability in proportion to the squared distance from the nearest.
"""

import numba
import numpy as np
import numpy.typing as npt

from stages.embed.vectors import Floats

_VECTORS_PER_CLUSTER, _MIN_VECTORS = 20, 10_000
"""Vectors that are looked at, and at least; the first ones, where there are more."""


def greedy_seeds(vectors: Floats, clusters: int, generator: np.random.Generator) -> Floats:
    """float32[K, d]: K of the vectors float32[n, d], which are of unit length; n is at least K.

    About 2 * K * n * d * (2 + log K) flops, with 20 K or 10,000 for a larger n.
    """
    looked_at = vectors[: max(clusters * _VECTORS_PER_CLUSTER, _MIN_VECTORS)]
    trials = 2 + int(np.log(clusters))
    chosen = np.empty(clusters, np.int64)
    chosen[0] = generator.integers(len(looked_at))
    nearest = np.full((1, len(looked_at)), np.inf, np.float32)
    nearest = _distances(looked_at, chosen[:1], nearest[0])
    for number in range(1, clusters):
        cumulated = np.cumsum(nearest[0], dtype=np.float64)
        draws = generator.random(trials)
        if cumulated[-1] <= 0:  # every vector is a seed already
            chosen[number:] = generator.integers(len(looked_at), size=clusters - number)
            break
        drawn = np.searchsorted(cumulated, draws * cumulated[-1], side="right")
        drawn = np.minimum(drawn, len(looked_at) - 1)
        found = _distances(looked_at, drawn, nearest[0])
        best = int(np.argmin(found.sum(axis=1, dtype=np.float64)))
        chosen[number], nearest = drawn[best], found[best : best + 1]
    return np.ascontiguousarray(looked_at[chosen])


def _find_distances(vectors: Floats, drawn: npt.NDArray[np.int64], nearest: Floats) -> Floats:
    """float32[L, n]: half of the squared distance of each vector to each of those drawn, or what it is already."""
    out = np.empty((len(drawn), len(vectors)), np.float32)
    for row in range(len(vectors)):
        for number in range(len(drawn)):
            product = np.float32(0.0)
            for i in range(vectors.shape[1]):
                product += vectors[row, i] * vectors[drawn[number], i]
            out[number, row] = min(nearest[row], max(np.float32(1.0) - product, np.float32(0.0)))
    return out


_distances = numba.njit(cache=True, fastmath={"reassoc", "contract"})(_find_distances)
