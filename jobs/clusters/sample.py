"""The sample that clusters are made from: stratified, with a floor for each stratum, drawn by document id.

Two exchanges: one counts the strata, one gathers. Reads `document_id`, `origin`, `language`, `size`, `text` and the
columns of the strata, `embedding`, and from sidecars which documents count. Writes one shard. Memory: per million
sampled documents 2 bytes per dimension and a byte per character of their excerpts, twice (1.3 GB for the defaults).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset import Dataset
from pipeline.exchange import PARTITION, Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from schemas.documents import ID
from schemas.manifest import Record

_STRATUM = "stratum:"
"""Prefix of the counters that hold a stratum's documents."""
_COUNTS = columns(pa.field("stratum", pa.string()), pa.field("documents", pa.int64()))
_DOCUMENT = ("document_id", "origin", "language", "size", "text")
DECIDES = ("keep", "duplicate_of")
"""Columns of sidecars that say whether a document counts."""
_BETWEEN = "\x1f"
_NO_VALUE = "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """How many documents are sampled, and from what."""

    documents: int = 256_000
    """About so many, all strata together; fewer if there are fewer."""
    strata: tuple[str, ...] = ("language",)
    """String columns of the documents; each combination of their values is a stratum."""
    floor: int = 500
    """Documents of each stratum at least, or all that it has."""
    excerpt_chars: int = 600
    """Characters from the beginning of each text, for the names."""
    rates: tuple[tuple[str, float], ...] = ()
    """(stratum, share of its documents that is sampled); filled in once their sizes are known."""

    def __post_init__(self) -> None:
        if self.documents < 1 or self.floor < 0 or self.excerpt_chars < 1:
            raise ValueError(f"documents and excerpt_chars must be at least 1, floor at least 0: {self}")


def sample_schema(embedding: pa.DataType) -> pa.Schema:
    """Rows in an order that depends on ids alone and not on the strata.

    weight: documents of the corpus that this one stands for. excerpt: the beginning of its text.
    """
    return columns(
        pa.field("document_id", ID, nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("excerpt", pa.string(), nullable=False),
        pa.field("embedding", embedding, nullable=False),
    )


def sample_documents(documents: Dataset, embeddings: Dataset, *sidecars: Dataset, config: SampleConfig) -> Dataset:
    """The one-shard dataset of sampled documents that have an embedding and that no sidecar drops.

    A sidecar with `keep` drops where that is false, one with `duplicate_of` where that is set.
    """
    decides = [tuple(name for name in DECIDES if name in sidecar.schema.names) for sidecar in sidecars]
    counted = exchange(
        Exchange(name="cluster-strata", version=1, spills=_COUNTS, writes=_COUNTS, reduce=_add),
        replace(config, documents=1, floor=0, excerpt_chars=1),
        [Feed(map=_count, datasets=(documents, *sidecars), columns=(_counted_columns(config), *decides))],
        partitions=lambda *_: 1,
    )
    schema = sample_schema(embeddings.schema.field("embedding").type)
    read = tuple(dict.fromkeys((*_DOCUMENT, *config.strata)))
    return exchange(
        Exchange(name="cluster-sample", version=1, spills=schema, writes=schema, reduce=_gather),
        config,
        [
            Feed(
                map=_draw,
                datasets=(documents, embeddings, *sidecars),
                columns=(read, ("embedding",), *decides),
            )
        ],
        partitions=lambda *_: 1,
        counts_of=(counted,),
        complete=_with_rates,
    )


def sampling_rates(counts: Mapping[str, int], documents: int, floor: int) -> dict[str, float]:
    """The share of each stratum that is sampled: the same for all, but for those that it would leave below the floor.

    The expected sample has `documents` in all, or every floor where these alone are more.
    """
    sizes = np.array(list(counts.values()), np.float64)
    floors = np.minimum(sizes, floor)
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        low, high = (rate, high) if np.maximum(floors, rate * sizes).sum() <= documents else (low, rate)
    rates = np.minimum(np.maximum(floors, high * sizes) / np.maximum(sizes, 1), 1.0)
    return dict(zip(counts, rates.tolist(), strict=True))


def _counted_columns(config: SampleConfig) -> tuple[str, ...]:
    return (*config.strata, "problem") if "problem" not in config.strata else config.strata


def _with_rates(config: SampleConfig, records: Sequence[Sequence[Record]]) -> SampleConfig:
    (record,) = records[0]
    counts = {n.removeprefix(_STRATUM): c for n, c in record.counters.items() if n.startswith(_STRATUM)}
    rates = sampling_rates(dict(sorted(counts.items())), config.documents, config.floor)
    return replace(config, rates=tuple(rates.items()))


def is_kept(table: pa.Table) -> pa.ChunkedArray:
    """Whether each document counts: it has an embedding, or a text where that is not there, and no sidecar drops it."""
    keep = pc.is_valid(table["embedding"]) if "embedding" in table.column_names else pc.is_null(table["problem"])
    if "keep" in table.column_names:
        keep = pc.and_(keep, pc.fill_null(table["keep"], False))
    if "duplicate_of" in table.column_names:
        keep = pc.and_(keep, pc.is_null(table["duplicate_of"]))
    return keep


def _strata(config: SampleConfig, table: pa.Table) -> pa.ChunkedArray:
    """The name of each row's stratum."""
    values = [pc.fill_null(table[name], _NO_VALUE) for name in config.strata]
    return pc.binary_join_element_wise(pa.repeat("", table.num_rows), *values, _BETWEEN)


def _count(config: SampleConfig, place: Place, table: pa.Table) -> pa.Table:
    kept = table.filter(is_kept(table))
    counts = pc.value_counts(_strata(config, kept))
    partition = pa.array(np.zeros(len(counts), np.int32))
    return pa.table({"stratum": counts.field(0), "documents": counts.field(1), PARTITION: partition})


def _add(config: SampleConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    added = rows.group_by("stratum", use_threads=False).aggregate([("documents", "sum")])
    table = added.rename_columns(_COUNTS.names).sort_by("stratum").cast(_COUNTS)
    counts = zip(table["stratum"].to_pylist(), table["documents"].to_pylist(), strict=True)
    return Reduced(table=table, counters={_STRATUM + name: count for name, count in counts})


def _draw(config: SampleConfig, place: Place, table: pa.Table) -> pa.Table:
    """Documents whose id, read as a fraction, is below the rate of their stratum."""
    kept = table.filter(is_kept(table))
    strata = _strata(config, kept)
    names = pa.array([name for name, _ in config.rates], pa.string())
    rates = np.array([rate for _, rate in config.rates] or [1.0])
    rate = rates[pc.fill_null(pc.index_in(strata, names), 0).to_numpy()]
    fraction = halves_of(kept["document_id"])[0] * 2.0**-64
    chosen = np.flatnonzero((fraction < rate) | (rate >= 1))
    drawn = kept.take(chosen)
    excerpt = pc.utf8_slice_codeunits(drawn["text"], 0, config.excerpt_chars)
    return (
        drawn.select(["document_id", "origin", "language", "size", "embedding"])
        .append_column("weight", pa.array(1.0 / rate[chosen]))
        .append_column("excerpt", excerpt)
        .append_column(PARTITION, pa.array(np.zeros(len(chosen), np.int32)))
    )


def _gather(config: SampleConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    # by the half of the id that has not decided whether the document is here
    first, second = halves_of(rows["document_id"])
    return Reduced(table=rows.take(np.lexsort((first, second))))


def halves_of(ids: pa.ChunkedArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The first and the last eight bytes of each id as numbers: ids are digests, so these are uniform."""
    flat = pa.concat_arrays([*ids.chunks, pa.array([], ID)])
    raw = np.frombuffer(flat.buffers()[1] or b"", np.uint8)[flat.offset * 16 : (flat.offset + len(flat)) * 16]
    numbers = raw.view(">u8").astype(np.uint64).reshape(-1, 2)
    return numbers[:, 0], numbers[:, 1]
