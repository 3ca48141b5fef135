"""The one interface of all predictors: learn the loss of mixtures, and tell it of others with how sure it is."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from jobs.mixtures.space import Floats

_FLAT = 1e-6
"""Predictions that vary by less than this share of the deviation of the values are constant."""


class ConstantPredictionError(ValueError):
    """A predictor that says the same of every mixture: it learned nothing, and whatever it picks is chance."""


class Fitted(Protocol):
    """What a predictor has learned."""

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """float64[M, K] -> the expected values and their standard deviations, float64[M] each."""
        ...


class Predictor(Protocol):
    """A way to learn. The same data give the same predictions, bit for bit, on the same machine."""

    def fit(self, mixtures: Floats, values: Floats) -> Fitted:
        """Learn from float64[N, K] and float64[N]. Raises ConstantPredictionError."""
        ...


class FittedProcess(Fitted, Protocol):
    """What is learned by a process that also knows how the errors of mixtures hang together."""

    def joint(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """float64[M, K] -> the expected values float64[M] and their covariance float64[M, M]."""
        ...


class Process(Protocol):
    """A predictor whose errors are those of a Gaussian process."""

    def fit(self, mixtures: Floats, values: Floats) -> FittedProcess:
        """As of a `Predictor`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """The z-score of the values: without it a penalty of fixed size makes trees constant (losses vary by 0.01)."""

    mean: float
    deviation: float

    def scaled(self, values: Floats) -> Floats:
        """Values with mean 0 and deviation 1."""
        z: Floats = (values - self.mean) / self.deviation
        return z

    def restored(self, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
        """Back to the units of the values."""
        return mean * self.deviation + self.mean, deviation * self.deviation


def scale_of(values: Floats) -> Scale:
    """Raises ConstantPredictionError where there is nothing to learn."""
    mean, deviation = float(np.mean(values)), float(np.std(values))
    if len(values) < 2 or not deviation > 1e-12 * max(1.0, abs(mean)):
        raise ConstantPredictionError(
            f"{len(values)} measured values that are all {mean:g} teach nothing; measure more mixtures, or check the "
            "objective"
        )
    return Scale(mean=mean, deviation=deviation)


def refuse_constant(name: str, predictions: Floats) -> None:
    """Raises ConstantPredictionError if z-scored predictions of the mixtures learned from are all the same."""
    if float(np.ptp(predictions)) < _FLAT:
        raise ConstantPredictionError(
            f"{name} predicts {float(predictions[0]):g} (z-score) for all {len(predictions)} mixtures it learned from; "
            "measure more mixtures or use another predictor"
        )
