"""How well tokens and syntax trees fit, by language: the counts of a corpus, and what `tokenizer alignment` prints.

Reads `language` of the documents, `num_tokens` and the counts of `schemas.alignment.ALIGNMENT`; writes
`ALIGNMENT_STATISTICS`. One exchange with one partition; only integers are added. Memory: 100 bytes per document of a
shard.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.inspection import read_report
from jobs.looking import existing_storage, print_json, standard_output
from jobs.terminal import printable
from pipeline import catalog
from pipeline.dataset import Dataset
from pipeline.exchange import PARTITION, Exchange, Feed, Place, Reduced, exchange
from pipeline.store import Store
from schemas.alignment import ALIGNMENT_MEASURES, ALIGNMENT_STATISTICS

NAME = "alignment-statistics"
"""Of the step."""

UNKNOWN = "unknown"
"""Name of the language of documents without one."""

_COUNTS = ("aligned_tokens", "leaves", "whole_leaves", "identifiers", "identifier_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignmentStatisticsConfig:
    """Nothing to set: the counts are the same for every corpus."""


def alignment_statistics(documents: Dataset, tokens: Dataset, alignment: Dataset) -> Dataset:
    """The one-shard dataset of `ALIGNMENT_STATISTICS` rows over all documents, dropped ones too.

    `tokens` is the sidecar that was aligned, `alignment` what `stages.tokenization.align` wrote.
    """
    columns = (("language",), ("num_tokens",), ("alignment_status", *_COUNTS))
    feed = Feed(map=_tally, datasets=(documents, tokens, alignment), columns=columns)
    functions = Exchange(name=NAME, version=1, spills=ALIGNMENT_STATISTICS, writes=ALIGNMENT_STATISTICS, reduce=_add)
    return exchange(functions, AlignmentStatisticsConfig(), [feed], partitions=lambda *_: 1)


def _tally(config: AlignmentStatisticsConfig, place: Place, table: pa.Table) -> pa.Table:
    rows = pa.table(
        {
            "language": table["language"],
            "status": table["alignment_status"],
            "documents": pa.repeat(pa.scalar(1, pa.int64()), table.num_rows),
            "tokens": pc.fill_null(table["num_tokens"], 0),
        }
        | {name: pc.fill_null(table[name], 0) for name in _COUNTS}
    )
    sums = rows.group_by(["language", "status"], use_threads=False).aggregate([(m, "sum") for m in ALIGNMENT_MEASURES])
    parts = [
        pa.table(
            {
                "language": sums["language"],
                "status": sums["status"],
                "measure": pa.repeat(measure, sums.num_rows),
                "count": sums[f"{measure}_sum"].cast(pa.int64()),
            }
        )
        for measure in ALIGNMENT_MEASURES
    ]
    counts = _sorted(pa.concat_tables(parts))
    return counts.append_column(PARTITION, pa.array(np.zeros(counts.num_rows, np.int32)))


def _add(config: AlignmentStatisticsConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    return Reduced(table=_sorted(rows))


def _sorted(rows: pa.Table) -> pa.Table:
    """Counts of equal keys added up, those of 0 left out, in order."""
    keys = ["language", "status", "measure"]
    sums = rows.group_by(keys, use_threads=False).aggregate([("count", "sum")]).rename_columns([*keys, "count"])
    sums = sums.filter(pc.greater(sums["count"], 0)).sort_by([(key, "ascending") for key in keys])
    return sums.select(ALIGNMENT_STATISTICS.names).cast(ALIGNMENT_STATISTICS)


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageAlignment:
    """One language. All but `statuses` is of the documents that are aligned; ratios are null of nothing."""

    language: str
    statuses: dict[str, int]
    """Documents by whether they are aligned, or why not."""
    documents: int
    tokens: int
    aligned_share: float | None
    """Tokens that overlap at most one leaf."""
    leaves: int
    whole_share: float | None
    """Leaves whose tokens overlap no other leaf."""
    identifiers: int
    tokens_per_identifier: float | None
    merged_share: float | None
    """Tokens that are saved where the tokens of each identifier are merged into one."""


def alignment_of(counts: pa.Table) -> list[LanguageAlignment]:
    """What `ALIGNMENT_STATISTICS` rows say, by name of the language, unknown ones last, all together at the end."""
    tallies: dict[str, dict[tuple[str, str], int]] = {}
    total: dict[tuple[str, str], int] = {}
    for row in counts.to_pylist():
        key = (row["status"], row["measure"])
        tally = tallies.setdefault(row["language"] or "", {})
        tally[key] = tally.get(key, 0) + row["count"]
        total[key] = total.get(key, 0) + row["count"]
    names = sorted(tallies, key=lambda name: (not name, name))
    return [*(_language(name or UNKNOWN, tallies[name]) for name in names), _language("all", total)]


def _language(name: str, tally: dict[tuple[str, str], int]) -> LanguageAlignment:
    of = {measure: tally.get(("aligned", measure), 0) for measure in ALIGNMENT_MEASURES}
    return LanguageAlignment(
        language=name,
        statuses={status: n for (status, measure), n in sorted(tally.items()) if measure == "documents"},
        documents=of["documents"],
        tokens=of["tokens"],
        aligned_share=_ratio(of["aligned_tokens"], of["tokens"]),
        leaves=of["leaves"],
        whole_share=_ratio(of["whole_leaves"], of["leaves"]),
        identifiers=of["identifiers"],
        tokens_per_identifier=_ratio(of["identifier_tokens"], of["identifiers"]),
        merged_share=_ratio(of["identifier_tokens"] - of["identifiers"], of["tokens"]),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def show_alignment(*, corpus: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill tokenizer alignment`. Raises NotFoundError for a version without statistics of alignment."""
    opened = Store(existing_storage(site, store))
    manifest = catalog.load(opened.storage, corpus)
    reference = f"{manifest.name}@{manifest.version}"
    makes = "jobs.tokenizers.alignment.alignment_statistics(documents, tokens, alignment)"
    found = alignment_of(read_report(opened, manifest, NAME, ALIGNMENT_STATISTICS, makes, without="--fim"))
    if as_json:
        print_json(
            {"corpus": reference, "vocabulary": manifest.vocabulary, "languages": [asdict(row) for row in found]}
        )
        return
    _print(standard_output(), f"{reference}: tokens of {manifest.vocabulary} beside the syntax trees", found)


def _print(console: Console, title: str, found: list[LanguageAlignment]) -> None:
    console.print(Text(printable(title), style="bold"), soft_wrap=True)
    heads = ("files", "tokens", "within a leaf", "leaves", "whole", "identifiers", "tokens each", "saved if merged")
    table = Table(box=None, pad_edge=False)
    table.add_column("language")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    aligned = [row for row in found if row.documents]
    for row in aligned if len(aligned) > 2 else aligned[:1]:
        each = "-" if row.tokens_per_identifier is None else f"{row.tokens_per_identifier:.2f}"
        counts = [f"{row.documents:,}", f"{row.tokens:,}", _percent(row.aligned_share), f"{row.leaves:,}"]
        counts += [_percent(row.whole_share), f"{row.identifiers:,}", each, _percent(row.merged_share)]
        table.add_row(Text(printable(row.language)), *counts)
    console.print(table)
    others = {status: n for status, n in found[-1].statuses.items() if status != "aligned"}
    if others:
        reasons = ", ".join(f"{status} {n:,}" for status, n in others.items())
        console.print(Text(f"not aligned: {reasons}"), soft_wrap=True)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
