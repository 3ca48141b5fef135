"""The plots of a mixture search as PNG. Needs matplotlib, of the extra `report`."""

import numpy as np

from jobs.mixtures.results import measurements_of, searched_of, space_of, target_losses
from jobs.mixtures.space import Floats
from jobs.mixtures.surface import Surface
from jobs.plotting import canvas, finish, plain
from schemas.mixture_result import MixtureResult

_SHOWN = 12
"""Of more domains, those with the largest weights are drawn in lines."""
_STEPS = 25
"""Points of a line of the response."""


def plots(result: MixtureResult, surface: Surface | None) -> dict[str, bytes]:
    """PNG by name of the plot; what a search has nothing for is left out. Raises RecipeError without matplotlib."""
    drawn = {"weights": _weights(result)}
    if any(run.round > 0 for run in result.runs):
        drawn |= {"rounds": _rounds(result), "regret": _regret(result)}
    if surface is not None:
        drawn |= {"predicted": _predicted(surface), "response": _response(result, surface)}
    if len(result.targets) > 1 and len(result.runs) > 1:
        drawn["pareto"] = _pareto(result)
    return drawn


def _weights(result: MixtureResult) -> bytes:
    """The mixture beside the proportional one, with the weights' uncertainty and caps."""
    domains = sorted(result.domains, key=lambda d: (-d.weight, d.name))
    proportional = dict(zip(space_of(result).domains, space_of(result).proportional.tolist(), strict=True))
    figure, axes = canvas(1.4 + 0.32 * len(domains))
    rows = np.arange(len(domains))
    spread = [domain.deviation or 0.0 for domain in domains]
    axes.barh(rows - 0.2, [d.weight for d in domains], 0.4, xerr=spread, label="chosen", error_kw={"linewidth": 0.8})
    axes.barh(rows + 0.2, [proportional[d.name] for d in domains], 0.4, label="proportional")
    widest = 1.1 * max(d.weight + (d.deviation or 0.0) for d in domains)
    widest = max(widest, 1.1 * max(proportional.values()))
    capped = [(row, domain.cap) for row, domain in enumerate(domains) if domain.cap <= widest]
    if capped:
        axes.plot([cap for _, cap in capped], [row for row, _ in capped], "k|", markersize=12, label="cap")
    axes.set_yticks(rows, [plain(domain.name) for domain in domains])
    axes.set_ylim(len(domains) - 0.5, -0.5)
    axes.set_xlim(0, widest)
    return finish(figure, axes, "share of tokens by domain")


def _rounds(result: MixtureResult) -> bytes:
    """Mean weight of each domain in the mixtures of each round, and in the chosen one."""
    found = measurements_of(result)
    numbers = np.array(found.rounds)
    rounds = [number for number in sorted(set(found.rounds)) if number]
    figure, axes = canvas(4.5)
    order = sorted(range(len(result.domains)), key=lambda k: (-result.domains[k].weight, k))[:_SHOWN]
    for k in order:
        means = [found.mixtures[numbers == number, k].mean() for number in rounds]
        name = plain(result.domains[k].name)
        axes.plot(range(len(rounds) + 1), [*means, result.domains[k].weight], marker="o", markersize=3, label=name)
    axes.set_xticks(range(len(rounds) + 1), [*(f"round {number}" for number in rounds), "chosen"])
    return finish(figure, axes, "mean weight of the mixtures measured in each round")


def _regret(result: MixtureResult) -> bytes:
    """How far the best mixture so far is from the best of all, by number of runs."""
    objective = searched_of(result).runs(measurements_of(result)).objective
    best = np.minimum.accumulate(objective)
    figure, axes = canvas(3.6)
    axes.plot(np.arange(1, len(objective) + 1), objective, ".", color="0.6", label="measured")
    axes.plot(np.arange(1, len(objective) + 1), best, drawstyle="steps-post", label="best so far")
    for number, (name, value) in enumerate(sorted(result.anchors.items())):
        axes.axhline(value, linewidth=0.8, linestyle=("--", ":")[number % 2], color="black", label=name)
    axes.set_xlabel("proxies")
    return finish(figure, axes, "objective, bits per byte, by run; the last one is the chosen mixture")


def _predicted(surface: Surface) -> bytes:
    """What was measured against what runs of other folds predict of it."""
    expected, measured = surface.held_out
    figure, axes = canvas(4.5)
    axes.plot(measured, expected, ".", label=f"runs (rank correlation {surface.rank_correlation:.2f})")
    ends = [min(measured.min(), expected.min()), max(measured.max(), expected.max())]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set_xlabel("measured")
    axes.set_ylabel("predicted")
    return finish(figure, axes, "objective, bits per byte: predicted by runs of other folds, and measured")


def _response(result: MixtureResult, surface: Surface) -> bytes:
    """The objective as one weight changes and the others share the rest as they do in the mixture."""
    weights = np.array([domain.weight for domain in result.domains])
    order = sorted(range(len(weights)), key=lambda k: (-weights[k], k))[: _SHOWN // 2]
    figure, axes = canvas(4.5)
    for k in order:
        shares = np.linspace(0.0, min(result.domains[k].cap, 0.98), _STEPS)
        line = np.array([with_weight(weights, k, share) for share in shares])
        feasible = [bool(surface.space.is_feasible(row)) for row in line]
        mean, deviation = surface.predict(line[feasible])
        drawn = axes.plot(shares[feasible], mean, label=plain(result.domains[k].name))
        axes.fill_between(
            shares[feasible], mean - deviation, mean + deviation, alpha=0.15, color=drawn[0].get_color(), linewidth=0
        )
    axes.set_xlabel("weight of the domain")
    return finish(figure, axes, "predicted objective as one weight changes, bits per byte")


def with_weight(weights: Floats, domain: int, share: float) -> Floats:
    """float64[K]: the mixture with one weight set, the others scaled to fill the rest."""
    others = weights.copy()
    others[domain] = 0.0
    total = float(others.sum())
    rest = others / total if total > 0 else np.where(np.arange(len(weights)) == domain, 0.0, 1.0 / (len(weights) - 1))
    changed: Floats = rest * (1.0 - share)
    changed[domain] = share
    return changed


def _pareto(result: MixtureResult) -> bytes:
    """The two targets with the largest weight, the runs that no other beats in both, and the chosen mixture."""
    losses = target_losses(result)
    first, second = sorted(range(len(result.targets)), key=lambda t: (-result.targets[t].share, t))[:2]
    x, y = losses[:, first], losses[:, second]
    order = np.lexsort((y, x))
    front = order[np.concatenate([[True], np.minimum.accumulate(y[order])[:-1] > y[order][1:]])]
    figure, axes = canvas(4.5)
    axes.plot(x, y, ".", color="0.6", label="measured")
    axes.plot(x[front], y[front], "o-", markersize=4, linewidth=0.8, label="not beaten in both")
    chosen = result.targets
    axes.plot([chosen[first].measured], [chosen[second].measured], "r*", markersize=11, label="chosen")
    axes.set_xlabel(plain(result.targets[first].name))
    axes.set_ylabel(plain(result.targets[second].name))
    return finish(figure, axes, "two targets, bits per byte")
