"""DoReMi (arXiv 2305.10429) as a baseline: weights grow where a domain's loss is above that of a reference.

The published proxy moves its weights while it trains. Here each step is a proxy of its own, trained on the weights so
far: alpha <- alpha * exp(rate * max(loss - reference, 0)), a little smoothed, from the uniform mixture. The reference
is the first run of the proportional one; the result is the mean of all weights. It needs the loss of every domain: one
target for each domain, in their order. Where domains hold equal tokens it starts at its reference, and moves only by
what two proxies of one mixture differ.
"""

import numpy as np

from jobs.mixtures.anchors import best_anchor, measured, with_anchors
from jobs.mixtures.method import Choice, Method
from jobs.mixtures.methods.concluding import unpredicted
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import Floats, MixtureSpace

_RATE = 1.0
_SMOOTHING = 1e-3


def _steps(space: MixtureSpace, runs: Runs) -> list[Floats]:
    """The weights after each run. Raises ValueError where losses are not those of the domains."""
    if runs.losses.shape[1] != len(space.domains):
        raise ValueError(
            f"DoReMi needs one target for each of the {len(space.domains)} domains, in their order, got "
            f"{runs.losses.shape[1]}; name such targets or use another method"
        )
    # of each the first alone: of domains of equal tokens, the weights start at the same mixture
    reference = _first_run(runs, space.proportional)
    if reference is None:
        raise ValueError("DoReMi needs a run of the proportional mixture, its reference; measure at least two mixtures")
    current = _first_run(runs, space.project(np.array(space.current))) if space.current else None
    weights = [space.uniform]
    for number, losses in enumerate(runs.losses):
        if number in (reference, current):  # anchors that are no step
            continue
        grown = weights[-1] * np.exp(_RATE * np.maximum(losses - runs.losses[reference], 0.0))
        smooth = (1 - _SMOOTHING) * grown / grown.sum() + _SMOOTHING / len(grown)
        weights.append(space.project(smooth))
    return weights


def _first_run(runs: Runs, mixture: Floats) -> int | None:
    same = np.abs(runs.mixtures - mixture).max(axis=1) <= 1e-9
    return int(np.argmax(same)) if same.any() else None


def _propose(space: MixtureSpace, runs: Runs, number: int, count: int, generator: np.random.Generator) -> Floats:
    if number == 0:
        return with_anchors(space, np.tile(space.uniform, (count, 1)), count)
    return np.tile(_steps(space, runs)[-1], (count, 1))


def _choose(space: MixtureSpace, runs: Runs, generator: np.random.Generator) -> Choice:
    mean = np.mean(_steps(space, runs), axis=0)
    known, anchor = measured(runs, mean), best_anchor(space, runs)
    if known is not None and anchor is not None and known > anchor[1]:
        mean = anchor[0]
    return unpredicted(space, runs, mean)


DOREMI = Method(name="doremi", rounds=(2, *[1] * 10), propose=_propose, choose=_choose)
