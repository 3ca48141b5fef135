"""What a predictor says of the mixture that a method chose."""

import numpy as np
from scipy.special import ndtr

from jobs.mixtures.method import Choice
from jobs.mixtures.predictors.by_target import FittedTargets
from jobs.mixtures.predictors.predictor import Fitted, FittedProcess
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_SHORTLIST = 512
_WORLDS = 64
"""Surfaces drawn from the posterior."""
_TOP = 16


def unpredicted(space: MixtureSpace, runs: Runs, weights: Floats) -> Choice:
    """The choice of a method that predicts nothing."""
    nothing = np.full(len(runs.target_weights), np.nan)
    unknown = np.full(len(space.domains), np.nan)
    return Choice(weights=weights, predicted=nothing, deviation=unknown, predictor="", beats_proportional=float("nan"))


def with_uncertainty(
    space: MixtureSpace,
    weights: Floats,
    *,
    fitted: FittedTargets[Fitted],
    process: FittedTargets[FittedProcess],
    pool: Floats,
    name: str,
    generator: np.random.Generator,
) -> Choice:
    """The choice with the losses, the spread of the optimum and the odds that a Gaussian process gives it.

    The spread is that of the optima of 64 surfaces drawn from its posterior, each the mean of the best 16 of the 512
    candidates of the pool that are expected to be best. The odds take the expected difference to the proportional
    mixture from `fitted` and its deviation from the process.
    """
    short = pool[np.argsort(process.predict(pool)[0], kind="stable")[:_SHORTLIST]]
    mean, covariance = process.joint(short)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    surfaces = mean + generator.standard_normal((_WORLDS, len(short))) @ root.T
    order = np.argsort(surfaces, axis=1, kind="stable")[:, :_TOP]
    optima = short[order].mean(axis=1)
    return Choice(
        weights=weights,
        predicted=fitted.learned(weights),
        deviation=optima.std(axis=0),
        predictor=name,
        beats_proportional=_odds(fitted, process, weights, space.proportional),
    )


def _odds(fitted: Fitted, process: FittedProcess, weights: Floats, other: Floats) -> float:
    pair = np.stack([weights, other])
    if np.abs(weights - other).max() <= 1e-9:
        return 0.0
    mean = fitted.predict(pair)[0]
    covariance = process.joint(pair)[1]
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return float(ndtr((mean[1] - mean[0]) / np.sqrt(max(variance, 1e-18))))
