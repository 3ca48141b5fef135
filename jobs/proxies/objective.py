"""What a search minimises: bits per byte of validation sets, gathered into targets, and how a proxy measures them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats
from jobs.proxies.gpt import GptConfig, train_gpt
from jobs.proxies.ngram import NgramConfig, bits_per_byte, train_ngram
from jobs.proxies.pools import Ids, Validation


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One thing the corpus is to be good at."""

    name: str
    sets: Mapping[str, float]
    """Validation sets and their weights, positive; they are scaled to sum to 1."""
    weight: float = 1.0
    """In the objective, beside the other targets; positive."""

    def __post_init__(self) -> None:
        if not self.sets or not all(weight > 0 and isfinite(weight) for weight in (self.weight, *self.sets.values())):
            raise ValueError(
                f"target {self.name} has weight {self.weight} and sets {dict(self.sets)}; all must be positive numbers"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """Targets over validation sets."""

    targets: tuple[Target, ...]
    sets: tuple[str, ...]
    """All validation sets, in the order of a proxy's bits per byte."""

    def __post_init__(self) -> None:
        names = [target.name for target in self.targets]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"targets are {names}; give at least one, each with a name of its own")
        for target in self.targets:
            unknown = sorted({*target.sets} - {*self.sets})
            if unknown:
                raise ValueError(f"target {target.name} names validation sets {unknown}; there are {sorted(self.sets)}")

    @property
    def matrix(self) -> Floats:
        """float64[T, S]: share of each validation set in each target; rows sum to 1."""
        rows = np.array([[target.sets.get(name, 0.0) for name in self.sets] for target in self.targets])
        return np.asarray(rows / rows.sum(axis=1, keepdims=True), np.float64)

    @property
    def target_weights(self) -> Floats:
        """float64[T]: sums to 1."""
        weights = np.array([target.weight for target in self.targets], np.float64)
        return np.asarray(weights / weights.sum(), np.float64)

    @property
    def set_weights(self) -> Floats:
        """float64[S]: share of each validation set in the objective; sums to 1."""
        return np.asarray(self.target_weights @ self.matrix, np.float64)

    @property
    def shares(self) -> Floats:
        """float64[T, C]: columns of `matrix`, for the C validation sets that some target names."""
        return self.matrix[:, self.set_weights > 0]

    def runs(self, mixtures: Floats, bits: Floats) -> Runs:
        """Measured mixtures, float64[N, K], by float64[N, S] bits per byte, with every set that counts as a target.

        Their weighted mean is the objective all the same, and a method learns more from its parts than from the mean.
        """
        counted = self.set_weights > 0
        return Runs(mixtures=mixtures, losses=bits[:, counted], target_weights=self.set_weights[counted])

    def losses(self, bits: Floats) -> Floats:
        """float64[..., S] bits per byte of validation sets to float64[..., T] losses of targets."""
        return np.asarray((bits[..., None, :] * self.matrix).sum(axis=-1), np.float64)


def each_set_a_target(sets: Sequence[str]) -> Objective:
    """The objective where nothing is declared: every validation set counts alike."""
    return Objective(targets=tuple(Target(name=name, sets={name: 1.0}) for name in sets), sets=tuple(sets))


def measure(
    config: NgramConfig | GptConfig,
    stream: Ids,
    vocabulary_size: int,
    validation: Validation,
    *,
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> Floats:
    """float64[sets]: bits per byte of a proxy that is trained on the stream.

    An n-gram model runs on a CPU whatever the device, and is done before a checkpoint would pay.
    """
    if isinstance(config, NgramConfig):
        return bits_per_byte(train_ngram(config, stream, vocabulary_size), validation)
    return train_gpt(config, stream, vocabulary_size, validation, checkpoint=checkpoint, device=device)
