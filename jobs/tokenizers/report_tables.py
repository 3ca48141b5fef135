"""The tables of a tokenizer report, as text: for the terminal and for the page."""

from collections.abc import Callable, Mapping

from jobs.tokenizers.formatting import CHANGES, Drift
from jobs.tokenizers.report import Report, VocabularyReport

Cells = list[list[str]]


def tables_of(report: Report) -> list[tuple[str, list[str], Cells]]:
    """Title, heads and rows of every table; the first column of each is text."""
    names = [one.name for one in report.vocabularies]
    languages = list(report.sample_bytes)
    tables = [
        ("bytes per token", _by_language(report, lambda one, name: one.languages[name].bytes_per_token)),
        ("fertility (tokens per word)", _by_language(report, lambda one, name: one.languages[name].fertility)),
        (f"token premium against {report.reference}", _by_language(report, lambda one, name: one.premium[name])),
    ]
    found = [(title, ["language", *names], rows) for title, rows in tables]
    if report.reference_language:
        rows = [
            [name, *(_figure(one.parallel_premium[name], 3) for one in report.vocabularies)]
            for name in report.vocabularies[0].parallel_premium
        ]
        found.append((f"premium against {report.reference_language}, same sentences", ["language", *names], rows))
    rows = [
        [name, *(_count((one.size_for_premium or {}).get(name)) for one in report.vocabularies)] for name in languages
    ]
    found.append((f"size that reaches a premium of {report.target_premium:g}", ["language", *names], rows))
    rows = [[change, *(_drift_text(one.drift, change) for one in report.vocabularies)] for change in CHANGES]
    found.append(("formatting: content tokens changed, tokens by tokens before", ["change", *names], rows))
    odd = [one.oddities for one in report.vocabularies]
    figures = {
        "size": [_count(one.size) for one in report.vocabularies],
        "mean token length of a byte": [_figure(one.mean_length) for one in report.vocabularies],
        "unreachable tokens": [_count(o.unreachable if o else None) for o in odd],
        "tokens not in the sample": [_count(o.unseen if o else None) for o in odd],
        "tokens seen once": [_count(o.seen_once if o else None) for o in odd],
    }
    found.append(("vocabularies", ["", *names], [[name, *values] for name, values in figures.items()]))
    return found


def _by_language(report: Report, figure: Callable[[VocabularyReport, str], float | None]) -> Cells:
    return [
        [language, *(_figure(figure(one, language), 3) for one in report.vocabularies)]
        for language in report.sample_bytes
    ]


def _drift_text(drift: Mapping[str, Drift] | None, change: str) -> str:
    if drift is None:
        return "-"
    share = drift[change].changed_share
    return f"{_figure(None if share is None else 100 * share, 1)} %, {_figure(drift[change].ratio, 3)}"


def _figure(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
