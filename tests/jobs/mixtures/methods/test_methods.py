"""Every method: feasible, repeatable, guarded; and what each is in particular."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.mixtures.anchors import anchors, best_anchor, measured
from jobs.mixtures.evaluate import run_method
from jobs.mixtures.methods.climb import Published, published_method
from jobs.mixtures.methods.fixed import unimax
from jobs.mixtures.methods.table import METHODS
from jobs.mixtures.predictors.lightgbm_trees import CLIMB_TREES, REGMIX_TREES
from jobs.mixtures.predictors.predictor import ConstantPredictionError
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import MixtureSpace
from tests.bench.worlds import make_world, search_world, with_pools

WORLD = with_pools(make_world(5, 3))
SEARCHING = [name for name, method in METHODS.items() if method.rounds]
ROUNDS = {"regmix": (45,), "olmix": (30,), "doremi": (2, 1, 1), "climb": (24, 4)}


SMALL_POOLS = {
    "climb": published_method(Published(name="climb", trees=CLIMB_TREES, top=1, pool=2000), ()),
    "regmix": published_method(Published(name="regmix", trees=REGMIX_TREES, top=128, pool=2000), ()),
}


GOLDEN = [0.08801569, 0.00026267, 0.26937078, 0.59391016, 0.04844071]


def small(name):
    method = METHODS[name]
    if name in SMALL_POOLS:
        return replace(SMALL_POOLS[name], rounds=ROUNDS[name])
    return replace(method, rounds=ROUNDS.get(name, (16, 6, 4))) if method.rounds else method


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_feasible_guarded_and_the_same_twice(name):
    first, second = (search_world(WORLD, small(name), 1) for _ in range(2))
    assert first.runs.mixtures.tobytes() == second.runs.mixtures.tobytes()
    assert first.choice.weights.tobytes() == second.choice.weights.tobytes()
    assert WORLD.space.is_feasible(first.choice.weights)
    assert all(WORLD.space.is_feasible(row) for row in first.runs.mixtures)
    assert len(first.runs) == sum(small(name).rounds)
    assert first.choice.weights.shape == first.choice.deviation.shape == (5,)
    assert first.choice.predicted.shape == first.runs.target_weights.shape
    known, anchor = measured(first.runs, first.choice.weights), best_anchor(WORLD.space, first.runs)
    assert known is None or anchor is None or known <= anchor[1]


@pytest.mark.parametrize("name", SEARCHING)
def test_anchors_are_measured_first(name):
    runs = search_world(WORLD, small(name), 2).runs
    np.testing.assert_array_equal(runs.mixtures[:2], anchors(WORLD.space))


@pytest.mark.parametrize("name", ["default", "recentred", "expected-improvement"])
def test_ours_finds_the_optimum_of_a_small_world_and_says_how_sure_it_is(name):
    world = make_world(4, 7)
    choice = search_world(world, small(name), 0).choice
    assert world.relative_regret(choice.weights) < 0.08
    assert choice.beats_proportional > 0.95
    assert (choice.deviation < 0.2).all()
    proxies = world.measure(np.tile(choice.weights, (50, 1)), np.random.default_rng(0))
    assert choice.predicted[0] == pytest.approx(proxies.mean(), abs=0.02)


def test_an_anchor_that_nothing_beats_is_found():
    space = MixtureSpace(domains=("a", "b", "c"), tokens=(50, 30, 20), target_tokens=100)

    def measure(mixtures, generator):
        return 10 * ((mixtures - space.uniform) ** 2).sum(axis=1, keepdims=True)

    choice = run_method(small("default"), space, measure, seed=0).choice
    np.testing.assert_allclose(choice.weights, space.uniform, atol=0.03)


def test_the_published_climb_keeps_giving_what_it_gave():
    assert METHODS["climb"].rounds == (64, 32, 16)
    outcome = search_world(make_world(5, 0), replace(SMALL_POOLS["climb"], rounds=(64, 32, 16)), 0)
    np.testing.assert_allclose(outcome.choice.weights, GOLDEN, atol=1e-6)


def test_a_constant_predictor_is_an_error():
    method = replace(METHODS["regmix"], rounds=(20,))
    with pytest.raises(ConstantPredictionError, match="LightGBM predicts"):
        search_world(make_world(5, 0), method, 0)
    space = MixtureSpace(domains=("a", "b"), tokens=(5, 3), target_tokens=5)
    with pytest.raises(ConstantPredictionError, match="teach nothing"):
        run_method(small("default"), space, lambda mixtures, _: np.ones((len(mixtures), 1)), seed=0)


def test_several_targets_are_predicted_one_by_one():
    world = make_world(4, 1)
    choice = run_method(
        small("default"), world.space, world.measure_domains, seed=0, target_weights=world.shares
    ).choice
    real = -np.log(choice.weights @ world.words) @ world.words.T
    np.testing.assert_allclose(choice.predicted, real, atol=0.1)


def no_runs(space):
    return Runs(mixtures=np.empty((0, len(space.domains))), losses=np.empty((0, 1)))


def slow_unimax(tokens, target, epochs):
    """Algorithm 1 of the paper: the budget left is shared equally among the domains left, the smallest first."""
    left, budget = float(target), {}
    for position, domain in enumerate(sorted(range(len(tokens)), key=lambda n: tokens[n])):
        budget[domain] = min(left / (len(tokens) - position), epochs * tokens[domain])
        left -= budget[domain]
    return np.array([budget[n] for n in range(len(tokens))]) / target


@pytest.mark.parametrize("tokens", [(10, 20, 400, 70), (5, 5, 5), (1000, 1, 1, 1)])
def test_unimax_is_the_uniform_mixture_within_caps(tokens):
    space = MixtureSpace(
        domains=tuple(str(n) for n in range(len(tokens))), tokens=tokens, target_tokens=sum(tokens), max_epochs=1.5
    )
    np.testing.assert_allclose(unimax(space), slow_unimax(tokens, sum(tokens), 1.5), atol=1e-12)
    np.testing.assert_allclose(unimax(space), space.uniform, atol=1e-9)
    assert METHODS["unimax"].choose(space, no_runs(space), None).weights.tobytes() == unimax(space).tobytes()


def test_doremi_raises_what_is_above_its_reference():
    space = MixtureSpace(domains=("a", "b", "c"), tokens=(60, 30, 10), target_tokens=10)
    losses = np.array([[2.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    runs = Runs(mixtures=anchors(space), losses=losses, target_weights=np.full(3, 1 / 3))
    weights = METHODS["doremi"].propose(space, runs, 1, 1, np.random.default_rng(0))[0]
    grown = np.array([np.e, 1.0, 1.0])
    np.testing.assert_allclose(weights, 0.999 * grown / grown.sum() + 0.001 / 3)
    with pytest.raises(ValueError, match="one target for each of the 3 domains"):
        METHODS["doremi"].choose(space, Runs(mixtures=anchors(space), losses=np.ones((2, 1))), None)


def test_doremi_measures_the_current_mixture_and_takes_no_step_by_it():
    space = MixtureSpace(domains=("a", "b"), tokens=(60, 40), target_tokens=10)
    losses, shares = np.array([[2.0, 1.0], [1.0, 1.0], [1.0, 9.0]]), np.full(2, 0.5)
    with_current = replace(space, current=(0.1, 0.9))
    told = (
        (space, Runs(mixtures=anchors(space), losses=losses[:2], target_weights=shares)),
        (with_current, Runs(mixtures=anchors(with_current), losses=losses, target_weights=shares)),
    )
    without, same = (METHODS["doremi"].propose(*pair, 1, 1, np.random.default_rng(0)) for pair in told)
    np.testing.assert_array_equal(without, same)


def test_doremi_moves_where_uniform_is_proportional():
    space = MixtureSpace(domains=("a", "b", "c"), tokens=(10, 10, 10), target_tokens=10)
    learned = np.array([3.0, 1.0, 0.5])

    def measure(mixtures, generator):
        return 2.0 - learned * mixtures + generator.uniform(0.0, 0.1, mixtures.shape)

    shares = np.full(3, 1 / 3)
    runs = run_method(METHODS["doremi"], space, measure, seed=0, target_weights=shares).runs
    assert np.abs(runs.mixtures[:2] - space.uniform).max() < 1e-9
    assert (np.abs(runs.mixtures[2:] - space.uniform).max(axis=1) > 1e-3).all()


def test_a_method_without_rounds_proposes_nothing():
    with pytest.raises(ValueError, match="measures no mixtures"):
        METHODS["uniform"].propose(WORLD.space, None, 0, 3, np.random.default_rng(0))


def test_a_round_may_be_larger_than_the_shortlist():
    world, method = make_world(3, 0), METHODS["expected-improvement"]
    runs = search_world(world, replace(method, rounds=(8,)), 0).runs
    drawn = method.propose(world.space, runs, 1, 600, np.random.default_rng(0))
    assert len(np.unique(drawn, axis=0)) == 600


@pytest.mark.parametrize(
    ("method", "runs", "rounds"),
    [
        ("climb", 28, (16, 8, 4)),
        ("climb", 112, (64, 32, 16)),
        ("climb", 30, (17, 9, 4)),
        ("default", 28, (8, *[4] * 5)),
        ("default", 1, (1,)),
        ("default", 8, (8,)),
        ("default", 12, (8, 1, 1, 1, 1)),
        ("doremi", 6, (2, 1, 1, 1, 1)),
        ("regmix", 28, (28,)),
        ("uniform", 28, ()),
    ],
)
def test_rounds_are_those_of_the_method(method: str, runs: int, rounds: tuple[int, ...]) -> None:
    assert METHODS[method].sized(runs).rounds == rounds
