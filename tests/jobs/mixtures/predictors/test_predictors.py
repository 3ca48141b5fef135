"""All predictors: they learn, they are the same twice, scale does not matter, and a constant one is refused."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from jobs.mixtures.predictors.combined import DEFAULT_PREDICTOR, Combined, out_of_fold, stacking_weights
from jobs.mixtures.predictors.gaussian_process import GaussianProcess
from jobs.mixtures.predictors.lightgbm_trees import CLIMB_TREES, REGMIX_TREES, Trees
from jobs.mixtures.predictors.log_linear import LogLinear
from jobs.mixtures.predictors.predictor import ConstantPredictionError, Predictor
from jobs.mixtures.predictors.ridge import Ridge

PREDICTORS: dict[str, Predictor] = {
    "process-sqrt": GaussianProcess(),
    "process-log": GaussianProcess(transform="log"),
    "process-isotropic": GaussianProcess(per_domain=False),
    "trees": Trees(),
    "trees-climb": CLIMB_TREES,
    "trees-regmix": REGMIX_TREES,
    "log-linear": LogLinear(),
    "ridge": Ridge(),
    "combined": DEFAULT_PREDICTOR,
}


def law(mixtures):
    return 2.0 + 0.02 * np.exp(-4 * mixtures[:, 0]) + 0.005 * mixtures[:, 1]


@pytest.fixture(scope="module")
def runs():
    generator = np.random.default_rng(5)
    mixtures = generator.dirichlet(np.ones(4), 90)
    return mixtures[:60], law(mixtures[:60]) + 1e-4 * generator.standard_normal(60), mixtures[60:]


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_ranks_mixtures_whose_losses_differ_by_little(name, runs):
    mixtures, values, others = runs
    mean, deviation = PREDICTORS[name].fit(mixtures, values).predict(others)
    assert spearmanr(mean, law(others)).statistic > 0.85
    assert mean.shape == deviation.shape == (30,)
    assert (deviation > 0).all()
    assert deviation.mean() < values.std()


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_is_the_same_twice(name, runs):
    mixtures, values, others = runs
    first, second = (PREDICTORS[name].fit(mixtures, values).predict(others) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


@pytest.mark.parametrize("name", ["process-log", "trees", "log-linear", "ridge"])
def test_the_unit_of_losses_does_not_matter(name, runs):
    mixtures, values, others = runs
    plain, tiny = (PREDICTORS[name].fit(mixtures, scale * values).predict(others)[0] for scale in (1.0, 1e-4))
    np.testing.assert_allclose(tiny * 1e4, plain, rtol=1e-3)


@pytest.mark.parametrize("name", PREDICTORS)
def test_values_that_do_not_vary_are_refused(name, runs):
    with pytest.raises(ConstantPredictionError, match="measure more mixtures"):
        PREDICTORS[name].fit(runs[0], np.full(60, 3.0))


def test_trees_whose_leaves_need_more_mixtures_than_there_are_are_refused(runs):
    with pytest.raises(ConstantPredictionError, match="LightGBM predicts"):
        REGMIX_TREES.fit(runs[0][:30], runs[1][:30])


def test_a_constant_member_is_left_out_and_the_best_gets_most_weight(runs):
    mixtures, values, _ = runs
    members = {"regmix": REGMIX_TREES, "process": GaussianProcess(), "ridge": Ridge()}
    fitted = Combined(members=members).fit(mixtures[:30], values[:30])
    assert "regmix" not in fitted.weights
    assert fitted.weights["process"] > 0.5
    assert sum(fitted.weights.values()) == pytest.approx(1.0)
    with pytest.raises(ConstantPredictionError, match="no predictor learned anything"):
        Combined(members={"regmix": REGMIX_TREES}).fit(mixtures[:30], values[:30])


def test_stacking_weights_are_those_of_least_error():
    generator = np.random.default_rng(0)
    predictions = generator.standard_normal((50, 3))
    wanted = np.array([0.7, 0.0, 0.3])
    np.testing.assert_allclose(stacking_weights(predictions, predictions @ wanted), wanted, atol=1e-6)


def test_the_first_member_is_trusted_until_many_values_tell_otherwise():
    generator = np.random.default_rng(0)
    predictions = generator.standard_normal((400, 2))
    values = 0.3 * predictions[:, 0] + 0.7 * predictions[:, 1]
    few, many = (stacking_weights(predictions[:count], values[:count], trust=4.0) for count in (4, 400))
    assert few[0] > many[0] + 0.1
    np.testing.assert_allclose(many, [0.3, 0.7], atol=0.01)


def test_out_of_fold_predictions_do_not_see_their_own_value(runs):
    mixtures, values, _ = runs
    changed = values.copy()
    changed[7] += 1.0
    fold = np.random.default_rng(0).permutation(60) % 5
    before, after = (out_of_fold(Ridge(), mixtures, given, 5)[0] for given in (values, changed))
    same = fold == fold[7]
    np.testing.assert_array_equal(before[same], after[same])
    assert not np.allclose(before[~same], after[~same])


def test_slopes_of_the_log_linear_law_are_those_of_finite_differences(runs):
    fitted = LogLinear().fit(runs[0], runs[1])
    mixture = np.array([0.4, 0.3, 0.2, 0.1])
    value, slope = fitted.value_and_gradient(mixture)
    assert value == pytest.approx(fitted.predict(mixture[None])[0][0])
    steps = 1e-6 * np.eye(4)
    differences = [(fitted.value_and_gradient(mixture + step)[0] - value) / 1e-6 for step in steps]
    np.testing.assert_allclose(slope, differences, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianProcess(floor=0),
        lambda: Trees(num_leaves=1),
        lambda: LogLinear(starts=0),
        lambda: Ridge(penalties=()),
        lambda: Combined(members={}),
        lambda: Combined(members={"ridge": Ridge()}, trust=-1.0),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()
