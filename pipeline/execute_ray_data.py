"""Chains with stateful stages, streamed through Ray Data so that CPU stages and actor pools overlap.

A block is one row: the pickled call and the shard's whole table as one list<struct> cell (zero copy).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import ray.data
from ray import cloudpickle

from pipeline.annotate import ChainCall, extend
from pipeline.dataset import Task
from pipeline.execute import Failure, failure_of, use_code, worker_store
from pipeline.site_file import Site
from pipeline.stage import Configured
from schemas.manifest import Record


def stream_chain(
    tasks: Sequence[Task], site: Site, cpus: int, code: list[str]
) -> Iterator[tuple[str, Failure | list[Record]]]:
    """Run chains that share their stages; yields (key of the output, failure or records) as shards end."""
    first = tasks[0].call
    assert isinstance(first, ChainCall)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.op_resource_reservation_enabled = False
    context.execution_options.preserve_order = False
    rows = [{"key": task.outputs[0].key, "call": cloudpickle.dumps(task.call)} for task in tasks]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    common: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow", "zero_copy_batch": True}
    data = data.map_batches(_load, fn_kwargs={"site": site, "code": code}, num_cpus=1, **common)
    for stateful, group in groupby(first.stages, key=lambda c: c.stage.stateful):
        stages = list(group)
        resources = {
            "num_cpus": max(c.stage.resources.cpus for c in stages),
            "num_gpus": max(c.stage.resources.gpus for c in stages) or None,
        }
        arguments = {"payload": cloudpickle.dumps(stages), "code": code}
        if not stateful:
            data = data.map_batches(_apply_stateless, fn_kwargs=arguments, **resources, **common)
            continue
        # max_concurrency differs from the plain tasks before, so that Ray does not fuse their work into the actor
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=_pool_size(stages, cpus))
        data = data.map_batches(
            _Stages, fn_constructor_kwargs=arguments, compute=pool, max_concurrency=2, **resources, **common
        )
    data = data.map_batches(_save, fn_kwargs={"site": site, "code": code}, num_cpus=1, **common)
    for row in data.iter_rows():
        yield row["key"], cloudpickle.loads(row["result"])


def _pool_size(stages: list[Configured[Any]], cpus: int) -> int:
    resources = [c.stage.resources for c in stages]
    gpus = max(r.gpus for r in resources)
    if gpus:
        return max(1, int(ray.cluster_resources().get("GPU", 1) / gpus))
    # one CPU is left for reading and writing
    return max(1, int((cpus - 1) / max(1.0, *(r.cpus for r in resources))))


def _load(batch: pa.Table, site: Site, code: list[str]) -> pa.Table:
    use_code(code)
    call: ChainCall = cloudpickle.loads(batch["call"][0].as_py())
    try:
        table, failure = call.load(worker_store(site)), None
    except Exception as error:  # noqa: BLE001 - the edge: the failure travels with its shard
        table, failure = pa.table({}), failure_of(error)
    return _row(batch, table, failure)


def _save(batch: pa.Table, site: Site, code: list[str]) -> pa.Table:
    use_code(code)
    result: Failure | list[Record] | None = cloudpickle.loads(batch["failure"][0].as_py())
    if result is None:
        call: ChainCall = cloudpickle.loads(batch["call"][0].as_py())
        try:
            result = [call.save(worker_store(site), _table(batch))]
        except Exception as error:  # noqa: BLE001 - the edge
            result = failure_of(error)
    return pa.table({"key": batch["key"], "result": [cloudpickle.dumps(result)]})


class _Stages:
    """Stages opened once, applied to one shard after the other."""

    def __init__(self, payload: bytes, code: list[str]) -> None:
        use_code(code)
        self._transforms = [configured.open() for configured in cloudpickle.loads(payload)]

    def __call__(self, batch: pa.Table) -> pa.Table:
        failure: Failure | None = cloudpickle.loads(batch["failure"][0].as_py())
        if failure is not None:
            return batch
        table = _table(batch)
        try:
            for transform in self._transforms:
                table = extend(table, transform(table))
        except Exception as error:  # noqa: BLE001 - the edge
            return _row(batch, pa.table({}), failure_of(error))
        return _row(batch, table, None)


_STATELESS: dict[bytes, _Stages] = {}


def _apply_stateless(batch: pa.Table, payload: bytes, code: list[str]) -> pa.Table:
    if payload not in _STATELESS:
        _STATELESS[payload] = _Stages(payload, code)
    return _STATELESS[payload](batch)


def _row(batch: pa.Table, table: pa.Table, failure: Failure | None) -> pa.Table:
    """One row that carries the whole table as a single list cell."""
    cell = table.combine_chunks().to_struct_array()
    values = cell.combine_chunks() if isinstance(cell, pa.ChunkedArray) else cell
    if isinstance(values, pa.ChunkedArray):
        values = pa.array([], values.type)
    cells = pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
    failures = pa.array([cloudpickle.dumps(failure)], pa.binary())
    return pa.table({"key": batch["key"], "call": batch["call"], "failure": failures, "table": cells})


def _table(batch: pa.Table) -> pa.Table:
    """The table that `_row` packed."""
    cells = batch["table"].combine_chunks()
    values = cells.values.slice(cells.offsets[0].as_py(), cells.offsets[1].as_py() - cells.offsets[0].as_py())
    return pa.Table.from_struct_array(values)
