"""Stages and datasets that the machine's tests run, importable by Ray workers."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Configured, Resources, Stage, Transform, configured
from schemas.columns import columns

NUMBERS = columns(pa.field("number", pa.int64()), pa.field("text", pa.string(), nullable=False))


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What the stages do besides their work."""

    fail_on: int = -1
    """Raise on a shard that holds this number."""
    die_on: int = -1
    """Kill the worker on a shard that holds this number."""
    die_once: str = ""
    """A file that is made before dying; while it is there nothing dies."""
    seconds: float = 0.0
    """Sleep before each shard."""


def numbers(shards: int, rows: int = 5) -> list[pa.Table]:
    """Tables of different sizes, the last one empty."""
    made = []
    for shard in range(shards):
        count = rows + shard if shard < shards - 1 else 0
        start = 100 * shard
        values = {"number": range(start, start + count), "text": [f"row {start + row}" for row in range(count)]}
        made.append(pa.table(values, schema=NUMBERS))
    return made


def _open_square(config: Trouble) -> Transform:
    def square(table: pa.Table) -> pa.Table:
        _trouble(config, table)
        schema = SQUARE.writes.with_metadata({"unit": "square"})
        return pa.table({"square": pc.multiply(table["number"], table["number"])}, schema=schema)

    return square


def _open_root(config: Trouble) -> Transform:
    def root(table: pa.Table) -> pa.Table:
        _trouble(config, pa.table({"number": pc.sqrt(table["square"]).cast(pa.int64())}))
        return pa.table({"root": pc.sqrt(table["square"]), "worker": pa.nulls(len(table), pa.int32())}, ROOT.writes)

    return root


def _open_join(config: Trouble) -> Transform:
    def join(table: pa.Table) -> pa.Table:
        texts = pc.binary_join_element_wise(table["text"], table["root"].cast(pa.string()), "=")
        lists = [np.arange(n % 3).tolist() for n in table["square"].to_pylist()]
        return pa.table({"joined": texts, "list": pa.array(lists, pa.list_(pa.int32()))}, schema=JOIN.writes)

    return join


def _trouble(config: Trouble, table: pa.Table) -> None:
    time.sleep(config.seconds)
    values = table["number"].to_pylist()
    if config.fail_on in values:
        raise ValueError(f"number {config.fail_on} is not wanted")
    if config.die_on in values and not (config.die_once and Path(config.die_once).exists()):
        if config.die_once:
            Path(config.die_once).touch()
        os.kill(os.getpid(), signal.SIGKILL)


SQUARE = Stage(
    name="square",
    version=1,
    reads=columns(pa.field("number", pa.int64())),
    writes=columns(pa.field("square", pa.int64(), nullable=False)),
    open=_open_square,
)
ROOT = Stage(
    name="root",
    version=1,
    reads=columns(pa.field("square", pa.int64())),
    writes=columns(pa.field("root", pa.float64()), pa.field("worker", pa.int32())),
    open=_open_root,
    stateful=True,
    resources=Resources(cpus=1, memory_bytes=50_000_000),
)
JOIN = Stage(
    name="join",
    version=1,
    reads=columns(pa.field("text", pa.string()), pa.field("square", pa.int64()), pa.field("root", pa.float64())),
    writes=columns(pa.field("joined", pa.string()), pa.field("list", pa.list_(pa.int32()))),
    open=_open_join,
)


def actor_chain(trouble: Trouble = Trouble()) -> list[Configured[Any]]:
    """Tasks, then actors, then tasks."""
    return [configured(SQUARE, Trouble()), configured(ROOT, trouble), configured(JOIN, Trouble())]


def task_chain(trouble: Trouble = Trouble()) -> list[Configured[Any]]:
    """One stateless stage."""
    return [configured(SQUARE, trouble)]
