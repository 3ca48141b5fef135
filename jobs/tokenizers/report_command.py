"""`tokenizer report`: vocabularies on a sample of documents, as tables, plots and one page.

Reads documents of sources or of a published version, and parallel text where it is given; writes `report.json`,
`report.html` and a PNG for every plot.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.table import Table
from rich.text import Text

from jobs.looking import print_json, standard_output
from jobs.terminal import printable
from jobs.tokenizers.measures import Measured
from jobs.tokenizers.report import Report, as_json_value, make_report
from jobs.tokenizers.report_tables import tables_of
from jobs.tokenizers.sample import check_sample, corpus_tables, sample_texts, source_tables
from jobs.vocabularies import open_named
from pipeline.errors import RecipeError, SiteError, SourceError


def show_report(
    *,
    vocabulary: Sequence[str],
    source: Sequence[str],
    corpus: str | None,
    reference: str,
    parallel: Path | None,
    reference_language: str,
    target_premium: float,
    max_language_mb: float,
    to: Path | None,
    site: Path | None,
    store: str | None,
    workers: int | None,
    local: bool,
    as_json: bool,
) -> None:
    """`gristmill tokenizer report`. Raises RecipeError for values that do not fit each other."""
    if bool(source) == bool(corpus):
        raise RecipeError("give either --source, one or several, or --corpus NAME@VERSION")
    if not target_premium > 0 or not max_language_mb > 0:
        raise RecipeError("--target-premium and --max-language-mb must be above 0")
    opened = [open_vocabulary(line) for line in dict.fromkeys(vocabulary or ["cl100k_base"])]
    measured = next((one for one in opened if one.name == reference), None) or open_vocabulary(reference)
    sentences = read_parallel(parallel, reference_language) if parallel else None
    tables = corpus_tables(corpus, site, store) if corpus else source_tables(source, site, store, workers, local=local)
    texts = check_sample(sample_texts(tables, int(max_language_mb * 1e6)))
    report = make_report(
        opened,
        texts,
        reference=measured,
        target_premium=target_premium,
        parallel=sentences,
        reference_language=reference_language if parallel else None,
    )
    if to is not None:
        write_report(report, to)
    if as_json:
        print_json(as_json_value(report))
        return
    _print(report, to)


def open_vocabulary(line: str) -> Measured:
    """A shipped vocabulary by name or a file, with `?split=NAME` behind a file of ranks. Raises RecipeError."""
    try:
        vocabulary = open_named(line).vocabulary
    except ValueError as error:
        raise RecipeError(f"--vocabulary {line}: {error}") from error
    return Measured(vocabulary=vocabulary, name=vocabulary.name)


def read_parallel(path: Path, reference_language: str) -> dict[str, "pa.Array[Any]"]:
    """The same sentences in several languages: one JSON object per line, language to sentence.

    Raises SourceError for a file that is none of that.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        rows = [_sentences(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    except (OSError, ValueError) as error:
        raise SourceError(
            f"--parallel {path}: {error}; write one JSON object per line, language to sentence"
        ) from error
    languages = sorted(rows[0]) if rows else []
    if reference_language not in languages:
        there = ", ".join(languages) or "nothing"
        raise SourceError(f"--parallel {path} has no language {reference_language!r}; it has: {there}")
    if different := next((row for row in rows if sorted(row) != languages), None):
        raise SourceError(f"--parallel {path}: a line has {sorted(different)}, the first one {languages}")
    return {name: pa.array([row[name] for row in rows], pa.string()) for name in languages}


def _sentences(number: int, line: str) -> dict[str, str]:
    row = json.loads(line)
    if not isinstance(row, dict) or not all(isinstance(text, str) for text in row.values()):
        raise ValueError(f"line {number} is no object of strings")
    return row


def write_report(report: Report, to: Path) -> None:
    """`report.json`, `report.html` and the plots into a folder, over an older report."""
    from jobs.tokenizers.report_page import page
    from jobs.tokenizers.report_plots import plots

    try:
        to.mkdir(parents=True, exist_ok=True)
        drawn = plots(report)
        for name, image in drawn.items():
            (to / f"{name}.png").write_bytes(image)
        (to / "report.json").write_text(json.dumps(as_json_value(report), indent=1, ensure_ascii=False) + "\n")
        (to / "report.html").write_text(page(report, drawn), encoding="utf-8")
    except OSError as error:
        raise SiteError(f"the report cannot be written to {to}: {error}") from error


def _print(report: Report, to: Path | None) -> None:
    console = standard_output()
    for title, heads, rows in tables_of(report):
        console.print(Text(printable(title), style="italic"), soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        for number, head in enumerate(heads):
            table.add_column(Text(printable(head)), justify="right" if number else "left", no_wrap=bool(number))
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table)
        console.print()
    if to is not None:
        console.print(f"{to / 'report.html'}", style="bold", highlight=False, markup=False, soft_wrap=True)
