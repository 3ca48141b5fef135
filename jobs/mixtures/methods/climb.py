"""CLIMB as published (arXiv 2504.13161) and in its authors' recipe: nothing of it is improved but what would not run.

Dirichlet by tokens; 64, 32 and 16 mixtures; boosted trees with early stopping on a tenth; each later round draws at
random from the top max(M^2, 128) of 100,000 candidates of a pool that never moves; the result is the best predicted of
such a pool. Two things are added: values are z-scored, or the trees are constant; and mixtures keep within the caps.
The first mixtures of the first round are the anchors.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from jobs.mixtures.anchors import guarded, with_anchors
from jobs.mixtures.method import Choice, Method
from jobs.mixtures.methods.concluding import unpredicted
from jobs.mixtures.predictors.by_target import fit_targets
from jobs.mixtures.predictors.lightgbm_trees import CLIMB_TREES, REGMIX_TREES, Trees
from jobs.mixtures.predictors.predictor import ConstantPredictionError
from jobs.mixtures.proposers.dirichlet import FIRST_ROUND, POOL
from jobs.mixtures.proposers.top_n import draw_from_top, mean_of_top
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What CLIMB and RegMix differ in."""

    name: str
    trees: Trees
    top: int
    """Best candidates whose mean is the result."""
    pool: int = 100_000
    """Candidates."""

    def __post_init__(self) -> None:
        if not 0 < self.top <= self.pool:
            raise ValueError(f"top={self.top} must be positive and at most pool={self.pool}")


def published_method(settings: Published, rounds: tuple[int, ...]) -> Method:
    """The method of these settings."""
    return Method(
        name=settings.name,
        rounds=rounds,
        propose=partial(_propose, settings),
        choose=partial(_choose, settings),
    )


def _propose(
    settings: Published, space: MixtureSpace, runs: Runs, number: int, count: int, generator: np.random.Generator
) -> Floats:
    if number == 0:
        return with_anchors(space, FIRST_ROUND.draw(space, count, generator), count)
    fitted = settings.trees.fit(runs.mixtures, runs.objective)
    return draw_from_top(fitted, POOL.draw(space, settings.pool, generator), count, generator)


def _choose(settings: Published, space: MixtureSpace, runs: Runs, generator: np.random.Generator) -> Choice:
    fitted = settings.trees.fit(runs.mixtures, runs.objective)
    pool = POOL.draw(space, settings.pool, generator)
    mixture = mean_of_top(fitted.predict(pool)[0], pool, settings.top)
    weights = guarded(space, runs, mixture, lambda mixtures: fitted.predict(mixtures)[0])
    choice = replace(unpredicted(space, runs, weights), predictor="trees")
    try:
        return replace(choice, predicted=fit_targets(lambda _: settings.trees, runs).learned(weights))
    except ConstantPredictionError:  # the objective has taught something, none of its parts
        return choice


CLIMB = published_method(Published(name="climb", trees=CLIMB_TREES, top=1), rounds=(64, 32, 16))
REGMIX = published_method(Published(name="regmix", trees=REGMIX_TREES, top=128), rounds=(112,))
"""RegMix (arXiv 2407.01492): one round, LightGBM's defaults, the mean of the top 128 of 100,000 candidates."""
