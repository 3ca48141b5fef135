"""A mixture made exact: files with weights and a token target to shuffled files that hold what was planned.

Reads published files (`DATA`): of a version, or of a plan that will make them. Writes one shard of `DATA` rows per
file of the mixture. Memory: up to 22 bytes per token of a source file in a map, up to 17 per token of a file of the
mixture in a reduce, and 60 MB; nothing grows with the corpus.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import ceil

from jobs.inspection import step
from jobs.mixtures.realisation_files import (
    BUCKETS,
    DRAW_COLUMNS,
    UNITS,
    Copies,
    Draw,
    Threshold,
    count_tokens,
    find_bucket,
    find_threshold,
    has_rest,
    list_bucket,
    write_file,
)
from jobs.mixtures.realisation_plan import DomainPlan, RealiseConfig, plan_domains
from jobs.packing.files import SHUFFLED, FilesConfig, domain_totals, files_of
from jobs.stored import stored
from pipeline.dataset import Dataset
from pipeline.errors import PlanError
from pipeline.exchange import Exchange, Feed, Partitions, exchange
from schemas.corpus import DATA
from schemas.manifest import Manifest, Record, StepEntry

DRAW_STEP = "mixture-draw"
"""Name of the step whose records say where the draw of every domain ends."""

Records = Sequence[Sequence[Record]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SourceFiles:
    """Files to mix, with the domain of each."""

    files: Dataset
    runs: tuple[tuple[str, int], ...] = ()
    """Of a version: (domain, number of its files), in the order of the files."""
    available: Mapping[str, int] = field(default_factory=dict)
    """Of a version: tokens by domain."""
    entry: StepEntry | None = None
    """Of a version: the step that made the files."""
    placement: Dataset | None = None
    """Of a plan: the sidecar that chose the domains."""
    layout: FilesConfig | None = None
    """Of a plan: what the files were made with."""


def files_of_version(manifest: Manifest) -> SourceFiles:
    """The files of a published version. Raises PlanError for a version that is a mixture: its files have no domains."""
    if manifest.mixture is not None:
        raise PlanError(
            f"{manifest.name}@{manifest.version} is a mixture itself, of {manifest.mixture.source}; realise weights "
            f"of {manifest.mixture.source}"
        )
    runs = tuple((domain, len(list(files))) for domain, files in groupby(f.path.split("/")[1] for f in manifest.files))
    entry = step(manifest, "files")
    return SourceFiles(files=stored(entry, DATA), runs=runs, available=manifest.domains, entry=entry)


def files_of_plan(files: Dataset, placement: Dataset, layout: FilesConfig) -> SourceFiles:
    """The files that `shuffle(documents, placement, tokens, layout)` gives, in a recipe."""
    return SourceFiles(files=files, placement=placement, layout=layout)


def realise(source: SourceFiles, config: RealiseConfig) -> Dataset:
    """The files of the mixture, in one global order: each is a sample of the whole.

    Raises ValueError for weights that the source cannot serve; in a plan, where its tokens are counted later, that
    comes as a PlanError when they are.
    """
    draw = _settled(source, config)
    known = () if source.placement is None else (source.placement,)

    def settle(records: Records) -> Draw:
        return draw if source.placement is None else _counted(source, config, records[0])

    def with_buckets(_: Draw, records: Records) -> Draw:
        found = tuple((r.counters["bucket"], r.counters["below"]) for r in records[-1])
        return replace(settle(records), buckets=found)

    def with_thresholds(_: Draw, records: Records) -> Draw:
        found = tuple(Threshold(end=r.counters["end"], cut=r.counters["cut"]) for r in records[-1])
        return replace(settle(records), thresholds=found)

    counted = exchange(
        Exchange(name="mixture-buckets", version=1, spills=BUCKETS, writes=BUCKETS, reduce=find_bucket),
        draw,
        [Feed(map=count_tokens, datasets=(_part(source, draw, has_rest),), columns=(DRAW_COLUMNS,))],
        partitions=_count(len(config.weights)),
        counts_of=known,
        complete=lambda _, records: settle(records),
    )
    drawn = exchange(
        Exchange(name=DRAW_STEP, version=1, spills=UNITS, writes=UNITS, reduce=find_threshold),
        draw,
        [Feed(map=list_bucket, datasets=(_part(source, draw, has_rest),), columns=(DRAW_COLUMNS,))],
        partitions=_count(len(config.weights)),
        counts_of=(*known, counted),
        complete=with_buckets,
    )
    passes = [Copies(epoch) for epoch in range(_passes(draw))]
    return exchange(
        Exchange(name="mixture-files", version=1, spills=SHUFFLED, writes=DATA, reduce=write_file),
        draw,
        [
            Feed(map=copies, datasets=(_part(source, draw, copies.needs),), columns=((*DRAW_COLUMNS, "tokens"),))
            for copies in passes
        ],
        partitions=_count(config.num_files),
        counts_of=(*known, drawn),
        complete=with_thresholds,
    )


def paths_of(config: RealiseConfig, domain: str = "mixture") -> list[str]:
    """Path of every file of the mixture below `data/`, in shard order."""
    return [f"{domain}/part-{number:05d}.parquet" for number in range(config.num_files)]


def _settled(source: SourceFiles, config: RealiseConfig) -> Draw:
    """What is known before anything has run."""
    if source.placement is not None:
        return Draw(config=config, reads_all=True)
    return Draw(config=config, runs=source.runs, plans=plan_domains(config, source.available))


def _counted(source: SourceFiles, config: RealiseConfig, placed: Sequence[Record]) -> Draw:
    """What is known once the documents of a plan are placed."""
    assert source.layout is not None
    domains = (path.split("/")[0] for path in files_of(source.layout, placed))
    runs = tuple((domain, len(list(files))) for domain, files in groupby(domains))
    try:
        plans = plan_domains(config, domain_totals(placed))
    except ValueError as error:
        raise PlanError(f"mixture: {error}") from error
    return Draw(config=config, runs=runs, plans=plans, reads_all=True)


def _passes(draw: Draw) -> int:
    """Passes over the files; an upper bound where the tokens are not counted yet."""
    return max((plan.passes for plan in draw.plans), default=ceil(draw.config.max_epochs) + 1)


def _part(source: SourceFiles, draw: Draw, needs: Callable[[DomainPlan], bool]) -> Dataset:
    """The files of the domains that a pass needs, where a version says which those are; else all."""
    if source.entry is None:
        return source.files
    wanted = {plan.domain for plan in draw.plans if needs(plan)}
    domains = [domain for domain, files in source.runs for _ in range(files)]
    keys = [key for key, domain in zip(source.entry.keys, domains, strict=True) if domain in wanted]
    return stored(source.entry.model_copy(update={"keys": keys}), DATA)


def _count(number: int) -> Partitions:
    return lambda *_: number
