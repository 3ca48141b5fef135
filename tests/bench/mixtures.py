"""Mixture search against known answers: replay of real runs (T0) and worlds with an exact optimum (T1)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
from scipy.stats import spearmanr

from jobs.mixtures.method import Method
from jobs.mixtures.methods.table import METHODS
from jobs.mixtures.predictors.combined import DEFAULT_PREDICTOR
from jobs.mixtures.predictors.predictor import Predictor
from jobs.mixtures.space import Floats
from tests.bench.material import ROOT
from tests.bench.regrouping import run_reuse
from tests.bench.report import Figure
from tests.bench.worlds import VARIANTS, World, make_world, search_world

MIXTURES = ROOT.parent / "shared" / "data" / "mixtures"
TARGETS = ("arxiv", "dm_mathematics", "github", "pile_cc")
_RUNS = 112


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """Of each target and subset."""

    spearman: Floats
    """float64[T, S]: rank correlation on the held-out runs."""
    regret: Floats
    """float64[T, S]: loss of the best predicted held-out mixture above that of the best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """Of each world."""

    regret: Floats
    """float64[W]: relative regret."""
    seconds: float
    """CPU time of one search, the mean."""


def run_t0(folder: Path, predictor: Predictor = DEFAULT_PREDICTOR, subsets: int = 20) -> Replay:
    """112 of RegMix's 512 runs to learn from, its 256 test runs to be judged by."""
    mixtures, losses, names = _read(folder, "train")
    held, truth, _ = _read(folder, "test")
    spearman, regret = np.empty((len(TARGETS), subsets)), np.empty((len(TARGETS), subsets))
    for seed in range(subsets):
        rows = np.random.default_rng(seed).choice(len(mixtures), _RUNS, replace=False)
        for number, target in enumerate(TARGETS):
            column = names.index(f"metric/the_pile_{target}_val_loss")
            predicted = predictor.fit(mixtures[rows], losses[rows, column]).predict(held)[0]
            real = truth[:, column]
            spearman[number, seed] = spearmanr(predicted, real).statistic
            regret[number, seed] = real[predicted.argmin()] - real.min()
    return Replay(spearman=spearman, regret=regret)


def run_t1(worlds: Sequence[World], methods: Mapping[str, Method]) -> dict[str, Searched]:
    """Every method on every world; the proxies' noise is drawn from the number of the world."""
    found = {}
    for name, method in methods.items():
        started = process_time()
        regret = [
            world.relative_regret(search_world(world, method, seed).choice.weights) for seed, world in enumerate(worlds)
        ]
        seconds = (process_time() - started) / max(1, len(worlds))
        found[name] = Searched(regret=np.array(regret), seconds=seconds)
    return found


def bench_mixtures(skipped: list[str], *, quick: bool) -> Iterator[Figure]:
    """T0 if the runs are beside the repository, T1, its variants, and domains that change."""
    if MIXTURES.is_dir():
        yield from _t0_figures(2 if quick else 20)
    else:
        skipped.append("mixtures: no real runs beside the repository; worlds alone are measured")
    yield from _t1_figures(8, worlds=2 if quick else 10, bar=0.08)
    if quick:
        return
    yield from _t1_figures(20, worlds=10, bar=0.35)
    for name, change in VARIANTS.items():
        worlds = [change(make_world(8, seed)) for seed in range(10)]
        result = run_t1(worlds, {"default": METHODS["default"]})["default"]
        runs = tuple(result.regret.tolist())
        yield Figure(bench="mixtures", name=f"relative regret, 8 domains, {name}", unit="", runs=runs)
    for runs in (28, 56):
        few = METHODS["default"].sized(runs)
        for by_domain, name in ((False, "told their mean"), (True, "told every loss")):
            regrets = [
                world.relative_regret(search_world(world, few, seed, by_domain=by_domain).choice.weights)
                for seed, world in enumerate(make_world(8, seed) for seed in range(10))
            ]
            yield Figure(
                bench="mixtures", name=f"relative regret, 8 domains, {runs} runs, {name}", unit="", runs=tuple(regrets)
            )
    for rounds in ((8,), (8, 8), (16, 16), (16, 16, 16, 16)):
        for reused, regret in zip(("with old runs", "without"), run_reuse(10, rounds), strict=True):
            name = f"relative regret, changed domains, {sum(rounds)} runs, {reused}"
            yield Figure(bench="mixtures", name=name, unit="", runs=tuple(regret.tolist()))


def _t0_figures(subsets: int) -> Iterator[Figure]:
    started = process_time()
    replay = run_t0(MIXTURES, subsets=subsets)
    seconds = (process_time() - started) / replay.regret.size
    note = f"{_RUNS} runs, means over {len(TARGETS)} targets and {subsets} subsets"
    rank, lost = (float(values.mean()) for values in (replay.spearman, replay.regret))
    yield Figure(
        bench="mixtures", name="replay: Spearman", unit="", runs=(rank,), target=0.95, better="more", note=note
    )
    yield Figure(bench="mixtures", name="replay: regret at 1", unit="nats", runs=(lost,), target=0.04, note=note)
    yield Figure(bench="mixtures", name="replay: fit of the predictor", unit="CPU-s", runs=(seconds,))


def _t1_figures(domains: int, *, worlds: int, bar: float) -> Iterator[Figure]:
    made = [make_world(domains, seed) for seed in range(worlds)]
    found = run_t1(made, METHODS)
    for name, result in found.items():
        yield Figure(
            bench="mixtures",
            name=f"relative regret, {domains} domains, {name}",
            unit="",
            runs=tuple(result.regret.tolist()),
            target=bar if name == "default" else None,
            note=f"{sum(METHODS[name].rounds)} runs, {result.seconds:.1f} CPU-s a search",
        )
    ours = found["default"].regret
    wins = 100 * float((ours < found["regmix"].regret).mean())
    yield Figure(
        bench="mixtures",
        name=f"better than RegMix, {domains} domains",
        unit="% of worlds",
        runs=(wins,),
        target=90,
        better="more",
    )
    yield Figure(
        bench="mixtures", name=f"worst relative regret, {domains} domains", unit="", runs=(float(ours.max()),), target=1
    )


def _read(folder: Path, part: str) -> tuple[Floats, Floats, list[str]]:
    """Mixtures scaled to sum to 1, losses, and the names of the losses."""
    mixtures = np.loadtxt(folder / f"regmix_{part}_mixture_1m.csv", delimiter=",", skiprows=1)[:, 1:]
    path = folder / f"regmix_{part}_pile_loss_1m.csv"
    with path.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")[1:]
    losses = np.loadtxt(path, delimiter=",", skiprows=1)[:, 1:]
    return mixtures / mixtures.sum(axis=1, keepdims=True), losses, names
