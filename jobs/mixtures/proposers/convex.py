"""The exact optimum of log-linear laws, held near the shares of tokens and within the caps (Olmix, arXiv 2602.12237).

Minimises sum_j s_j f_j(w) + strength * KL(w || shares) over the feasible mixtures: convex. Mirror descent in the
entropy, whose projection on caps is that of `MixtureSpace.project` (Beck and Teboulle 2003).
"""

from collections.abc import Sequence

import numpy as np

from jobs.mixtures.predictors.log_linear import FittedLogLinear
from jobs.mixtures.space import Floats, MixtureSpace

_STEPS = 2000
_LEAST = 1e-12


def convex_optimum(
    space: MixtureSpace, laws: Sequence[FittedLogLinear], shares: Floats, *, strength: float = 0.05
) -> Floats:
    """float64[K]: `shares` float64[T] weigh the laws of the targets; `strength` is in units of their loss."""
    if len(laws) != len(shares) or strength < 0:
        raise ValueError(f"{len(laws)} laws with {len(shares)} shares, strength={strength}: must fit, and not negative")
    weights, step = space.project(space.proportional), 1.0
    value, slope = _value(space, laws, shares, strength, weights)
    for _ in range(_STEPS):
        moved = space.project(np.maximum(weights, _LEAST) * np.exp(-step * (slope - slope.min())))
        found, steeper = _value(space, laws, shares, strength, moved)
        if found > value:
            step /= 2
            if step < 1e-9:
                break
            continue
        small = float(np.abs(moved - weights).max()) < 1e-10
        weights, value, slope, step = moved, found, steeper, step * 1.2
        if small:
            break
    return weights


def _value(
    space: MixtureSpace, laws: Sequence[FittedLogLinear], shares: Floats, strength: float, weights: Floats
) -> tuple[float, Floats]:
    parts = [law.value_and_gradient(weights) for law in laws]
    logs = np.log(np.maximum(weights, _LEAST) / space.proportional)
    value = sum(share * part[0] for share, part in zip(shares, parts, strict=True)) + strength * float(weights @ logs)
    slope = np.stack([part[1] for part in parts]).T @ shares + strength * (logs + 1)
    return value, slope
