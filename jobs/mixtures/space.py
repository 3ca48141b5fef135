"""What a mixture is of: domains with the tokens they hold, how many tokens are wanted, how often one may repeat."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TOLERANCE = 1e-9
"""How far above its cap rounding may put a weight."""

_LEAST = 1e-12
"""A smaller share of a wanted mixture counts as none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureSpace:
    """The simplex of mixtures of some domains, with a hard limit on repetition.

    A mixture is a float64[K] of shares of tokens, in the order of `domains`, that sums to 1. It is feasible if no
    domain is repeated more than `max_epochs` times in `target_tokens`, that is up to max_epochs * tokens_i /
    target_tokens.
    Raises ValueError if no mixture is feasible.
    """

    domains: tuple[str, ...]
    tokens: tuple[int, ...]
    """Tokens of each domain, positive."""
    target_tokens: int
    """Tokens of the corpus that is to be mixed."""
    max_epochs: float = 4.0
    """How often a document may be repeated in it (Muennighoff et al., arXiv 2305.16264: about 4 do no harm)."""
    current: tuple[float, ...] = ()
    """The mixture in use, measured as an anchor; empty if there is none."""

    def __post_init__(self) -> None:
        if len(self.domains) != len(set(self.domains)) or len(self.domains) != len(self.tokens) or not self.domains:
            raise ValueError(f"{len(self.domains)} domains with {len(self.tokens)} token counts; names must be unique")
        if min(self.tokens) <= 0 or self.target_tokens <= 0 or not (self.max_epochs > 0 and isfinite(self.max_epochs)):
            raise ValueError("tokens, target_tokens and max_epochs must be positive numbers; leave out empty domains")
        if self.current and not (
            len(self.current) == len(self.domains)
            and all(weight >= 0 for weight in self.current)
            and abs(sum(self.current) - 1) <= 1e-6
        ):
            raise ValueError(f"current must be {len(self.domains)} weights that sum to 1, got {self.current}")
        if self.caps.sum() < 1:
            most = int(self.max_epochs * sum(self.tokens))
            raise ValueError(
                f"target_tokens={self.target_tokens:,} need more than max_epochs={self.max_epochs:g} epochs of all "
                f"domains; at most {most:,} tokens can be mixed"
            )

    @property
    def caps(self) -> Floats:
        """float64[K]: the largest feasible weight of each domain, at most 1."""
        return np.minimum(1.0, self.max_epochs * np.array(self.tokens, np.float64) / self.target_tokens)

    @property
    def proportional(self) -> Floats:
        """float64[K]: shares of the tokens that are there, always feasible."""
        tokens: Floats = np.array(self.tokens, np.float64)
        shares: Floats = tokens / tokens.sum()
        return shares

    @property
    def uniform(self) -> Floats:
        """float64[K]: equal shares, as near to that as the caps allow (UniMax, Chung et al., arXiv 2304.09151)."""
        return self.project(np.full(len(self.domains), 1.0 / len(self.domains)))

    def is_feasible(self, weights: Floats) -> bool:
        """Whether float64[K] is a mixture within the caps."""
        within = (weights >= -_TOLERANCE) & (weights <= self.caps + _TOLERANCE)
        return bool(within.all()) and abs(float(weights.sum()) - 1.0) <= 1e-6

    def project(self, weights: Floats) -> Floats:
        """float64[K]: the weights scaled to sum to 1, with what is above a cap shared among the others in proportion.

        This is the mixture of least Kullback-Leibler divergence to the scaled weights within the caps. Domains of
        weight 0 take something only where the others are full.
        """
        wanted = np.maximum(np.asarray(weights, np.float64), 0.0)
        wanted = wanted / wanted.sum() if wanted.sum() > 0 else np.full(len(wanted), 1.0 / len(wanted))
        caps = self.caps
        wanted = np.where(wanted < _LEAST, 0.0, wanted)
        if caps[wanted > 0].sum() < 1.0:
            wanted = np.maximum(wanted, _LEAST)
        full = np.zeros(len(wanted), bool)
        while True:
            room = 1.0 - caps[full].sum()
            scaled = np.where(full, caps, wanted * room / max(wanted[~full].sum(), _LEAST))
            above = ~full & (scaled > caps)
            if not above.any():
                mixture: Floats = scaled / scaled.sum()
                return mixture
            full |= above

    def epochs(self, weights: Floats) -> Floats:
        """float64[K]: how often each domain is repeated."""
        repeated: Floats = np.asarray(weights, np.float64) * self.target_tokens / np.array(self.tokens, np.float64)
        return repeated
