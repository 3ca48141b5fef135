"""A whole search in one process: for tests, benches, and anything that can be measured by calling a function."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jobs.mixtures.method import Choice, Method
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

Measure = Callable[[Floats, np.random.Generator], Floats]
"""(float64[N, K], generator) -> float64[N, T]: the losses of mixtures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was measured, and what came of it."""

    runs: Runs
    choice: Choice


def run_method(
    method: Method, space: MixtureSpace, measure: Measure, *, seed: int, target_weights: Floats | None = None
) -> Outcome:
    """Propose and measure in rounds, then choose. Draws and measurements have generators of their own.

    Raises ValueError where a method proposes other than `count` feasible mixtures.
    """
    weights = np.ones(1) if target_weights is None else target_weights
    domains = len(space.domains)
    runs = Runs(mixtures=np.empty((0, domains)), losses=np.empty((0, len(weights))), target_weights=weights)
    for number, count in enumerate(method.rounds):
        drawn = method.propose(space, runs, number, count, np.random.default_rng([seed, 1, number]))
        if drawn.shape != (count, domains) or not all(space.is_feasible(row) for row in drawn):
            raise ValueError(f"{method.name} proposed {drawn.shape} in round {number}, not {count} feasible mixtures")
        runs = runs.extended(drawn, measure(drawn, np.random.default_rng([seed, 2, number])))
    choice = method.choose(space, runs, np.random.default_rng([seed, 3]))
    return Outcome(runs=runs, choice=choice)
