"""`gristmill mixture predict` and `report`: what a finished search says of any mixture, as text and as plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from jobs.looking import existing_storage, print_json, print_line, standard_output
from jobs.mixtures.realise_command import read_weights
from jobs.mixtures.report import write_report
from jobs.mixtures.results import load_result, measurements_of, searched_of, stored_result
from jobs.mixtures.search_config import parse_share
from jobs.mixtures.space import Floats, MixtureSpace
from jobs.mixtures.surface import Surface
from pipeline import catalog
from pipeline.errors import RecipeError
from pipeline.store import Store
from schemas.mixture_result import MixtureResult


def predict_mixture(
    *,
    result: str,
    weights: Path | None,
    given: Sequence[str],
    site: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """What the runs of a search say of a mixture that may never have been measured.

    Raises RecipeError for weights that are no mixture of the domains, and where there are too few runs to learn from.
    """
    found = _result(result, site, store)
    searched = searched_of(found)
    space = searched.space
    mixture = _mixture(found, space, read_weights(weights) if weights else found.weights, given)
    surface = Surface.of(searched, measurements_of(found))
    if surface is None:
        raise RecipeError(f"{result} holds {len(found.runs)} runs, too few or too alike to predict from")
    predicted = _predicted(found, surface, mixture)
    if as_json:
        print_json(predicted)
        return
    _print(predicted)


def report_mixture(*, result: str, to: Path, site: Path | None, store: str | None) -> None:
    """Write the page and plots of a search. Raises RecipeError without matplotlib."""
    write_report(_result(result, site, store), to)
    print_line(standard_output(), str(to / "report.html"))


def _result(reference: str, site: Path | None, store: str | None) -> MixtureResult:
    """A result.json, or what the search of a published version found."""
    if reference.endswith(".json") or Path(reference).is_file():
        return load_result(Path(reference))
    opened = Store(existing_storage(site, store))
    return stored_result(opened, catalog.load(opened.storage, reference))


def _mixture(result: MixtureResult, space: MixtureSpace, base: dict[str, float], given: Sequence[str]) -> Floats:
    """The base with some weights set; the others share the rest as they do in the base."""
    if {*base} != {*space.domains}:
        raise RecipeError(f"the weights name {', '.join(sorted(base))}; the domains are {', '.join(space.domains)}")
    try:
        shares = dict(parse_share(text) for text in given)
    except ValueError as error:
        raise RecipeError(f"--set {error}") from error
    if unknown := sorted({*shares} - {*space.domains}):
        raise RecipeError(f"--set names {', '.join(unknown)}; the domains are {', '.join(space.domains)}")
    total = sum(shares.values())
    if any(not 0 <= share <= 1 for share in shares.values()) or total > 1 + 1e-9:
        raise RecipeError(f"--set gives shares of {total:g} in all; each must be from 0 to 1, and their sum at most 1")
    is_set = np.array([name in shares for name in space.domains])
    mixture = np.array([base[name] for name in space.domains])
    mixture[is_set] = [shares[name] for name in space.domains if name in shares]
    rest = float(mixture[~is_set].sum())
    if rest > 0:
        mixture[~is_set] *= max(0.0, 1 - total) / rest
    if abs(float(mixture.sum()) - 1) > 1e-6 or mixture.min() < 0:
        raise RecipeError(f"the weights sum to {mixture.sum():g}; they must sum to 1")
    return mixture


def _predicted(result: MixtureResult, surface: Surface, mixture: Floats) -> dict[str, Any]:
    space = surface.space
    chosen = np.array([domain.weight for domain in result.domains])
    others = {"chosen": chosen, "proportional": space.proportional, "uniform": space.uniform}
    mean, deviation = surface.predict(mixture[None])
    targets = surface.predict_targets(mixture)
    return {
        "weights": dict(zip(space.domains, mixture.tolist(), strict=True)),
        "epochs": dict(zip(space.domains, space.epochs(mixture).tolist(), strict=True)),
        "feasible": space.is_feasible(mixture),
        "objective": {"mean": float(mean[0]), "deviation": float(deviation[0])},
        "targets": {
            target.name: None if pair is None else {"mean": pair[0], "deviation": pair[1]}
            for target, pair in zip(result.targets, targets, strict=True)
        },
        "better_than": {name: surface.beats(mixture, other) for name, other in others.items()},
    }


def _print(predicted: dict[str, Any]) -> None:
    console = standard_output()
    objective = predicted["objective"]
    print_line(console, f"{objective['mean']:.4f} +- {objective['deviation']:.4f} bits per byte expected", style="bold")
    table = Table(box=None, pad_edge=False)
    for head in ("domain", "weight", "epochs"):
        table.add_column(head, justify="left" if head == "domain" else "right")
    for name, weight in sorted(predicted["weights"].items(), key=lambda pair: (-pair[1], pair[0])):
        table.add_row(name, f"{weight:.4f}", f"{predicted['epochs'][name]:.2f}")
    console.print(table)
    if not predicted["feasible"]:
        print_line(console, "it repeats a domain more often than the search allowed")
    for name, pair in predicted["targets"].items():
        shown = "nothing is learned of it" if pair is None else f"{pair['mean']:.4f} +- {pair['deviation']:.4f}"
        print_line(console, f"target {name}: {shown}")
    odds = ", ".join(f"{name} {value:.0%}" for name, value in predicted["better_than"].items())
    print_line(console, f"better than: {odds}")
