"""The one way to see all rows: map, spill, reduce.

Every whole-corpus job is made of exchanges. A map turns one input shard into rows tagged with a partition; they are
spilled as one file per input shard, sorted by partition; a reduce sees all rows of one partition, in the order of the
input shards, and writes one output shard. Spills and outputs are shards with keys, so an exchange resumes like any
other step. Memory: one input shard in a map, one partition in a reduce; choose the number of partitions accordingly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa

from pipeline.annotate import zip_columns
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.fingerprint import digest
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record

Config = TypeVar("Config")
Columns = tuple[str, ...]
PARTITION = "partition"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where in the exchange a map or reduce stands."""

    index: int
    """Number of the input shard (map) or of the partition (reduce)."""
    partitions: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reduced:
    """What a reduce gives: the table of its shard, with counters and the row groups of its file."""

    table: pa.Table
    counters: Mapping[str, int] = field(default_factory=dict)
    rows_per_group: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange(Generic[Config]):
    """What an exchange spills and writes, and its reduce. Maps and reduces are module-level, pure and deterministic."""

    name: str
    version: int
    """Bump when the same input and config would give other output."""
    spills: pa.Schema
    """Columns of the spilled rows, without the partition."""
    writes: pa.Schema
    reduce: Callable[[Config, Place, pa.Table, pa.Table | None], Reduced]
    """All rows of a partition, and the columns of the base shard in an aligned exchange, to the output shard."""
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed(Generic[Config]):
    """Row-aligned inputs of an exchange with the map that turns them into spilled rows."""

    map: Callable[[Config, Place, pa.Table], pa.Table]
    """Columns of row-aligned shards to rows of `spills` plus an int32 column `partition`."""
    datasets: tuple[Dataset, ...]
    columns: tuple[Columns, ...]
    """What the map reads from each dataset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aligned:
    """A reduce whose partition i is shard i of these row-aligned datasets: its output is their sidecar."""

    datasets: tuple[Dataset, ...]
    columns: tuple[Columns, ...]


Partitions = Callable[[Sequence[Shard], Sequence[Sequence[Record]]], int]
"""Number of partitions from the planned input shards and the records of the datasets in `counts_of`."""


def exchange(
    functions: Exchange[Config],
    config: Config,
    feeds: Sequence[Feed[Config]],
    *,
    partitions: Partitions | Aligned,
    counts_of: tuple[Dataset, ...] = (),
    complete: Callable[[Config, Sequence[Sequence[Record]]], Config] | None = None,
) -> Dataset:
    """A dataset with one shard per partition, from the rows that all feeds spill.

    `counts_of` names datasets whose records decide the number of partitions or, through `complete`, fill in the config;
    the tasks stay unknown until those datasets are complete.
    """
    plan = _Plan(functions=functions, config=config, feeds=tuple(feeds), partitions=partitions, complete=complete)
    spills = tuple(
        Dataset(
            name=f"{functions.name}-map{number or ''}",
            version=functions.version,
            config=[config, feed.map.__name__, [list(c) for c in feed.columns]],
            inputs=feed.datasets,
            schema=functions.spills,
            expand=partial(_expand_map, plan, feed),
            libraries=functions.libraries,
            counts_of=counts_of,
            temporary=True,
        )
        for number, feed in enumerate(feeds)
    )
    aligned = partitions if isinstance(partitions, Aligned) else Aligned(datasets=(), columns=())
    return Dataset(
        name=functions.name,
        version=functions.version,
        config=[config, [list(c) for c in aligned.columns]],
        inputs=(*spills, *aligned.datasets),
        schema=functions.writes,
        expand=partial(_expand_reduce, plan, spills),
        libraries=functions.libraries,
        counts_of=counts_of,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    functions: Exchange[Any]
    config: Any
    feeds: tuple[Feed[Any], ...]
    partitions: Partitions | Aligned
    complete: Callable[[Any, Sequence[Sequence[Record]]], Any] | None

    def settle(self, dataset: Dataset, expansion: Expansion) -> tuple[Any, int]:
        """The completed config and the number of partitions."""
        records = [expansion.records(d) for d in dataset.counts_of]
        config = self.complete(self.config, records) if self.complete else self.config
        if isinstance(self.partitions, Aligned):
            return config, len(expansion.shards(self.partitions.datasets[0]))
        return config, self.partitions(expansion.shards(self.feeds[0].datasets[0]), records)


def _expand_map(plan: _Plan, feed: Feed[Any], dataset: Dataset, expansion: Expansion) -> list[Task]:
    config, partitions = plan.settle(dataset, expansion)
    shards = [expansion.shards(d) for d in feed.datasets]
    made = Made(libraries=dataset.versions, counters={})
    tasks = []
    for index, row in enumerate(zip(*shards, strict=True)):
        place = Place(index=index, partitions=partitions)
        key = (*(s.key for s in row), str(index), str(partitions), digest(config))
        output = dataset.shard(*key, rows=row[0].rows, size=row[0].bytes)
        call = MapCall(plan.functions, feed.map, config, place, row, feed.columns, output, made)
        tasks.append(Task(label=f"{index + 1}/{len(shards[0])}", outputs=(output,), call=call, inputs=row))
    return tasks


def _expand_reduce(plan: _Plan, spilled: tuple[Dataset, ...], dataset: Dataset, expansion: Expansion) -> list[Task]:
    config, partitions = plan.settle(dataset, expansion)
    spills = tuple(shard for d in spilled for shard in expansion.shards(d))
    aligned = plan.partitions if isinstance(plan.partitions, Aligned) else Aligned(datasets=(), columns=())
    bases = list(zip(*(expansion.shards(d) for d in aligned.datasets), strict=True)) or [()] * partitions
    made = Made(libraries=dataset.versions, counters={})
    all_spills = digest([s.key for s in spills], config)
    tasks = []
    for index, base in enumerate(bases):
        head: Shard | None = base[0] if base else None
        output = dataset.shard(
            all_spills,
            str(index),
            *(s.key for s in base),
            base=head.base if head else None,
            rows=head.rows if head else None,
            size=head.bytes if head else None,
        )
        place = Place(index=index, partitions=partitions)
        call = ReduceCall(plan.functions, config, place, spills, base, aligned.columns, output, made)
        label = f"{index + 1}/{partitions}"
        tasks.append(Task(label=label, outputs=(output,), call=call, inputs=base, barriers=spilled))
    return tasks


@dataclass(frozen=True, slots=True)
class MapCall:
    """One map task."""

    functions: Exchange[Any]
    map: Callable[[Any, Place, pa.Table], pa.Table]
    config: Any
    place: Place
    inputs: tuple[Shard, ...]
    columns: tuple[Columns, ...]
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        rows = self.map(self.config, self.place, zip_columns(store, self.inputs, self.columns))
        parts = _split(rows, self.place.partitions, self.functions.spills)
        return [store.commit_spill(self.output, parts, self.functions.spills, self.made)]


@dataclass(frozen=True, slots=True)
class ReduceCall:
    """One reduce task."""

    functions: Exchange[Any]
    config: Any
    place: Place
    spills: tuple[Shard, ...]
    base: tuple[Shard, ...]
    columns: tuple[Columns, ...]
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        batches = [store.read_partition(spill, self.place.index) for spill in self.spills]
        rows = pa.Table.from_batches(batches, schema=self.functions.spills)
        base = zip_columns(store, self.base, self.columns) if self.base else None
        reduced = self.functions.reduce(self.config, self.place, rows, base)
        if not reduced.table.schema.equals(self.functions.writes):
            raise TypeError(
                f"{self.functions.name} must write:\n{self.functions.writes}\nit wrote:\n{reduced.table.schema}"
            )
        made = Made(libraries=self.made.libraries, counters=reduced.counters)
        return [store.commit(self.output, reduced.table, made, rows_per_group=reduced.rows_per_group)]


def _split(rows: pa.Table, partitions: int, schema: pa.Schema) -> list[pa.Table]:
    """Rows by partition, in their order within each. Raises ValueError for a partition out of range."""
    targets = rows[PARTITION].to_numpy()
    if len(targets) and (targets.min() < 0 or targets.max() >= partitions):
        raise ValueError(f"partitions {targets.min()} to {targets.max()} are outside 0 to {partitions - 1}")
    order = np.argsort(targets, kind="stable")
    borders = np.searchsorted(targets[order], np.arange(partitions + 1))
    ordered = rows.select(schema.names).take(pa.array(order)).cast(schema)
    return [ordered.slice(borders[i], borders[i + 1] - borders[i]) for i in range(partitions)]
