"""The worlds are what they say, and the replay reads real runs."""

import numpy as np
import pytest
from scipy.optimize import minimize

from jobs.mixtures.methods.climb import Published, published_method
from jobs.mixtures.methods.table import METHODS
from jobs.mixtures.predictors.gaussian_process import GaussianProcess
from jobs.mixtures.predictors.lightgbm_trees import REGMIX_TREES
from tests.bench.mixtures import MIXTURES, run_t0, run_t1
from tests.bench.worlds import VARIANTS, make_world, with_duplicates, with_junk, with_pools


def test_the_best_mixture_is_the_one_the_target_is_of_and_regret_is_the_divergence():
    world = make_world(6, 0)
    np.testing.assert_allclose(world.best(), world.shares, atol=1e-3)
    assert world.relative_regret(world.space.uniform) == pytest.approx(1.0)
    mixture = np.random.default_rng(0).dirichlet(np.ones(6))
    divergence = float(world.target @ np.log(world.target / (mixture @ world.words)))
    assert world.loss(mixture)[0] - world.loss(world.shares)[0] == pytest.approx(divergence)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_best_mixture_of_a_variant_is_that_of_a_general_solver(name):
    world = VARIANTS[name](make_world(4, 1))
    result = minimize(
        lambda w: float(world.loss(w)[0]),
        world.space.proportional,
        bounds=[(1e-9, cap) for cap in world.space.caps],
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    )
    assert world.space.is_feasible(world.best())
    assert world.loss(world.best())[0] <= result.fun + 1e-6


def test_proxies_are_noisy_by_their_tokens_and_uneven_where_asked():
    world, generator = make_world(4, 2), np.random.default_rng(0)
    mixtures = np.tile(world.space.uniform, (50, 1))
    losses = world.measure(mixtures, generator)
    assert losses.shape == (50, 1)
    assert losses.mean() == pytest.approx(world.loss(mixtures)[0], abs=0.02)
    assert 1e-4 < losses.std() < 0.02
    uneven = VARIANTS["uneven noise"](world)
    corner = np.tile([0.0, 0.0, 0.0, 1.0], (50, 1))
    assert uneven.measure(corner, generator).std() > 3 * uneven.measure(mixtures, generator).std()


def test_variants_change_what_they_say():
    world = make_world(6, 0)
    twins = with_duplicates(world)
    moved = np.roll(twins.shares, 3)
    assert twins.loss(moved)[0] == pytest.approx(twins.loss(twins.shares)[0])
    assert with_junk(world).best()[-1] < 1e-3
    pools = with_pools(world)
    assert (pools.space.caps < 1).any()


def test_the_sum_of_the_losses_of_domains_is_that_of_the_target():
    world = make_world(5, 0)
    mixtures = np.random.default_rng(0).dirichlet(np.ones(5), 3)
    by_domain, whole = (
        measure(mixtures, np.random.default_rng(1)) for measure in (world.measure_domains, world.measure)
    )
    np.testing.assert_allclose(by_domain @ world.shares, whole[:, 0])


def test_ours_is_better_than_regmix_with_the_same_runs():
    regmix = published_method(Published(name="regmix", trees=REGMIX_TREES, top=128, pool=5000), (112,))
    methods = {"expected-improvement": METHODS["expected-improvement"], "regmix": regmix}
    found = run_t1([make_world(8, 0)], methods)
    assert found["expected-improvement"].regret[0] < 0.08
    assert found["expected-improvement"].regret[0] < found["regmix"].regret[0]


@pytest.mark.skipif(not MIXTURES.is_dir(), reason="no real runs beside the repository")
def test_the_replay_ranks_real_runs():
    replay = run_t0(MIXTURES, GaussianProcess(transform="log"), subsets=1)
    assert replay.spearman.shape == replay.regret.shape == (4, 1)
    assert replay.spearman.mean() > 0.95
    assert (replay.regret >= 0).all()
