"""Exact duplicates over the whole corpus: two exchanges, by text hash and back to the shards.

Reads `document_id` and `text_hash` of the documents. Writes the sidecar `duplicate_of`. Memory: 60 bytes per document
of a shard in the maps and per distinct hash of a partition in the reduces (64 MB per million distinct texts).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.partitions import num_partitions, partition_by_prefix
from pipeline.dataset import Dataset
from pipeline.exchange import Aligned, Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from schemas.documents import ID, SHA256

DUPLICATES = columns(pa.field("duplicate_of", ID))
"""The document that is kept in place of this one: the smallest id with the same text. Null for that one itself."""

_COPIES = columns(pa.field("text_hash", SHA256), pa.field("document_id", ID), pa.field("shard", pa.int32()))


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicatesConfig:
    """How the corpus is split while it is compared."""

    rows_per_partition: int = 2_000_000
    """Documents per partition; bounds the memory of a reduce."""

    def __post_init__(self) -> None:
        if self.rows_per_partition < 1:
            raise ValueError(f"rows_per_partition must be at least 1, got {self.rows_per_partition}")


def deduplicate_exact(documents: Dataset, config: DuplicatesConfig | None = None) -> Dataset:
    """The sidecar `duplicate_of` of documents whose text is byte-identical to another's."""
    config = config or DuplicatesConfig()
    compared = exchange(
        Exchange(name="duplicate-groups", version=1, spills=_COPIES, writes=_COPIES, reduce=_shared_between_shards),
        config,
        [Feed(map=_first_of_shard, datasets=(documents,), columns=(("document_id", "text_hash"),))],
        partitions=lambda shards, _: num_partitions(shards, config.rows_per_partition),
    )
    back = Exchange(name="duplicates", version=1, spills=_COPIES, writes=DUPLICATES, reduce=_verdict)
    return exchange(
        back,
        config,
        [Feed(map=_to_shard, datasets=(compared,), columns=(tuple(_COPIES.names),))],
        partitions=Aligned(datasets=(documents,), columns=(("document_id", "text_hash", "size"),)),
    )


def _smallest(table: pa.Table) -> pa.Table:
    """The smallest document id of each text hash, in order of appearance."""
    grouped = table.group_by("text_hash", use_threads=False).aggregate([("document_id", "min")])
    return grouped.rename_columns(["text_hash", "document_id"])


def _first_of_shard(config: DuplicatesConfig, place: Place, table: pa.Table) -> pa.Table:
    """One row per distinct text of the shard: a text's copies in one shard need not travel."""
    first = _smallest(table.filter(pc.is_valid(table["text_hash"])))
    shard = pa.array(np.full(first.num_rows, place.index, np.int32))
    partition = partition_by_prefix(first["text_hash"], place.partitions)
    return first.append_column("shard", shard).append_column("partition", partition)


def _shared_between_shards(config: DuplicatesConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    """For every text in more than one shard: each of those shards with the smallest id of all."""
    groups = rows.group_by("text_hash", use_threads=False).aggregate([("document_id", "min"), ("shard", "count")])
    shared = groups.filter(pc.greater(groups["shard_count"], 1))
    joined = rows.select(["text_hash", "shard"]).join(
        shared.select(["text_hash", "document_id_min"]), "text_hash", join_type="inner", use_threads=False
    )
    table = joined.rename_columns({"document_id_min": "document_id"}).select(_COPIES.names)
    order = [("shard", "ascending"), ("document_id", "ascending"), ("text_hash", "ascending")]
    return Reduced(table=table.sort_by(order).cast(_COPIES))


def _to_shard(config: DuplicatesConfig, place: Place, table: pa.Table) -> pa.Table:
    return table.append_column("partition", table["shard"])


def _verdict(config: DuplicatesConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    assert base is not None
    smallest = _smallest(
        pa.concat_tables([base.select(["document_id", "text_hash"]), rows.select(["document_id", "text_hash"])])
    )
    position = pc.index_in(base["text_hash"].combine_chunks(), smallest["text_hash"].combine_chunks())
    survivor = smallest["document_id"].combine_chunks().take(position)
    is_copy = pc.and_(pc.is_valid(base["text_hash"]), pc.not_equal(survivor, base["document_id"]))
    table = pa.table({"duplicate_of": pc.if_else(is_copy, survivor, pa.scalar(None, ID))}, schema=DUPLICATES)
    copies, size = pc.sum(is_copy).as_py() or 0, pc.sum(base["size"]).as_py() or 0
    copied = pc.sum(base["size"].filter(is_copy)).as_py() or 0
    counters = {
        "bytes": size,
        "out_rows": base.num_rows - copies,
        "out_bytes": size - copied,
        "reason:duplicate": copies,
    }
    return Reduced(table=table, counters=counters)
