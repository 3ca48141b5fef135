"""Mixtures that together tell most of a linear law in sqrt(w): greedy D-optimal design (Fedorov 1972)."""

import numpy as np

from jobs.mixtures.space import Floats


def d_optimal(pool: Floats, count: int, *, known: Floats | None = None, prior: float = 1e-2) -> Floats:
    """float64[count, K] from the pool, each the one that the mixtures before it tell least of.

    `known` float64[N, K] are those measured already. Maximises the determinant of X'X + prior I; one pick costs
    O(M K) by the Sherman-Morrison formula.
    """
    points = _features(pool)
    inverse: Floats = np.eye(points.shape[1]) / prior
    if known is not None and len(known):
        seen = _features(known)
        inverse = np.asarray(np.linalg.inv(seen.T @ seen + prior * np.eye(points.shape[1])), np.float64)
    spread = np.einsum("mi,ij,mj->m", points, inverse, points)
    free = np.ones(len(pool), bool)
    picks: list[int] = []
    for _ in range(min(count, len(pool))):
        pick = int(np.argmax(np.where(free, spread, -np.inf)))
        picks.append(pick)
        free[pick] = False
        shift = inverse @ points[pick]
        size = 1.0 + spread[pick]
        spread = spread - (points @ shift) ** 2 / size
        inverse = inverse - np.outer(shift, shift) / size
    return pool[picks]


def _features(mixtures: Floats) -> Floats:
    return np.concatenate([np.ones((len(mixtures), 1)), np.sqrt(np.maximum(mixtures, 0.0))], axis=1)
