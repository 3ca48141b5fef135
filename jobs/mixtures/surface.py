"""The response surface of a finished search: what its runs say of mixtures that nobody measured."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr
from scipy.stats import spearmanr

from jobs.mixtures.predictors.combined import DEFAULT_PREDICTOR, out_of_fold
from jobs.mixtures.predictors.predictor import ConstantPredictionError, Fitted
from jobs.mixtures.results import Measurements, Searched
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_FEWEST_RUNS = 8
"""With fewer, folds are too small to judge a predictor by."""


@dataclass(frozen=True, kw_only=True)
class Surface:
    """The default predictor, fitted to the objective and to every target."""

    space: MixtureSpace
    runs: Runs
    objective: Fitted
    targets: tuple[Fitted | None, ...]
    """None for a target of which nothing is learned."""

    @staticmethod
    def of(searched: Searched, found: Measurements) -> "Surface | None":
        """None where the runs are too few or too alike to learn from."""
        runs = searched.runs(found)
        if len(runs) < _FEWEST_RUNS:
            return None
        objective = _fitted(runs.mixtures, runs.objective)
        if objective is None:
            return None
        single = runs.losses.shape[1] == 1
        targets = (objective,) if single else tuple(_fitted(runs.mixtures, column) for column in runs.losses.T)
        return Surface(space=searched.space, runs=runs, objective=objective, targets=targets)

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the objective, float64[M] each."""
        return self.objective.predict(mixtures)

    def predict_targets(self, mixture: Floats) -> list[tuple[float, float] | None]:
        """Mean and standard deviation of every target for one mixture, float64[K]; None where nothing is learned."""
        found = [None if fitted is None else fitted.predict(mixture[None]) for fitted in self.targets]
        return [None if pair is None else (float(pair[0][0]), float(pair[1][0])) for pair in found]

    def beats(self, mixture: Floats, other: Floats) -> float:
        """Probability that one mixture is better than another, as if their errors were independent."""
        if np.abs(mixture - other).max() <= 1e-9:
            return 0.5
        mean, deviation = self.predict(np.stack([mixture, other]))
        return float(ndtr((mean[1] - mean[0]) / np.hypot(deviation[0], deviation[1])))

    @cached_property
    def held_out(self) -> tuple[Floats, Floats]:
        """What runs of other folds predict of each run, and what was measured: float64[N] each."""
        measured = self.runs.objective
        expected, _ = out_of_fold(DEFAULT_PREDICTOR, self.runs.mixtures, measured, DEFAULT_PREDICTOR.folds)
        return expected, measured

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of what was predicted out of fold and what was measured."""
        return float(spearmanr(*self.held_out).statistic)


def _fitted(mixtures: Floats, values: Floats) -> Fitted | None:
    try:
        return DEFAULT_PREDICTOR.fit(mixtures, values)
    except ConstantPredictionError:
        return None
