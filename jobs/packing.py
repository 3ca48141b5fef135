"""Tokens of kept documents to training sequences: a global shuffle and concatenation, one exchange.

Reads the documents' ids, their placement and tokens. Writes one shard of `PACKED` rows per published file. Memory of a
reduce: about 20 bytes per token of a file.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.placement import tokens_by_domain
from pipeline.dataset import Dataset
from pipeline.exchange import Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from schemas.corpus import PACKED
from schemas.documents import ID
from schemas.manifest import Record

TOKENS_PER_ROW_GROUP = 1 << 20
"""A streaming reader holds one row group: 4 MB of tokens."""

_SPILL = columns(
    pa.field("document_id", ID), pa.field("shuffle_key", pa.uint64()), pa.field("tokens", pa.list_(pa.int32()))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackConfig:
    """What a published file looks like."""

    end_of_document: int
    """Token id put after every document."""
    sequence_length: int = 2048
    """Tokens of a row; 0 gives one row per document."""
    tokens_per_file: int = 32_000_000
    """A domain with more gets several files of about equal size."""
    layout: tuple[tuple[str, int], ...] = ()
    """(domain, number of files), sorted by domain; filled in once the tokens are counted."""

    def __post_init__(self) -> None:
        if self.sequence_length < 0 or self.sequence_length == 1:
            raise ValueError(
                f"sequence_length must be 0 (one row per document) or at least 2, got {self.sequence_length}"
            )
        if not 1 <= self.tokens_per_file <= 400_000_000:
            raise ValueError(f"tokens_per_file must be from 1 to 400,000,000, got {self.tokens_per_file}")


def pack(documents: Dataset, placement: Dataset, tokens: Dataset, config: PackConfig) -> Dataset:
    """Published files, domain by domain, in the order of `files_of`."""
    return exchange(
        Exchange(name="pack", version=1, spills=_SPILL, writes=PACKED, reduce=_pack),
        config,
        [
            Feed(
                map=_spread,
                datasets=(documents, placement, tokens),
                columns=(("document_id",), ("domain", "shuffle_key"), ("tokens",)),
            )
        ],
        partitions=lambda _, records: sum(n for _, n in _layout(config, records[0])),
        counts_of=(placement,),
        complete=lambda c, records: replace(c, layout=_layout(c, records[0])),
    )


def files_of(config: PackConfig, placed: Sequence[Record]) -> list[str]:
    """Path of every file inside a published version, in shard order."""
    layout = _layout(config, placed)
    return [f"data/{domain}/part-{number:05d}.parquet" for domain, n in layout for number in range(n)]


def domain_totals(placed: Sequence[Record]) -> dict[str, int]:
    """Tokens by domain, sorted by name."""
    total: Counter[str] = Counter()
    for record in placed:
        total.update(tokens_by_domain(record.counters))
    return dict(sorted(total.items()))


def _layout(config: PackConfig, placed: Sequence[Record]) -> tuple[tuple[str, int], ...]:
    """Files per domain. A corpus without a single token still has one file, of the domain `empty`."""
    per_file = config.tokens_per_file
    layout = tuple((domain, max(1, -(-tokens // per_file))) for domain, tokens in domain_totals(placed).items())
    return layout or (("empty", 1),)


def _spread(config: PackConfig, place: Place, table: pa.Table) -> pa.Table:
    """Kept documents with the file that their shuffle key chooses among those of their domain."""
    kept = table.filter(pc.is_valid(table["domain"]))
    names = [domain for domain, _ in config.layout]
    counts = np.array([n for _, n in config.layout], np.uint64)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    domain = pc.index_in(kept["domain"], pa.array(names, pa.string())).to_numpy()
    key = kept["shuffle_key"].to_numpy()
    # the high 32 bits choose the file, all 64 the order inside it
    number = ((key >> np.uint64(32)) * counts[domain]) >> np.uint64(32)
    partition = pa.array((starts[domain] + number.astype(np.int64)).astype(np.int32))
    return kept.select(_SPILL.names).append_column("partition", partition)


def _pack(config: PackConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    rows = rows.sort_by([("shuffle_key", "ascending"), ("document_id", "ascending")]).combine_chunks()
    flat, starts = _concatenate(rows["tokens"], config.end_of_document)
    table = _rows(flat, starts, rows["document_id"], config.sequence_length)
    counters = {
        "tokens": len(flat),
        "documents": rows.num_rows,
        "sequences": table.num_rows,
    }
    per_group = max(1, TOKENS_PER_ROW_GROUP // max(1, config.sequence_length or len(flat) // max(1, table.num_rows)))
    return Reduced(table=table, counters=counters, rows_per_group=per_group)


def _concatenate(tokens: pa.ChunkedArray, end_of_document: int) -> tuple[np.ndarray, np.ndarray]:
    """All tokens with an end-of-document token after each document, and where each document starts (int64)."""
    lists = tokens.combine_chunks() if isinstance(tokens, pa.ChunkedArray) else tokens
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.array([], lists.type)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    values = lists.values.to_numpy()[offsets[0] : offsets[-1]] if len(lists) else np.empty(0, np.int32)
    lengths = np.diff(offsets)
    starts = np.concatenate([[0], np.cumsum(lengths + 1)])
    flat = np.full(starts[-1], end_of_document, np.int32)
    is_token = np.ones(len(flat), bool)
    is_token[starts[1:] - 1] = False
    flat[is_token] = values
    return flat, starts[:-1]


def _rows(flat: np.ndarray, starts: np.ndarray, ids: pa.ChunkedArray, sequence_length: int) -> pa.Table:
    """Rows of `sequence_length` tokens (or one per document) with the documents whose tokens stand in each."""
    row_starts = np.arange(0, len(flat), sequence_length) if sequence_length else starts
    pieces = np.union1d(starts, row_starts)
    document = np.searchsorted(starts, pieces, side="right") - 1
    row = np.searchsorted(row_starts, pieces, side="right") - 1
    first_piece = np.searchsorted(pieces, row_starts)
    token_offsets = pa.array(np.append(row_starts, len(flat)), pa.int32())
    piece_offsets = pa.array(np.append(first_piece, len(pieces)), pa.int32())
    names = ids.cast(pa.binary()).take(pa.array(document))
    names = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    if isinstance(names, pa.ChunkedArray):
        names = pa.array([], pa.binary())
    values = {
        "tokens": pa.ListArray.from_arrays(token_offsets, pa.array(flat, pa.int32())),
        "document_id": pa.ListArray.from_arrays(piece_offsets, names),
        "document_start": pa.ListArray.from_arrays(piece_offsets, pa.array(pieces - row_starts[row], pa.int32())),
        "document_offset": pa.ListArray.from_arrays(piece_offsets, pa.array(pieces - starts[document], pa.int32())),
    }
    return pa.table(values, schema=PACKED)
