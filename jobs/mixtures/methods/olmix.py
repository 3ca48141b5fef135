"""Olmix (arXiv 2602.12237): one spread round, a log-linear law for each target, and their exact optimum.

It is held near the shares of tokens by a divergence and within the caps; the mixtures are a D-optimal choice from many.
"""

from functools import partial

import numpy as np

from jobs.mixtures.anchors import anchors, guarded, with_anchors
from jobs.mixtures.method import Choice, Method
from jobs.mixtures.methods.concluding import unpredicted
from jobs.mixtures.predictors.log_linear import LogLinear
from jobs.mixtures.proposers.convex import convex_optimum
from jobs.mixtures.proposers.d_optimal import d_optimal
from jobs.mixtures.proposers.dirichlet import spread
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_POOL = 4000


def _propose(space: MixtureSpace, runs: Runs, number: int, count: int, generator: np.random.Generator) -> Floats:
    pool = spread(space, max(_POOL, count), generator)
    if number:
        return d_optimal(pool, count, known=runs.mixtures)
    return with_anchors(space, d_optimal(pool, count, known=anchors(space)), count)


def _choose(strength: float, space: MixtureSpace, runs: Runs, generator: np.random.Generator) -> Choice:
    laws = [LogLinear().fit(runs.mixtures, losses) for losses in runs.losses.T]
    deviation = float(runs.objective.std())
    mixture = convex_optimum(space, laws, runs.target_weights, strength=strength * deviation)
    expected = np.array([law.predict(mixture[None])[0][0] for law in laws])
    weights = guarded(space, runs, mixture, float(expected @ runs.target_weights))
    predicted = np.array([law.predict(weights[None])[0][0] for law in laws])
    nothing = unpredicted(space, runs, weights)
    return Choice(
        weights=weights,
        predicted=predicted,
        deviation=nothing.deviation,
        predictor="log-linear",
        beats_proportional=nothing.beats_proportional,
    )


OLMIX = Method(name="olmix", rounds=(112,), propose=_propose, choose=partial(_choose, 0.1))
"""The divergence counts a tenth of the deviation of the measured objective."""
