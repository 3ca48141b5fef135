import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.embed.nearest import CHUNK_ROWS, nearest_two
from stages.embed.vectors import unit_vectors


def obvious(rows: np.ndarray, centroids: np.ndarray) -> tuple[list[int], list[float], list[float]]:
    """One row at a time, in float64."""
    best, first, second = [], [], []
    for row in rows.astype(np.float64):
        scores = [float(row @ centroid) for centroid in centroids.astype(np.float64)]
        order = sorted(range(len(scores)), key=lambda k: (-scores[k], k))
        best.append(order[0])
        first.append(scores[order[0]])
        second.append(scores[order[1]])
    return best, first, second


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from(["float32", "float16", "int8"]))
def test_the_two_nearest_equal_the_obvious_loop(seed: int, clusters: int, storage: str) -> None:
    generator = np.random.default_rng(seed)
    centroids = unit_vectors(generator.standard_normal((clusters, 16)).astype(np.float16))
    rows = generator.standard_normal((30, 16)) * 40
    vectors = unit_vectors(rows.astype(np.float16)) if storage == "float32" else rows.astype(storage)
    best, first, second = nearest_two(vectors, centroids)
    wide = vectors if storage == "float32" else unit_vectors(vectors)
    expected = obvious(wide, centroids)
    np.testing.assert_allclose(first, expected[1], atol=1e-5)
    np.testing.assert_allclose(second, expected[2], atol=1e-5)
    clear = first - second > 1e-5
    assert best[clear].tolist() == np.array(expected[0])[clear].tolist()


def test_of_equals_the_lowest_and_a_margin_of_zero() -> None:
    centroids = np.eye(4, dtype=np.float32)[[0, 1, 0, 1]]
    best, first, second = nearest_two(np.eye(4, dtype=np.float32), centroids)
    assert best.tolist() == [0, 1, 0, 0]
    assert (first - second).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("count", [0, 1, CHUNK_ROWS, CHUNK_ROWS + 3])
def test_a_row_gets_the_same_whatever_comes_with_it(count: int) -> None:
    generator = np.random.default_rng(5)
    rows = generator.standard_normal((count, 64)).astype(np.float16)
    centroids = unit_vectors(generator.standard_normal((33, 64)).astype(np.float16))
    together = nearest_two(rows, centroids)
    for row in {0, count // 2, count - 1} if count else set():
        alone = nearest_two(rows[row : row + 1], centroids)
        assert [part[0] for part in alone] == [part[row] for part in together]
