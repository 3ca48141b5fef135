"""The one interface of all ways to search a mixture: propose what to measure next, and choose in the end."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_LEAST_TO_LEARN_FROM = 8
"""Runs of a first round, anchors among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a method returns in the end."""

    weights: Floats
    """float64[K]; feasible, and never one that was measured worse than the best anchor."""
    predicted: Floats
    """float64[T]: the expected losses; NaN where the method has no predictor."""
    deviation: Floats
    """float64[K]: how uncertain each weight is (standard deviation over the predictor's optima); NaN if unknown."""
    predictor: str
    """Name of the predictor that chose; empty if none did."""
    beats_proportional: float
    """Probability that it is better than the proportional mixture, by the predictor; NaN if unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A way to search. Pure: the same space, runs and generator give the same answer."""

    name: str
    rounds: tuple[int, ...]
    """Mixtures measured in each round; anchors are among those of the first. Empty for a method that measures none."""
    propose: Callable[[MixtureSpace, Runs, int, int, np.random.Generator], Floats]
    """(space, runs so far, number of the round from 0, count, generator) -> float64[count, K], all feasible."""
    choose: Callable[[MixtureSpace, Runs, np.random.Generator], Choice]

    def sized(self, runs: int) -> "Method":
        """The same in so many runs, at least 1: rounds in proportion to its own, the first of at least 8 to learn from.

        A method whose own first round is smaller needs no more.
        """
        if not self.rounds:
            return self
        first = max(round(self.rounds[0] * runs / sum(self.rounds)), min(runs, self.rounds[0], _LEAST_TO_LEARN_FROM))
        ends = np.rint(np.cumsum(self.rounds[1:]) * (runs - first) / max(1, sum(self.rounds[1:]))).astype(int)
        later = tuple(int(count) for count in np.diff(ends, prepend=0) if count)
        return replace(self, rounds=(first, *later))
