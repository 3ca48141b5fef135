"""Our methods: learn what is known, draw candidates around the best of it, measure the most promising, average the top.

The first round measures the anchors and mixtures from sparse to dense. Each later round measures a batch of largest
expected improvement by a Gaussian process, or the mean of the top predicted and mixtures drawn from among the top. The
choice is the mean of the top predicted, among candidates ever nearer to it, by a predictor that cross-validation
combines. All of them learn every target by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from jobs.mixtures.anchors import anchors, feasible, guarded, with_anchors
from jobs.mixtures.histograms import HistogramPredictor, nearest_mixtures
from jobs.mixtures.method import Choice, Method
from jobs.mixtures.methods.concluding import with_uncertainty
from jobs.mixtures.predictors.by_target import fit_targets
from jobs.mixtures.predictors.combined import DEFAULT_PREDICTOR
from jobs.mixtures.predictors.gaussian_process import GaussianProcess
from jobs.mixtures.predictors.predictor import Fitted, Predictor, Process
from jobs.mixtures.proposers.dirichlet import spread
from jobs.mixtures.proposers.expected_improvement import improve
from jobs.mixtures.proposers.recentred import narrowed_pool, recentred_pool
from jobs.mixtures.proposers.top_n import mean_of_top
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_PROCESS = GaussianProcess(transform="log")
_WEAKEST = 1.0
"""Sum of the parameters of the sparsest Dirichlet of the first round."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guided:
    """What guides the search."""

    name: str
    """Of the method."""
    predictor_name: str
    predictor_of: Callable[[int], Predictor]
    """Of each target, by its number."""
    process_of: Callable[[int], Process] = lambda _: _PROCESS
    """What batches are drawn by with `improve`, and what says how sure the choice is."""
    known: Floats | None = None
    """float64[M, K]: mixtures of which the predictor knows before any run; then the first round is guided too."""
    pool: int = 4000
    """Candidates in each round; twice as many for the choice, and as many again each time they narrow."""
    top: int = 128
    """Best predicted candidates that are averaged and drawn from."""
    improve: bool
    """Whether batches are of largest expected improvement by a Gaussian process, or drawn from the predictor's top."""

    def __post_init__(self) -> None:
        if not 0 < self.top <= self.pool:
            raise ValueError(f"top={self.top} must be positive and at most pool={self.pool}")

    def around(self, runs: Runs) -> Floats:
        """float64[N, K]: mixtures of which something is known."""
        return runs.mixtures if self.known is None else np.concatenate([self.known, runs.mixtures])


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
    if number > 0:
        return _guided(settings, space, runs, count, generator)
    free = count - len(anchors(space))
    if settings.known is None or free < 1:
        return with_anchors(space, spread(space, count, generator, weakest=_WEAKEST), count)
    return with_anchors(space, _guided(settings, space, runs, free, generator), count)


def _guided(settings: Guided, space: MixtureSpace, runs: Runs, count: int, generator: np.random.Generator) -> Floats:
    around = settings.around(runs)
    if settings.improve:
        process = fit_targets(settings.process_of, runs)
        pool = _pool(max(settings.pool, 4 * count), space, around, process, generator)
        return improve(process, pool, around, count)
    learned = fit_targets(settings.predictor_of, runs)
    pool = _pool(max(settings.pool, 4 * count), space, around, learned, generator)
    predicted = learned.predict(pool)[0]
    best = np.argsort(predicted, kind="stable")[: max(settings.top, count)]
    drawn = pool[generator.choice(best, size=count - 1, replace=False)]
    return np.concatenate([mean_of_top(predicted, pool, settings.top)[None], drawn])


def _pool(size: int, space: MixtureSpace, around: Floats, learned: Fitted, generator: np.random.Generator) -> Floats:
    return recentred_pool(space, around, learned.predict(around)[0], size, generator)


def _choose(settings: Guided, space: MixtureSpace, runs: Runs, generator: np.random.Generator) -> Choice:
    learned = fit_targets(settings.predictor_of, runs)
    pool = _pool(2 * settings.pool, space, settings.around(runs), learned, generator)
    near = narrowed_pool(space, pool, learned, settings.top, generator)
    mixture = mean_of_top(learned.predict(near)[0], near, settings.top)
    weights = guarded(space, runs, mixture, lambda mixtures: learned.predict(mixtures)[0])
    return with_uncertainty(
        space,
        weights,
        fitted=learned,
        pool=pool,
        name=settings.predictor_name,
        generator=generator,
        process=fit_targets(settings.process_of, runs),
    )


_ROUNDS = (32, 16, 16, 16, 16, 16)
"""112 mixtures. More rounds find better ones; fewer let more proxies run at once."""

_DEFAULT = Guided(name="default", predictor_name="combined", predictor_of=lambda _: DEFAULT_PREDICTOR, improve=True)
DEFAULT = guided_method(_DEFAULT, _ROUNDS)
RECENTRED = guided_method(replace(_DEFAULT, name="recentred", improve=False), _ROUNDS)
EXPECTED_IMPROVEMENT = guided_method(
    replace(_DEFAULT, name="expected-improvement", predictor_name="gaussian-process", predictor_of=lambda _: _PROCESS),
    _ROUNDS,
)


def informed_method(predictor: HistogramPredictor, space: MixtureSpace, rounds: tuple[int, ...]) -> Method:
    """The default, by a predictor that knows of runs over other domains: it proposes and chooses by these too.

    Anchors are measured all the same, and what is returned is judged by the new runs alone.
    """
    known = feasible(space, nearest_mixtures(predictor.evidence.histograms, predictor.composition))
    of_target = predictor.of_target
    settings = replace(_DEFAULT, predictor_name="histograms", predictor_of=of_target, process_of=of_target, known=known)
    return guided_method(settings, rounds)
