"""Our method: a predictor that cross-validation combines, a pool that follows the best, the mean of the top.

The first round measures the anchors and mixtures from sparse to dense. Each later round fits what is known, draws
candidates around the best of it, and measures the mean of the top predicted and mixtures drawn from among the top (or,
with `improve`, a batch of largest expected improvement).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from jobs.mixtures.anchors import guarded, with_anchors
from jobs.mixtures.method import Choice, Method
from jobs.mixtures.methods.concluding import with_uncertainty
from jobs.mixtures.predictors.combined import DEFAULT_PREDICTOR
from jobs.mixtures.predictors.gaussian_process import GaussianProcess
from jobs.mixtures.predictors.predictor import Predictor
from jobs.mixtures.proposers.dirichlet import spread
from jobs.mixtures.proposers.expected_improvement import improve
from jobs.mixtures.proposers.recentred import recentred_pool
from jobs.mixtures.proposers.top_n import mean_of_top
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace


@dataclass(frozen=True, kw_only=True, slots=True)
class Guided:
    """What guides the search."""

    name: str
    """Of the method."""
    predictor_name: str
    predictor: Predictor
    pool: int = 4000
    """Candidates in each round; twice as many for the choice."""
    top: int = 128
    """Best predicted candidates that are averaged and drawn from."""
    improve: bool = False
    """Whether batches are of largest expected improvement, by a Gaussian process."""

    def __post_init__(self) -> None:
        if not 0 < self.top <= self.pool:
            raise ValueError(f"top={self.top} must be positive and at most pool={self.pool}")


def guided_method(settings: Guided, rounds: tuple[int, ...]) -> Method:
    """The method of these settings."""
    return Method(
        name=settings.name,
        rounds=rounds,
        propose=partial(_propose, settings),
        choose=partial(_choose, settings),
    )


def _propose(
    settings: Guided, space: MixtureSpace, runs: Runs, number: int, count: int, generator: np.random.Generator
) -> Floats:
    if number == 0:
        return with_anchors(space, spread(space, count, generator), count)
    process = GaussianProcess(transform="log")
    fitted = process.fit(runs.mixtures, runs.objective) if settings.improve else None
    learned = fitted or settings.predictor.fit(runs.mixtures, runs.objective)
    expected = learned.predict(runs.mixtures)[0]
    pool = recentred_pool(space, runs.mixtures, expected, settings.pool, generator)
    if fitted is not None:
        return improve(fitted, pool, runs.mixtures, count)
    predicted = learned.predict(pool)[0]
    best = np.argsort(predicted, kind="stable")[: max(settings.top, count)]
    drawn = pool[generator.choice(best, size=count - 1, replace=False)]
    return np.concatenate([mean_of_top(predicted, pool, settings.top)[None], drawn])


def _choose(settings: Guided, space: MixtureSpace, runs: Runs, generator: np.random.Generator) -> Choice:
    learned = settings.predictor.fit(runs.mixtures, runs.objective)
    expected = learned.predict(runs.mixtures)[0]
    pool = recentred_pool(space, runs.mixtures, expected, 2 * settings.pool, generator)
    mixture = mean_of_top(learned.predict(pool)[0], pool, settings.top)
    weights = guarded(space, runs, mixture, float(learned.predict(mixture[None])[0][0]))
    return with_uncertainty(
        space, runs, weights, fitted=learned, pool=pool, name=settings.predictor_name, generator=generator
    )


DEFAULT = guided_method(
    Guided(name="default", predictor_name="combined", predictor=DEFAULT_PREDICTOR),
    rounds=(32, 16, 16, 16, 16, 16),
)
EXPECTED_IMPROVEMENT = guided_method(
    Guided(
        name="expected-improvement",
        predictor_name="gaussian-process",
        predictor=GaussianProcess(transform="log"),
        improve=True,
    ),
    rounds=(32, 16, 16, 16, 16, 16),
)
