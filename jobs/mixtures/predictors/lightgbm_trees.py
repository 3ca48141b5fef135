"""Boosted trees: LightGBM, pinned so that the same data give the same trees."""

from dataclasses import dataclass

import lightgbm
import numpy as np

from jobs.mixtures.predictors.predictor import Scale, refuse_constant, scale_of
from jobs.mixtures.space import Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Trees:
    """The parameters of LightGBM, by its names."""

    num_iterations: int = 300
    learning_rate: float = 0.03
    reg_alpha: float = 0.1
    reg_lambda: float = 1.0
    max_depth: int = 4
    min_child_samples: int = 5
    num_leaves: int = 15
    early_stopping_rounds: int = 0
    """Stop when the held-out tenth has not improved for so many; 0 uses all data and all iterations."""
    seed: int = 42

    def __post_init__(self) -> None:
        if min(self.num_iterations, self.min_child_samples) < 1 or self.learning_rate <= 0 or self.num_leaves < 2:
            raise ValueError(
                f"num_iterations={self.num_iterations}, min_child_samples={self.min_child_samples} and learning_rate="
                f"{self.learning_rate} must be positive, num_leaves={self.num_leaves} at least 2"
            )

    def fit(self, mixtures: Floats, values: Floats) -> "FittedTrees":
        """Raises ConstantPredictionError, which few mixtures with a large min_child_samples bring about."""
        scale = scale_of(values)
        targets = scale.scaled(values)
        train, held = _split(len(targets), self.seed if self.early_stopping_rounds else None)
        data = lightgbm.Dataset(mixtures[train], targets[train], params=self._parameters, free_raw_data=False)
        stopping = {}
        if len(held):
            rounds = min(self.early_stopping_rounds, len(held))
            stopping = {
                "valid_sets": [lightgbm.Dataset(mixtures[held], targets[held], reference=data)],
                "callbacks": [lightgbm.early_stopping(rounds, verbose=False)],
            }
        trees = lightgbm.train(self._parameters, data, num_boost_round=self.num_iterations, **stopping)
        predicted = trees.predict(mixtures, num_threads=1)
        refuse_constant("LightGBM", predicted)
        residual = float(np.sqrt(np.mean((predicted - targets) ** 2)))
        return FittedTrees(trees=trees, scale=scale, residual=residual)

    @property
    def _parameters(self) -> dict[str, object]:
        return {
            "objective": "regression",
            "learning_rate": self.learning_rate,
            "reg_alpha": self.reg_alpha,
            "reg_lambda": self.reg_lambda,
            "max_depth": self.max_depth,
            "min_child_samples": self.min_child_samples,
            "num_leaves": self.num_leaves,
            "min_data_in_bin": 1,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedTrees:
    """Trees, with one deviation for all mixtures: that of the residuals they leave in their own data."""

    trees: lightgbm.Booster
    scale: Scale
    residual: float

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """float64[M, K] -> means and deviations, float64[M]."""
        mean = np.asarray(self.trees.predict(mixtures, num_threads=1), np.float64)
        return self.scale.restored(mean, np.full(len(mean), self.residual))


CLIMB_TREES = Trees(
    num_iterations=1000, learning_rate=0.01, reg_alpha=1.0, reg_lambda=1.0, max_depth=4, early_stopping_rounds=20
)
"""As published: L1 and L2 of 1, depth 4, five samples in a leaf, early stopping on a tenth."""

REGMIX_TREES = Trees(
    num_iterations=1000,
    learning_rate=0.01,
    reg_alpha=0.0,
    reg_lambda=0.0,
    max_depth=-1,
    min_child_samples=20,
    num_leaves=31,
)
"""LightGBM's defaults with RegMix's 1000 iterations (Liu et al., arXiv 2407.01492), not stopped on the test set."""


def _split(count: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Nine tenths and one tenth of the rows; everything and nothing without a seed."""
    if seed is None:
        return np.arange(count), np.arange(0)
    order = np.random.default_rng(seed).permutation(count)
    held = max(1, count // 10)
    return np.sort(order[held:]), np.sort(order[:held])
