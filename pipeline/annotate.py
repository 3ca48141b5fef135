"""Chains of stages: one sidecar for all adjacent row-local steps over row-aligned inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.dataset import Dataset, Expansion, Task
from pipeline.errors import PlanError
from pipeline.stage import Configured, Counts, Resources, open_stages
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record


def annotate(name: str, *inputs: Dataset, stages: Sequence[Configured[Any]]) -> Dataset:
    """A sidecar that holds what the stages write, row-aligned with the first input.

    Every input after the first must be a sidecar of the same documents. Raises PlanError if a stage reads a column that
    no input and no earlier stage has, or has with another type.
    """
    if not inputs or not stages:
        raise PlanError(f"annotate({name!r}) needs at least one input and one stage")
    _check_columns(name, inputs, stages)
    written = [field for configured in stages for field in configured.stage.writes]
    return Dataset(
        name=name,
        version=1,
        config=[(c.stage.name, c.stage.version, c.config) for c in stages],
        inputs=inputs,
        schema=pa.schema(written),
        expand=_expand,
        libraries=tuple(sorted({library for c in stages for library in c.stage.libraries})),
        exact=all(c.stage.exact for c in stages),
        details={"stages": tuple(stages)},
    )


def zip_columns(store: Store, inputs: Sequence[Shard], columns: Sequence[Sequence[str]]) -> pa.Table:
    """Columns of row-aligned shards side by side, with the metadata of their schemas.

    Raises PlanError if the shards are not aligned.
    """
    base, rows, parts = inputs[0].base, None, []
    for shard, names in zip(inputs, columns, strict=True):
        record = store.record(shard)
        if record.base != base or (rows is not None and record.rows != rows):
            raise PlanError(f"{shard.step}/{shard.key} ({record.rows} rows) is not aligned with documents {base}")
        rows = record.rows
        if names:
            parts.append(store.read(shard, list(names)))
    metadata = {key: value for part in parts for key, value in (part.schema.metadata or {}).items()}
    return pa.table({name: part[name] for part in parts for name in part.column_names}, metadata=metadata or None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainCall:
    """Read, run the stages, write: the body of one task, in pieces that the executors can place."""

    inputs: tuple[Shard, ...]
    columns: tuple[tuple[str, ...], ...]
    """What to read from each input."""
    stages: tuple[Configured[Any], ...]
    output: Shard
    made: Made

    def load(self, store: Store) -> pa.Table:
        """The columns that the stages read.

        Without metadata, which would pass into what the chain writes.
        """
        return zip_columns(store, self.inputs, self.columns).replace_schema_metadata(None)

    def save(self, store: Store, table: pa.Table) -> Record:
        """Commit what the stages wrote."""
        counters = self.made.counters
        for configured in self.stages:
            if configured.stage.count is not None:
                counters = add_counts(counters, configured.stage.count(table))
        fields = [field for configured in self.stages for field in configured.stage.writes]
        written = table.select([field.name for field in fields]).cast(pa.schema(fields, table.schema.metadata))
        made = Made(exact=self.made.exact, libraries=self.made.libraries, counters=counters)
        return store.commit(self.output, written, made)

    def __call__(self, store: Store) -> list[Record]:
        table = self.load(store)
        for transform in open_stages(self.stages):
            table = extend(table, transform(table))
        return [self.save(store, table)]


def add_counts(counters: Mapping[str, int], counts: Counts) -> dict[str, int]:
    """Reasons add up over the stages of a chain; of other counters the last stage's value stands."""
    added = {name: counters.get(name, 0) + n if name.startswith("reason:") else n for name, n in counts.items()}
    return dict(counters) | added


def extend(table: pa.Table, written: pa.Table) -> pa.Table:
    """The table with the written columns beside (or in place of) its own, and the metadata of both schemas."""
    for field, column in zip(written.schema, written.columns, strict=True):
        position = table.schema.get_field_index(field.name)
        table = table.append_column(field, column) if position < 0 else table.set_column(position, field, column)
    metadata = (table.schema.metadata or {}) | (written.schema.metadata or {})
    return table.replace_schema_metadata(metadata or None)


def _expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
    stages: tuple[Configured[Any], ...] = dataset.details["stages"]
    columns = _columns_of(dataset.inputs, stages)
    shards = [expansion.shards(i) for i in dataset.inputs]
    if len({len(s) for s in shards}) != 1:
        raise PlanError(
            f"inputs of {dataset.name} have {[len(s) for s in shards]} shards; they must be sidecars of one base"
        )
    resources = Resources(
        cpus=max(c.stage.resources.cpus for c in stages),
        gpus=max(c.stage.resources.gpus for c in stages),
        memory_bytes=max(c.stage.resources.memory_bytes for c in stages),
    )
    tasks = []
    for number, row in enumerate(zip(*shards, strict=True)):
        base = row[0]
        output = dataset.shard(*(s.key for s in row), base=base.base, rows=base.rows, size=base.bytes)
        made = Made(exact=dataset.exact, libraries=dataset.versions, counters={"bytes": base.bytes or 0})
        call = ChainCall(inputs=row, columns=columns, stages=stages, output=output, made=made)
        label = f"{number + 1}/{len(shards[0])}"
        tasks.append(Task(label=label, outputs=(output,), call=call, inputs=row, resources=resources))
    return tasks


def _columns_of(inputs: Sequence[Dataset], stages: Sequence[Configured[Any]]) -> tuple[tuple[str, ...], ...]:
    """Which columns to read from which input: the first that has one gives it, unless an earlier stage wrote it."""
    wanted: list[list[str]] = [[] for _ in inputs]
    have: set[str] = set()
    for configured in stages:
        for name in configured.stage.reads.names:
            if name not in have:
                have.add(name)
                wanted[next(i for i, d in enumerate(inputs) if name in d.schema.names)].append(name)
        have.update(configured.stage.writes.names)
    return tuple(tuple(names) for names in wanted)


def _check_columns(name: str, inputs: Sequence[Dataset], stages: Sequence[Configured[Any]]) -> None:
    types: dict[str, pa.DataType] = {}
    for dataset in inputs:
        for field in dataset.schema:
            types.setdefault(field.name, field.type)
    written: set[str] = set()
    for configured in stages:
        stage = configured.stage
        for field in stage.reads:
            if types.get(field.name) != field.type:
                found = f"it is {types[field.name]}" if field.name in types else f"columns there: {', '.join(types)}"
                raise PlanError(f"{name}: stage {stage.name} reads {field.name}: {field.type}, but {found}")
        if twice := written & set(stage.writes.names):
            raise PlanError(f"{name}: two stages write {', '.join(sorted(twice))}; put them into two sidecars")
        written |= set(stage.writes.names)
        types |= {field.name: field.type for field in stage.writes}
