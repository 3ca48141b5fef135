"""Proposers: what they draw is feasible, follows what is known, and is that of slow twins."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from jobs.mixtures.predictors.gaussian_process import GaussianProcess
from jobs.mixtures.predictors.log_linear import LogLinear
from jobs.mixtures.predictors.ridge import Ridge
from jobs.mixtures.proposers.convex import convex_optimum
from jobs.mixtures.proposers.d_optimal import d_optimal
from jobs.mixtures.proposers.dirichlet import FIRST_ROUND, POOL, DirichletDraw, dirichlet_rows, spread
from jobs.mixtures.proposers.expected_improvement import expected_improvement, improve
from jobs.mixtures.proposers.recentred import narrowed_pool, recentred_pool
from jobs.mixtures.proposers.top_n import draw_from_top, mean_of_top
from jobs.mixtures.space import MixtureSpace


def space(tokens=(100, 400, 300, 200), target=1000, epochs=4.0):
    names = tuple(f"d{number}" for number in range(len(tokens)))
    return MixtureSpace(domains=names, tokens=tokens, target_tokens=target, max_epochs=epochs)


TIGHT = space(epochs=1.5)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=10), st.floats(1.05, 8.0), st.integers(0, 1000))
def test_all_draws_are_feasible_and_counted(tokens, epochs, seed):
    tight = space(tuple(tokens), sum(tokens), epochs)
    generator = np.random.default_rng(seed)
    draws = [FIRST_ROUND.draw(tight, 7, generator), POOL.draw(tight, 7, generator), spread(tight, 7, generator)]
    draws.append(recentred_pool(tight, draws[0], np.arange(7.0), 8, generator))
    for drawn, count in zip(draws, (7, 7, 7, 8), strict=True):
        assert drawn.shape == (count, len(tokens))
        assert all(tight.is_feasible(row) for row in drawn)


def test_the_dirichlet_has_the_moments_of_its_parameters():
    parameters = np.array([0.5, 1.5, 3.0])
    drawn = dirichlet_rows(np.tile(parameters, (20_000, 1)), np.random.default_rng(0))
    mean = parameters / 5.0
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(drawn.var(axis=0), mean * (1 - mean) / 6.0, atol=0.005)


def test_tiny_parameters_give_corners_not_nothing():
    drawn = dirichlet_rows(np.full((50, 6), 1e-6), np.random.default_rng(0))
    assert np.isfinite(drawn).all()
    assert (drawn.max(axis=1) > 0.99).mean() > 0.9


def test_the_first_round_keeps_its_bounds():
    uneven = space((1, 50, 449, 500), 10, 1e9)
    drawn = FIRST_ROUND.draw(uneven, 300, np.random.default_rng(0))
    assert (drawn <= 15 * uneven.proportional + 1e-9).all()
    assert not ((drawn > 0) & (drawn < 2e-4)).any()
    hopeless = DirichletDraw(weakest=0.01, strongest=0.01, max_over_share=1.0).draw(uneven, 3, np.random.default_rng(0))
    np.testing.assert_allclose(hopeless, np.tile(uneven.proportional, (3, 1)))


def test_a_draw_from_the_top_is_without_repetition_and_from_the_best():
    generator = np.random.default_rng(0)
    pool = generator.dirichlet(np.ones(4), 1000)
    fitted = Ridge().fit(pool[:50], pool[:50, 0])
    drawn = draw_from_top(fitted, pool, 4, generator)
    assert len(np.unique(drawn, axis=0)) == 4
    assert drawn[:, 0].max() <= np.sort(pool[:, 0])[127]
    best = draw_from_top(fitted, pool, 1, generator)
    np.testing.assert_array_equal(best[0], pool[pool[:, 0].argmin()])


def test_the_mean_of_the_top_is_their_mean():
    pool = np.eye(4)
    np.testing.assert_allclose(mean_of_top(np.array([3.0, 1.0, 2.0, 9.0]), pool, 2), [0, 0.5, 0.5, 0])


def test_half_of_a_recentred_pool_is_near_the_best():
    generator = np.random.default_rng(0)
    best = np.array([0.05, 0.05, 0.05, 0.85])
    mixtures = np.concatenate([np.tile(best, (8, 1)), generator.dirichlet(np.ones(4), 20)])
    pool = recentred_pool(space(epochs=1e9), mixtures, np.arange(28.0), 2000, generator)
    np.testing.assert_allclose(pool[:1000].mean(axis=0), best, atol=0.02)
    assert np.abs(pool[1000:].mean(axis=0) - best).max() > 0.2


def test_expected_improvement_is_that_of_the_integral():
    draws = 1.0 + 0.5 * np.random.default_rng(0).standard_normal(400_000)
    gain = expected_improvement(np.array([1.0]), np.array([0.5]), 0.8)[0]
    assert gain == pytest.approx(np.maximum(0.8 - draws, 0).mean(), rel=0.02)


def test_a_batch_of_improvements_spreads_and_is_from_the_pool():
    generator = np.random.default_rng(0)
    mixtures = generator.dirichlet(np.ones(3), 30)
    process = GaussianProcess().fit(mixtures, np.cos(5 * mixtures[:, 0]))
    pool = generator.dirichlet(np.ones(3), 600)
    batch = improve(process, pool, mixtures, 8)
    assert batch.shape == (8, 3)
    assert len(np.unique(batch, axis=0)) == 8
    assert all((np.abs(pool - row).max(axis=1) == 0).any() for row in batch)
    gains = expected_improvement(*process.predict(pool), process.predict(mixtures)[0].min())
    np.testing.assert_array_equal(batch[0], pool[gains.argmax()])


def test_each_pick_of_the_design_is_the_one_of_largest_determinant():
    pool = np.random.default_rng(0).dirichlet(np.ones(3), 12)
    picked = d_optimal(pool, 4, known=pool[:1])
    features = np.concatenate([np.ones((12, 1)), np.sqrt(pool)], axis=1)

    def determinant(rows):
        return np.linalg.det(features[rows].T @ features[rows] + 1e-2 * np.eye(4))

    rows = [0]  # the first pick of all is a tie: all mixtures have features of one length
    for _ in range(4):
        rows.append(max((n for n in range(12) if n not in rows), key=lambda n: determinant([*rows, n])))
    np.testing.assert_array_equal(picked, pool[rows[1:]])
    best = max(determinant([0, *some]) for some in combinations(range(1, 12), 4))
    assert determinant(rows) > 0.6 * best


def test_the_convex_optimum_is_that_of_a_general_solver():
    generator = np.random.default_rng(0)
    mixtures = generator.dirichlet(np.ones(4), 60)
    targets = [np.exp(-3 * mixtures[:, 0]), np.exp(-2 * mixtures[:, 2] + mixtures[:, 1])]
    laws, shares = [LogLinear().fit(mixtures, values) for values in targets], np.array([0.6, 0.4])
    found = convex_optimum(TIGHT, laws, shares, strength=0.02)

    def value(weights):
        parts = sum(share * law.value_and_gradient(weights)[0] for share, law in zip(shares, laws, strict=True))
        return parts + 0.02 * float(weights @ np.log(np.maximum(weights, 1e-12) / TIGHT.proportional))

    result = minimize(
        value,
        TIGHT.proportional,
        bounds=[(1e-9, cap) for cap in TIGHT.caps],
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert TIGHT.is_feasible(found)
    assert value(found) <= result.fun + 1e-6
    np.testing.assert_allclose(found, result.x, atol=2e-3)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="in order"):
        DirichletDraw(weakest=2.0, strongest=1.0)
    with pytest.raises(ValueError, match="must fit"):
        convex_optimum(TIGHT, [], np.ones(1))


def test_a_pool_narrows_to_what_is_predicted_best():
    wanted, tight = np.array([0.1, 0.37, 0.28, 0.25]), space(epochs=1.2)
    mixtures = np.random.default_rng(4).dirichlet(np.ones(4), 60)
    fitted = GaussianProcess().fit(mixtures, ((mixtures - wanted) ** 2).sum(axis=1))
    generator = np.random.default_rng(5)
    wide = recentred_pool(tight, mixtures, fitted.predict(mixtures)[0], 400, generator)
    near = narrowed_pool(tight, wide, fitted, 32, generator)
    assert near.shape == (432, 4)
    assert all(tight.is_feasible(row) for row in near)
    assert fitted.predict(near)[0].min() <= fitted.predict(wide)[0].min()
    far, close = (mean_of_top(fitted.predict(pool)[0], pool, 32) for pool in (wide, near))
    assert np.abs(close - wanted).max() < min(0.02, np.abs(far - wanted).max())
