"""What `run` and `plan` do and print. `jobs.cli` parses; this module is imported when a command runs."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from jobs.card import human_bytes
from jobs.display import funnel_table, watch
from jobs.execution import Listener, execute, execute_following, prepare
from jobs.looking import print_holdings, print_json, site_of, standard_output
from jobs.progress import Tracker
from jobs.publish import funnel
from jobs.terminal import printable
from pipeline import catalog
from pipeline.errors import ShardsFailedError
from pipeline.execute import Failure
from pipeline.fingerprint import canonical
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.run import Event
from pipeline.storage import Storage
from schemas.manifest import Manifest


def run_recipe(
    recipe: Recipe,
    arguments: Mapping[str, object],
    *,
    site: Path | None,
    store: str | None,
    workers: int | None,
    local: bool,
    as_json: bool,
) -> None:
    """`gristmill run`: progress on standard error, the result on standard output."""
    started = time.monotonic()
    prepared = prepare(recipe, arguments, site_of(site, store, workers, local=local))
    storage = prepared.plan.store.storage
    made = [_make(prepared.plan, partial(execute, prepared))]
    console = standard_output()
    if not as_json:
        console.print(funnel_table(made[0].manifest.funnel))
        console.print()
        made[0].show(storage)
    if following := execute_following(prepared, made[0].manifest):
        made.append(_make(*following))
    seconds = time.monotonic() - started
    if as_json:
        values = [version.value(storage) for version in made]
        print_json(values[0] | {"seconds": round(seconds, 1)} | ({"following": values[1]} if values[1:] else {}))
        return
    for version in made[1:]:
        version.show(storage)
    count = sum(version.made for version in made)
    work = f"{count:,} shards made" if count else "nothing was left to do"
    console.print(f"{work}, {seconds:.1f} s", highlight=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Version:
    """What came of a plan."""

    manifest: Manifest
    tracker: Tracker

    @property
    def made(self) -> int:
        return sum(step.done for step in self.tracker.steps.values())

    def value(self, storage: Storage) -> dict[str, Any]:
        """For JSON."""
        manifest = self.manifest
        return {
            "corpus": f"{manifest.name}@{manifest.version}",
            "path": storage.url(catalog.folder(manifest)),
            "shards_made": self.made,
            "steps": {name: {"made": s.done, "resumed": s.resumed} for name, s in self.tracker.steps.items()},
            "manifest": manifest.model_dump(),
        }

    def show(self, storage: Storage) -> None:
        manifest, console = self.manifest, standard_output()
        path = storage.url(catalog.folder(manifest))
        console.print(f"{manifest.name}@{manifest.version}  {path}", style="bold", highlight=False, soft_wrap=True)
        print_holdings(console, manifest)


def _make(plan: Plan, make: Callable[[Listener], Manifest]) -> _Version:
    """Carry out a plan with its progress on standard error; when shards fail, with what is known of them."""
    errors = Console(stderr=True)
    tracker = Tracker(plan=plan)
    unexpected: list[Failure] = []

    try:
        with watch(tracker, errors) as show:

            def listen(event: Event) -> None:
                show(event)
                if event.kind == "failed" and event.failure is not None and event.failure.details:
                    unexpected.append(event.failure)

            return _Version(manifest=make(listen), tracker=tracker)
    except ShardsFailedError:
        errors.print(funnel_table(funnel(plan)))
        if unexpected:
            errors.print(printable(unexpected[0].details), highlight=False, markup=False, soft_wrap=True)
        raise


def plan_recipe(
    recipe: Recipe,
    arguments: Mapping[str, object],
    *,
    site: Path | None,
    store: str | None,
    workers: int | None,
    local: bool,
    as_json: bool,
) -> None:
    """`gristmill plan`: every step with what is known of it."""
    prepared = prepare(recipe, arguments, site_of(site, store, workers, local=local))
    plan = prepared.plan
    while plan.grow():
        pass
    rows = [plan_row(plan, number) for number in range(len(plan.datasets))]
    if as_json:
        parameters = {name: canonical(value) for name, value in arguments.items()}
        follows = prepared.corpus.following is not None
        print_json({"recipe": recipe.name, "parameters": parameters, "steps": rows, "following": follows})
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("step")
    for head in ("shards", "committed", "to do", "documents", "content"):
        table.add_column(head, justify="right")
    for row in rows:
        known = [_number(row[name]) for name in ("shards", "committed", "to_do", "documents")]
        size = human_bytes(row["bytes"]) if isinstance(row["bytes"], int) else "unknown"
        table.add_row(str(row["step"]), *known, size)
    standard_output().print(table)
    if any(row["shards"] is None for row in rows):
        click.echo("unknown: depends on counts of steps that have not run")
    if prepared.corpus.following is not None:
        click.echo("then a second version, whose steps are planned when this one is published")


def plan_row(plan: Plan, number: int) -> dict[str, Any]:
    """One step of a plan; None where the plan cannot know yet. `to_do` is what a run would make."""
    dataset = plan.datasets[number]
    if dataset not in plan.tasks:
        unknown = dict.fromkeys(("shards", "committed", "to_do", "documents", "bytes"))
        return {"step": dataset.name, "spill": dataset.temporary, **unknown}
    shards = plan.shards(dataset)
    rows, sizes = [s.rows for s in shards], [s.bytes for s in shards]
    return {
        "step": dataset.name,
        "spill": dataset.temporary,
        "shards": len(shards),
        "committed": sum(plan.has(shard) for shard in shards),
        "to_do": sum(len(task.outputs) for task in plan.wanted().get(dataset, [])),
        "documents": sum(r for r in rows if r is not None) if None not in rows else None,
        "bytes": sum(b for b in sizes if b is not None) if None not in sizes else None,
    }


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "unknown"
