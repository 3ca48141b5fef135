"""What a predictor says of the mixture that a method chose."""

import numpy as np
from scipy.special import ndtr

from jobs.mixtures.method import Choice
from jobs.mixtures.predictors.gaussian_process import GaussianProcess
from jobs.mixtures.predictors.predictor import ConstantPredictionError, Fitted, FittedProcess, Predictor, Process
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_SHORTLIST = 512
_WORLDS = 64
"""Surfaces drawn from the posterior."""
_TOP = 16
_PROCESS = GaussianProcess(transform="log")


def unpredicted(space: MixtureSpace, runs: Runs, weights: Floats) -> Choice:
    """The choice of a method that predicts nothing."""
    nothing = np.full(len(runs.target_weights), np.nan)
    unknown = np.full(len(space.domains), np.nan)
    return Choice(weights=weights, predicted=nothing, deviation=unknown, predictor="", beats_proportional=float("nan"))


def predicted_losses(fitted: Fitted, predictor: Predictor, runs: Runs, weights: Floats) -> Floats:
    """float64[T]: by `fitted` for a single target, by the predictor fitted to each of several.

    NaN for a target of which it learns nothing.
    """
    if len(runs.target_weights) == 1 and runs.target_weights[0] == 1.0:
        return fitted.predict(weights[None])[0]
    losses = np.full(len(runs.target_weights), np.nan)
    for number in range(len(losses)):
        try:
            learned = predictor.fit(runs.mixtures, runs.losses[:, number])
        except ConstantPredictionError:
            continue
        losses[number] = learned.predict(weights[None])[0][0]
    return losses


def with_uncertainty(
    space: MixtureSpace,
    runs: Runs,
    weights: Floats,
    *,
    fitted: Fitted,
    pool: Floats,
    name: str,
    generator: np.random.Generator,
    process: Process = _PROCESS,
) -> Choice:
    """The choice with the losses, the spread of the optimum and the odds that a Gaussian process gives it.

    The spread is that of the optima of 64 surfaces drawn from its posterior, each the mean of the best 16 of the 512
    candidates of the pool that are expected to be best. The odds take the expected difference to the proportional
    mixture from `fitted` and its deviation from the process. Losses of single targets come from the runs alone.
    """
    learned = process.fit(runs.mixtures, runs.objective)
    short = pool[np.argsort(learned.predict(pool)[0], kind="stable")[:_SHORTLIST]]
    mean, covariance = learned.joint(short)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    surfaces = mean + generator.standard_normal((_WORLDS, len(short))) @ root.T
    order = np.argsort(surfaces, axis=1, kind="stable")[:, :_TOP]
    optima = short[order].mean(axis=1)
    return Choice(
        weights=weights,
        predicted=predicted_losses(fitted, _PROCESS, runs, weights),
        deviation=optima.std(axis=0),
        predictor=name,
        beats_proportional=_odds(fitted, learned, weights, space.proportional),
    )


def _odds(fitted: Fitted, process: FittedProcess, weights: Floats, other: Floats) -> float:
    pair = np.stack([weights, other])
    if np.abs(weights - other).max() <= 1e-9:
        return 0.0
    mean = fitted.predict(pair)[0]
    covariance = process.joint(pair)[1]
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return float(ndtr((mean[1] - mean[0]) / np.sqrt(max(variance, 1e-18))))
