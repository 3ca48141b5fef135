"""Mixtures within caps: feasible, nearest in the sense of Kullback and Leibler, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from jobs.mixtures.runs import Runs, mixture_id
from jobs.mixtures.space import MixtureSpace


def space(tokens: tuple[int, ...], target: int, epochs: float = 4.0) -> MixtureSpace:
    names = tuple(f"d{number}" for number in range(len(tokens)))
    return MixtureSpace(domains=names, tokens=tokens, target_tokens=target, max_epochs=epochs)


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=12),
    st.floats(0.01, 1.0),
    st.data(),
)
def test_a_projection_is_feasible_and_final(tokens: list[int], share: float, data: st.DataObject) -> None:
    target = max(1, int(4 * sum(tokens) * share))
    mixed = space(tuple(tokens), target)
    weights = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(tokens), max_size=len(tokens))))
    projected = mixed.project(weights)
    assert mixed.is_feasible(projected)
    np.testing.assert_allclose(mixed.project(projected), projected, atol=1e-12)


def test_a_projection_is_the_nearest_feasible_mixture() -> None:
    mixed = space((10, 20, 400, 70), 500, epochs=2.0)
    wanted = np.array([0.4, 0.3, 0.2, 0.1])

    def divergence(weights: np.ndarray) -> float:
        return float((weights * np.log(weights / wanted)).sum())

    bounds = [(1e-9, cap) for cap in mixed.caps]
    constraint = {"type": "eq", "fun": lambda w: w.sum() - 1}
    found = minimize(divergence, mixed.proportional, bounds=bounds, constraints=constraint, method="SLSQP", tol=1e-12)
    np.testing.assert_allclose(mixed.project(wanted), found.x, atol=1e-5)


def test_anchors_are_feasible_and_epochs_count_repetition() -> None:
    mixed = space((10, 1000), 100)
    assert mixed.is_feasible(mixed.uniform)
    np.testing.assert_allclose(mixed.uniform, [0.4, 0.6])
    np.testing.assert_allclose(mixed.epochs(mixed.uniform), [4.0, 0.06])
    np.testing.assert_allclose(mixed.epochs(mixed.proportional), [100 / 1010] * 2)


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 44 tokens can be mixed"):
        space((10, 1), 45)
    with pytest.raises(ValueError, match="positive"):
        space((10, 0), 5)
    for epochs in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match="positive"):
            MixtureSpace(domains=("a", "b"), tokens=(1, 1), target_tokens=1, max_epochs=epochs)
    with pytest.raises(ValueError, match="sum to 1"):
        MixtureSpace(domains=("a", "b"), tokens=(1, 1), target_tokens=1, current=(float("nan"), 1.0))
    with pytest.raises(ValueError, match="unique"):
        MixtureSpace(domains=("a", "a"), tokens=(1, 1), target_tokens=1)
    assert not space((10, 10), 10).is_feasible(np.array([0.7, 0.4]))


def test_runs_check_their_shapes_and_grow() -> None:
    runs = Runs(mixtures=np.eye(2), losses=np.array([[1.0, 3.0], [2.0, 2.0]]), target_weights=np.array([0.25, 0.75]))
    np.testing.assert_allclose(runs.objective, [2.5, 2.0])
    assert len(runs.extended(np.array([[0.5, 0.5]]), np.array([[0.0, 1.0]]))) == 3
    with pytest.raises(ValueError, match=r"\[N, T\]"):
        Runs(mixtures=np.eye(2), losses=np.ones((2, 2)))
    assert mixture_id(np.array([0.5, 0.5])) != mixture_id(np.array([0.5, 0.5 + 1e-16 * 4]))
