"""Olmix (arXiv 2602.12237): one spread round, a log-linear law for each target, and their exact optimum.

It is held near the shares of tokens by a divergence and within the caps; the mixtures are a D-optimal choice from many.
"""

from functools import partial

import numpy as np

from jobs.mixtures.anchors import anchors, guarded, with_anchors
from jobs.mixtures.method import Choice, Method
from jobs.mixtures.methods.concluding import unpredicted
from jobs.mixtures.predictors.by_target import fit_targets
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
    learned = fit_targets(lambda _: LogLinear(), runs)
    known = [(law, share) for law, share in zip(learned.parts, runs.target_weights, strict=True) if law is not None]
    laws, shares = [law for law, _ in known], np.array([share for _, share in known])
    deviation = float(runs.objective.std())
    mixture = convex_optimum(space, laws, shares, strength=strength * deviation)
    weights = guarded(space, runs, mixture, lambda mixtures: learned.predict(mixtures)[0])
    nothing = unpredicted(space, runs, weights)
    return Choice(
        weights=weights,
        predicted=learned.learned(weights),
        deviation=nothing.deviation,
        predictor="log-linear",
        beats_proportional=nothing.beats_proportional,
    )


OLMIX = Method(name="olmix", rounds=(112,), propose=_propose, choose=partial(_choose, 0.1))
"""The divergence counts a tenth of the deviation of the measured objective."""
