"""What the commands do and print. `jobs.cli` parses; this module is imported when a command runs."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from jobs import inspection
from jobs.card import human_bytes
from jobs.execution import Prepared, execute, prepare
from jobs.progress import Display, LiveDisplay, PlainDisplay, Tracker, funnel_table
from jobs.publish import funnel
from pipeline import catalog
from pipeline.errors import ShardsFailedError
from pipeline.fingerprint import canonical
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.run import Event
from pipeline.site_file import Site, StoreSite, load_site
from pipeline.storage import open_storage
from pipeline.store import Store
from schemas.manifest import Manifest

DOCUMENTS_EXPLAINED = 20
"""How many matches of a glob `why` shows."""


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
    prepared = prepare(recipe, arguments, _site(site, store, workers, local=local))
    errors = Console(stderr=True)
    tracker = Tracker(plan=prepared.plan)
    display: list[Display] = []

    def listen(event: Event) -> None:
        if not display:
            display.append(LiveDisplay(tracker, errors) if errors.is_terminal else PlainDisplay(tracker, errors))
        tracker(event)
        if event.kind == "retried" and event.failure is not None and event.dataset and event.task:
            errors.print(f"retrying {event.dataset.name} {event.task.label}: {event.failure.message}", highlight=False)
        display[0].update()

    try:
        manifest = execute(prepared, listen)
    except ShardsFailedError:
        _close(display)
        errors.print(funnel_table(funnel(prepared.plan)))
        raise
    finally:
        _close(display)
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
    prepared = prepare(recipe, arguments, _site(site, store, workers, local=local))
    while prepared.plan.grow():
        pass
    rows = [asdict_step(prepared.plan, number) for number in range(len(prepared.plan.datasets))]
    if as_json:
        _print_json({"recipe": recipe.name, "parameters": _plain(arguments), "steps": rows})
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("step")
    for head in ("shards", "committed", "to do", "documents", "content"):
        table.add_column(head, justify="right")
    for row in rows:
        known = [_number(row[name]) for name in ("shards", "committed", "to_do", "documents")]
        size = human_bytes(row["bytes"]) if isinstance(row["bytes"], int) else "unknown"
        table.add_row(str(row["step"]), *known, size)
    Console().print(table)
    if any(row["shards"] is None for row in rows):
        click.echo("unknown: depends on counts of steps that have not run")


def asdict_step(plan: Plan, number: int) -> dict[str, Any]:
    """One row of a plan; None where the plan cannot know yet."""
    dataset = plan.datasets[number]
    if dataset not in plan.tasks:
        return {
            "step": dataset.name,
            "shards": None,
            "committed": None,
            "to_do": None,
            "documents": None,
            "bytes": None,
        }
    shards = plan.shards(dataset)
    to_do = sum(len(task.outputs) for task in plan.wanted().get(dataset, []))
    rows, sizes = [s.rows for s in shards], [s.bytes for s in shards]
    return {
        "step": dataset.name,
        "shards": len(shards),
        "committed": sum(plan.has(shard) for shard in shards),
        "to_do": to_do,
        "documents": sum(r for r in rows if r is not None) if None not in rows else None,
        "bytes": sum(b for b in sizes if b is not None) if None not in sizes else None,
    }


def show_ls(*, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill ls`."""
    storage = open_storage(_site(site, store).store)
    rows = []
    for name in catalog.names(storage):
        for version in catalog.versions(storage, name):
            manifest = catalog.load(storage, f"{name}@{version}")
            rows.append(
                {
                    "corpus": f"{name}@{version}",
                    "documents": manifest.documents,
                    "tokens": manifest.tokens,
                    "files": len(manifest.files),
                    "bytes": sum(file.file_bytes for file in manifest.files),
                    "path": storage.url(catalog.folder(manifest)),
                    "complete": catalog.is_complete(storage, manifest),
                }
            )
    if as_json:
        _print_json(rows)
        return
    if not rows:
        click.echo(f"nothing is published in {storage.url('')}; start with: gristmill run tiny")
        return
    table = Table(box=None, pad_edge=False)
    for head in ("corpus", "documents", "tokens", "files", "size", "path"):
        table.add_column(head, justify="left" if head in ("corpus", "path") else "right", no_wrap=True)
    for row in rows:
        path = str(row["path"]) + ("" if row["complete"] else " (incomplete: run its recipe again)")
        counts = [f"{row[name]:,}" for name in ("documents", "tokens", "files")]
        table.add_row(str(row["corpus"]), *counts, human_bytes(float(str(row["bytes"]))), path)
    _console().print(table)


def show_show(*, corpus: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill show`."""
    storage = open_storage(_site(site, store).store)
    manifest = catalog.load(storage, corpus)
    if as_json:
        _print_json(manifest.model_dump())
        return
    console = _console()
    console.print(f"{manifest.name}@{manifest.version}  {storage.url(catalog.folder(manifest))}", highlight=False)
    _print_holdings(console, manifest)
    console.print(f"recipe {manifest.recipe} {json.dumps(manifest.parameters)}", highlight=False)
    console.print(funnel_table(manifest.funnel))
    steps = Table(title="steps", title_justify="left", box=None, pad_edge=False)
    for head in ("step", "role", "shards", "libraries"):
        steps.add_column(head)
    for entry in manifest.steps:
        libraries = " ".join(f"{name}=={version}" for name, version in entry.libraries.items())
        steps.add_row(entry.name, entry.role, f"{len(entry.keys):,}", libraries)
    console.print(steps)


def show_diff(*, a: str, b: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill diff`."""
    opened = Store(open_storage(_site(site, store).store))
    left, right = catalog.load(opened.storage, a), catalog.load(opened.storage, b)
    found = inspection.difference(opened, left, right)
    if as_json:
        _print_json(found)
        return
    console = _console()
    same = "the same content" if found["identical"] else "different content"
    console.print(f"{found['a']} and {found['b']}: {same}", highlight=False)
    for section in ("documents", "tokens"):
        values = found[section]
        assert isinstance(values, dict)
        console.print(f"{section}: " + ", ".join(f"{name} {n:,}" for name, n in values.items()), highlight=False)
    for section in ("domains", "languages", "reasons", "parameters", "steps"):
        changes = found[section]
        assert isinstance(changes, dict)
        for name, change in changes.items():
            console.print(f"{section} {name}: {_short(change['a'])} -> {_short(change['b'])}", highlight=False)
    examples = found["examples"]
    assert isinstance(examples, dict)
    for name, ids in examples.items():
        console.print(f"{name}, for example: {' '.join(ids)}", highlight=False)


def show_why(*, corpus: str, document: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill why`."""
    opened = Store(open_storage(_site(site, store).store))
    manifest = catalog.load(opened.storage, corpus)
    matches = inspection.find(opened, manifest, document, DOCUMENTS_EXPLAINED + 1)
    explained = [inspection.explain(opened, manifest, found) for found in matches[:DOCUMENTS_EXPLAINED]]
    if as_json:
        _print_json(explained)
        return
    console = _console()
    for entry in explained:
        _print_explanation(console, entry)
    if len(matches) > DOCUMENTS_EXPLAINED:
        console.print(f"more documents match; the first {DOCUMENTS_EXPLAINED} are shown")


def _print_explanation(console: Console, entry: Mapping[str, Any]) -> None:
    documents = entry["steps"]["documents"]
    console.print(f"{documents['origin']} {documents['path']} {documents['member'] or ''}".rstrip(), style="bold")
    console.print(f"  id {entry['document_id']}, shard {entry['shard']}, row {entry['row']}", highlight=False)
    for name, values in entry["steps"].items():
        shown = ", ".join(f"{k} {_short(v)}" for k, v in values.items() if v is not None and v != [])
        console.print(f"  {name}: {shown or '-'}", highlight=False, soft_wrap=True)
    tokens = entry["tokens"]
    if tokens is None:
        console.print("  tokens: none, the document was dropped")
    else:
        where = f"{tokens['url']}, row {tokens['row']}, from token {tokens['position']}"
        console.print(f"  tokens: {where}", highlight=False, soft_wrap=True)


def _print_result(prepared: Prepared, manifest: Manifest, seconds: float, tracker: Tracker, *, as_json: bool) -> None:
    storage = prepared.plan.store.storage
    path = storage.url(catalog.folder(manifest))
    made = sum(step.done for step in tracker.steps.values())
    if as_json:
        steps = {name: {"made": s.done, "resumed": s.resumed} for name, s in tracker.steps.items()}
        value = {"corpus": f"{manifest.name}@{manifest.version}", "path": path, "seconds": round(seconds, 1)}
        _print_json(value | {"shards_made": made, "steps": steps, "manifest": manifest.model_dump()})
        return
    console = _console()
    console.print(funnel_table(manifest.funnel))
    console.print()
    console.print(f"{manifest.name}@{manifest.version}  {path}", style="bold", highlight=False, soft_wrap=True)
    _print_holdings(console, manifest)
    console.print(f"{made:,} shards made in {seconds:.1f} s", highlight=False)


def _print_holdings(console: Console, manifest: Manifest) -> None:
    size = human_bytes(sum(file.file_bytes for file in manifest.files))
    console.print(
        f"{manifest.documents:,} documents, {manifest.tokens:,} tokens of {manifest.vocabulary} in "
        f"{sum(f.rows for f in manifest.files):,} rows of {len(manifest.files):,} files, {size}",
        highlight=False,
        soft_wrap=True,
    )
    largest = sorted(manifest.domains.items(), key=lambda p: (-p[1], p[0]))
    shown = ", ".join(f"{name} {tokens:,}" for name, tokens in largest[:8])
    more = f" and {len(largest) - 8} more" if len(largest) > 8 else ""
    console.print(f"tokens by domain: {shown}{more}", highlight=False, soft_wrap=True)


def _site(path: Path | None, store: str | None = None, workers: int | None = None, *, local: bool = False) -> Site:
    """The site file with the options of the command line over it."""
    site = load_site(path)
    if store is not None:
        site = site.model_copy(update={"store": StoreSite.model_validate(site.store.model_dump() | {"path": store})})
    changes: dict[str, object] = {"executor": "local"} if local else {}
    if workers is not None:
        changes["workers"] = workers
    return site.model_copy(update={"execution": site.execution.model_copy(update=changes)})


def _console() -> Console:
    """Standard output; as wide as the lines need when it is not a terminal."""
    return Console() if sys.stdout.isatty() else Console(width=240)


def _close(displays: list[Display]) -> None:
    while displays:
        displays.pop().close()


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {name: canonical(value) for name, value in values.items()}


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "unknown"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "..."


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
