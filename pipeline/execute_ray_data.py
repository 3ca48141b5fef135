"""Chains with stateful stages, streamed through Ray Data so that CPU stages and actor pools overlap.

A block is one row: the pickled call and the shard's whole table as one list<struct> cell (zero copy). The stream is led
by a Ray task of its own, so that the driver neither loads Ray Data nor hangs with it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray import cloudpickle

from pipeline.annotate import ChainCall, extend
from pipeline.execute import Failure, enter_worker, failure_of, worker_store
from pipeline.site_file import Site
from pipeline.stage import Configured, open_stages
from schemas.manifest import Record

Result = Failure | list[Record]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """What one chain needs of the cluster."""

    site: Site
    cpus: int
    """CPUs of the cluster that this run may use."""
    gpus: float
    """GPUs of the cluster."""
    memory_bytes: int
    """Memory of the largest node."""
    code: tuple[str, ...]
    """Folders of users' recipes."""


@ray.remote(num_cpus=0, max_retries=0)  # type: ignore[untyped-decorator] # ray has no types
def stream_chain(calls: Sequence[bytes], stream: Stream) -> Iterator[tuple[str, Result]]:
    """Run pickled chains that share their stages; yields (key of the output, failure or records) as shards end."""
    enter_worker(stream.code)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.op_resource_reservation_enabled = False
    context.execution_options.resource_limits = ray.data.ExecutionResources.for_limits(cpu=stream.cpus)
    context.max_errored_blocks = -1  # a shard that kills its workers must not take the others with it
    for row in dataset_of(calls, stream).iter_rows():
        yield row["key"], cloudpickle.loads(row["result"])


def dataset_of(calls: Sequence[bytes], stream: Stream) -> "ray.data.Dataset":
    """The lazy Ray dataset of a chain: read, stages (actors for the stateful ones), write."""
    rows = []
    for pickled in calls:
        call: ChainCall = cloudpickle.loads(pickled)
        rows.append({"key": call.output.key, "call": pickled})
    groups = [(is_stateful, list(group)) for is_stateful, group in groupby(call.stages, lambda c: c.stage.stateful)]
    pools = sum(is_stateful for is_stateful, _ in groups)
    # one actor of every pool and one task must fit at once, or they wait for each other for ever
    share = stream.cpus / (pools + 1)
    attempts = ray.remote(num_cpus=0)(_Attempts).remote(stream.site.execution.retries)
    common: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow", "zero_copy_batch": True}
    plain = {"fn_kwargs": {"site": stream.site, "code": stream.code}, "num_cpus": min(1.0, share), **common}
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(_load, **plain)
    for is_stateful, stages in groups:
        num_cpus = min(share, max(c.stage.resources.cpus for c in stages))
        num_gpus = max(c.stage.resources.gpus for c in stages)
        arguments = {"payload": cloudpickle.dumps(stages), "code": stream.code, "attempts": attempts}
        options: dict[str, Any] = {"num_cpus": num_cpus, "num_gpus": num_gpus or None, **common}
        if not is_stateful:
            data = data.map_batches(_apply_stateless, fn_kwargs=arguments, **options)
            continue
        room = (stream.cpus - share) / pools / num_cpus if num_cpus else stream.cpus
        size = max(1, int(min(room, stream.gpus / num_gpus / pools) if num_gpus else room))
        data = data.map_batches(
            _Stages,
            fn_constructor_kwargs=arguments,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=size),
            memory=_memory(stages, stream.memory_bytes),
            **options,
        )
    return data.map_batches(_save, **plain)


def _memory(stages: Sequence[Configured[Any]], most: int) -> int:
    """Bytes that an actor asks for. Never 0: where arguments are equal, Ray fuses the tasks before into the actor."""
    return max(1, min(most, max(c.stage.resources.memory_bytes for c in stages)))


class _Attempts:
    """Counts how often each shard was begun: Ray Data restarts a dead actor and its shard without end."""

    def __init__(self, retries: int) -> None:
        self._most = retries + 1
        self._begun: Counter[tuple[str, bytes]] = Counter()

    def begin(self, key: str, payload: bytes) -> bool:
        """Whether these stages may begin this shard once more."""
        self._begun[key, payload] += 1
        return self._begun[key, payload] <= self._most


def _load(batch: pa.Table, site: Site, code: tuple[str, ...]) -> pa.Table:
    enter_worker(code)
    try:
        call: ChainCall = cloudpickle.loads(batch["call"][0].as_py())
        table, failure = call.load(worker_store(site)), None
    except Exception as error:  # noqa: BLE001 - the edge: the failure travels with its shard
        table, failure = pa.table({}), failure_of(error)
    return _row(batch, table, failure)


def _save(batch: pa.Table, site: Site, code: tuple[str, ...]) -> pa.Table:
    enter_worker(code)
    result: Result | None = cloudpickle.loads(batch["failure"][0].as_py())
    if result is None:
        call: ChainCall = cloudpickle.loads(batch["call"][0].as_py())
        try:
            result = [call.save(worker_store(site), _table(batch))]
        except Exception as error:  # noqa: BLE001 - the edge
            result = failure_of(error)
    return pa.table({"key": batch["key"], "result": [cloudpickle.dumps(result)]})


class _Stages:
    """Stages opened once per process, applied to one shard after the other."""

    def __init__(self, payload: bytes, code: tuple[str, ...], attempts: Any) -> None:
        enter_worker(code)
        self._payload, self._attempts = payload, attempts
        self._configured: list[Configured[Any]] = cloudpickle.loads(payload)

    def __call__(self, batch: pa.Table) -> pa.Table:
        failure: Failure | None = cloudpickle.loads(batch["failure"][0].as_py())
        if failure is not None:
            return batch
        if not ray.get(self._attempts.begin.remote(batch["key"][0].as_py(), self._payload)):
            names = ", ".join(configured.stage.name for configured in self._configured)
            message = f"the worker died each time it ran {names} on this shard; it may need more memory"
            return _row(batch, pa.table({}), Failure(message=message, details="", is_final=True))
        table = _table(batch)
        try:
            for transform in open_stages(self._configured):
                table = extend(table, transform(table))
        except Exception as error:  # noqa: BLE001 - the edge
            return _row(batch, pa.table({}), failure_of(error))
        return _row(batch, table, None)


def _apply_stateless(batch: pa.Table, payload: bytes, code: tuple[str, ...], attempts: Any) -> pa.Table:
    return _Stages(payload, code, attempts)(batch)


def _row(batch: pa.Table, table: pa.Table, failure: Failure | None) -> pa.Table:
    """One row that carries the whole table as a single list cell."""
    cell = table.combine_chunks().to_struct_array()
    values = cell.combine_chunks() if isinstance(cell, pa.ChunkedArray) else cell
    if isinstance(values, pa.ChunkedArray):
        values = pa.array([], values.type)
    cells = pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
    columns = {"key": batch["key"], "call": batch["call"], "table": cells}
    for name, value in (("failure", failure), ("metadata", table.schema.metadata)):
        columns[name] = pa.array([cloudpickle.dumps(value)], pa.binary())
    return pa.table(columns)


def _table(batch: pa.Table) -> pa.Table:
    """The table that `_row` packed."""
    cells = batch["table"].combine_chunks()
    values = cells.values.slice(cells.offsets[0].as_py(), cells.offsets[1].as_py() - cells.offsets[0].as_py())
    metadata = cloudpickle.loads(batch["metadata"][0].as_py())
    return pa.Table.from_struct_array(values).replace_schema_metadata(metadata)
