"""What `ast stats` computes and prints: the tables of the MLCPD paper for the trees of a published version."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.card import human_bytes
from jobs.inspection import read_report
from jobs.looking import existing_storage, print_json, standard_output
from jobs.syntax_statistics import NAME
from jobs.terminal import printable
from pipeline import catalog
from pipeline.store import Store
from schemas.syntax_statistics import MEASURES, SYNTAX_STATISTICS

MLCPD_ZERO_ERROR = {
    "C": 0.4210,
    "C#": 0.9702,
    "C++": 0.8873,
    "Go": 0.9929,
    "Java": 0.9934,
    "JavaScript": 0.9695,
    "Python": 0.9863,
    "Ruby": 0.9905,
    "Scala": 0.9475,
    "TypeScript": 0.8113,
}
"""Share of MLCPD's files without a parse error, by Linguist name.

Source: `final_statistics/stats_language_level.csv` of JugalGajjar/MultiLang-Code-Parser-Dataset at 883fd7e.
"""

UNKNOWN = "unknown"
"""Name of the language of documents without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageStatistics:
    """One language. All but `statuses` and `files` is of the files that have a tree; ratios are null without any."""

    language: str
    files: int
    statuses: dict[str, int]
    """Files by why they have a tree (`parsed`) or none."""
    trees: int
    bytes: int
    lines: int
    nodes: int
    mean_lines: float | None
    mean_nodes: float | None
    nodes_per_line: float | None
    """All nodes by all lines; MLCPD gives the mean of the files' ratios."""
    mean_line_bytes: float | None
    """Without line breaks."""
    mean_errors: float | None
    """ERROR and MISSING nodes of a file; MLCPD counts ERROR nodes alone."""
    zero_error_share: float | None
    """Files without ERROR and MISSING nodes."""
    mlcpd_zero_error_share: float | None
    """The same of MLCPD; null for a language that it does not have."""
    lossless_share: float | None
    entropy_bits: float | None
    """Of the names of the nodes' kinds, anonymous ones too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Similarity:
    """Cosine similarity of how often things occur in two languages: 1 for equal shares, 0 for nothing in common."""

    languages: list[str]
    cosine: list[list[float]]
    """Row and column by language."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """The tables of a corpus."""

    languages: list[LanguageStatistics]
    """By name, documents of unknown language last."""
    total: LanguageStatistics
    """All of them together, as language `all`."""
    kinds: Similarity
    """By names of kinds, as MLCPD compares: says mostly how alike two grammars name their nodes."""
    concepts: Similarity
    """By universal concepts of named nodes, but `none` and tokens: how alike programs are built."""


def statistics_of(counts: pa.Table) -> Statistics:
    """What `SYNTAX_STATISTICS` rows say. Floats come from whole sums, so the order of rows changes nothing."""
    tallies: defaultdict[str, _Tally] = defaultdict(_Tally.empty)
    total = _Tally.empty()
    names = counts["language"].fill_null("").to_pylist()
    for name, row in zip(names, counts.drop_columns("language").to_pylist(), strict=True):
        tallies[name].add(**row)
        total.add(**row)
    ordered = {name or UNKNOWN: tallies[name] for name in sorted(tallies, key=lambda name: (not name, name))}
    return Statistics(
        languages=[_statistics(name, tally) for name, tally in ordered.items()],
        total=_statistics("all", total),
        kinds=_similarity({name: tally.kinds for name, tally in ordered.items()}),
        concepts=_similarity({name: tally.concepts for name, tally in ordered.items()}),
    )


@dataclass(frozen=True, slots=True)
class _Tally:
    """Integer counts of one language."""

    statuses: Counter[str]
    measures: Counter[str]
    """Of the files with a tree."""
    kinds: Counter[str]
    concepts: Counter[str]
    """Of named nodes, without `none` and tokens."""

    @classmethod
    def empty(cls) -> "_Tally":
        return cls(Counter(), Counter(), Counter(), Counter())

    def add(
        self, status: str, measure: str, kind: str | None, concept: str | None, is_named: bool | None, count: int
    ) -> None:
        assert measure in MEASURES, measure
        if measure == "files":
            self.statuses[status] += count
        if status == "parsed":
            self.measures[measure] += count
        if kind is None or concept is None:
            return
        self.kinds[kind] += count
        if is_named and concept != "none" and not concept.startswith("token."):
            self.concepts[concept] += count


def _statistics(language: str, tally: _Tally) -> LanguageStatistics:
    of = tally.measures
    return LanguageStatistics(
        language=language,
        files=tally.statuses.total(),
        statuses=dict(sorted(tally.statuses.items())),
        trees=of["files"],
        bytes=of["bytes"],
        lines=of["lines"],
        nodes=of["nodes"],
        mean_lines=_ratio(of["lines"], of["files"]),
        mean_nodes=_ratio(of["nodes"], of["files"]),
        nodes_per_line=_ratio(of["nodes"], of["lines"]),
        mean_line_bytes=_ratio(of["line_bytes"], of["lines"]),
        mean_errors=_ratio(of["errors"] + of["missing"], of["files"]),
        zero_error_share=_ratio(of["without_errors"], of["files"]),
        mlcpd_zero_error_share=MLCPD_ZERO_ERROR.get(language),
        lossless_share=_ratio(of["lossless"], of["files"]),
        entropy_bits=_entropy(tally.kinds),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _entropy(counts: Counter[str]) -> float | None:
    """Shannon entropy in bits; None of nothing."""
    total = counts.total()
    terms = (count / total * math.log2(total / count) for count in sorted(counts.values()))
    return math.fsum(terms) if total else None


def _similarity(counts: Mapping[str, Counter[str]]) -> Similarity:
    """Between all languages that have anything."""
    there = {name: values for name, values in counts.items() if values}
    return Similarity(languages=list(there), cosine=[[_cosine(a, b) for b in there.values()] for a in there.values()])


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    """Products are whole numbers, so only the last two operations round."""
    product = sum(count * b[name] for name, count in a.items())
    squares = sum(count**2 for count in a.values()) * sum(count**2 for count in b.values())
    return min(1.0, product / math.sqrt(squares))


def show_statistics(*, corpus: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """`gristmill ast stats`. Raises NotFoundError for a version without statistics of trees."""
    opened = Store(existing_storage(site, store))
    manifest = catalog.load(opened.storage, corpus)
    reference = f"{manifest.name}@{manifest.version}"
    makes = "jobs.syntax_statistics.syntax_statistics(documents, trees)"
    found = statistics_of(read_report(opened, manifest, NAME, SYNTAX_STATISTICS, makes))
    if as_json:
        print_json({"corpus": reference} | asdict(found))
        return
    _print_statistics(standard_output(), reference, found)


def _print_statistics(console: Console, reference: str, found: Statistics) -> None:
    total = found.total
    summary = f"{reference}: {total.trees:,} trees of {total.files:,} files, {total.nodes:,} nodes"
    console.print(Text(summary, style="bold"), soft_wrap=True)
    parsed = [row for row in found.languages if row.trees]
    without = [row for row in found.languages if row.trees < row.files]
    rows = [*parsed, total] if len(parsed) > 1 else parsed
    tables = [_sizes(rows), _ratios(rows)] if rows else []
    tables += [_without(without)] if without else []
    for title, similarity in (
        ("similarity by universal concepts (cosine)", found.concepts),
        ("similarity by names of kinds (cosine), as MLCPD compares", found.kinds),
    ):
        tables += [_matrix(title, similarity)] if len(similarity.languages) > 1 else []
    for table in tables:
        console.print()
        console.print(table)


def _table(title: str, heads: Sequence[str], text: int = 1) -> Table:
    """A table whose first columns, `text` of them, hold text and the others numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number < text else "right", no_wrap=number >= text)
    return table


def _sizes(rows: Sequence[LanguageStatistics]) -> Table:
    table = _table("trees", ("language", "files", "trees", "bytes", "lines", "nodes", "lines/file", "nodes/file"))
    for row in rows:
        counts = [f"{row.files:,}", f"{row.trees:,}", human_bytes(row.bytes), f"{row.lines:,}", f"{row.nodes:,}"]
        table.add_row(_name(row.language), *counts, _figure(row.mean_lines), _figure(row.mean_nodes))
    return table


def _ratios(rows: Sequence[LanguageStatistics]) -> Table:
    heads = ("nodes/line", "bytes/line", "entropy", "errors/file", "zero-error", "MLCPD's", "lossless")
    table = _table("figures", ("language", *heads))
    for row in rows:
        figures = [_figure(value) for value in (row.nodes_per_line, row.mean_line_bytes)]
        figures += [_figure(row.entropy_bits, 3), _figure(row.mean_errors)]
        shares = [_percent(v) for v in (row.zero_error_share, row.mlcpd_zero_error_share, row.lossless_share)]
        table.add_row(_name(row.language), *figures, *shares)
    return table


def _without(rows: Sequence[LanguageStatistics]) -> Table:
    """Files without a tree by reason, the most frequent language first."""
    table = _table("files without a tree", ("language", "files", "reasons"), text=3)
    for row in sorted(rows, key=lambda row: (row.trees - row.files, row.language)):
        reasons = ", ".join(f"{name} {count:,}" for name, count in row.statuses.items() if name != "parsed")
        table.add_row(_name(row.language), f"{row.files - row.trees:,}", reasons)
    return table


def _matrix(title: str, similarity: Similarity) -> Table:
    """Columns are numbered, so that many languages fit."""
    names = similarity.languages
    table = _table(title, ("", "language", *(str(number + 1) for number in range(len(names)))), text=2)
    for number, row in enumerate(similarity.cosine):
        cells = ["" if other == number else f"{value:.2f}".removeprefix("0") for other, value in enumerate(row)]
        table.add_row(str(number + 1), _name(names[number]), *cells)
    return table


def _name(language: str) -> Text:
    """The name as it is: names from sources are no markup."""
    return Text(printable(language))


def _figure(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
