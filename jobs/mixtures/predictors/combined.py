"""Several predictors as one, weighted by what they say of mixtures they have not seen (stacking, Breiman 1996)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from jobs.mixtures.predictors.gaussian_process import GaussianProcess
from jobs.mixtures.predictors.lightgbm_trees import Trees
from jobs.mixtures.predictors.log_linear import LogLinear
from jobs.mixtures.predictors.predictor import ConstantPredictionError, Fitted, Predictor, scale_of
from jobs.mixtures.space import Floats

_MEDIAN_ERROR = 0.6745
"""Median size of a normal error, in deviations."""
_TO_ONE = 1e3
"""How hard the weights are held to a sum of 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Combined:
    """The members, and how they are judged."""

    members: Mapping[str, Predictor]
    """The first that is not left out is trusted before anything is known."""
    folds: int = 5
    trust: float = 4.0
    """In it: what the squared distance of the weights from the first alone costs, in squared deviations of the values.
    Few runs cannot tell members apart."""

    def __post_init__(self) -> None:
        if not self.members or self.folds < 2 or self.trust < 0:
            raise ValueError(
                f"{len(self.members)} members, folds={self.folds} and trust={self.trust} must be at least 1, 2 and 0"
            )

    def fit(self, mixtures: Floats, values: Floats) -> "FittedCombined":
        """Learn all members from all data, weighted by the error in the folds that each left out.

        A member that is constant on some fold is left out of it all. Raises ConstantPredictionError if all are.
        """
        scale = scale_of(values)
        guesses: dict[str, tuple[Floats, Floats]] = {}
        reasons = []
        for name, member in self.members.items():
            try:
                guesses[name] = out_of_fold(member, mixtures, values, self.folds)
            except ConstantPredictionError as error:
                reasons.append(f"{name}: {error}")
        if not guesses:
            raise ConstantPredictionError("no predictor learned anything. " + "; ".join(reasons))
        means = np.stack([scale.scaled(mean) for mean, _ in guesses.values()], axis=1)
        deviations = np.stack([deviation / scale.deviation for _, deviation in guesses.values()], axis=1)
        weights = stacking_weights(means, scale.scaled(values), trust=self.trust)
        used = {name: float(weight) for name, weight in zip(guesses, weights, strict=True) if weight > 1e-6}
        mean, deviation = _mixed(means, deviations, weights)
        strange = float(np.median(np.abs(scale.scaled(values) - mean) / deviation)) / _MEDIAN_ERROR
        return FittedCombined(
            members={name: self.members[name].fit(mixtures, values) for name in used},
            weights=used,
            stretch=float(np.clip(strange, 0.5, 5.0)),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedCombined:
    """The members that count, with their weights."""

    members: Mapping[str, Fitted]
    weights: Mapping[str, float]
    stretch: float
    """What makes the deviations those seen out of fold: by the median, which one strange run does not move."""

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation of the mixture of the members' distributions, float64[M] each."""
        parts = [member.predict(mixtures) for member in self.members.values()]
        weights = np.array(list(self.weights.values())) / sum(self.weights.values())
        mean, deviation = _mixed(
            np.stack([mean for mean, _ in parts], axis=1), np.stack([spread for _, spread in parts], axis=1), weights
        )
        return mean, deviation * self.stretch


def out_of_fold(predictor: Predictor, mixtures: Floats, values: Floats, folds: int) -> tuple[Floats, Floats]:
    """What the predictor says of each mixture without having seen it: means and deviations, float64[N]."""
    fold = np.random.default_rng(0).permutation(len(values)) % folds
    mean, deviation = np.empty(len(values)), np.empty(len(values))
    for number in range(min(folds, len(values))):
        held = fold == number
        fitted = predictor.fit(mixtures[~held], values[~held])
        mean[held], deviation[held] = fitted.predict(mixtures[held])
    return mean, deviation


def stacking_weights(predictions: Floats, values: Floats, *, trust: float = 0.0) -> Floats:
    """float64[P], not negative, of sum 1: the least squared error of float64[N, P] against float64[N].

    To it is added `trust` times the squared distance to having the first alone (ridge regression towards a prior).
    """
    first = np.eye(predictions.shape[1])[0]
    rows = np.vstack([predictions, np.sqrt(trust) * np.eye(len(first)), np.full((1, len(first)), _TO_ONE)])
    weights, _ = nnls(rows, np.concatenate([values, np.sqrt(trust) * first, [_TO_ONE]]))
    shares: Floats = weights / weights.sum()
    return shares


def _mixed(means: Floats, deviations: Floats, weights: Floats) -> tuple[Floats, Floats]:
    mean = means @ weights
    variance = (deviations**2 + (means - mean[:, None]) ** 2) @ weights
    return mean, np.sqrt(np.maximum(variance, 1e-18))


DEFAULT_PREDICTOR = Combined(
    members={
        "gaussian-process-log": GaussianProcess(transform="log"),
        "gaussian-process-sqrt": GaussianProcess(),
        "trees": Trees(),
        "log-linear": LogLinear(),
    }
)
"""What measured best on real runs: see docs/mixture-search.md."""
