import numpy as np

from tests.bench.clusters import _agreement, _assignment, _speed
from tests.jobs.clusters.test_kmeans import blobs


def test_both_sides_are_measured_on_the_same_vectors() -> None:
    vectors, labels = blobs([40] * 6, noise=0.02)
    figures = [*_agreement("blobs", vectors, [str(label) for label in labels], 2), *_speed(vectors, 6, 2)]
    names = [figure.name for figure in figures[-2:]]
    assert names == ["k-means: time / scikit-learn's", "k-means: inertia / scikit-learn's"]
    assert all(len(figure.runs) == 2 for figure in figures)
    assert np.allclose([run for figure in figures[:4] for run in figure.runs], 1)
    assert np.allclose(figures[-1].runs, 1, atol=0.5)


def test_assignment_is_a_share_of_the_product() -> None:
    rates, shares = _assignment(50, 2048, 1)
    assert rates.value > 0
    assert 0 < shares.value < 2
