"""Evidence that outlives the domains it was measured on: what a run was trained on, over a fixed fine codebook.

A run is kept as its histogram over C fine clusters, not as weights of domains. When domains are split, merged or added,
a domain is a mixture of fine clusters still, so old runs are points in the same space as new mixtures. Distances are
Hellinger's: between square roots of histograms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from jobs.mixtures.predictors.gaussian_process import FittedGaussianProcess, GaussianProcess
from jobs.mixtures.predictors.predictor import ConstantPredictionError
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats

Longs = npt.NDArray[np.int64]

_STEPS = 500
_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Mixtures that other searches measured, as histograms. (What a search measured itself: `results.Measurements`.)"""

    histograms: Floats
    """float64[N, C], rows sum to 1: share of tokens from each fine cluster."""
    losses: Floats
    """float64[N, T], as in `Runs`."""
    target_weights: Floats
    """float64[T], as in `Runs`."""
    searches: Longs
    """int64[N]: which search each is of. Proxies of two searches see other documents, so that their levels differ."""

    def __post_init__(self) -> None:
        if self.losses.shape != (len(self.histograms), len(self.target_weights)):
            raise ValueError(
                f"histograms {self.histograms.shape}, losses {self.losses.shape} and target_weights "
                f"{self.target_weights.shape} must be [N, C], [N, T] and [T]"
            )
        if self.searches.shape != (len(self.histograms),):
            raise ValueError(f"searches {self.searches.shape} must be [N] for histograms {self.histograms.shape}")

    @property
    def objective(self) -> Floats:
        """float64[N]: what is minimised."""
        return self.losses @ self.target_weights

    def of_target(self, number: int) -> "Evidence":
        """The same runs with a single target."""
        return replace(self, losses=self.losses[:, [number]], target_weights=np.ones(1))


def recorded(runs: Runs, composition: Floats) -> Evidence:
    """Runs of one search over domains of which float64[K, C] says what they hold."""
    return Evidence(
        histograms=runs.mixtures @ composition,
        losses=runs.losses,
        target_weights=runs.target_weights,
        searches=np.zeros(len(runs), np.int64),
    )


def together(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of several searches, at least one, for the same targets over the same clusters."""
    return Evidence(
        histograms=np.concatenate([part.histograms for part in parts]),
        losses=np.concatenate([part.losses for part in parts]),
        target_weights=parts[0].target_weights,
        searches=np.repeat(np.arange(len(parts)), [len(part.losses) for part in parts]),
    )


def nearest_mixtures(histograms: Floats, composition: Floats) -> Floats:
    """float64[N, K]: the mixture of domains with the least Hellinger distance to each of float64[N, C].

    Maximises sum_c sqrt(h_c m_c) over m = w C. With g_k = sum_c C_kc sqrt(h_c / m_c), w_k <- w_k g_k^2 / sum never
    makes it worse: by Jensen's inequality sqrt(m_c) >= sum_k r_kc sqrt(w_k C_kc / r_kc) for shares r_kc = w_k C_kc /
    m_c of the weights so far, with equality there, and the right side is largest at that step.
    """
    weights = np.full((len(histograms), len(composition)), 1.0 / len(composition))
    for _ in range(_STEPS):
        mixed = np.maximum(weights @ composition, _LEAST)
        gain = np.sqrt(histograms / mixed) @ composition.T
        moved = weights * gain * gain
        moved /= np.maximum(moved.sum(axis=1, keepdims=True), _LEAST)
        change = float(np.abs(moved - weights).max()) if len(weights) else 0.0
        weights = moved
        if change < 1e-8:
            break
    return weights


@dataclass(frozen=True, kw_only=True, slots=True)
class HistogramPredictor:
    """A predictor over new domains that learns from old runs too: a Gaussian process on square roots of histograms.

    The runs of each old search are first moved to the level of the new ones, by a constant: what these measure above
    what the old runs alone predict of them, by generalised least squares with the covariance of the predictions, and a
    normal prior of mean 0 and the deviation of the old runs.
    """

    composition: Floats
    """float64[K, C]: what the new domains hold."""
    evidence: Evidence
    process: GaussianProcess = field(default_factory=lambda: GaussianProcess(per_domain=False))

    def __post_init__(self) -> None:
        if self.composition.shape[1] != self.evidence.histograms.shape[1]:
            raise ValueError(
                f"domains over {self.composition.shape[1]} fine clusters, runs over "
                f"{self.evidence.histograms.shape[1]}; both must be of one codebook"
            )

    def of_target(self, number: int) -> "HistogramPredictor":
        """What learns one target."""
        return replace(self, evidence=self.evidence.of_target(number))

    def fit(self, mixtures: Floats, values: Floats) -> "FittedOnHistograms":
        """Learn from new runs, float64[N, K] and float64[N] (none will do), and all of the evidence."""
        own, evidence = mixtures @ self.composition, self.evidence
        known = evidence.objective
        for search in np.unique(evidence.searches) if len(values) else ():
            of_search = evidence.searches == search
            known[of_search] += self._level(evidence.histograms[of_search], known[of_search], own, values)
        fitted = self.process.fit(np.concatenate([evidence.histograms, own]), np.concatenate([known, values]))
        return FittedOnHistograms(composition=self.composition, fitted=fitted)

    def _level(self, old: Floats, known: Floats, own: Floats, values: Floats) -> float:
        """How much higher new runs measure than old ones; 0 where old ones teach nothing."""
        try:
            fitted = self.process.fit(old, known)
        except ConstantPredictionError:
            return 0.0
        mean, covariance = fitted.joint(own)
        covariance[np.diag_indices(len(own))] += fitted.noise**2
        weights = np.linalg.solve(covariance, np.ones(len(own)))
        return float(weights @ (values - mean) / (weights.sum() + 1.0 / float(np.var(known))))


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedOnHistograms:
    """The posterior, for mixtures of the new domains."""

    composition: Floats
    fitted: FittedGaussianProcess

    def predict(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Means and deviations, float64[M] each."""
        return self.fitted.predict(mixtures @ self.composition)

    def joint(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Means float64[M] and covariance float64[M, M]."""
        return self.fitted.joint(mixtures @ self.composition)
