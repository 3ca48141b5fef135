"""What `run` and `plan` do and print. `jobs.cli` parses; this module is imported when a command runs."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from jobs.card import human_bytes
from jobs.display import funnel_table, watch
from jobs.execution import Prepared, execute, prepare
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
    errors = Console(stderr=True)
    tracker = Tracker(plan=prepared.plan)
    unexpected: list[Failure] = []

    try:
        with watch(tracker, errors) as show:

            def listen(event: Event) -> None:
                show(event)
                if event.kind == "failed" and event.failure is not None and event.failure.details:
                    unexpected.append(event.failure)

            manifest = execute(prepared, listen)
    except ShardsFailedError:
        errors.print(funnel_table(funnel(prepared.plan)))
        if unexpected:
            errors.print(printable(unexpected[0].details), highlight=False, markup=False, soft_wrap=True)
        raise
    _print_result(prepared, manifest, time.monotonic() - started, tracker, as_json=as_json)


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
        print_json({"recipe": recipe.name, "parameters": parameters, "steps": rows})
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


def _print_result(prepared: Prepared, manifest: Manifest, seconds: float, tracker: Tracker, *, as_json: bool) -> None:
    storage = prepared.plan.store.storage
    path = storage.url(catalog.folder(manifest))
    made = sum(step.done for step in tracker.steps.values())
    if as_json:
        steps = {name: {"made": s.done, "resumed": s.resumed} for name, s in tracker.steps.items()}
        value = {"corpus": f"{manifest.name}@{manifest.version}", "path": path, "seconds": round(seconds, 1)}
        print_json(value | {"shards_made": made, "steps": steps, "manifest": manifest.model_dump()})
        return
    console = standard_output()
    console.print(funnel_table(manifest.funnel))
    console.print()
    console.print(f"{manifest.name}@{manifest.version}  {path}", style="bold", highlight=False, soft_wrap=True)
    print_holdings(console, manifest)
    work = f"{made:,} shards made" if made else "nothing was left to do"
    console.print(f"{work}, {seconds:.1f} s", highlight=False)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "unknown"
