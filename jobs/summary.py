"""Totals of a corpus by origin, revision, language and licence: one exchange with one partition.

Memory of the reduce: about 200 bytes per distinct combination and shard.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset import Dataset
from pipeline.exchange import Exchange, Feed, Place, Reduced, exchange
from schemas.corpus import SUMMARY

_KEYS = ("origin", "revision", "language", "license")
_SUMS = ("documents", "bytes", "kept", "kept_bytes", "tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryConfig:
    """Nothing to set: the totals are the same for every corpus."""


def summarize(documents: Dataset, decisions: Dataset, tokens: Dataset) -> Dataset:
    """The one-shard dataset of `SUMMARY` rows."""
    feed = Feed(
        map=_tally,
        datasets=(documents, decisions, tokens),
        columns=((*_KEYS, "size"), ("keep",), ("num_tokens",)),
    )
    functions = Exchange(name="summary", version=1, spills=SUMMARY, writes=SUMMARY, reduce=_add)
    return exchange(functions, SummaryConfig(), [feed], partitions=lambda *_: 1)


def _tally(config: SummaryConfig, place: Place, table: pa.Table) -> pa.Table:
    kept = table["keep"].cast(pa.int64())
    rows = table.select(list(_KEYS)).append_column("documents", pa.array(np.ones(table.num_rows, np.int64)))
    rows = rows.append_column("bytes", table["size"]).append_column("kept", kept)
    rows = rows.append_column("kept_bytes", pc.multiply(kept, table["size"]))
    tokens = pc.multiply(kept, pc.fill_null(table["num_tokens"], 0).cast(pa.int64()))
    totals = _totals(rows.append_column("tokens", tokens))
    return totals.append_column("partition", pa.array(np.zeros(totals.num_rows, np.int32)))


def _add(config: SummaryConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    return Reduced(table=_totals(rows))


def _totals(rows: pa.Table) -> pa.Table:
    grouped = rows.group_by(list(_KEYS), use_threads=False).aggregate([(name, "sum") for name in _SUMS])
    named = grouped.rename_columns({f"{name}_sum": name for name in _SUMS}).select(SUMMARY.names)
    return named.sort_by([(name, "ascending") for name in _KEYS]).cast(SUMMARY)
