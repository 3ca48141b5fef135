"""Where the documents of a source are in its mixture: the id index, and a sidecar with the copies of each document.

Reads the source's index and the mixture's files. Writes `INDEX` rows with copies and domain, and `MIXED` rows aligned
with the documents. Memory of a reduce: about 300 bytes per document and copy of a partition.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.partitions import num_partitions, partition_by_prefix
from pipeline.dataset import Dataset
from pipeline.exchange import PARTITION, Aligned, Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from schemas.corpus import INDEX, MIXED
from schemas.documents import ID, SHA256

MIXED_INDEX = columns(
    *INDEX, pa.field("domain", pa.string()), pa.field("copies", pa.int32()), pa.field("num_tokens", pa.int64())
)
"""The id index of a mixture, whose file and row are those of the first copy. `keep` is whether there is a copy.

domain: of the source; null for a document that the source dropped. copies, num_tokens: as in `MIXED`, 0 where null.
"""

_ENTRY = columns(
    pa.field("document_id", ID),
    pa.field("content_hash", SHA256),
    pa.field("place", pa.int32()),
    pa.field("row", pa.int32()),
    pa.field("domain", pa.string()),
    pa.field("num_tokens", pa.int32()),
    pa.field("is_document", pa.bool_()),
)
"""An entry of the source's index, or a copy in a file of the mixture."""

_PLACED = columns(pa.field("row", pa.int32()), *(f for f in MIXED if f.name != "keep"), pa.field("domain", pa.string()))


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedConfig:
    """What the index says of domains, and how it is cut."""

    runs: tuple[tuple[str, int], ...]
    """(domain, number of its files), in the order of the source's files."""
    dropped: tuple[str, ...]
    """Domains of weight 0."""
    rows_per_partition: int = 1_000_000


def index_mixture(index: Dataset, files: Dataset, config: MixedConfig) -> Dataset:
    """The index of a mixture, from that of its source. Its records count tokens, copies and documents by domain."""
    return exchange(
        Exchange(name="mixture-index", version=1, spills=_ENTRY, writes=MIXED_INDEX, reduce=_merge),
        config,
        [
            Feed(
                map=_from_index,
                datasets=(index,),
                columns=(("document_id", "content_hash", "shard", "row", "file"),),
            ),
            Feed(map=_from_files, datasets=(files,), columns=(("document_id", "num_tokens"),)),
        ],
        partitions=lambda shards, _: num_partitions(shards, config.rows_per_partition),
    )


def mark_mixture(index: Dataset, documents: Dataset, config: MixedConfig) -> Dataset:
    """The sidecar of the documents, from the index of the mixture."""
    needed = ("shard", "row", "domain", "copies", "num_tokens")
    return exchange(
        Exchange(name="mixture", version=1, spills=_PLACED, writes=MIXED, reduce=_mark),
        config,
        [Feed(map=_to_shard, datasets=(index,), columns=(needed,))],
        partitions=Aligned(datasets=(documents,), columns=(("size",),)),
        counts_of=(documents,),  # which no input of the map waits for
    )


def _from_index(config: MixedConfig, place: Place, table: pa.Table) -> pa.Table:
    domains = pa.array([domain for domain, files in config.runs for _ in range(files)], pa.string())
    entries = {
        "document_id": table["document_id"],
        "content_hash": table["content_hash"],
        "place": table["shard"],
        "row": table["row"],
        "domain": domains.take(table["file"].combine_chunks()),
        "num_tokens": pa.nulls(table.num_rows, pa.int32()),
        "is_document": pa.array(np.ones(table.num_rows, bool)),
        PARTITION: partition_by_prefix(table["document_id"], place.partitions),
    }
    return pa.table(entries)


def _from_files(config: MixedConfig, place: Place, table: pa.Table) -> pa.Table:
    count = table.num_rows
    entries = {
        "document_id": table["document_id"],
        "content_hash": pa.nulls(count, SHA256),
        "place": pa.array(np.full(count, place.index, np.int32)),
        "row": pa.array(np.arange(count, dtype=np.int32)),
        "domain": pa.nulls(count, pa.string()),
        "num_tokens": table["num_tokens"],
        "is_document": pa.array(np.zeros(count, bool)),
        PARTITION: partition_by_prefix(table["document_id"], place.partitions),
    }
    return pa.table(entries)


def _merge(config: MixedConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    documents = rows.filter(rows["is_document"]).sort_by([("document_id", "ascending")]).combine_chunks()
    copies = rows.filter(pc.invert(rows["is_document"])).combine_chunks()
    first = pc.index_in(documents["document_id"], copies["document_id"].combine_chunks())
    owner = pc.index_in(copies["document_id"], documents["document_id"].combine_chunks())
    assert not owner.null_count, "a mixture has the documents of its source"
    owners = owner.to_numpy()
    count = np.bincount(owners, minlength=documents.num_rows)
    tokens = np.bincount(owners, copies["num_tokens"].to_numpy(), documents.num_rows).astype(np.int64)
    table = {
        "document_id": documents["document_id"],
        "content_hash": documents["content_hash"],
        "shard": documents["place"],
        "row": documents["row"],
        "keep": pa.array(count > 0),
        "file": copies["place"].take(first),
        "file_row": copies["row"].take(first),
        "domain": documents["domain"],
        "copies": pa.array(count.astype(np.int32)),
        "num_tokens": pa.array(tokens - count),
    }
    counters = _by_domain(documents["domain"], count, tokens)
    return Reduced(table=pa.table(table, schema=MIXED_INDEX), counters=counters)


def _by_domain(domains: pa.ChunkedArray, count: np.ndarray, tokens: np.ndarray) -> dict[str, int]:
    """Tokens, copies and different documents of every domain, as the mixture's files have them."""
    measured = pa.table(
        {
            "domain": domains,
            "tokens": pa.array(tokens),
            "copies": pa.array(count.astype(np.int64)),
            "documents": pa.array((count > 0).astype(np.int64)),
        }
    )
    names = ("tokens", "copies", "documents")
    sums = measured.group_by("domain", use_threads=False).aggregate([(name, "sum") for name in names])
    return {
        f"{name}:{row['domain']}": row[f"{name}_sum"]
        for row in sums.sort_by("domain").to_pylist()
        for name in names
        if row["domain"] is not None
    }


def _to_shard(config: MixedConfig, place: Place, table: pa.Table) -> pa.Table:
    """What the source had published, to the documents' shards."""
    published = table.filter(pc.is_valid(table["domain"]))
    return published.rename_columns({"shard": PARTITION}).select([*_PLACED.names, PARTITION])


def _mark(config: MixedConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    assert base is not None
    at = np.full(base.num_rows, -1)
    at[rows["row"].to_numpy()] = np.arange(rows.num_rows)
    found = rows.take(pa.array(at, mask=at < 0))
    keep = pc.fill_null(pc.greater(found["copies"], 0), False)
    table = {"keep": keep, "copies": found["copies"], "num_tokens": found["num_tokens"]}
    was_published = pc.is_valid(found["domain"])
    left_out = pc.and_(was_published, pc.invert(keep))
    is_dropped = pc.and_(left_out, pc.is_in(found["domain"], pa.array(config.dropped, pa.string())))
    counters = {
        "rows": _sum(was_published),
        "bytes": _sum(base["size"].filter(was_published)),
        "out_rows": _sum(keep),
        "out_bytes": _sum(base["size"].filter(keep)),
        "reason:weight-0": _sum(is_dropped),
        "reason:not-drawn": _sum(pc.and_(left_out, pc.invert(is_dropped))),
    }
    shown = {name: n for name, n in counters.items() if n or not name.startswith("reason:")}
    return Reduced(table=pa.table(table, schema=MIXED), counters=shown)


def _sum(values: pa.ChunkedArray) -> int:
    return int(pc.sum(values).as_py() or 0)
