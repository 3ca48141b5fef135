"""Domains that change: one is split, two are merged, one is added; runs on the old ones are reused or not."""

from dataclasses import dataclass, replace

import numpy as np

from jobs.mixtures.histograms import HistogramPredictor, recorded
from jobs.mixtures.methods.guided import DEFAULT, informed_method
from jobs.mixtures.methods.table import METHODS
from jobs.mixtures.space import Floats, MixtureSpace
from tests.bench.worlds import World, make_world, search_world

_CODES = 16
_OLD = ((0, 1, 2), (3, 4, 5), (6, 7), (8, 9), (10,), (11,), (12,), (13,))
_NEW = ((0,), (1, 2), (3, 4, 5), (6, 7, 8, 9), (10,), (11,), (12,), (13,), (14, 15))


@dataclass(frozen=True, kw_only=True, slots=True)
class Regrouped:
    """Two worlds over one codebook."""

    old: World
    new: World
    old_composition: Floats
    """float64[8, 16]."""
    new_composition: Floats
    """float64[9, 16]."""


def regroup(seed: int) -> Regrouped:
    """A world of 16 fine clusters in random order, as old and as new domains; the target stays."""
    fine = make_world(_CODES, seed)
    order = np.random.default_rng([seed, 5]).permutation(_CODES)
    old, new = (_composition(fine, order, groups) for groups in (_OLD, _NEW))
    return Regrouped(old=_world(fine, old), new=_world(fine, new), old_composition=old, new_composition=new)


def run_reuse(seeds: int, rounds: tuple[int, ...]) -> tuple[Floats, Floats]:
    """float64[seeds] each: relative regret on the new domains of the default method, with 112 runs on the old ones as
    evidence, and without.
    """
    with_old, without = np.empty(seeds), np.empty(seeds)
    for seed in range(seeds):
        both = regroup(seed)
        known = search_world(both.old, METHODS["expected-improvement"], seed).runs
        evidence = recorded(known, both.old_composition)
        predictor = HistogramPredictor(composition=both.new_composition, evidence=evidence)
        informed = informed_method(predictor, both.new.space, rounds)
        for regrets, method in ((with_old, informed), (without, replace(DEFAULT, rounds=rounds))):
            regrets[seed] = both.new.relative_regret(search_world(both.new, method, seed).choice.weights)
    return with_old, without


def _composition(fine: World, order: np.ndarray, groups: tuple[tuple[int, ...], ...]) -> Floats:
    table = np.zeros((len(groups), _CODES))
    for number, group in enumerate(groups):
        codes = order[list(group)]
        table[number, codes] = fine.space.proportional[codes]
    shares: Floats = table / table.sum(axis=1, keepdims=True)
    return shares


def _world(fine: World, composition: Floats) -> World:
    tokens = np.rint((composition > 0) @ np.array(fine.space.tokens, np.float64)).astype(np.int64)
    space = MixtureSpace(
        domains=tuple(f"domain-{number}" for number in range(len(composition))),
        tokens=tuple(int(count) for count in tokens),
        target_tokens=int(tokens.sum()),
        max_epochs=1e9,
    )
    shares = np.full(len(composition), 1.0 / len(composition))
    return World(space=space, words=composition @ fine.words, target=fine.target, shares=shares)
