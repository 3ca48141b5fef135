"""An objective learned target by target: sums of what the parts say, and targets of which nothing is learned."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.mixtures.evaluate import run_method
from jobs.mixtures.methods.table import METHODS
from jobs.mixtures.predictors.by_target import fit_targets
from jobs.mixtures.predictors.gaussian_process import GaussianProcess
from jobs.mixtures.predictors.predictor import ConstantPredictionError
from jobs.mixtures.runs import Runs
from tests.bench.worlds import make_world

SHARES = np.array([0.5, 0.3, 0.2])


def process(number):
    return GaussianProcess(transform="log" if number else "sqrt")


@pytest.fixture(scope="module")
def runs():
    mixtures = np.random.default_rng(1).dirichlet(np.ones(3), 24)
    losses = 1.0 + np.exp(-3 * mixtures)
    losses[:, 2] = 4.0
    return Runs(mixtures=mixtures, losses=losses, target_weights=SHARES)


def test_the_objective_is_the_weighted_sum_of_its_targets(runs):
    learned, others = fit_targets(process, runs), np.random.default_rng(2).dirichlet(np.ones(3), 9)
    singles = [process(number).fit(runs.mixtures, runs.losses[:, number]) for number in (0, 1)]
    (left, least), (right, more) = (single.predict(others) for single in singles)
    mean, deviation = learned.predict(others)
    np.testing.assert_allclose(mean, 0.5 * left + 0.3 * right + 0.2 * 4.0)
    np.testing.assert_allclose(deviation, np.hypot(0.5 * least, 0.3 * more))
    together, covariance = learned.joint(others)
    np.testing.assert_allclose(together, mean)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), deviation, rtol=1e-3)


def test_a_target_that_never_changes_is_known_as_such(runs):
    learned = fit_targets(process, runs)
    assert learned.parts[2] is None
    expected = learned.learned(SHARES)
    assert np.isnan(expected).tolist() == [False, False, True]
    assert expected[0] == pytest.approx(1.0 + np.exp(-3 * 0.5), abs=0.02)
    with pytest.raises(ConstantPredictionError, match="measure more mixtures"):
        fit_targets(process, replace(runs, losses=np.full_like(runs.losses, 4.0)))


def test_few_runs_teach_more_by_their_parts_than_by_their_mean():
    method = replace(METHODS["expected-improvement"], rounds=(8, 4, 4, 4))
    parts, mean = [], []
    for seed in range(5):
        world = make_world(6, 500 + seed)
        weights = world.shares / world.shares.sum()
        found = run_method(method, world.space, world.measure_domains, seed=seed, target_weights=weights)
        parts.append(world.relative_regret(found.choice.weights))
        mean.append(world.relative_regret(run_method(method, world.space, world.measure, seed=seed).choice.weights))
    assert np.mean(parts) < 0.7 * np.mean(mean)
    assert max(parts) < 0.2
