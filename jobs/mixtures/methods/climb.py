"""CLIMB as published (arXiv 2504.13161) and in its authors' recipe: nothing of it is improved but what would not run.

Dirichlet by tokens; 64, 32 and 16 mixtures; boosted trees with early stopping on a tenth; each later round draws at
random from the top max(M^2, 128) of 100,000 candidates of a pool that never moves; the result is the best predicted of
such a pool. Two things are added: values are z-scored, or the trees are constant; and mixtures keep within the caps.
The first mixtures of the first round are the anchors.
"""

from functools import partial

import numpy as np

from jobs.mixtures.anchors import guarded, with_anchors
from jobs.mixtures.method import Choice, Method
from jobs.mixtures.methods.concluding import predicted_losses, unpredicted
from jobs.mixtures.predictors.lightgbm_trees import CLIMB_TREES, REGMIX_TREES, Trees
from jobs.mixtures.proposers.dirichlet import FIRST_ROUND, POOL
from jobs.mixtures.proposers.top_n import draw_from_top, mean_of_top
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_POOL = 100_000


def _propose(
    trees: Trees, space: MixtureSpace, runs: Runs, number: int, count: int, generator: np.random.Generator
) -> Floats:
    if number == 0:
        return with_anchors(space, FIRST_ROUND.draw(space, count, generator), count)
    fitted = trees.fit(runs.mixtures, runs.objective)
    return draw_from_top(fitted, POOL.draw(space, _POOL, generator), count, generator)


def _choose(trees: Trees, top: int, space: MixtureSpace, runs: Runs, generator: np.random.Generator) -> Choice:
    fitted = trees.fit(runs.mixtures, runs.objective)
    pool = POOL.draw(space, _POOL, generator)
    mixture = mean_of_top(fitted.predict(pool)[0], pool, top)
    weights = guarded(space, runs, mixture, float(fitted.predict(mixture[None])[0][0]))
    nothing = unpredicted(space, runs, weights)
    return Choice(
        weights=weights,
        predicted=predicted_losses(fitted, trees, runs, weights),
        deviation=nothing.deviation,
        predictor="trees",
        beats_proportional=nothing.beats_proportional,
    )


CLIMB = Method(
    name="climb",
    rounds=(64, 32, 16),
    propose=partial(_propose, CLIMB_TREES),
    choose=partial(_choose, CLIMB_TREES, 1),
)

REGMIX = Method(
    name="regmix",
    rounds=(112,),
    propose=partial(_propose, REGMIX_TREES),
    choose=partial(_choose, REGMIX_TREES, 128),
)
"""RegMix (arXiv 2407.01492): one round, LightGBM's defaults, the mean of the top 128 of 100,000 candidates."""
