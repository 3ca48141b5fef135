"""A user's own stage and exchange, in a module beside the recipe: slow, so that a test can strike in between."""

import time
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset import Dataset
from pipeline.exchange import Exchange, Feed, Place, Reduced, exchange
from pipeline.stage import Stage, Transform
from schemas.columns import columns

LENGTHS = columns(pa.field("length", pa.int32()))


@dataclass(frozen=True, kw_only=True, slots=True)
class SlowConfig:
    """How slow."""

    seconds: float
    """Sleep before each shard."""


def _open(config: SlowConfig) -> Transform:
    def measure(table: pa.Table) -> pa.Table:
        time.sleep(config.seconds)
        return pa.table({"length": pc.binary_length(table["text"])}, schema=LENGTHS)

    return measure


def slow_stage(*, stateful: bool = False) -> Stage[SlowConfig]:
    """Bytes of each text."""
    reads = columns(pa.field("text", pa.string()))
    return Stage(name="length", version=1, reads=reads, writes=LENGTHS, open=_open, stateful=stateful)


def slow_exchange(lengths: Dataset, config: SlowConfig) -> Dataset:
    """How often each length occurs, in four partitions."""
    functions = Exchange(name="slow-shuffle", version=1, spills=LENGTHS, writes=LENGTHS, reduce=_reduce)
    feed = Feed(map=_map, datasets=(lengths,), columns=(("length",),))
    return exchange(functions, config, [feed], partitions=lambda shards, records: 4)


def _map(config: SlowConfig, place: Place, table: pa.Table) -> pa.Table:
    time.sleep(config.seconds)
    partition = pc.bit_wise_and(table["length"], pa.scalar(place.partitions - 1, pa.int32()))
    return table.append_column("partition", partition)


def _reduce(config: SlowConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    time.sleep(config.seconds)
    return Reduced(table=rows.sort_by([("length", "ascending")]), counters={"lengths": rows.num_rows})
