"""Spherical k-means over a sample of unit vectors, by FAISS on the CPU or on all GPUs of the machine.

Plain (Lloyd from k-means++), hierarchical (few clusters first, each split by its size, then Lloyd over all), or
balanced (large clusters are split and the smallest given up, then Lloyd again). Several restarts, of which the best is
kept; how well they agree says how stable the clusters are. On one thread the same vectors and config give the same
bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from jobs.clusters.seeding import greedy_seeds
from pipeline.errors import RecipeError
from stages.embed.nearest import Numbers, nearest_two
from stages.embed.vectors import Floats

METHODS = ("plain", "hierarchical", "balanced")
INITS = ("k-means++", "random")

_BALANCE_ROUNDS, _BALANCE_ITERATIONS = 20, 3
_PERCENTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True, kw_only=True, slots=True)
class KmeansConfig:
    """How many clusters, and how hard to look for them."""

    clusters: int = 1000
    method: str = "plain"
    """`plain`, `hierarchical` or `balanced`."""
    iterations: int = 25
    """Lloyd iterations of each restart."""
    restarts: int = 3
    init: str = "k-means++"
    """`k-means++`, which is greedy here, or `random`."""
    max_points_per_centroid: int = 1000
    """Vectors used per cluster; of a larger sample the first ones count."""
    max_size_ratio: float = 3.0
    """`balanced` only: a cluster of more than so many times the mean size is split."""
    seed: int = 0
    """0 to 2**64 - 1."""

    def __post_init__(self) -> None:
        if self.clusters < 2 or self.iterations < 1 or self.restarts < 1 or self.max_points_per_centroid < 1:
            raise ValueError(f"needs 2 clusters, 1 iteration, 1 restart and 1 point per centroid or more: {self}")
        if self.method not in METHODS or self.init not in INITS:
            raise ValueError(f"method={self.method!r}, init={self.init!r}: one of {METHODS}, one of {INITS}")
        if self.max_size_ratio <= 1:
            raise ValueError(f"max_size_ratio must be above 1, got {self.max_size_ratio}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed must be from 0 to 2**64 - 1, got {self.seed}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kmeans:
    """The best of the restarts, over the vectors that were used."""

    centroids: Floats
    """float32[K, d] of unit length, in the order of FAISS."""
    labels: Numbers
    """int32[n]: the nearest centroid of each vector used."""
    distances: Floats
    """float32[n]: 1 - cosine to it."""
    inertia: tuple[float, ...]
    """Sum of 1 - cosine over the vectors used, of each restart."""
    stability: float
    """Mean adjusted Rand index over all pairs of restarts; 1 for a single one."""

    def quality(self) -> dict[str, object]:
        """The figures as JSON values."""
        sizes = np.bincount(self.labels, minlength=len(self.centroids))
        return {
            "vectors": len(self.labels),
            "inertia": list(self.inertia),
            "mean_distance": float(self.distances.mean(dtype=np.float64)),
            "size_percentiles": {str(p): float(np.percentile(sizes, p)) for p in _PERCENTILES},
            "empty_clusters": int((sizes == 0).sum()),
            "seed_stability": self.stability,
        }


def train_kmeans(vectors: Floats, config: KmeansConfig, *, gpu: bool = False, threads: int = 1) -> Kmeans:
    """Cluster float32[n, d] of unit length. Raises RecipeError for fewer vectors than clusters.

    Memory: the vectors once more, and per restart 4 bytes per vector. About 2 * n * K * d flops per iteration.
    """
    if len(vectors) < config.clusters:
        raise RecipeError(
            f"{len(vectors)} vectors cannot make {config.clusters} clusters; sample more, or lower clusters"
        )
    used = np.ascontiguousarray(vectors[: config.clusters * config.max_points_per_centroid])
    faiss.omp_set_num_threads(threads)
    found: list[tuple[Floats, Numbers, Floats]] = []
    for restart in range(config.restarts):
        centroids = _restart(used, config, config.seed * 1009 + restart, gpu)
        labels, first, _ = nearest_two(used, centroids)
        found.append((centroids, labels, np.float32(1) - first))
    inertia = tuple(float(distances.sum(dtype=np.float64)) for _, _, distances in found)
    pairs = [adjusted_rand_index(a[1], b[1]) for a, b in combinations(found, 2)]
    centroids, labels, distances = found[int(np.argmin(inertia))]
    stability = float(np.mean(pairs)) if pairs else 1.0
    return Kmeans(centroids=centroids, labels=labels, distances=distances, inertia=inertia, stability=stability)


def _restart(used: Floats, config: KmeansConfig, seed: int, gpu: bool) -> Floats:
    if config.method == "hierarchical":
        start = _split_by_size(used, config, seed, gpu)
        return _lloyd(used, config.clusters, max(1, config.iterations // 5), config.init, seed, gpu, start)
    centroids = _lloyd(used, config.clusters, config.iterations, config.init, seed, gpu)
    return _balance(used, centroids, config, seed, gpu) if config.method == "balanced" else centroids


def _lloyd(
    used: Floats, clusters: int, iterations: int, init: str, seed: int, gpu: bool, start: Floats | None = None
) -> Floats:
    """FAISS's iterations with centroids scaled to unit length; it splits large clusters to fill empty ones."""
    if start is None and init == "k-means++":
        start = greedy_seeds(used, clusters, np.random.default_rng(seed))
    engine: Any = faiss.Kmeans(
        used.shape[1],
        clusters,
        niter=iterations,
        spherical=True,
        seed=seed % 2**31,  # FAISS takes a C int
        gpu=gpu,
        min_points_per_centroid=1,
        max_points_per_centroid=len(used),
    )
    engine.train(used, init_centroids=start)
    return _unit(np.array(engine.centroids, np.float32), used)


def _unit(centroids: Floats, used: Floats) -> Floats:
    """Centroids of unit length; one without a direction becomes the vector of the same number."""
    lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
    scaled: Floats = np.where(lengths > 0, centroids / np.where(lengths > 0, lengths, 1), used[: len(centroids)])
    return np.ascontiguousarray(scaled, np.float32)


def _split_by_size(used: Floats, config: KmeansConfig, seed: int, gpu: bool) -> Floats:
    """About sqrt(K) clusters, each split into a share of K by its size, so that clusters differ less in size."""
    groups = max(2, round(config.clusters**0.5))
    top = _lloyd(used, groups, config.iterations, config.init, seed, gpu)
    labels, _, _ = nearest_two(used, top)
    sizes = np.bincount(labels, minlength=groups)
    parts = []
    for group, share in enumerate(share_out(sizes.tolist(), config.clusters)):
        members = used[labels == group]
        if share > 1:
            parts.append(_lloyd(members, share, config.iterations, config.init, seed, gpu))
        elif share == 1:
            parts.append(top[group : group + 1])
    return np.concatenate(parts)


def share_out(sizes: Sequence[int], total: int) -> list[int]:
    """`total` shared in proportion to the sizes, by the largest quotients (D'Hondt), with at least 1 for any size above
    0 and no more than the size. `total` must lie between the number of those and the sum."""
    shares = [min(1, size) for size in sizes]
    assert sum(shares) <= total <= sum(sizes), (total, sizes)
    while sum(shares) < total:
        quotients = [size / (share + 1) if share < size else -1.0 for size, share in zip(sizes, shares, strict=True)]
        shares[int(np.argmax(quotients))] += 1
    return shares


def _balance(used: Floats, centroids: Floats, config: KmeansConfig, seed: int, gpu: bool) -> Floats:
    """Each cluster above the limit is split in two, in place of itself and one of the smallest, until none is left or
    `_BALANCE_ROUNDS` are over; a few Lloyd iterations over all follow each round."""
    clusters, limit = len(centroids), config.max_size_ratio * len(used) / len(centroids)
    for _ in range(_BALANCE_ROUNDS):
        labels, _, _ = nearest_two(used, centroids)
        order = np.argsort(np.bincount(labels, minlength=clusters), kind="stable")
        large = [k for k in order[::-1].tolist() if (labels == k).sum() > limit][: clusters // 2]
        if not large:
            break
        for k, given_up in zip(large, order.tolist(), strict=False):
            centroids[[k, given_up]] = _lloyd(used[labels == k], 2, config.iterations, config.init, seed, gpu)
        centroids = _lloyd(used, clusters, _BALANCE_ITERATIONS, config.init, seed, gpu, centroids)
    return centroids


def sum_by_cluster(vectors: Floats, labels: Numbers, clusters: int) -> npt.NDArray[np.float64]:
    """float64[K, d]: sums of the vectors of each cluster, in the order of the vectors."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(clusters))
    sums = np.zeros((clusters, vectors.shape[1]), np.float64)
    filled = np.flatnonzero(np.bincount(labels, minlength=clusters))
    if len(filled):
        sums[filled] = np.add.reduceat(vectors[order], starts[filled], axis=0, dtype=np.float64)
    return sums


def adjusted_rand_index(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """How well two partitions int[n] agree: 1 for equal ones, about 0 by chance (Hubert and Arabie, 1985)."""
    _, pairs = np.unique(first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second, return_counts=True)
    joint, rows, columns = (_pairs_in(c) for c in (pairs, np.bincount(first), np.bincount(second)))
    total = len(first) * (len(first) - 1) / 2
    expected, most = rows * columns / total if total else 0.0, (rows + columns) / 2
    return 1.0 if most == expected else (joint - expected) / (most - expected)


def _pairs_in(counts: npt.NDArray[np.int64]) -> float:
    return float((counts.astype(np.float64) * (counts - 1) / 2).sum())
