"""What `ls`, `show`, `diff` and `why` do and print, and what all commands share: site, console, JSON."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from jobs import inspection
from jobs.card import human_bytes
from jobs.display import funnel_table
from jobs.terminal import printable
from pipeline import catalog
from pipeline.errors import NotFoundError, SiteError
from pipeline.site_file import Site, StoreSite, load_site
from pipeline.storage import Storage, open_storage
from pipeline.store import Store
from schemas.documents import PROBLEMS
from schemas.manifest import Manifest, Packing

DOCUMENTS_EXPLAINED = 20
"""How many matches of a glob `why` shows."""


def site_of(path: Path | None, store: str | None = None, workers: int | None = None, *, local: bool = False) -> Site:
    """The site file with the options of the command line over it."""
    site = load_site(path)
    if store is not None:
        site = site.model_copy(update={"store": _store_at(site.store, store)})
    changes: dict[str, object] = {"executor": "local"} if local else {}
    if workers is not None:
        changes["workers"] = workers
    return site.model_copy(update={"execution": site.execution.model_copy(update=changes)})


def _store_at(store: StoreSite, path: str) -> StoreSite:
    try:
        return StoreSite.model_validate(store.model_dump() | {"path": path})
    except ValidationError as error:
        raise SiteError(f"--store {path!r}: {error.errors()[0]['msg']}") from error


def existing_storage(site: Path | None, store: str | None) -> Storage:
    """The storage of a command that only looks. Raises NotFoundError where there is none, and creates nothing."""
    where = site_of(site, store).store
    if "://" not in where.path and not Path(where.path).exists():
        raise NotFoundError(
            f"there is no store at {where.path}; name yours with --store or --site, or make one: gristmill run tiny"
        )
    return open_storage(where)


def show_ls(*, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill ls`."""
    storage = existing_storage(site, store)
    rows = [
        _listed(storage, catalog.load(storage, f"{name}@{version}"))
        for name in catalog.names(storage)
        for version in catalog.versions(storage, name)
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(f"nothing is published in {storage.url('')}; start with: gristmill run tiny")
        return
    table = Table(box=None, pad_edge=False)
    for head in ("corpus", "documents", "tokens", "files", "size"):
        table.add_column(head, justify="left" if head == "corpus" else "right", no_wrap=True)
    table.add_column("path", overflow="fold")
    for row in rows:
        path = row["path"] + ("" if row["complete"] else " (incomplete: run its recipe again)")
        counts = [f"{row[name]:,}" for name in ("documents", "tokens", "files")]
        table.add_row(row["corpus"], *counts, human_bytes(row["bytes"]), path)
    standard_output().print(table)


def _listed(storage: Storage, manifest: Manifest) -> dict[str, Any]:
    return {
        "corpus": f"{manifest.name}@{manifest.version}",
        "documents": manifest.documents,
        "tokens": manifest.tokens,
        "files": len(manifest.files),
        "bytes": sum(file.file_bytes for file in manifest.files),
        "path": storage.url(catalog.folder(manifest)),
        "complete": catalog.is_complete(storage, manifest),
    }


def show_show(*, corpus: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill show`."""
    storage = existing_storage(site, store)
    manifest = catalog.load(storage, corpus)
    if as_json:
        added = [packing.model_dump() for packing in catalog.packings(storage, manifest)[len(manifest.packings) :]]
        print_json(manifest.model_dump() | {"added_packings": added})
        return
    console = standard_output()
    print_line(console, f"{manifest.name}@{manifest.version}  {storage.url(catalog.folder(manifest))}", style="bold")
    print_holdings(console, manifest, catalog.packings(storage, manifest))
    given = " ".join(f"{name}={_short(value)}" for name, value in manifest.parameters.items())
    print_line(console, f"recipe {manifest.recipe}: {given}")
    console.print()
    console.print(funnel_table(manifest.funnel))
    console.print()
    steps = Table(title="steps", title_justify="left", box=None, pad_edge=False)
    for head in ("step", "role", "shards", "libraries"):
        steps.add_column(head, justify="right" if head == "shards" else "left")
    for entry in manifest.steps:
        libraries = " ".join(f"{name}=={version}" for name, version in entry.libraries.items())
        steps.add_row(entry.name, entry.role, f"{len(entry.keys):,}", libraries)
    console.print(steps)


def show_diff(*, a: str, b: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill diff`."""
    opened = Store(existing_storage(site, store))
    left, right = catalog.load(opened.storage, a), catalog.load(opened.storage, b)
    found = inspection.difference(opened, left, right)
    if as_json:
        print_json(found)
        return
    console = standard_output()
    same = "the same content" if found["identical"] else "different content"
    print_line(console, f"a = {found['a']}, b = {found['b']}: {same}", style="bold")
    for name, count in found["documents"].items():
        print_line(console, f"documents {name.replace('_', ' ')}: {count:,}")
        for example in found["examples"].get(name, []):
            print_line(console, f"  {example['name']}  {example['document_id']}", style="dim")
    print_line(console, f"tokens: {found['tokens']['a']:,} -> {found['tokens']['b']:,}")
    for section in ("domains", "languages", "reasons", "parameters", "steps"):
        for name, change in found[section].items():
            print_line(console, f"{section} {name}: {_short(change['a'])} -> {_short(change['b'])}")


def show_why(*, corpus: str, document: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill why`."""
    opened = Store(existing_storage(site, store))
    manifest = catalog.load(opened.storage, corpus)
    matches = inspection.find(opened, manifest, document, DOCUMENTS_EXPLAINED + 1)
    explained = [inspection.explain(opened, manifest, found) for found in matches[:DOCUMENTS_EXPLAINED]]
    if as_json:
        print_json(explained)
        return
    console = standard_output()
    for entry in explained:
        _print_explanation(console, entry)
    if len(matches) > DOCUMENTS_EXPLAINED:
        click.echo(f"more documents match; the first {DOCUMENTS_EXPLAINED} are shown, name them more closely", err=True)


def _print_explanation(console: Console, entry: Mapping[str, Any]) -> None:
    documents = entry["steps"]["documents"]
    print_line(console, f"{documents['origin']} {documents['path']} {documents['member'] or ''}".rstrip(), style="bold")
    print_line(console, f"  id {entry['document_id']}, shard {entry['shard']}, row {entry['row']}")
    for name, values in entry["steps"].items():
        shown = ", ".join(f"{k} {_short(v)}" for k, v in values.items() if v is not None and v not in ([], ""))
        print_line(console, f"  {name}: {shown or '-'}")
    if documents["problem"] is not None:
        print_line(
            console, f"  {documents['problem']}: {PROBLEMS.get(documents['problem'], 'a reason of its own reader')}"
        )
    tokens = entry["tokens"]
    if tokens is None:
        print_line(console, "  published: no, the document was dropped")
    else:
        print_line(console, f"  published: {tokens['url']}, row {tokens['row']}")


def print_holdings(console: Console, manifest: Manifest, packings: Sequence[Packing] | None = None) -> None:
    """What a version holds: documents, tokens by domain, packings (those it was published with unless given)."""
    size = human_bytes(sum(file.file_bytes for file in manifest.files))
    files = f"{len(manifest.files):,} files" if len(manifest.files) != 1 else "1 file"
    print_line(
        console,
        f"{manifest.documents:,} documents, {manifest.tokens:,} tokens of {manifest.vocabulary} in {files}, {size}",
    )
    largest = sorted(manifest.domains.items(), key=lambda p: (-p[1], p[0]))
    shown = ", ".join(f"{name} {tokens:,}" for name, tokens in largest[:8])
    more = f" and {len(largest) - 8} more" if len(largest) > 8 else ""
    print_line(console, f"tokens by domain: {shown or 'none'}{more}")
    for packing in manifest.packings if packings is None else packings:
        print_line(console, describe_packing(packing))


def describe_packing(packing: Packing) -> str:
    """A packing in one line."""
    sequences = f"{packing.sequences:,} sequences" if packing.sequences != 1 else "1 sequence"
    if not packing.sequence_length:
        return f"packing {packing.name}: {sequences}, a document each"
    length, full = packing.sequence_length, math.floor(packing.utilisation * 10_000) / 100
    return f"packing {packing.name}: {sequences} of {length:,} tokens, {full:.2f} % full, {packing.pieces:,} pieces"


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def standard_output() -> Console:
    """Standard output; as wide as the lines need when it is not a terminal."""
    return Console() if sys.stdout.isatty() else Console(width=240)


def print_line(console: Console, line: str, style: str | None = None) -> None:
    """A line as it is: names from sources are neither markup nor cut."""
    console.print(printable(line), style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "..."
