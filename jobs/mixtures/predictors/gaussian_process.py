"""A Gaussian process over transformed weights, with a length scale for every domain.

The distance of mixtures is taken between their square roots (Hellinger) or logarithms: doubling 1 % matters as doubling
10 % does. Kernel: a * Matern-5/2 + b * linear + noise, fitted by its marginal likelihood (Rasmussen and Williams 2006,
section 5.4.1) with wide log-normal priors.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from jobs.mixtures.predictors.predictor import Scale, refuse_constant, scale_of
from jobs.mixtures.space import Floats

_JITTER = 1e-6
_FIXED = 3
"""Parameters before those of the distances: log variance, log noise, log linear variance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianProcess:
    """How mixtures are compared."""

    transform: Literal["sqrt", "log"] = "sqrt"
    floor: float = 1e-3
    """Weight that is added before the logarithm."""
    per_domain: bool = True
    """A length scale for every domain; one for all otherwise, which suits hundreds of them."""
    max_steps: int = 80
    """Steps of L-BFGS."""

    def __post_init__(self) -> None:
        if self.floor <= 0 or self.max_steps < 1:
            raise ValueError(f"floor={self.floor} and max_steps={self.max_steps} must be positive")

    def fit(self, mixtures: Floats, values: Floats) -> "FittedGaussianProcess":
        """O(N^3 + N^2 K) for every step. Raises ConstantPredictionError."""
        scale = scale_of(values)
        raw = self.transformed(mixtures)
        centre, spread = raw.mean(axis=0), float(raw.std()) + 1e-12
        points = (raw - centre) / spread
        likelihood = _Likelihood(points, scale.scaled(values), per_domain=self.per_domain)
        found = minimize(
            likelihood.value_and_gradient,
            likelihood.start,
            jac=True,
            method="L-BFGS-B",
            bounds=likelihood.bounds,
            options={"maxiter": self.max_steps},
        )
        parameters = np.exp(found.x)
        inverse = np.broadcast_to(parameters[_FIXED:], points.shape[1:])
        covariance = _kernel(points, points, parameters, inverse)
        covariance[np.diag_indices(len(points))] += parameters[1] + _JITTER
        factor = np.asarray(np.linalg.cholesky(covariance), np.float64)
        fitted = FittedGaussianProcess(
            process=self,
            scale=scale,
            centre=centre,
            spread=spread,
            points=points,
            parameters=parameters,
            inverse=inverse,
            factor=factor,
            coefficients=cho_solve((factor, True), likelihood.values),
        )
        refuse_constant("the Gaussian process", scale.scaled(fitted.predict(mixtures)[0]))
        return fitted

    def transformed(self, mixtures: Floats) -> Floats:
        """float64[N, K]: the space in which distances are taken."""
        clipped = np.maximum(mixtures, 0.0)
        return np.sqrt(clipped) if self.transform == "sqrt" else np.log(clipped + self.floor)


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedGaussianProcess:
    """The posterior."""

    process: GaussianProcess
    scale: Scale
    centre: Floats
    spread: float
    points: Floats
    parameters: Floats
    inverse: Floats
    factor: Floats
    coefficients: Floats

    @property
    def noise(self) -> float:
        """Standard deviation of one measurement."""
        return float(np.sqrt(self.parameters[1])) * self.scale.deviation

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Mean and deviation of the noiseless loss, float64[M] each."""
        points = self._points(mixtures)
        across = _kernel(points, self.points, self.parameters, self.inverse)
        explained = solve_triangular(self.factor, across.T, lower=True)
        prior = self.parameters[0] + self.parameters[2] * (points * points).mean(axis=1)
        variance = np.maximum(prior - (explained * explained).sum(axis=0), 1e-12)
        return self.scale.restored(across @ self.coefficients, np.sqrt(variance))

    def joint(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Mean float64[M] and covariance float64[M, M] of the noiseless losses."""
        points = self._points(mixtures)
        across = _kernel(points, self.points, self.parameters, self.inverse)
        explained = solve_triangular(self.factor, across.T, lower=True)
        covariance = _kernel(points, points, self.parameters, self.inverse) - explained.T @ explained
        mean = across @ self.coefficients * self.scale.deviation + self.scale.mean
        return mean, covariance * self.scale.deviation**2

    def _points(self, mixtures: Floats) -> Floats:
        points: Floats = (self.process.transformed(mixtures) - self.centre) / self.spread
        return points


class _Likelihood:
    """Minus the log posterior of log parameters, with its gradient."""

    def __init__(self, points: Floats, values: Floats, *, per_domain: bool) -> None:
        count, dimensions = points.shape
        self.values = values
        self._count = count
        scales = dimensions if per_domain else 1
        difference = points[:, None, :] - points[None, :, :] if per_domain else None
        squared = _distances(points, points)[:, :, None] if difference is None else difference**2
        self._squared = squared.reshape(count * count, scales)
        self._linear = points @ points.T / dimensions
        typical = -np.log(dimensions) - 0.5
        self.start = np.concatenate([[0.0, -4.0, -1.0], np.full(scales, typical)])
        self._width = np.concatenate([np.full(_FIXED, 2.0), np.full(scales, 1.5)])
        self.bounds = [(-6.0, 4.0), (-12.0, 2.0), (-8.0, 4.0), *[(-12.0, 5.0)] * scales]

    def value_and_gradient(self, logs: Floats) -> tuple[float, Floats]:
        variance, noise, linear = np.exp(logs[:_FIXED])
        inverse = np.exp(logs[_FIXED:])
        shape = (self._count, self._count)
        root = np.sqrt(5.0 * (self._squared @ inverse) + 1e-12).reshape(shape)
        decay = np.exp(-root)
        matern = (1 + root + root * root / 3) * decay
        covariance = variance * matern + linear * self._linear
        covariance[np.diag_indices(self._count)] += noise + _JITTER
        try:
            factor = cho_factor(covariance, lower=True)
        except LinAlgError:
            return 1e10, np.zeros_like(logs)
        solved = cho_solve(factor, self.values)
        outer = 0.5 * (cho_solve(factor, np.eye(self._count)) - np.outer(solved, solved))
        slope = -5.0 / 6.0 * (1 + root) * decay
        gradient = np.empty_like(logs)
        gradient[0] = (outer * matern).sum() * variance
        gradient[1] = np.trace(outer) * noise
        gradient[2] = (outer * self._linear).sum() * linear
        gradient[_FIXED:] = ((outer * slope).reshape(-1) @ self._squared) * variance * inverse
        away = (logs - self.start) / self._width
        value = 0.5 * self.values @ solved + np.log(np.diag(factor[0])).sum() + 0.5 * away @ away
        return float(value), gradient + away / self._width


def _kernel(left: Floats, right: Floats, parameters: Floats, inverse: Floats) -> Floats:
    scaled = np.sqrt(inverse)
    root = np.sqrt(5.0 * _distances(left * scaled, right * scaled) + 1e-12)
    matern = (1 + root + root * root / 3) * np.exp(-root)
    kernel: Floats = parameters[0] * matern + parameters[2] * (left @ right.T) / left.shape[1]
    return kernel


def _distances(left: Floats, right: Floats) -> Floats:
    squares = (left * left).sum(axis=1)[:, None] + (right * right).sum(axis=1)[None, :]
    squared: Floats = np.maximum(squares - 2.0 * (left @ right.T), 0.0)
    return squared
