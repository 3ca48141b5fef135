"""Candidates around the best mixtures so far, at all scales, with as many from afar."""

import numpy as np

from jobs.mixtures.anchors import feasible
from jobs.mixtures.proposers.dirichlet import dirichlet_rows, spread
from jobs.mixtures.space import Floats, MixtureSpace

_BEST = 8


def recentred_pool(
    space: MixtureSpace, mixtures: Floats, values: Floats, count: int, generator: np.random.Generator
) -> Floats:
    """float64[count, K], feasible: half from Dirichlets around the best of float64[N, K], half as in the first round.

    The centre is 0.7 of the mean of the eight mixtures with the least values and 0.3 of the very best; strengths are
    10^U(0.5, 2.5). A pool that stays where it began is worse than uniform weights for 20 domains.
    """
    order = np.argsort(values, kind="stable")
    centre = 0.7 * mixtures[order[:_BEST]].mean(axis=0) + 0.3 * mixtures[order[0]]
    near = count // 2
    strengths = 10.0 ** generator.uniform(0.5, 2.5, near)
    drawn = dirichlet_rows(centre * strengths[:, None], generator)
    return np.concatenate([feasible(space, drawn), spread(space, count - near, generator)])
