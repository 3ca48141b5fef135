"""A linear law with a penalty that generalised cross-validation chooses (Golub, Heath and Wahba 1979)."""

from dataclasses import dataclass

import numpy as np

from jobs.mixtures.predictors.predictor import Scale, refuse_constant, scale_of
from jobs.mixtures.space import Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Ridge:
    """Penalties to choose from, relative to the mean variance of a weight."""

    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

    def __post_init__(self) -> None:
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(f"penalties must be positive, got {self.penalties}")

    def fit(self, mixtures: Floats, values: Floats) -> "FittedRidge":
        """Raises ConstantPredictionError."""
        scale = scale_of(values)
        targets, centre = scale.scaled(values), mixtures.mean(axis=0)
        left, sizes, right = np.linalg.svd(mixtures - centre, full_matrices=False)
        seen, squares = left.T @ targets, sizes * sizes
        unit = max(float(squares.mean()), 1e-12)
        best, chosen, residual = np.inf, unit, 1.0
        for penalty in self.penalties:
            shrunk = squares / (squares + penalty * unit)
            left_over = targets - left @ (shrunk * seen)
            freedom = max(1e-3, len(targets) - 1 - float(shrunk.sum()))
            score = float(left_over @ left_over) / freedom**2
            if score < best:
                best, chosen = score, penalty * unit
                residual = float(np.sqrt(left_over @ left_over / freedom))
        slopes = right.T @ (sizes / (squares + chosen) * seen)
        refuse_constant("ridge", (mixtures - centre) @ slopes)
        return FittedRidge(
            scale=scale, centre=centre, slopes=slopes, right=right, spread=1 / (squares + chosen), residual=residual
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedRidge:
    """The line and what is unsure about it."""

    scale: Scale
    centre: Floats
    slopes: Floats
    right: Floats
    spread: Floats
    residual: float

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Means, and deviations of the line, float64[M] each."""
        away = mixtures - self.centre
        seen = away @ self.right.T
        deviation = self.residual * np.sqrt(1.0 / len(self.spread) + (seen * seen) @ self.spread)
        return self.scale.restored(away @ self.slopes, deviation)
