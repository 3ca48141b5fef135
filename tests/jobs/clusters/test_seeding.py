import numpy as np

from jobs.clusters.seeding import greedy_seeds
from tests.jobs.clusters.test_kmeans import blobs


def test_every_group_gets_a_seed() -> None:
    vectors, labels = blobs([50] * 12, noise=0.02)
    seeds = greedy_seeds(vectors, 12, np.random.default_rng(0))
    nearest = (seeds @ vectors.T).argmax(axis=1)
    assert sorted(labels[nearest].tolist()) == list(range(12))
    assert greedy_seeds(vectors, 12, np.random.default_rng(0)).tobytes() == seeds.tobytes()


def test_the_potential_is_below_that_of_random_seeds() -> None:
    vectors, _ = blobs([30] * 40, noise=0.1)

    def potential(seeds: np.ndarray) -> float:
        return float((1 - (vectors @ seeds.T).max(axis=1)).sum())

    random = [potential(vectors[np.random.default_rng(seed).permutation(len(vectors))[:40]]) for seed in range(5)]
    greedy = [potential(greedy_seeds(vectors, 40, np.random.default_rng(seed))) for seed in range(5)]
    assert max(greedy) < min(random)


def test_as_many_seeds_as_vectors_are_all_vectors() -> None:
    vectors, _ = blobs([1] * 6)
    seeds = greedy_seeds(vectors, 6, np.random.default_rng(1))
    assert sorted(map(bytes, seeds)) == sorted(map(bytes, vectors))
    same = np.repeat(vectors[:1], 5, axis=0)
    assert greedy_seeds(same, 4, np.random.default_rng(1)).shape == (4, 24)
