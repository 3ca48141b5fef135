"""An objective learned target by target: what a mixture does to one is simpler than what it does to their mean.

So every run teaches as many values as there are targets. With few runs that matters more than which predictor learns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from jobs.mixtures.predictors.predictor import ConstantPredictionError, Fitted, FittedProcess
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats

Part = TypeVar("Part", bound=Fitted)
_Part = TypeVar("_Part", bound=Fitted, covariant=True)


class Learner(Protocol[_Part]):
    """A predictor of one target."""

    def fit(self, mixtures: Floats, values: Floats) -> _Part:
        """As of a `Predictor`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedTargets(Generic[Part]):
    """The objective as the weighted sum of its targets, whose errors are taken as independent."""

    parts: tuple[Part | None, ...]
    """None for a target that is the same in all runs."""
    means: Floats
    """float64[T]: of the measured values; what is expected of a target without a part."""
    target_weights: Floats
    """float64[T]."""

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation of the objective, float64[M] each."""
        mean, deviation = self.predict_targets(mixtures)
        return mean @ self.target_weights, np.sqrt(deviation**2 @ self.target_weights**2)

    def predict_targets(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation of every target, float64[M, T] each; a deviation of 0 where nothing is learned."""
        mean, deviation = np.tile(self.means, (len(mixtures), 1)), np.zeros((len(mixtures), len(self.means)))
        for number, part in enumerate(self.parts):
            if part is not None:
                mean[:, number], deviation[:, number] = part.predict(mixtures)
        return mean, deviation

    def learned(self, mixture: Floats) -> Floats:
        """float64[T]: what is expected of one mixture, float64[K]; NaN for a target of which nothing is learned."""
        known = np.array([part is not None for part in self.parts])
        return np.where(known, self.predict_targets(mixture[None])[0][0], np.nan)

    def joint(self: "FittedTargets[FittedProcess]", mixtures: Floats) -> tuple[Floats, Floats]:
        """Mean float64[M] and covariance float64[M, M] of the objective."""
        mean = np.full(len(mixtures), float(self.means @ self.target_weights))
        covariance = np.zeros((len(mixtures), len(mixtures)))
        for part, known, weight in zip(self.parts, self.means, self.target_weights, strict=True):
            if part is not None:
                expected, spread = part.joint(mixtures)
                mean += weight * (expected - known)
                covariance += weight**2 * spread
        return mean, covariance


def fit_targets(learner_of: Callable[[int], Learner[Part]], runs: Runs) -> FittedTargets[Part]:
    """What the learner of each target, by its number, makes of its losses.

    Raises ConstantPredictionError if nothing is learned of any. (Without runs there are learners that know something.)
    """
    parts: list[Part | None] = []
    reasons = []
    for number, losses in enumerate(runs.losses.T):
        try:
            parts.append(learner_of(number).fit(runs.mixtures, losses))
        except ConstantPredictionError as error:
            parts.append(None)
            reasons.append(str(error))
    if len(reasons) == len(parts):
        raise ConstantPredictionError("; ".join(dict.fromkeys(reasons)))
    means = runs.losses.mean(axis=0) if len(runs) else np.zeros(len(parts))
    return FittedTargets(parts=tuple(parts), means=means, target_weights=runs.target_weights)
