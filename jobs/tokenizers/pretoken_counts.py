"""Counts of pretokens by language over a corpus: one exchange, by the hash of the pretoken.

Reads `document_id`, `language` and `text` of the documents, and from sidecars which documents count. Writes
`PRETOKENS`. Only integers are added, so no cut into shards changes a byte, and counts of parts add up (`merge_counts`).
Memory: a shard's text and 100 bytes per distinct pretoken of it in a map; 150 bytes per distinct pretoken, language and
shard in a reduce.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset import Dataset
from pipeline.exchange import PARTITION, Exchange, Feed, Place, Reduced, exchange
from pipeline.store import Shard
from schemas.columns import columns
from schemas.manifest import Record
from schemas.pretokens import PRETOKENS
from stages.text_views import text_views
from stages.tokenization.scanner import rules_of
from stages.tokenization.scanner_counts import Counted, count_pretokens, hash_pretokens
from stages.tokenization.training.hybrid import HybridConfig
from stages.tokenization.training.less_is_better import LibConfig
from stages.tokenization.training.methods import HYBRID, LIB, SUPERBPE, SUPERTOKENS, Method
from stages.tokenization.training.superwords import SuperwordConfig
from stages.tokenization.training.units import Cuts

METHODS: Mapping[str, Method[Any]] = {method.name: method for method in (SUPERBPE, SUPERTOKENS, LIB, HYBRID)}
"""Ways to train beside `bpe`."""

Settings = SuperwordConfig | LibConfig | HybridConfig

UNKNOWN = "unknown"
"""Domain of documents without a language."""

_BYTES = "bytes:"
"""Prefix of the counters that hold a domain's bytes."""
_SIZES = columns(pa.field("domain", pa.string()), pa.field("bytes", pa.int64()))
_DOCUMENT = ("document_id", "language", "text")
_SIZE = ("language", "size", "problem")
_DECIDES = ("keep", "duplicate_of")
"""Columns of sidecars that say whether a document counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretokenConfig:
    """What is counted."""

    split: str
    """How text is cut, by name."""
    method: str = "bpe"
    """What the counts are for: `bpe`, or a key of `METHODS`, which may count other pieces of text than pretokens."""
    cuts: Cuts | None = None
    """What that method counts: `cuts` of its settings; None for `bpe`."""
    max_domain_bytes: int = 0
    """A language with more text is sampled down to about so many bytes, by document id; 0 counts everything."""
    bytes_per_partition: int = 2_000_000_000
    """Text per partition; bounds the memory of a reduce."""
    rates: tuple[tuple[str, float], ...] = ()
    """(domain, share of its documents that counts), for those sampled; filled in once their sizes are known."""

    def __post_init__(self) -> None:
        rules_of(self.split)
        if self.method != "bpe" and self.method not in METHODS:
            raise ValueError(f"method={self.method!r} must be one of bpe, {', '.join(METHODS)}")
        if (self.cuts is None) != (self.method == "bpe"):
            raise ValueError(f"method={self.method!r} needs cuts of its own, bpe has none here")
        if self.max_domain_bytes < 0:
            raise ValueError(f"max_domain_bytes must not be negative, got {self.max_domain_bytes}")
        if self.bytes_per_partition < 1:
            raise ValueError(f"bytes_per_partition must be at least 1, got {self.bytes_per_partition}")


def pretoken_counts(documents: Dataset, *sidecars: Dataset, config: PretokenConfig) -> Dataset:
    """The counted pretokens of all documents that have a text and that no sidecar drops.

    A sidecar with `keep` drops where that is false, one with `duplicate_of` where that is set.
    """
    inputs = (documents, *sidecars)
    decides = [tuple(name for name in _DECIDES if name in sidecar.schema.names) for sidecar in sidecars]
    sizes = _sizes(inputs, (_SIZE, *decides)) if config.max_domain_bytes else None
    return exchange(
        Exchange(
            name="pretoken-counts",
            version=1,
            spills=PRETOKENS,
            writes=PRETOKENS,
            reduce=_add,
            libraries=("tiktoken",),
        ),
        config,
        [Feed(map=_count, datasets=inputs, columns=(_DOCUMENT, *decides))],
        partitions=lambda shards, _: _num_partitions(shards, config.bytes_per_partition),
        counts_of=(sizes,) if sizes else (),
        complete=_with_rates if sizes else None,
    )


def merge_counts(tables: Sequence[pa.Table]) -> pa.Table:
    """Counts of several parts added up: `PRETOKENS`, sorted."""
    rows = pa.concat_tables([PRETOKENS.empty_table(), *tables])
    added = rows.group_by(["kind", "domain", "pretoken"], use_threads=False).aggregate([("count", "sum")])
    ordered = added.sort_by([("kind", "ascending"), ("domain", "ascending"), ("pretoken", "ascending")])
    return ordered.rename_columns(PRETOKENS.names).cast(PRETOKENS)


def domain_bytes(records: Sequence[Record]) -> dict[str, int]:
    """Bytes of text that were counted, by domain, from the records of the counts."""
    total: Counter[str] = Counter()
    for record in records:
        total.update({n.removeprefix(_BYTES): c for n, c in record.counters.items() if n.startswith(_BYTES)})
    return dict(sorted(total.items()))


def _num_partitions(shards: Sequence[Shard], bytes_per_partition: int) -> int:
    return max(1, -(-sum(shard.bytes or 0 for shard in shards) // bytes_per_partition))


def _count(config: PretokenConfig, place: Place, table: pa.Table) -> pa.Table:
    kept = _sampled(_kept(table), dict(config.rates))
    parts = [part for batch in kept.combine_chunks().to_batches() for part in _count_batch(batch, config, place)]
    schema = PRETOKENS.append(pa.field(PARTITION, pa.int32()))
    return pa.Table.from_batches([part.cast(schema) for part in parts], schema=schema)


def _count_batch(batch: pa.RecordBatch, config: PretokenConfig, place: Place) -> Iterator[pa.RecordBatch]:
    """Counts of each domain of the batch, in order of their names."""
    encoded = batch["domain"].dictionary_encode()
    names, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    for name in sorted(names):
        rows = np.flatnonzero(codes == names.index(name))
        for kind, counted in enumerate(_count_rows(batch, rows, config)):
            partition = (counted.hashes >> np.uint64(32)) * np.uint64(place.partitions) >> np.uint64(32)
            size = len(counted.counts)
            yield pa.record_batch(
                {
                    "kind": pa.repeat(pa.scalar(kind, pa.int8()), size),
                    "domain": pa.repeat(pa.scalar(name, pa.string()), size),
                    "pretoken": counted.pretokens,
                    "count": pa.array(counted.counts),
                    PARTITION: pa.array(partition.astype(np.int32)),
                }
            )


def _count_rows(batch: pa.RecordBatch, rows: npt.NDArray[np.int64], config: PretokenConfig) -> list[Counted]:
    """The counts of each kind."""
    if config.cuts is None:
        return [count_pretokens(*text_views(batch["text"]), rows, config.split)]
    chosen = batch.take(pa.array(rows))
    counts = METHODS[config.method].count(chosen["text"], chosen["document_id"], config.cuts)
    return [Counted(pieces, numbers, hash_pretokens(pieces)) for pieces, numbers in counts]


def _add(config: PretokenConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    table = merge_counts([rows])
    first = table.filter(pc.equal(table["kind"], 0))
    sizes = pc.multiply(pc.binary_length(first["pretoken"]).cast(pa.int64()), first["count"])
    return Reduced(table=table, counters=_by_domain(first["domain"], sizes))


def _by_domain(domain: pa.ChunkedArray, sizes: pa.ChunkedArray) -> Mapping[str, int]:
    grouped = pa.table({"domain": domain, "bytes": sizes}).group_by("domain", use_threads=False)
    rows = grouped.aggregate([("bytes", "sum")]).to_pylist()
    return {_BYTES + row["domain"]: row["bytes_sum"] for row in sorted(rows, key=lambda r: r["domain"])}


def _kept(table: pa.Table) -> pa.Table:
    """The documents that count, with their domain."""
    keep = pc.is_valid(table["text"]) if "text" in table.column_names else pc.is_null(table["problem"])
    if "keep" in table.column_names:
        keep = pc.and_(keep, pc.fill_null(table["keep"], False))
    if "duplicate_of" in table.column_names:
        keep = pc.and_(keep, pc.is_null(table["duplicate_of"]))
    domain = pc.fill_null(table["language"], UNKNOWN)
    return (
        table.select([n for n in ("document_id", "text", "size") if n in table.column_names])
        .append_column("domain", domain)
        .filter(keep)
    )


def _sampled(table: pa.Table, rates: Mapping[str, float]) -> pa.Table:
    """The documents whose id, read as a fraction, is below the rate of their domain."""
    if not rates or not table.num_rows:
        return table
    domains = pc.unique(table["domain"])
    limits = np.array([_threshold(rates.get(name, 1.0)) for name in domains.to_pylist()], np.uint64)
    limit = limits[pc.index_in(table["domain"], domains).to_numpy()]
    return table.filter(pa.array(_fractions(table["document_id"]) <= limit))


def _threshold(rate: float) -> int:
    return min(int(rate * 2.0**64), 2**64 - 1)


def _fractions(ids: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """The first eight bytes of each id as a number: ids are digests, so these are uniform."""
    flat = pa.concat_arrays(ids.chunks)
    width = flat.type.byte_width
    raw = np.frombuffer(flat.buffers()[1], np.uint8)[flat.offset * width : (flat.offset + len(flat)) * width]
    return np.ascontiguousarray(raw.reshape(-1, width)[:, :8]).view(">u8").ravel().astype(np.uint64)


def _sizes(inputs: tuple[Dataset, ...], used: tuple[tuple[str, ...], ...]) -> Dataset:
    """Source bytes by domain, in the counters of one shard."""
    functions = Exchange(name="language-sizes", version=1, spills=_SIZES, writes=_SIZES, reduce=_add_sizes)
    return exchange(functions, None, [Feed(map=_measure, datasets=inputs, columns=used)], partitions=lambda *_: 1)


def _measure(config: None, place: Place, table: pa.Table) -> pa.Table:
    kept = _kept(table)
    partition = pa.array(np.zeros(kept.num_rows, np.int32))
    return pa.table({"domain": kept["domain"], "bytes": kept["size"], PARTITION: partition})


def _add_sizes(config: None, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    counters = _by_domain(rows["domain"], rows["bytes"])
    names = [name.removeprefix(_BYTES) for name in counters]
    return Reduced(table=pa.table([names, list(counters.values())], schema=_SIZES), counters=counters)


def _with_rates(config: PretokenConfig, records: Sequence[Sequence[Record]]) -> PretokenConfig:
    sizes = domain_bytes(records[0])
    rates = ((name, config.max_domain_bytes / size) for name, size in sizes.items() if size > config.max_domain_bytes)
    return replace(config, rates=tuple(rates))
