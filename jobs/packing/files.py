"""Kept documents to published files: the global shuffle, one exchange.

Reads the documents' ids, their placement and tokens. Writes one shard of `DATA` rows per published file. Memory of a
reduce: up to 17 bytes per token of a file, and 60 MB.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.placement import tokens_by_domain
from pipeline.dataset import Dataset
from pipeline.exchange import Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from schemas.corpus import DATA
from schemas.documents import ID
from schemas.manifest import Record

TOKENS_PER_ROW_GROUP = 1 << 20
"""A streaming reader holds one row group: 4 MB of tokens."""

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

SHUFFLED = columns(
    pa.field("document_id", ID),
    pa.field("shuffle_key", pa.uint64()),
    pa.field("shuffle_rank", pa.int32()),
    pa.field("tokens", pa.list_(pa.int32())),
)
"""A document on its way to its file; its tokens lack the end-of-document token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesConfig:
    """What a published file looks like."""

    end_of_document: int
    """Token id put after every document."""
    tokens_per_file: int = 32_000_000
    """A domain with more gets several files of about equal size. Memory of a reduce: up to 17 bytes per token."""
    layout: tuple[tuple[str, int], ...] = ()
    """(domain, number of files), sorted by domain; filled in once the tokens are counted."""

    def __post_init__(self) -> None:
        if not 1 <= self.tokens_per_file <= 400_000_000:
            raise ValueError(f"tokens_per_file must be from 1 to 400,000,000, got {self.tokens_per_file}")


def shuffle(documents: Dataset, placement: Dataset, tokens: Dataset, config: FilesConfig) -> Dataset:
    """Published files, domain by domain, in the order of `files_of`."""
    return exchange(
        Exchange(name="files", version=1, spills=SHUFFLED, writes=DATA, reduce=_arrange),
        config,
        [
            Feed(
                map=_spread,
                datasets=(documents, placement, tokens),
                columns=(("document_id",), ("domain", "shuffle_key", "shuffle_rank"), ("tokens",)),
            )
        ],
        partitions=lambda _, records: sum(n for _, n in _layout(config, records[0])),
        counts_of=(placement,),
        complete=lambda c, records: replace(c, layout=_layout(c, records[0])),
    )


def files_of(config: FilesConfig, placed: Sequence[Record]) -> list[str]:
    """Path of every file below `data/` or a packing's folder, in shard order."""
    layout = _layout(config, placed)
    return [f"{domain}/part-{number:05d}.parquet" for domain, n in layout for number in range(n)]


def domain_totals(placed: Sequence[Record]) -> dict[str, int]:
    """Tokens by domain, sorted by name."""
    total: Counter[str] = Counter()
    for record in placed:
        total.update(tokens_by_domain(record.counters))
    return dict(sorted(total.items()))


def _layout(config: FilesConfig, placed: Sequence[Record]) -> tuple[tuple[str, int], ...]:
    """Files per domain. A corpus without a single token still has one file, of the domain `empty`."""
    per_file = config.tokens_per_file
    layout = tuple((domain, max(1, -(-tokens // per_file))) for domain, tokens in domain_totals(placed).items())
    return layout or (("empty", 1),)


def _spread(config: FilesConfig, place: Place, table: pa.Table) -> pa.Table:
    """Kept documents with the file that their shuffle key chooses among those of their domain."""
    kept = table.filter(pc.is_valid(table["domain"]))
    names = [domain for domain, _ in config.layout]
    counts = np.array([n for _, n in config.layout], np.uint64)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    domain = pc.index_in(kept["domain"], pa.array(names, pa.string())).to_numpy()
    key = kept["shuffle_key"].to_numpy()
    partition = pa.array((starts[domain] + file_numbers(key, counts[domain])).astype(np.int32))
    return kept.select(SHUFFLED.names).append_column("partition", partition)


def file_numbers(key: npt.NDArray[np.uint64], files: npt.NDArray[np.uint64] | np.uint64) -> Int64s:
    """Which of so many files each shuffle key chooses: by its high 32 bits. All 64 are the order inside the file."""
    return (((key >> np.uint64(32)) * files) >> np.uint64(32)).astype(np.int64)


def _arrange(config: FilesConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    return arrange(rows, config.end_of_document)


def arrange(rows: pa.Table, end_of_document: int) -> Reduced:
    """The `SHUFFLED` documents of a file in their order. The tokens move once, from the spills to where they stay."""
    keys = [("shuffle_key", "ascending"), ("shuffle_rank", "ascending"), ("document_id", "ascending")]
    order = pc.sort_indices(rows.select([name for name, _ in keys]), sort_keys=keys)
    lengths = pc.fill_null(pc.list_value_length(rows["tokens"]), 0).to_numpy().astype(np.int64) + 1
    offsets = np.concatenate([[0], np.cumsum(lengths[order.to_numpy()])])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(
            f"a file would hold {offsets[-1]:,} tokens, because one document or repository is that large; at most "
            f"{np.iinfo(np.int32).max:,} fit: drop it, or shuffle without repositories"
        )
    starts = np.empty(rows.num_rows, np.int64)
    starts[order.to_numpy()] = offsets[:-1]
    tokens, row = np.full(offsets[-1], end_of_document, np.int32), 0
    for chunk in rows["tokens"].chunks:
        _put(chunk.offsets.to_numpy(), chunk.values.to_numpy(), starts[row : row + len(chunk)], tokens)
        row += len(chunk)
    few = rows.select(["document_id", "shuffle_key", "shuffle_rank"]).take(order)
    values = {
        "document_id": few["document_id"],
        "tokens": pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(tokens)),
        "num_tokens": pa.array(np.diff(offsets).astype(np.int32)),
        "group": pa.array(_groups(few)),
    }
    per_group = max(1, TOKENS_PER_ROW_GROUP * rows.num_rows // max(1, len(tokens)))
    counters = {"tokens": len(tokens)}
    return Reduced(table=pa.table(values, schema=DATA), counters=counters, rows_per_group=per_group)


def _put_tokens(offsets: Int32s, values: Int32s, starts: Int64s, tokens: Int32s) -> None:
    for document in range(len(starts)):
        at = starts[document] - offsets[document]
        for position in range(offsets[document], offsets[document + 1]):
            tokens[at + position] = values[position]


_put = numba.njit(cache=True)(_put_tokens)


def _groups(rows: pa.Table) -> Int32s:
    """Number of the group of each sorted document: documents of one key that have ranks are one group."""
    if not rows.num_rows:
        return np.empty(0, np.int32)
    key = rows["shuffle_key"].to_numpy()
    has_rank = rows["shuffle_rank"].is_valid().to_numpy()
    goes_on = (key[1:] == key[:-1]) & has_rank[1:] & has_rank[:-1]
    return np.concatenate([[0], np.cumsum(~goes_on)]).astype(np.int32)
