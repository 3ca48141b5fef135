"""`gristmill pack`: another packing of a published version, beside its data, which stays as it is."""

from pathlib import Path

import click
from rich.console import Console

from jobs.display import watch
from jobs.execution import scratch_folder
from jobs.inspection import step
from jobs.looking import describe_packing, existing_storage, print_json, site_of
from jobs.packing.packings import Method, PackingConfig, pack, packing_of
from jobs.progress import Tracker
from jobs.stored import stored
from jobs.terminal import printable
from pipeline import catalog
from pipeline.errors import RecipeError
from pipeline.execute_local import LocalExecutor
from pipeline.plan import Plan
from pipeline.run import Run
from pipeline.site_file import Site
from pipeline.storage import Storage
from pipeline.store import Store
from schemas.corpus import DATA
from schemas.manifest import Manifest, Packing


def add_packing(
    *,
    corpus: str,
    sequence_length: int,
    method: Method,
    name: str,
    seed: int,
    site: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Make the packing, publish it and print it. The same again changes nothing.

    Raises RecipeError for settings that no packing has, NotFoundError for a version that is not there and PublishError
    for a name that is taken by another packing.
    """
    storage = existing_storage(site, store)
    manifest = catalog.load(storage, corpus)
    try:
        config = PackingConfig(method=method, sequence_length=sequence_length, seed=seed)
        catalog.check_name("name", name or config.name)
    except ValueError as error:
        raise RecipeError(f"pack {corpus}: {error}") from error
    packing, is_new = make_packing(site_of(site, store), storage, manifest, config, name or config.name)
    path = storage.url(f"{catalog.folder(manifest)}/packings/{packing.name}")
    if as_json:
        print_json({"corpus": f"{manifest.name}@{manifest.version}", "path": path, "made": is_new} | _whole(packing))
        return
    click.echo(printable(f"{manifest.name}@{manifest.version}  {path}"))
    click.echo(describe_packing(packing))
    if not is_new:
        click.echo("nothing was left to do")


def make_packing(
    site: Site, storage: Storage, manifest: Manifest, config: PackingConfig, name: str
) -> tuple[Packing, bool]:
    """The packing, and whether it was not there before. In this process, one file's numbers of tokens at a time."""
    dataset = pack(stored(step(manifest, "files"), DATA), config)
    plan = Plan(targets=(dataset,), store=Store(storage), scratch=scratch_folder(site))
    with watch(Tracker(plan=plan), Console(stderr=True)) as listen:
        Run(plan=plan, executor=LocalExecutor(site), retries=site.execution.retries, listener=listen).execute()
    records = plan.records(dataset)
    paths = [file.path for file in manifest.files]
    packing = packing_of(name, config, manifest.end_of_document, paths, records)
    sources = {file.path: record.file for file, record in zip(packing.files, records, strict=True)}
    return packing, catalog.publish_packing(storage, manifest, packing, sources)


def _whole(packing: Packing) -> dict[str, object]:
    return {"packing": packing.model_dump(), "utilisation": packing.utilisation}
