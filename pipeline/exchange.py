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
    """The functions of an exchange. All are module-level, pure and deterministic."""

    name: str
    version: int
    """Bump when the same input and config would give other output."""
    spills: pa.Schema
    """Columns of the spilled rows, without the partition."""
    writes: pa.Schema
    map: Callable[[Config, Place, pa.Table], pa.Table]
    """Columns of row-aligned shards to rows of `spills` plus an int32 column `partition`."""
    reduce: Callable[[Config, Place, pa.Table, pa.Table | None], Reduced]
    """All rows of a partition, and the columns of the base shard in an aligned exchange, to the output shard."""
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """Row-aligned inputs of a map, with the columns to read from each."""

    datasets: tuple[Dataset, ...]
    columns: tuple[Columns, ...]


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
    feed: Feed,
    *,
    partitions: Partitions | Aligned,
    counts_of: tuple[Dataset, ...] = (),
    shared: Callable[[Config, Sequence[Sequence[Record]]], Config] | None = None,
) -> Dataset:
    """A dataset with one shard per partition.

    `counts_of` names datasets whose records decide the partitions or, through `shared`, complete the config; the tasks
    stay unknown until those datasets are complete.
    """
    plan = _Plan(functions=functions, config=config, feed=feed, partitions=partitions, shared=shared)
    spill = Dataset(
        name=f"{functions.name}-map",
        version=functions.version,
        config=[config, [list(c) for c in feed.columns]],
        inputs=feed.datasets,
        schema=functions.spills,
        expand=partial(_expand_map, plan),
        libraries=functions.libraries,
        counts_of=counts_of,
        temporary=True,
    )
    aligned = partitions if isinstance(partitions, Aligned) else Aligned(datasets=(), columns=())
    return Dataset(
        name=functions.name,
        version=functions.version,
        config=[config, [list(c) for c in aligned.columns]],
        inputs=(spill, *aligned.datasets),
        schema=functions.writes,
        expand=partial(_expand_reduce, plan, spill),
        libraries=functions.libraries,
        counts_of=counts_of,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    functions: Exchange[Any]
    config: Any
    feed: Feed
    partitions: Partitions | Aligned
    shared: Callable[[Any, Sequence[Sequence[Record]]], Any] | None

    def settle(self, dataset: Dataset, expansion: Expansion) -> tuple[Any, int]:
        """The completed config and the number of partitions."""
        records = [expansion.records(d) for d in dataset.counts_of]
        config = self.shared(self.config, records) if self.shared else self.config
        if isinstance(self.partitions, Aligned):
            return config, len(expansion.shards(self.partitions.datasets[0]))
        return config, self.partitions(expansion.shards(self.feed.datasets[0]), records)


def _expand_map(plan: _Plan, dataset: Dataset, expansion: Expansion) -> list[Task]:
    config, partitions = plan.settle(dataset, expansion)
    shards = [expansion.shards(d) for d in plan.feed.datasets]
    made = Made(libraries=dataset.versions, counters={})
    tasks = []
    for index, row in enumerate(zip(*shards, strict=True)):
        place = Place(index=index, partitions=partitions)
        output = dataset.shard(*(s.key for s in row), repr(place), _mark(plan, config), rows=row[0].rows, size=row[0].bytes)
        call = MapCall(plan.functions, config, place, row, plan.feed.columns, output, made)
        tasks.append(Task(label=f"map {index + 1}/{len(shards[0])}", outputs=(output,), call=call, inputs=row))
    return tasks


def _expand_reduce(plan: _Plan, spill: Dataset, dataset: Dataset, expansion: Expansion) -> list[Task]:
    config, partitions = plan.settle(dataset, expansion)
    spills = expansion.shards(spill)
    aligned = plan.partitions if isinstance(plan.partitions, Aligned) else None
    bases = list(zip(*(expansion.shards(d) for d in aligned.datasets), strict=True)) if aligned else [()] * partitions
    made = Made(libraries=dataset.versions, counters={})
    all_spills = dataset.shard(*(s.key for s in spills)).key
    tasks = []
    for index in range(partitions):
        base: tuple[Shard, ...] = bases[index]
        output = dataset.shard(
            all_spills,
            str(index),
            *(s.key for s in base),
            base=base[0].base if base else None,
            rows=base[0].rows if base else None,
            size=base[0].bytes if base else None,
        )
        place = Place(index=index, partitions=partitions)
        columns = aligned.columns if aligned else ()
        call = ReduceCall(plan.functions, config, place, spills, base, columns, output, made)
        label = f"reduce {index + 1}/{partitions}"
        tasks.append(Task(label=label, outputs=(output,), call=call, inputs=base, barriers=(spill,)))
    return tasks


def _mark(plan: _Plan, config: Any) -> str:
    """What a completed config adds to the keys of the maps."""
    return "" if plan.shared is None else repr(config)


@dataclass(frozen=True, slots=True)
class MapCall:
    """One map task."""

    functions: Exchange[Any]
    config: Any
    place: Place
    inputs: tuple[Shard, ...]
    columns: tuple[Columns, ...]
    output: Shard
    made: Made

    def __call__(self, store: Store) -> None:
        rows = self.functions.map(self.config, self.place, zip_columns(store, self.inputs, self.columns))
        parts = _split(rows, self.place.partitions, self.functions.spills)
        store.commit_spill(self.output, parts, self.functions.spills, self.made)


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

    def __call__(self, store: Store) -> None:
        batches = [store.read_partition(spill, self.place.index) for spill in self.spills]
        rows = pa.Table.from_batches(batches, schema=self.functions.spills)
        base = zip_columns(store, self.base, self.columns) if self.base else None
        reduced = self.functions.reduce(self.config, self.place, rows, base)
        if not reduced.table.schema.equals(self.functions.writes):
            raise TypeError(
                f"{self.functions.name} must write:\n{self.functions.writes}\nit wrote:\n{reduced.table.schema}"
            )
        made = Made(libraries=self.made.libraries, counters=reduced.counters)
        store.commit(self.output, reduced.table, made, rows_per_group=reduced.rows_per_group)


def _split(rows: pa.Table, partitions: int, schema: pa.Schema) -> list[pa.Table]:
    """Rows by partition, in their order within each. Raises ValueError for a partition out of range."""
    targets = rows[PARTITION].to_numpy()
    if len(targets) and (targets.min() < 0 or targets.max() >= partitions):
        raise ValueError(f"partitions {targets.min()} to {targets.max()} are outside 0 to {partitions - 1}")
    order = np.argsort(targets, kind="stable")
    borders = np.searchsorted(targets[order], np.arange(partitions + 1))
    ordered = rows.select(schema.names).take(pa.array(order)).cast(schema)
    return [ordered.slice(borders[i], borders[i + 1] - borders[i]) for i in range(partitions)]
