"""The two nearest centroids of unit vectors: chunks of X @ C.T that stay in cache, and two passes over the scores."""

from typing import TypeAlias

import numba
import numpy as np
import numpy.typing as npt

from stages.embed.vectors import Floats, Stored, unit_vectors

Numbers: TypeAlias = npt.NDArray[np.int32]
Places: TypeAlias = npt.NDArray[np.intp]

CHUNK_ROWS = 512
"""Rows multiplied at once. Always as many, so that what a row gets does not depend on how many come with it."""


def nearest_two(vectors: Stored, centroids: Floats) -> tuple[Numbers, Floats, Floats]:
    """For [n, d] (float16, int8, or float32 of unit length) and unit centroids float32[K, d], K at least 2: the number
    of the nearest centroid (of equals the lowest), its cosine and the cosine of the second nearest, all [n].

    Cosines are float32 sums of d products, exact within about d * 6e-8. Memory: 4 * 512 * (K + d) bytes.
    """
    count, (clusters, dimensions) = len(vectors), centroids.shape
    best, first, second = np.empty(count, np.int32), np.empty(count, np.float32), np.empty(count, np.float32)
    rows = np.zeros((CHUNK_ROWS, dimensions), np.float32)
    scores, at = np.empty((CHUNK_ROWS, clusters), np.float32), np.arange(CHUNK_ROWS)
    centroids = np.ascontiguousarray(centroids, np.float32)
    for start in range(0, count, CHUNK_ROWS):
        part = vectors[start : start + CHUNK_ROWS]
        chunk, size = slice(start, start + len(part)), len(part)
        rows[:size] = part if part.dtype == np.float32 else unit_vectors(part)
        np.matmul(rows, centroids.T, out=scores)
        nearest = scores[:size].argmax(axis=1)
        scores[at[:size], nearest] = -np.inf
        _settle(rows, centroids, nearest, scores[:size].argmax(axis=1), best[chunk], first[chunk], second[chunk])
    return best, first, second


def _add_again(
    rows: Floats,
    centroids: Floats,
    nearest: Places,
    following: Places,
    best: Numbers,
    first: Floats,
    second: Floats,
) -> None:
    """The cosines of every row's two nearest centroids, one product after another, and which of them is nearer.

    Some kernels of OpenBLAS add the products of a row in an order that depends on its place in the chunk, which is seen
    in the last bit.
    """
    for at in range(len(best)):
        one, other = nearest[at], following[at]
        most, more = np.float32(0), np.float32(0)
        for place in range(rows.shape[1]):
            most += rows[at, place] * centroids[one, place]
            more += rows[at, place] * centroids[other, place]
        if more > most or (more == most and other < one):
            one, most, more = other, more, most
        best[at], first[at], second[at] = one, most, more


_settle = numba.njit(cache=True)(_add_again)
