"""Mixtures that need no measurement: uniform, proportional, UniMax."""

from functools import partial
from typing import Literal

import numpy as np

from jobs.mixtures.method import Choice, Method
from jobs.mixtures.methods.concluding import unpredicted
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace


def unimax(space: MixtureSpace) -> Floats:
    """float64[K]: an equal budget for each domain, the smallest first, none beyond its cap (arXiv 2304.09151, Alg. 1).

    It is the uniform mixture of a space with caps.
    """
    order = np.argsort(space.tokens, kind="stable")
    weights, left = np.zeros(len(order)), 1.0
    for position, domain in enumerate(order):
        weights[domain] = min(left / (len(order) - position), space.caps[domain])
        left -= weights[domain]
    return weights


def _propose(space: MixtureSpace, runs: Runs, number: int, count: int, generator: np.random.Generator) -> Floats:
    raise ValueError(f"round {number}: this method measures no mixtures; leave out its rounds")


def _choose(
    kind: Literal["uniform", "proportional", "unimax"], space: MixtureSpace, runs: Runs, generator: np.random.Generator
) -> Choice:
    mixtures = {"uniform": space.uniform, "proportional": space.proportional, "unimax": unimax(space)}
    return unpredicted(space, runs, mixtures[kind])


UNIFORM = Method(name="uniform", rounds=(), propose=_propose, choose=partial(_choose, "uniform"))
PROPORTIONAL = Method(name="proportional", rounds=(), propose=_propose, choose=partial(_choose, "proportional"))
UNIMAX = Method(name="unimax", rounds=(), propose=_propose, choose=partial(_choose, "unimax"))
