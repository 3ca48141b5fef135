"""Mixtures that every search measures; nothing measured worse than the best of them is ever returned."""

from collections.abc import Callable

import numpy as np

from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_SAME = 1e-9
"""Mixtures whose weights are all this near are one."""


def anchors(space: MixtureSpace) -> Floats:
    """float64[A, K]: uniform, proportional and the current mixture, each once, feasible."""
    rows = [space.uniform, space.proportional]
    if space.current:
        rows.append(space.project(np.array(space.current)))
    kept: list[Floats] = []
    for row in rows:
        if not any(np.abs(row - other).max() <= _SAME for other in kept):
            kept.append(row)
    return np.stack(kept)


def with_anchors(space: MixtureSpace, drawn: Floats, count: int) -> Floats:
    """float64[count, K]: the anchors, then as many of the drawn mixtures as fit."""
    return np.concatenate([anchors(space), drawn])[:count]


def feasible(space: MixtureSpace, mixtures: Floats) -> Floats:
    """float64[N, K]: each mixture as it is where the caps allow, the nearest feasible one otherwise."""
    caps = space.caps
    if not (mixtures > caps).any():
        return mixtures
    rows = [row if (row <= caps).all() else space.project(row) for row in mixtures]
    return np.stack(rows)


def measured(runs: Runs, mixture: Floats) -> float | None:
    """The mean objective of the runs of this mixture; None if there is none."""
    if not len(runs):
        return None
    same = np.abs(runs.mixtures - mixture).max(axis=1) <= _SAME
    return float(runs.objective[same].mean()) if same.any() else None


def best_anchor(space: MixtureSpace, runs: Runs) -> tuple[Floats, float] | None:
    """The anchor with the least measured objective, and that; None if none was measured."""
    found = [(anchor, measured(runs, anchor)) for anchor in anchors(space)]
    known = [(anchor, value) for anchor, value in found if value is not None]
    return min(known, key=lambda pair: pair[1]) if known else None


def guarded(space: MixtureSpace, runs: Runs, mixture: Floats, expect: Callable[[Floats], Floats]) -> Floats:
    """The mixture, unless it measured worse than the best anchor or, unmeasured, is expected to: then that anchor.

    `expect` gives float64[N] for float64[N, K]. What is expected is compared with what is expected of the measured
    anchors: one lucky run of one would rule out mixtures that are better.
    """
    anchor = best_anchor(space, runs)
    if anchor is None:
        return mixture
    known = measured(runs, mixture)
    if known is not None:
        return anchor[0] if known > anchor[1] else mixture
    rows = np.stack([row for row in anchors(space) if measured(runs, row) is not None])
    ours, *theirs = expect(np.concatenate([mixture[None], rows])).tolist()
    best: Floats = rows[int(np.argmin(theirs))]
    return best if ours > min(theirs) else mixture
