"""From a loaded recipe to a published version: build the handles, plan, run, publish."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.publish import Corpus, publish
from jobs.running import run_plan, terminate_as_interrupt
from pipeline import catalog, iceberg
from pipeline.errors import RecipeError
from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.run import Event
from pipeline.site_file import Site
from pipeline.storage import open_storage
from pipeline.store import Store
from schemas.manifest import Manifest

Listener = Callable[[Event], None]


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
    plan = Plan(targets=corpus.targets, store=Store(open_storage(site.store), site.llm), scratch=scratch_folder(site))
    return Prepared(recipe=recipe, arguments=arguments, corpus=corpus, plan=plan, site=site)


def scratch_folder(site: Site) -> Path:
    """Where the driver keeps digests of scanned files and downloads: in a local store, or in the user's cache."""
    if "://" not in site.store.path:
        return Path(site.store.path) / "scratch"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "gristmill"


def execute(prepared: Prepared, listener: Listener) -> Manifest:
    """Run what is not committed, then publish. Raises ShardsFailedError, SiteError, PublishError and SourceError."""

    def publish_corpus(plan: Plan) -> Manifest:
        return publish(plan, prepared.corpus, prepared.recipe.name, prepared.arguments)

    return make_version(prepared.plan, prepared.site, prepared.recipe.code, listener, publish_corpus)


def execute_following(prepared: Prepared, manifest: Manifest) -> tuple[Plan, Callable[[Listener], Manifest]] | None:
    """The plan of what the recipe makes of its published version, and what carries it out; None if it makes nothing.

    Raises RecipeError where that cannot be made of it.
    """
    if prepared.corpus.following is None:
        return None
    store, site = prepared.plan.store, prepared.site
    try:
        following = prepared.corpus.following(store, manifest)
    except ValueError as error:
        raise RecipeError(f"recipe {prepared.recipe.name}: {error}") from error
    plan = Plan(targets=following.targets, store=store, scratch=prepared.plan.scratch)

    def make(listener: Listener) -> Manifest:
        return make_version(plan, site, prepared.recipe.code, listener, following.publish)

    return plan, make


def make_version(
    plan: Plan,
    site: Site,
    code: tuple[str, ...],
    listener: Listener,
    publish_version: Callable[[Plan], Manifest],
) -> Manifest:
    """Run what a plan lacks, publish what it is of, and register that. Raises as `execute` does."""
    with terminate_as_interrupt():
        run_plan(plan, site, code, listener)
        manifest = publish_version(plan)
        files = [f"{catalog.folder(manifest)}/{file.path}" for file in manifest.files]
        iceberg.register(site, plan.store.storage, manifest.name, manifest.version, files)
        return manifest
