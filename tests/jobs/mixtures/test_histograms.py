"""Runs outlive their domains: nearest mixtures are exact where they can be, predictions survive any change."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from jobs.mixtures.histograms import (
    Evidence,
    HistogramPredictor,
    nearest_mixtures,
    recorded,
    together,
)
from jobs.mixtures.runs import Runs

CODES = 12


def loss(histograms):
    words = np.exp(np.random.default_rng(4).standard_normal((CODES, 60)))
    words /= words.sum(axis=1, keepdims=True)
    target = np.random.default_rng(5).dirichlet(np.full(CODES, 0.5)) @ words
    return -(np.log(histograms @ words) @ target)


@pytest.fixture(scope="module")
def old():
    """Four domains of three fine clusters each, 60 runs."""
    generator = np.random.default_rng(0)
    composition = np.zeros((4, CODES))
    for number in range(4):
        composition[number, 3 * number : 3 * number + 3] = generator.dirichlet(np.full(3, 3.0))
    mixtures = generator.dirichlet(np.ones(4), 60)
    runs = Runs(mixtures=mixtures, losses=loss(mixtures @ composition)[:, None])
    return composition, runs, recorded(runs, composition)


def split(composition):
    """The first domain becomes two: its first fine cluster, and the rest."""
    first, rest = np.zeros(CODES), composition[0].copy()
    first[0], rest[0] = 1.0, 0.0
    return np.stack([first, rest / rest.sum(), *composition[1:]]), composition[0, 0]


def test_mixtures_nearest_to_runs_over_a_split_domain_are_exact(old):
    composition, runs, evidence = old
    parts, share = split(composition)
    wanted = np.column_stack([runs.mixtures[:, 0] * share, runs.mixtures[:, 0] * (1 - share), runs.mixtures[:, 1:]])
    np.testing.assert_allclose(nearest_mixtures(evidence.histograms, parts), wanted, atol=1e-3)


def test_mixtures_nearest_to_runs_over_the_same_and_more_domains_are_these(old):
    composition, runs, evidence = old
    more = np.concatenate([composition, np.full((1, CODES), 1 / CODES)])
    np.testing.assert_allclose(nearest_mixtures(evidence.histograms, composition), runs.mixtures, atol=1e-4)
    wider = nearest_mixtures(evidence.histograms, more)
    np.testing.assert_allclose(wider @ more, runs.mixtures @ composition, atol=2e-3)


def test_the_nearest_mixture_is_that_of_a_grid():
    generator = np.random.default_rng(2)
    composition, histograms = generator.dirichlet(np.ones(6), 2), generator.dirichlet(np.ones(6), 5)
    grid = np.linspace(0, 1, 5001)
    mixed = np.column_stack([grid, 1 - grid]) @ composition
    best = grid[np.sqrt(histograms)[:, None, :].repeat(5001, 1).__mul__(np.sqrt(mixed)).sum(axis=2).argmax(axis=1)]
    np.testing.assert_allclose(nearest_mixtures(histograms, composition)[:, 0], best, atol=2e-3)


@pytest.mark.parametrize("change", ["split", "merge", "add"])
def test_old_runs_predict_mixtures_of_new_domains(old, change):
    composition, _, evidence = old
    other = np.random.default_rng(9).dirichlet(np.full(CODES, 0.3))
    new = {
        "split": split(composition)[0],
        "merge": np.stack([composition[:2].mean(axis=0), *composition[2:]]),
        "add": np.concatenate([composition, other[None]]),
    }[change]
    generator = np.random.default_rng(1)
    mixtures = generator.dirichlet(np.ones(len(new)), 100)
    real = loss(mixtures @ new)
    predictor = HistogramPredictor(composition=new, evidence=evidence)
    without_new = predictor.fit(np.empty((0, len(new))), np.empty(0)).predict(mixtures)[0]
    with_new = predictor.fit(mixtures[:10], real[:10]).predict(mixtures[10:])[0]
    alone = predictor.process.fit(mixtures[:10] @ new, real[:10]).predict(mixtures[10:] @ new)[0]
    assert spearmanr(without_new, real).statistic > 0.7
    assert spearmanr(with_new, real[10:]).statistic > spearmanr(alone, real[10:]).statistic


def test_old_runs_of_another_level_are_moved_to_that_of_the_new_ones(old):
    composition, runs, evidence = old
    low = replace(evidence, losses=evidence.losses - 0.7)
    both = together([evidence, low])
    np.testing.assert_array_equal(both.searches, np.repeat([0, 1], len(runs)))
    mixtures = np.random.default_rng(4).dirichlet(np.ones(len(composition)), 30)
    real = loss(mixtures @ composition)
    spread = float(np.std(real))
    for known in (evidence, low, both):
        predictor = HistogramPredictor(composition=composition, evidence=known)
        predicted = predictor.fit(mixtures[:6], real[:6]).predict(mixtures[6:])[0]
        assert np.abs(predicted - real[6:]).mean() < 0.15 * spread


def test_shapes_that_do_not_fit_are_refused(old):
    composition, _, evidence = old
    with pytest.raises(ValueError, match=r"\[N, C\]"):
        replace(evidence, losses=np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"searches .* must be \[N\]"):
        replace(evidence, searches=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="one codebook"):
        HistogramPredictor(composition=composition[:, :5], evidence=evidence)
    assert isinstance(evidence, Evidence)
