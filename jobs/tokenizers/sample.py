"""A sample of texts by language, from sources or a published version: the same whatever the shards.

Memory: `max_bytes` per language, and one shard.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from jobs.display import watch
from jobs.execution import scratch_folder
from jobs.inspection import named_step, step
from jobs.looking import existing_storage, site_of
from jobs.progress import Tracker
from jobs.running import run_plan
from jobs.sources import parse_sources
from pipeline import catalog
from pipeline.annotate import zip_columns
from pipeline.errors import NotFoundError
from pipeline.ingest import ingest
from pipeline.plan import Plan
from pipeline.storage import open_storage
from pipeline.store import Shard, Store
from stages.ingest.document import chain

UNKNOWN = "unknown"
"""Language of documents without one."""

_COLUMNS = ("document_id", "language", "text")

Texts = dict[str, "pa.Array[Any]"]
"""Texts by language, sorted by name."""


def sample_texts(tables: Iterator[pa.Table], max_bytes: int) -> Texts:
    """Of each language the documents with the smallest ids, up to `max_bytes` of text; larger documents are left out.

    Ids are digests, so this is a random sample, and the same in whatever order the documents come.
    """
    kept: dict[str, pa.Table] = {}
    for table in tables:
        sizes = pc.binary_length(table["text"])
        table = table.filter(pc.fill_null(pc.and_(pc.greater(sizes, 0), pc.less_equal(sizes, max_bytes)), False))
        languages = pc.fill_null(table["language"], UNKNOWN)
        for language in pc.unique(languages).to_pylist():
            found = table.filter(pc.equal(languages, language)).select(["document_id", "text"])
            parts = [kept[language], found] if language in kept else [found]
            kept[language] = _first(pa.concat_tables(parts), max_bytes)
    return {language: kept[language]["text"].combine_chunks() for language in sorted(kept)}


def _first(table: pa.Table, max_bytes: int) -> pa.Table:
    table = table.sort_by("document_id")
    ends = np.cumsum(pc.binary_length(table["text"]).to_numpy(), dtype=np.int64)
    return table.slice(0, int(np.searchsorted(ends, max_bytes, side="right"))).combine_chunks()


def corpus_tables(corpus: str, site: Path | None, store: str | None) -> Iterator[pa.Table]:
    """The documents that a published version keeps, shard by shard."""
    opened = Store(existing_storage(site, store))
    manifest = catalog.load(opened.storage, corpus)
    documents, decisions = step(manifest, "documents"), named_step(manifest, "select")
    for number, key in enumerate(documents.keys):
        shards = [Shard(step=documents.folder, key=key, base=key)]
        names: list[Sequence[str]] = [_COLUMNS]
        if decisions is not None:
            shards.append(Shard(step=decisions.folder, key=decisions.keys[number], base=key))
            names.append(("keep",))
        table = zip_columns(opened, shards, names)
        yield table if decisions is None else table.filter(table["keep"])


def source_tables(
    source: Sequence[str], site: Path | None, store: str | None, workers: int | None, *, local: bool
) -> Iterator[pa.Table]:
    """The documents of sources, read into the store first, shown on standard error."""
    place = site_of(site, store, workers, local=local)
    documents = ingest(*parse_sources(source), stages=chain())
    opened = Store(open_storage(place.store))
    plan = Plan(targets=(documents,), store=opened, scratch=scratch_folder(place))
    with watch(Tracker(plan=plan), Console(stderr=True)) as listen:
        run_plan(plan, place, (), listen)
    for shard in plan.shards(documents):
        yield opened.read(shard, list(_COLUMNS))


def check_sample(texts: Texts) -> Texts:
    """The sample itself. Raises NotFoundError for an empty one."""
    if not texts:
        raise NotFoundError("there is no text to measure: every document is empty, unreadable, dropped or too large")
    return texts
