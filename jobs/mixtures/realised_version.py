"""A mixture as a published version of its own, `name@version`, made from the shards of another version.

Reads the source's files, index and documents' metadata. Writes files, packing, index, sidecar, summary, manifest, card.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from jobs import card
from jobs.inspection import step
from jobs.mixtures.realisation import DRAW_STEP, files_of_version, paths_of, realise
from jobs.mixtures.realisation_index import MIXED_INDEX, MixedConfig, index_mixture, mark_mixture
from jobs.mixtures.realisation_plan import TOLERANCE, RealiseConfig, plan_domains
from jobs.packing.packings import PackingConfig, pack, packing_of
from jobs.publish import count_kept, funnel, list_sources
from jobs.stored import StoredDataset, stored
from jobs.summary import summarize
from pipeline import catalog
from pipeline.dataset import Dataset
from pipeline.fingerprint import canonical, digest
from pipeline.parquet import parquet_bytes
from pipeline.plan import Plan
from schemas.documents import DOCUMENT
from schemas.manifest import FileEntry, Manifest, Mixture, MixtureDomain, Record, StepEntry

RECIPE = "mixture realise"
"""What the manifest of a mixture has as its recipe."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MixedCorpus:
    """The handles of everything that the version needs."""

    source: Manifest
    config: RealiseConfig
    name: str
    version: str
    """Empty: the next number, or the version that already holds the same content."""
    packing: PackingConfig
    files: Dataset
    packed: Dataset
    index: Dataset
    marks: Dataset
    summary: Dataset

    @property
    def targets(self) -> tuple[Dataset, ...]:
        """What a run has to make."""
        return (self.files, self.packed, self.index, self.marks, self.summary)


def mixed_corpus(
    source: Manifest, config: RealiseConfig, packing: PackingConfig, name: str, version: str
) -> MixedCorpus:
    """Compose the steps. Raises ValueError for weights that the source cannot serve, and for names that are none."""
    catalog.check_name("name", name)
    if version:
        catalog.check_name("version", version)
    found = files_of_version(source)
    files = realise(found, config)
    dropped = tuple(domain for domain, weight in config.weights if not weight)
    mixed = MixedConfig(runs=found.runs, dropped=dropped)
    documents = stored(step(source, "documents"), DOCUMENT)
    index = index_mixture(stored(step(source, "index"), MIXED_INDEX), files, mixed)
    marks = mark_mixture(index, documents, mixed)
    return MixedCorpus(
        source=source,
        config=config,
        name=name,
        version=version,
        packing=packing,
        files=files,
        packed=pack(files, packing),
        index=index,
        marks=marks,
        summary=summarize(documents, marks, marks),
    )


def publish_mixture(mixed: MixedCorpus, plan: Plan) -> Manifest:
    """Publish a mixture whose plan is complete. Raises PublishError if its version is taken by other content."""
    written, indexed = plan.records(mixed.files), plan.records(mixed.packed)
    paths = [f"data/{path}" for path in paths_of(mixed.config)]
    packing = packing_of(mixed.packing.name, mixed.packing, mixed.source.end_of_document, paths, indexed)
    files = [_file(path, record) for path, record in zip(paths, written, strict=True)]
    domains = _domains(plan, mixed)
    totals = pa.concat_tables([plan.store.read(shard) for shard in plan.shards(mixed.summary)])
    manifest = Manifest(
        name=mixed.name,
        version=mixed.version,
        identity=digest(
            [file.model_dump() for file in files],
            packing.identity,
            [record.key for record in plan.records(mixed.index)],
        ),
        recipe=RECIPE,
        parameters={name: canonical(value) for name, value in _parameters(mixed).items()},
        vocabulary=mixed.source.vocabulary,
        tokenizer=mixed.source.tokenizer,
        end_of_document=mixed.source.end_of_document,
        documents=sum(file.rows for file in files),
        tokens=sum(file.tokens for file in files),
        domains={domain.domain: domain.realised for domain in domains if domain.realised},
        languages=count_kept(totals, "language"),
        licenses=count_kept(totals, "license"),
        files=files,
        packings=[packing],
        sources=list_sources(totals),
        funnel=[*mixed.source.funnel, *(entry for entry in funnel(plan) if entry.step == mixed.marks.name)],
        steps=_steps(plan, mixed),
        mixture=Mixture(
            source=f"{mixed.source.name}@{mixed.source.version}",
            source_identity=mixed.source.identity,
            tokens=mixed.config.tokens,
            max_epochs=mixed.config.max_epochs,
            seed=mixed.config.seed,
            domains=domains,
        ),
    )
    extra = {
        "README.md": card.render(manifest).encode(),
        "summary.parquet": bytes(parquet_bytes(totals)),
        f"packings/{packing.name}/packing.json": catalog.packing_bytes(packing),
    }
    sources = {path: record.file for path, record in zip(paths, written, strict=True)}
    sources |= {file.path: record.file for file, record in zip(packing.files, indexed, strict=True)}
    return catalog.publish(plan.store.storage, manifest, extra, sources)


def _file(path: str, record: Record) -> FileEntry:
    return FileEntry(
        path=path,
        key=record.key,
        sha256=record.sha256,
        file_bytes=record.file_bytes,
        rows=record.rows,
        tokens=record.counters["tokens"],
    )


def _domains(plan: Plan, mixed: MixedCorpus) -> list[MixtureDomain]:
    """Planned and realised: what is counted is what stands in the files, not what was meant to."""
    counted: Counter[str] = Counter()
    for record in plan.records(mixed.index):
        counted.update(record.counters)
    drawn = next(dataset for dataset in plan.datasets if dataset.name == DRAW_STEP)
    domains = []
    for own, draw in zip(plan_domains(mixed.config, mixed.source.domains), plan.records(drawn), strict=True):
        realised = counted[f"tokens:{own.domain}"]
        assert abs(realised - own.planned) <= TOLERANCE * own.planned, (own, realised)
        domains.append(
            MixtureDomain(
                domain=own.domain,
                weight=own.weight,
                available=own.available,
                planned=own.planned,
                realised=realised,
                epochs=realised / own.available,
                documents=counted[f"documents:{own.domain}"],
                copies=counted[f"copies:{own.domain}"],
                cut=draw.counters["cut"],
            )
        )
    return domains


def _parameters(mixed: MixedCorpus) -> Mapping[str, object]:
    return {
        "source": f"{mixed.source.name}@{mixed.source.version}",
        "weights": dict(mixed.config.weights),
        "tokens": mixed.config.tokens,
        "max_epochs": mixed.config.max_epochs,
        "seed": mixed.config.seed,
        "packing": mixed.packing.method,
        "sequence_length": mixed.packing.sequence_length,
    }


def _steps(plan: Plan, mixed: MixedCorpus) -> list[StepEntry]:
    """Those of the source, and behind them its own. There is one of each role that readers look for: the mixture's."""
    roles = {mixed.files: "files", mixed.packed: "packing", mixed.index: "index", mixed.marks: "sidecar"}
    made = [d for d in plan.datasets if not d.temporary and not isinstance(d, StoredDataset)]
    own = [_entry(plan, dataset, roles.get(dataset, "other")) for dataset in made]
    return [*_inherited(mixed.source.steps, {entry.name for entry in own}), *own]


def _inherited(steps: Sequence[StepEntry], taken: set[str]) -> list[StepEntry]:
    """The source's steps without its packings and its summary, which are not of the mixture."""
    kept = [entry for entry in steps if entry.role != "packing" and entry.name not in taken]
    return [e.model_copy(update={"role": "other"}) if e.role in ("files", "index") else e for e in kept]


def _entry(plan: Plan, dataset: Dataset, role: str) -> StepEntry:
    return StepEntry(
        name=dataset.name,
        folder=dataset.folder,
        role=role,
        version=dataset.version,
        config=canonical(dataset.config),
        libraries=dataset.versions,
        inputs=[needed.folder for needed in dataset.inputs],
        keys=[shard.key for shard in plan.shards(dataset)],
    )
