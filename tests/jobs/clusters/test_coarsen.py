from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from jobs.clusters.coarsen import CoarsenConfig, coarsen
from jobs.clusters.kmeans import adjusted_rand_index


def points(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, 5))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def obvious(rows: np.ndarray, population: np.ndarray, domains: int, max_share: float) -> list[set[int]]:
    """All pairs in every step, from the definition of the height."""
    shares, groups = population / population.sum(), [{k} for k in range(len(rows))]

    def height(pair: tuple[int, int]) -> float:
        p, q = (shares[list(groups[g])].sum() for g in pair)
        means = [np.average(rows[list(groups[g])], axis=0, weights=shares[list(groups[g])]) for g in pair]
        distance = float(((means[0] - means[1]) ** 2).sum())
        return p * q / (p + q) * distance if p + q <= max_share + 1e-9 else np.inf

    while len(groups) > domains:
        best = min(combinations(range(len(groups)), 2), key=height)
        if not np.isfinite(height(best)):
            break
        groups[best[0]] |= groups.pop(best[1])
    return groups


def partition(domain: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(domain == d).tolist()) for d in range(int(domain.max()) + 1)]


@given(st.integers(2, 12), st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([0.4, 0.7, 1.0]))
def test_merges_equal_the_obvious_loop(count: int, seed: int, domains: int, max_share: float) -> None:
    rows = points(count, seed)
    population = np.random.default_rng(seed).uniform(0.1, 1, count)
    found = coarsen(rows, population, CoarsenConfig(domains=domains, min_share=0, max_share=max_share))
    expected = obvious(rows.astype(np.float64), population, domains, max_share)
    assert sorted(map(sorted, partition(found.domain))) == sorted(map(sorted, expected))
    assert len(found.merges) == count - 1
    assert found.merges[-1].share == pytest.approx(1)
    assert found.shares.tolist() == sorted(found.shares.tolist(), reverse=True)


def test_equal_populations_give_ward() -> None:
    rows = points(40, 1)
    found = coarsen(rows, np.ones(40), CoarsenConfig(domains=7, min_share=0, max_share=1))
    tree = linkage(rows.astype(np.float64), "ward")
    assert adjusted_rand_index(found.domain, fcluster(tree, 7, "maxclust")) == 1
    heights = [np.sqrt(2 * 40 * merge.height) for merge in found.merges]
    np.testing.assert_allclose(heights, tree[:, 2], rtol=1e-6)


def test_population_decides_and_small_domains_join_the_nearest() -> None:
    angles = np.array([0.0, 0.5, 1.6, 2.2])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    wide = coarsen(rows, np.array([1.0, 1.0, 1.0, 1.0]), CoarsenConfig(domains=3, min_share=0, max_share=1))
    assert wide.domain[0] == wide.domain[1]
    light = coarsen(rows, np.array([100.0, 100.0, 1.0, 1.0]), CoarsenConfig(domains=3, min_share=0, max_share=1))
    assert light.domain[2] == light.domain[3]
    none_small = coarsen(rows, np.array([50.0, 49.0, 0.5, 0.0]), CoarsenConfig(domains=4, min_share=0.1, max_share=0.5))
    assert len(none_small.shares) == 2
    assert none_small.domain[1] == none_small.domain[2] == none_small.domain[3]


def test_no_merge_exceeds_the_largest_share() -> None:
    rows = np.ones((10, 3), np.float32)
    found = coarsen(rows, np.ones(10), CoarsenConfig(domains=2, min_share=0, max_share=0.3))
    assert found.shares.tolist() == pytest.approx([0.3, 0.3, 0.3, 0.1])


def test_a_config_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="min_share <= max_share"):
        CoarsenConfig(min_share=0.5, max_share=0.2)
