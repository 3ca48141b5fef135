"""The response surface of a finished search: what its runs say of mixtures that nobody measured."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr
from scipy.stats import spearmanr

from jobs.mixtures.predictors.by_target import FittedTargets, fit_targets
from jobs.mixtures.predictors.combined import DEFAULT_PREDICTOR, FittedCombined, out_of_fold
from jobs.mixtures.predictors.predictor import ConstantPredictionError
from jobs.mixtures.results import Measurements, Searched
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_FEWEST_RUNS = 8
"""With fewer, folds are too small to judge a predictor by."""


@dataclass(frozen=True, kw_only=True)
class Surface:
    """The default predictor, fitted to every validation set that counts."""

    space: MixtureSpace
    runs: Runs
    fitted: FittedTargets[FittedCombined]
    shares: Floats
    """float64[T, C]: of those validation sets in every target."""

    @staticmethod
    def of(searched: Searched, found: Measurements) -> "Surface | None":
        """None where the runs are too few or too alike to learn from."""
        runs = searched.runs(found)
        if len(runs) < _FEWEST_RUNS:
            return None
        try:
            fitted = fit_targets(lambda _: DEFAULT_PREDICTOR, runs)
        except ConstantPredictionError:
            return None
        return Surface(space=searched.space, runs=runs, fitted=fitted, shares=searched.objective.shares)

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the objective, float64[M] each."""
        return self.fitted.predict(mixtures)

    def predict_targets(self, mixture: Floats) -> list[tuple[float, float] | None]:
        """Mean and standard deviation of every target for one mixture, float64[K].

        None for a target with a validation set that is the same in all runs.
        """
        (mean,), (deviation,) = self.fitted.predict_targets(mixture[None])
        means, deviations = self.shares @ mean, np.sqrt(self.shares**2 @ deviation**2)
        constant = np.array([part is None for part in self.fitted.parts])
        unlearned = self.shares @ constant > 0
        pairs = zip(means.tolist(), deviations.tolist(), strict=True)
        return [None if unlearned[number] else pair for number, pair in enumerate(pairs)]

    def beats(self, mixture: Floats, other: Floats) -> float:
        """Probability that one mixture is better than another, as if their errors were independent."""
        if np.abs(mixture - other).max() <= 1e-9:
            return 0.5
        mean, deviation = self.predict(np.stack([mixture, other]))
        return float(ndtr((mean[1] - mean[0]) / np.hypot(deviation[0], deviation[1])))

    @cached_property
    def held_out(self) -> tuple[Floats, Floats]:
        """What runs of other folds predict of each run, and what was measured: float64[N] each."""
        expected = np.tile(self.fitted.means, (len(self.runs), 1))
        for number, part in enumerate(self.fitted.parts):
            if part is not None:
                losses = self.runs.losses[:, number]
                found = out_of_fold(DEFAULT_PREDICTOR, self.runs.mixtures, losses, DEFAULT_PREDICTOR.folds)
                expected[:, number] = found[0]
        return expected @ self.runs.target_weights, self.runs.objective

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of what was predicted out of fold and what was measured."""
        return float(spearmanr(*self.held_out).statistic)
