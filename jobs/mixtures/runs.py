"""What is known: mixtures that were measured, with their losses."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from jobs.mixtures.space import Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """Measured mixtures. Lower losses are better."""

    mixtures: Floats
    """float64[N, K], rows sum to 1."""
    losses: Floats
    """float64[N, T]: bits per byte of each target: what is learned by itself, a validation set as a rule."""
    target_weights: Floats = field(default_factory=lambda: np.ones(1))
    """float64[T]: share of each target in the objective; sums to 1."""

    def __post_init__(self) -> None:
        if self.mixtures.ndim != 2 or self.losses.shape != (len(self.mixtures), len(self.target_weights)):
            raise ValueError(
                f"mixtures {self.mixtures.shape}, losses {self.losses.shape} and target_weights "
                f"{self.target_weights.shape} must be [N, K], [N, T] and [T]"
            )

    @property
    def objective(self) -> Floats:
        """float64[N]: what is minimised, the weighted mean of the targets."""
        return self.losses @ self.target_weights

    def __len__(self) -> int:
        return len(self.mixtures)

    def extended(self, mixtures: Floats, losses: Floats) -> "Runs":
        """These runs and more."""
        return Runs(
            mixtures=np.concatenate([self.mixtures, mixtures]),
            losses=np.concatenate([self.losses, losses]),
            target_weights=self.target_weights,
        )


def mixture_id(weights: Floats) -> bytes:
    """blake2b-128 of the float64 weights: what pairs a result with its mixture."""
    return hashlib.blake2b(np.ascontiguousarray(weights, "<f8").tobytes(), digest_size=16).digest()
