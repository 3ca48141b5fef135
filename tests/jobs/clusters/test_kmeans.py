import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from jobs.clusters.kmeans import (
    INITS,
    METHODS,
    KmeansConfig,
    adjusted_rand_index,
    share_out,
    sum_by_cluster,
    train_kmeans,
)
from pipeline.errors import RecipeError


def blobs(sizes: list[int], noise: float = 0.05, dimensions: int = 24, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around random directions, and which each belongs to, mixed."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = generator.standard_normal((len(sizes), dimensions))[labels]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows += noise * generator.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("method", METHODS)
def test_true_groups_are_found_again_and_alike(method: str) -> None:
    vectors, labels = blobs([60] * 9)
    config = KmeansConfig(clusters=9, method=method, iterations=10)
    found = train_kmeans(vectors, config)
    assert adjusted_rand_score(labels, found.labels) > 0.99
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-6)
    again = train_kmeans(vectors, config)
    assert again.centroids.tobytes() == found.centroids.tobytes()
    assert again.inertia == found.inertia


def test_the_best_restart_is_kept_and_quality_is_told() -> None:
    vectors, _ = blobs([40] * 12, noise=0.3)
    found = train_kmeans(vectors, KmeansConfig(clusters=30, iterations=5, restarts=4, init="random"))
    quality = found.quality()
    assert found.distances.sum(dtype=np.float64) == pytest.approx(min(found.inertia))
    assert len(found.inertia) == 4
    assert 0 < found.stability < 1
    assert quality["size_percentiles"]["100"] == np.bincount(found.labels).max()
    assert quality["empty_clusters"] == 30 - len(set(found.labels.tolist()))


@pytest.mark.parametrize("init", INITS)
def test_no_more_than_the_points_asked_for_are_used(init: str) -> None:
    vectors, _ = blobs([50] * 4)
    found = train_kmeans(vectors, KmeansConfig(clusters=4, max_points_per_centroid=20, init=init, iterations=3))
    assert len(found.labels) == 80
    same = train_kmeans(vectors[:80], KmeansConfig(clusters=4, init=init, iterations=3))
    assert same.centroids.tobytes() == found.centroids.tobytes()


@pytest.mark.parametrize("seed", [2_128_331, 2**31, 2**64 - 1, -pow(1009, -1, 2**31) % 2**31])
@pytest.mark.parametrize("init", INITS)
def test_every_seed_that_a_config_takes_is_one_of_faiss(init: str, seed: int) -> None:
    vectors, _ = blobs([20] * 4, noise=0.3)
    config = KmeansConfig(clusters=8, iterations=2, restarts=2, init=init, seed=seed)
    found = train_kmeans(vectors, config)
    assert len(set(found.inertia)) == 2
    assert train_kmeans(vectors, config).centroids.tobytes() == found.centroids.tobytes()


def test_no_balanced_cluster_is_far_above_the_mean() -> None:
    vectors, _ = blobs([900, 10, 10, 10, 10, 10, 10, 10, 10, 10], noise=0.01)
    config = {"clusters": 10, "iterations": 20, "restarts": 1}
    largest = {
        method: np.bincount(train_kmeans(vectors, KmeansConfig(method=method, **config)).labels).max() / 99
        for method in METHODS
    }
    assert largest["balanced"] <= 3 < largest["plain"]


def test_degenerate_input_ends() -> None:
    same = np.tile(np.eye(8, dtype=np.float32)[0], (20, 1))
    found = train_kmeans(same, KmeansConfig(clusters=5, iterations=3))
    assert np.isfinite(found.centroids).all()
    assert found.distances.max() < 1e-6
    with pytest.raises(RecipeError, match="20 vectors cannot make 21 clusters"):
        train_kmeans(same, KmeansConfig(clusters=21))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40))
def test_the_rand_index_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    assert adjusted_rand_index(first, second) == pytest.approx(adjusted_rand_score(first, second))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.data())
def test_shares_add_up_and_follow_the_sizes(sizes: list[int], data: st.DataObject) -> None:
    least, most = sum(size > 0 for size in sizes), sum(sizes)
    total = data.draw(st.integers(least, most))
    shares = share_out(sizes, total)
    assert sum(shares) == total
    assert all(min(1, size) <= share <= size for size, share in zip(sizes, shares, strict=True))
    assert [shares[i] for i in np.argsort(sizes, kind="stable")] == sorted(shares) or len(set(sizes)) < len(sizes)


@given(st.lists(st.integers(0, 5), max_size=30))
def test_sums_by_cluster_equal_the_obvious_loop(labels: list[int]) -> None:
    vectors = np.random.default_rng(0).standard_normal((len(labels), 3)).astype(np.float32)
    expected = np.zeros((6, 3))
    for label, vector in zip(labels, vectors, strict=True):
        expected[label] += vector
    np.testing.assert_allclose(sum_by_cluster(vectors, np.array(labels, np.int32), 6), expected, atol=1e-6)


def test_a_config_says_what_is_wrong() -> None:
    for wrong in ({"clusters": 1}, {"restarts": 0}, {"method": "x"}, {"init": "y"}, {"max_size_ratio": 1.0}):
        with pytest.raises(ValueError, match=r"clusters|method|max_size_ratio"):
            KmeansConfig(**wrong)
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=f"seed must be from 0 to .*, got {seed}"):
            KmeansConfig(seed=seed)
