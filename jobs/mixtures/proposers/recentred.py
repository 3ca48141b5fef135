"""Candidates around the best mixtures so far, at all scales, with as many from afar; and ever nearer to the best."""

import numpy as np

from jobs.mixtures.anchors import feasible
from jobs.mixtures.predictors.predictor import Fitted
from jobs.mixtures.proposers.dirichlet import dirichlet_rows, spread
from jobs.mixtures.space import Floats, MixtureSpace

_BEST = 8
_NARROWINGS = 3


def recentred_pool(
    space: MixtureSpace, mixtures: Floats, values: Floats, count: int, generator: np.random.Generator
) -> Floats:
    """float64[count, K], feasible: half from Dirichlets around the best of float64[N, K], half by `spread`.

    The centre is 0.7 of the mean of the eight mixtures with the least values and 0.3 of the very best; strengths are
    10^U(0.5, 2.5). A pool that stays where it began is worse than uniform weights for 20 domains.
    """
    order = np.argsort(values, kind="stable")
    centre = 0.7 * mixtures[order[:_BEST]].mean(axis=0) + 0.3 * mixtures[order[0]]
    near = count // 2
    strengths = 10.0 ** generator.uniform(0.5, 2.5, near)
    drawn = dirichlet_rows(centre * strengths[:, None], generator)
    return np.concatenate([feasible(space, drawn), spread(space, count - near, generator)])


def narrowed_pool(
    space: MixtureSpace, pool: Floats, fitted: Fitted, top: int, generator: np.random.Generator
) -> Floats:
    """float64[M, K], feasible: the pool, replaced three times by its top predicted and as many as it had around them.

    The centre is the mean of the top; strengths are 10^U(1, 2.5), and twice that each time.
    """
    found, size = pool, len(pool)
    for step in range(_NARROWINGS):
        best = found[np.argsort(fitted.predict(found)[0], kind="stable")[:top]]
        strengths = 2.0**step * 10.0 ** generator.uniform(1.0, 2.5, size)
        drawn = dirichlet_rows(best.mean(axis=0) * strengths[:, None], generator)
        found = np.concatenate([best, feasible(space, drawn)])
    return found
