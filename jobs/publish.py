"""From decided documents and their tokens to `corpus@version`: shuffle, packings, index, summary, manifest, card."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs import card
from jobs.index import build_index
from jobs.packing.files import FilesConfig, domain_totals, files_of, shuffle
from jobs.packing.packings import PackingConfig, pack, packing_of
from jobs.placement import PlacementConfig, placement_stage
from jobs.summary import summarize
from pipeline import catalog
from pipeline.annotate import annotate
from pipeline.dataset import Dataset
from pipeline.fingerprint import canonical, digest
from pipeline.parquet import parquet_bytes
from pipeline.plan import Plan
from pipeline.store import Store
from schemas.manifest import FileEntry, FunnelEntry, Manifest, SourceEntry, StepEntry
from schemas.tokens import TOKENIZER_KEY

LISTED_SOURCES = 1000
"""Sources that a manifest lists, the largest first; all of them are in `summary.parquet`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusConfig:
    """What is published, and as what."""

    name: str
    version: str = ""
    """Empty: the next number, or the version that already holds the same content."""
    vocabulary: str
    """Name of the vocabulary of the tokens, for the manifest."""
    files: FilesConfig
    packings: tuple[PackingConfig, ...] = (PackingConfig(),)
    """How its documents become training sequences; more can be added once it is published."""
    domain_column: str = "language"
    """String column of the documents, or else of a sidecar among the marks, whose values are the domains."""
    seed: int = 0
    """Of the shuffle."""

    def __post_init__(self) -> None:
        catalog.check_name("name", self.name)
        if self.version:
            catalog.check_name("version", self.version)
        if len({packing.name for packing in self.packings}) < len(self.packings):
            raise ValueError("two packings have the same method and length; publish one and add the other afterwards")


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """What a recipe returns: the handles of everything that a published version needs."""

    config: CorpusConfig
    documents: Dataset
    placement: Dataset
    files: Dataset
    packings: tuple[Dataset, ...]
    index: Dataset
    summary: Dataset
    tokens: Dataset
    sidecars: tuple[Dataset, ...]
    reports: tuple[Dataset, ...]
    following: "Callable[[Store, Manifest], Following] | None" = None
    """What the same run makes of the version once it is published."""

    @property
    def targets(self) -> tuple[Dataset, ...]:
        """What a run has to make."""
        return (self.files, *self.packings, self.index, self.summary, *self.sidecars, *self.reports)


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """Another version, made of one that was published before."""

    targets: tuple[Dataset, ...]
    """What a run has to make."""
    publish: Callable[[Plan], Manifest]
    """Publishes it when its plan is complete. Raises PublishError if its version is taken by other content."""


def corpus(
    documents: Dataset,
    decisions: Dataset,
    tokens: Dataset,
    config: CorpusConfig,
    *,
    marks: Sequence[Dataset] = (),
    reports: Sequence[Dataset] = (),
    order: Dataset | None = None,
) -> Corpus:
    """Compose the publishing steps. `decisions` holds `keep`, `tokens` holds `tokens` and `num_tokens`.

    `marks` are sidecars that the version keeps, `reports` other datasets that it keeps, such as statistics.
    `order` is a sidecar with `repository_key` and `repository_rank`: the files of a repository then stay together.
    """
    grouped = order is not None
    place = placement_stage(PlacementConfig(domain_column=config.domain_column, seed=config.seed, grouped=grouped))
    orders = [] if order is None else [order]
    named = [] if config.domain_column in documents.schema.names else _with_column(config.domain_column, marks)
    placement = annotate("placement", documents, decisions, tokens, *orders, *named, stages=[place])
    files = shuffle(documents, placement, tokens, config.files)
    return Corpus(
        config=config,
        documents=documents,
        placement=placement,
        files=files,
        packings=tuple(pack(files, packing) for packing in config.packings),
        index=build_index(documents, decisions, files),
        summary=summarize(documents, decisions, tokens),
        tokens=tokens,
        sidecars=(*marks, decisions, tokens, *orders, placement),
        reports=tuple(reports),
    )


def _with_column(column: str, marks: Sequence[Dataset]) -> list[Dataset]:
    return [mark for mark in marks if column in mark.schema.names][:1]


def publish(plan: Plan, corpus: Corpus, recipe: str, parameters: Mapping[str, object]) -> Manifest:
    """Publish a corpus whose plan is complete. Raises PublishError if its version is taken by other content."""
    store = plan.store
    totals = pa.concat_tables([store.read(shard) for shard in plan.shards(corpus.summary)])
    placed, written = plan.records(corpus.placement), plan.records(corpus.files)
    paths = [f"data/{path}" for path in files_of(corpus.config.files, placed)]
    files = [
        FileEntry(
            path=path,
            key=record.key,
            sha256=record.sha256,
            file_bytes=record.file_bytes,
            rows=record.rows,
            tokens=record.counters["tokens"],
        )
        for path, record in zip(paths, written, strict=True)
    ]
    indexed = [plan.records(packing) for packing in corpus.packings]
    padding = corpus.config.files.end_of_document
    packings = [
        packing_of(config.name, config, padding, paths, records)
        for config, records in zip(corpus.config.packings, indexed, strict=True)
    ]
    manifest = Manifest(
        name=corpus.config.name,
        version=corpus.config.version,
        identity=digest(
            [file.model_dump() for file in files],
            [packing.identity for packing in packings],
            [record.key for made in (corpus.index, *corpus.reports) for record in plan.records(made)],
        ),
        recipe=recipe,
        parameters={name: canonical(value) for name, value in parameters.items()},
        vocabulary=corpus.config.vocabulary,
        tokenizer=_tokenizer(plan, corpus.tokens),
        end_of_document=padding,
        documents=sum(file.rows for file in files),
        tokens=sum(file.tokens for file in files),
        domains=domain_totals(placed),
        languages=count_kept(totals, "language"),
        licenses=count_kept(totals, "license"),
        files=files,
        packings=packings,
        sources=list_sources(totals),
        funnel=funnel(plan),
        steps=[_entry(plan, dataset, corpus) for dataset in plan.datasets if not dataset.temporary],
    )
    extra = {"README.md": card.render(manifest).encode(), "summary.parquet": bytes(parquet_bytes(totals))}
    sources = {path: record.file for path, record in zip(paths, written, strict=True)}
    for packing, records in zip(packings, indexed, strict=True):
        sources |= {file.path: record.file for file, record in zip(packing.files, records, strict=True)}
        extra[f"packings/{packing.name}/packing.json"] = catalog.packing_bytes(packing)
    return catalog.publish(store.storage, manifest, extra, sources)


def _tokenizer(plan: Plan, tokens: Dataset) -> dict[str, Any]:
    """What the first shard of the tokens says of its encoder; one step has one."""
    for shard in plan.shards(tokens)[:1]:
        metadata = plan.store.read(shard, ["num_tokens"]).schema.metadata or {}
        if TOKENIZER_KEY in metadata:
            described: dict[str, Any] = json.loads(metadata[TOKENIZER_KEY])
            return described
    return {}


def funnel(plan: Plan) -> list[FunnelEntry]:
    """Rows and bytes into and out of every complete step that counts documents."""
    entries = []
    for dataset in plan.datasets:
        if dataset.temporary or not plan.is_complete(dataset):
            continue
        counters = [record.counters for record in plan.records(dataset)]
        if not any("out_rows" in c for c in counters):
            continue
        rows_in = sum(c["rows"] for c in counters)
        bytes_in = sum(c.get("bytes", 0) for c in counters)
        reasons = sorted({name for c in counters for name in c if name.startswith("reason:")})
        entries.append(
            FunnelEntry(
                step=dataset.name,
                rows_in=rows_in,
                rows_out=sum(c.get("out_rows", c["rows"]) for c in counters),
                bytes_in=bytes_in,
                bytes_out=sum(c.get("out_bytes", c.get("bytes", 0)) for c in counters),
                reasons={name.removeprefix("reason:"): sum(c.get(name, 0) for c in counters) for name in reasons},
            )
        )
    return entries


def count_kept(totals: pa.Table, column: str) -> dict[str, int]:
    """Kept documents by a column of the summary, most first; null counts as `unknown`."""
    grouped = totals.group_by(column, use_threads=False).aggregate([("kept", "sum")])
    pairs = zip(grouped[column].to_pylist(), grouped["kept_sum"].to_pylist(), strict=True)
    return {name or "unknown": n for name, n in sorted(pairs, key=lambda p: (-p[1], p[0] or "")) if n}


def list_sources(totals: pa.Table) -> list[SourceEntry]:
    """The largest sources of the summary."""
    grouped = totals.group_by(["origin", "revision"], use_threads=False).aggregate(
        [("documents", "sum"), ("bytes", "sum")]
    )
    order = [("bytes_sum", "descending"), ("origin", "ascending"), ("revision", "ascending")]
    rows = grouped.sort_by(order).slice(0, LISTED_SOURCES)
    values = (rows[name].to_pylist() for name in ("origin", "revision", "documents_sum", "bytes_sum"))
    return [SourceEntry(origin=o, revision=r, documents=d, bytes=b) for o, r, d, b in zip(*values, strict=True)]


def _entry(plan: Plan, dataset: Dataset, corpus: Corpus) -> StepEntry:
    shards = plan.shards(dataset)
    aligned = {shard.key for shard in plan.shards(corpus.documents)}
    if dataset is corpus.documents:
        role = "documents"
    elif dataset is corpus.files:
        role = "files"
    elif dataset in corpus.packings:
        role = "packing"
    elif dataset is corpus.index:
        role = "index"
    else:
        role = "sidecar" if all(shard.base in aligned for shard in shards) else "other"
    return StepEntry(
        name=dataset.name,
        folder=dataset.folder,
        role=role,
        version=dataset.version,
        config=canonical(dataset.config),
        libraries=dataset.versions,
        inputs=[needed.folder for needed in dataset.inputs],
        keys=[shard.key for shard in shards],
    )
