"""CLIMB's choice of what to measure next: a random draw from the best predicted (arXiv 2504.13161, section 3)."""

import numpy as np

from jobs.mixtures.predictors.predictor import Fitted
from jobs.mixtures.space import Floats


def draw_from_top(fitted: Fitted, pool: Floats, count: int, generator: np.random.Generator) -> Floats:
    """float64[count, K]: drawn without replacement from the best max(count^2, 128); the very best if count is 1."""
    order = np.argsort(fitted.predict(pool)[0], kind="stable")
    best = order[: max(count * count, 128)]
    picks = order[:1] if count == 1 else generator.choice(best, size=min(count, len(best)), replace=False)
    drawn: Floats = pool[picks]
    return drawn


def mean_of_top(predicted: Floats, pool: Floats, top: int) -> Floats:
    """float64[K]: the mean of the `top` best predicted mixtures, which the noise of predictions moves little."""
    best: Floats = pool[np.argsort(predicted, kind="stable")[:top]].mean(axis=0)
    return best
