"""From a loaded recipe to a published version: build the handles, plan, run, publish."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from jobs.publish import Corpus, publish
from pipeline import catalog, iceberg
from pipeline.cluster import cluster
from pipeline.errors import RecipeError
from pipeline.execute import Executor
from pipeline.execute_local import LocalExecutor
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.run import Event, Run
from pipeline.site_file import Site
from pipeline.storage import open_storage
from pipeline.store import Store
from schemas.manifest import Manifest

_SCAN_ALONE_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A recipe with its arguments, ready to plan or run."""

    recipe: Recipe
    arguments: Mapping[str, object]
    corpus: Corpus
    plan: Plan
    site: Site


def prepare(recipe: Recipe, arguments: Mapping[str, object], site: Site) -> Prepared:
    """Build the handles of a recipe. Nothing is read or written but listings of the sources, later, by the plan."""
    try:
        corpus = recipe.function(**arguments)
    except ValueError as error:  # how configs refuse a value
        raise RecipeError(f"recipe {recipe.name}: {error}") from error
    if not isinstance(corpus, Corpus):
        raise RecipeError(
            f"recipe {recipe.name} returned {type(corpus).__name__}; it must return a jobs.publish.Corpus"
        )
    plan = Plan(targets=corpus.targets, store=Store(open_storage(site.store)), scratch=scratch_folder(site))
    return Prepared(recipe=recipe, arguments=arguments, corpus=corpus, plan=plan, site=site)


def scratch_folder(site: Site) -> Path:
    """Where the driver keeps digests of scanned files and downloads: in a local store, or in the user's cache."""
    if "://" not in site.store.path:
        return Path(site.store.path) / "scratch"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "gristmill"


def execute(prepared: Prepared, listener: Callable[[Event], None]) -> Manifest:
    """Run what is not committed, then publish. Raises ShardsFailedError, SiteError, PublishError and SourceError."""
    plan, site = prepared.plan, prepared.site
    with ExitStack() as stack:
        stack.enter_context(_terminate_as_interrupt())
        # the sources are scanned while the cluster starts; a plan with nothing to do needs no cluster
        scanner = ThreadPoolExecutor(1)
        stack.callback(scanner.shutdown, wait=False, cancel_futures=True)
        scan = scanner.submit(plan.grow)
        wait([scan], timeout=_SCAN_ALONE_S)
        if not (scan.done() and scan.result() is not None and plan.is_whole() and not plan.wanted()):
            executor = stack.enter_context(_executor(site, prepared.recipe.code))
            stack.enter_context(_terminate_as_interrupt())  # Ray has set its own handler
            scan.result()
            run = Run(plan=plan, executor=executor, retries=site.execution.retries, listener=listener)
            run.execute()
        manifest = publish(plan, prepared.corpus, prepared.recipe.name, prepared.arguments)
        files = [f"{catalog.folder(manifest)}/{file.path}" for file in manifest.files]
        iceberg.register(site, plan.store.storage, manifest.name, manifest.version, files)
        return manifest


@contextmanager
def _executor(site: Site, code: tuple[str, ...]) -> Iterator[Executor]:
    if site.execution.executor == "local":
        local = LocalExecutor(site)
        try:
            yield local
        finally:
            local.close()
        return
    with cluster(site, code) as cpus:
        from pipeline.execute_ray import RayExecutor

        executor = RayExecutor(site, cpus, code)
        try:
            yield executor
        finally:
            executor.close()


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, so that a local cluster is taken down."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
