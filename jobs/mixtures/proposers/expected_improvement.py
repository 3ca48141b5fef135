"""Batches by expected improvement of a Gaussian process (Jones et al. 1998), each pick taken as if it came out as
expected (kriging believer, Ginsbourger et al. 2010), so that a batch spreads.
"""

import numpy as np
from scipy.special import ndtr

from jobs.mixtures.predictors.predictor import FittedProcess
from jobs.mixtures.space import Floats

_SHORTLIST = 512


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """float64[M]: by how much a loss is expected to fall below `best`."""
    z = (best - mean) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    gain: Floats = deviation * (z * ndtr(z) + density)
    return gain


def improve(process: FittedProcess, pool: Floats, measured: Floats, count: int) -> Floats:
    """float64[count, K] from the pool, one after another; `measured` float64[N, K] are the mixtures known so far.

    `best` is the least expected loss of the measured, as measured values are noisy.
    """
    best = float(process.predict(measured)[0].min())
    gains = expected_improvement(*process.predict(pool), best)
    short = pool[np.argsort(-gains, kind="stable")[: max(_SHORTLIST, 2 * count)]]
    mean, covariance = process.joint(short)
    variance = np.diag(covariance).copy()
    least = 1e-9 * float(variance.max())
    taken: list[int] = []
    for _ in range(min(count, len(short))):
        gains = expected_improvement(mean, np.sqrt(np.maximum(variance, least)), best)
        gains[taken] = -np.inf
        pick = int(np.argmax(gains))
        taken.append(pick)
        best = min(best, float(mean[pick]))
        column = covariance[:, pick] / np.sqrt(max(covariance[pick, pick], least))
        covariance = covariance - np.outer(column, column)
        variance = np.diag(covariance).copy()
    return short[taken]
