"""Random mixtures around the shares of tokens, from sparse to nearly those shares (RegMix, arXiv 2407.01492)."""

from dataclasses import dataclass

import numpy as np

from jobs.mixtures.anchors import feasible
from jobs.mixtures.space import Floats, MixtureSpace

_LEAST_PARAMETER = 1e-3
_TRIES = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class DirichletDraw:
    """How it is drawn."""

    temperature: float = 1.0
    """Power of the shares of tokens; below 1 small domains get more."""
    weakest: float = 1.0
    """Smallest sum of the parameters: below the number of domains mixtures are sparse."""
    strongest: float = 1.0
    """Largest sum of the parameters; each mixture has one between, evenly on a logarithmic scale."""
    levels: int = 1
    max_over_share: float = np.inf
    """Mixtures that give a domain more than this times its share are drawn again."""
    least_weight: float = 0.0
    """Weights below are 0."""

    def __post_init__(self) -> None:
        if not 0 < self.weakest <= self.strongest or self.levels < 1 or self.max_over_share < 1:
            raise ValueError(
                f"weakest={self.weakest} and strongest={self.strongest} must be positive and in order, levels="
                f"{self.levels} and max_over_share={self.max_over_share} at least 1"
            )

    def draw(self, space: MixtureSpace, count: int, generator: np.random.Generator) -> Floats:
        """float64[count, K], feasible. What no draw fulfils in 200 tries is projected into the bounds."""
        shares = space.proportional
        bounds = np.minimum(1.0, self.max_over_share * shares)
        tempered = shares**self.temperature / (shares**self.temperature).sum()
        strengths = np.geomspace(self.weakest, self.strongest, self.levels)
        done = np.empty((0, len(shares)))
        for _ in range(_TRIES):
            missing = count - len(done)
            if not missing:
                break
            levels = strengths[generator.integers(self.levels, size=missing)]
            drawn = self._trimmed(dirichlet_rows(tempered[None, :] * levels[:, None], generator))
            done = np.concatenate([done, drawn[(drawn <= bounds).all(axis=1)]])
        if missing := count - len(done):
            spare = self._trimmed(dirichlet_rows(np.tile(tempered * self.strongest, (missing, 1)), generator))
            within = MixtureSpace(
                domains=space.domains,
                tokens=space.tokens,
                target_tokens=sum(space.tokens),
                max_epochs=float(self.max_over_share) if np.isfinite(self.max_over_share) else 1e12,
            )
            done = np.concatenate([done, feasible(within, spare)])
        return feasible(space, done)

    def _trimmed(self, drawn: Floats) -> Floats:
        if not self.least_weight:
            return drawn
        kept = np.where(drawn < self.least_weight, 0.0, drawn)
        trimmed: Floats = kept / kept.sum(axis=1, keepdims=True)
        return trimmed


FIRST_ROUND = DirichletDraw(
    temperature=0.5, weakest=0.1, strongest=5.0, levels=15, max_over_share=15.0, least_weight=2e-4
)
"""CLIMB's first round, which is RegMix's."""

POOL = DirichletDraw()
"""CLIMB's candidates: a Dirichlet with the shares of tokens as its parameters."""


def dirichlet_rows(parameters: Floats, generator: np.random.Generator) -> Floats:
    """float64[N, K]: one draw for each row of positive parameters, each at least 1e-3."""
    floored = np.maximum(parameters, _LEAST_PARAMETER)
    # log Gamma(a) = log Gamma(a + 1) + log(U) / a, which does not underflow where parameters are small
    logs = np.log(generator.standard_gamma(floored + 1.0)) + np.log1p(-generator.random(floored.shape)) / floored
    logs -= logs.max(axis=1, keepdims=True)
    grown = np.exp(logs)
    rows: Floats = grown / grown.sum(axis=1, keepdims=True)
    return rows


def spread(space: MixtureSpace, count: int, generator: np.random.Generator, *, weakest: float = 0.1) -> Floats:
    """float64[count, K]: around the shares of tokens and around the uniform mixture by turns, from sparse to dense.

    The sum of the parameters is `weakest` to 50, evenly on a logarithmic scale.
    """
    centres = np.stack([space.proportional, space.uniform])[np.arange(count) % 2]
    strengths = weakest * (50.0 / weakest) ** generator.random(count)
    return feasible(space, dirichlet_rows(centres * strengths[:, None], generator))
