"""The mixing law c + exp(t . w + b): losses fall exponentially with weights (Ye et al., arXiv 2403.16952).

Fitted with Huber's loss and a small penalty from several starts, as Olmix does (arXiv 2602.12237). b is part of t, as
the weights of a mixture sum to 1. It is convex in the weights, so its optimum is found exactly, and it carries over to
larger models better than trees; alone, its optimum is a corner of the simplex: use caps or a divergence.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from jobs.mixtures.predictors.predictor import Scale, refuse_constant, scale_of
from jobs.mixtures.space import Floats

_MAX_EXPONENT = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLinear:
    """How it is fitted."""

    starts: int = 4
    huber: float = 0.3
    """Residual, in deviations of the values, beyond which the loss is linear."""
    penalty: float = 1e-3
    """On the spread of t."""
    max_steps: int = 150
    """Steps of L-BFGS from each start."""

    def __post_init__(self) -> None:
        if self.starts < 1 or self.huber <= 0 or self.penalty < 0 or self.max_steps < 1:
            raise ValueError(f"starts, huber and max_steps must be positive and penalty not negative, got {self}")

    def fit(self, mixtures: Floats, values: Floats) -> "FittedLogLinear":
        """Raises ConstantPredictionError."""
        scale = scale_of(values)
        targets = scale.scaled(values)
        generator = np.random.default_rng(0)
        best, found = np.inf, np.zeros(0)
        for number in range(self.starts):
            floor = float(targets.min()) - generator.uniform(0.1, 2.0)
            slopes = generator.normal(0.5, 0.7 if number else 0.0, mixtures.shape[1])
            result = minimize(
                self._loss,
                np.concatenate([[floor], slopes]),
                args=(mixtures, targets),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": self.max_steps},
            )
            if result.fun < best:
                best, found = float(result.fun), result.x
        predicted = found[0] + np.exp(np.minimum(mixtures @ found[1:], _MAX_EXPONENT))
        refuse_constant("the log-linear law", predicted)
        freedom = max(1, len(targets) - len(found))
        residual = float(np.sqrt(((predicted - targets) ** 2).sum() / freedom))
        return FittedLogLinear(floor=float(found[0]), slopes=found[1:], scale=scale, residual=residual)

    def _loss(self, parameters: Floats, mixtures: Floats, targets: Floats) -> tuple[float, Floats]:
        slopes = parameters[1:]
        grown = np.exp(np.minimum(mixtures @ slopes, _MAX_EXPONENT))
        residuals = parameters[0] + grown - targets
        clipped = np.clip(residuals, -self.huber, self.huber)
        away = slopes - slopes.mean()
        value = (clipped * (residuals - 0.5 * clipped)).mean() + 0.5 * self.penalty * (away @ away) / len(away)
        gradient = mixtures.T @ (clipped * grown) / len(targets) + self.penalty * away / len(away)
        return float(value), np.concatenate([[clipped.mean()], gradient])


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedLogLinear:
    """The law in z-scores."""

    floor: float
    slopes: Floats
    scale: Scale
    residual: float

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Means, and the deviation of the residuals, float64[M] each."""
        mean = self.floor + np.exp(np.minimum(mixtures @ self.slopes, _MAX_EXPONENT))
        return self.scale.restored(mean, np.full(len(mean), self.residual))

    def value_and_gradient(self, mixture: Floats) -> tuple[float, Floats]:
        """The loss of float64[K], and how it changes with each weight."""
        grown = float(np.exp(min(float(mixture @ self.slopes), _MAX_EXPONENT))) * self.scale.deviation
        return self.floor * self.scale.deviation + self.scale.mean + grown, grown * self.slopes
