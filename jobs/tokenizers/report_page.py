"""A tokenizer report as one page of HTML."""

from collections.abc import Mapping
from html import escape

from jobs.pages import html_images, html_page, html_table
from jobs.tokenizers.report import Report
from jobs.tokenizers.report_tables import tables_of

_KINDS = {
    "unreachable": "no text encodes to them",
    "unseen": "not in the sample",
    "seen_once": "once in the sample",
}


def page(report: Report, plots: Mapping[str, bytes]) -> str:
    """The whole page."""
    total = sum(report.sample_bytes.values())
    names = ", ".join(one.name for one in report.vocabularies)
    parts = html_images(plots)
    for title, heads, rows in tables_of(report):
        parts.append(html_table(title, heads, rows))
    parts.append("<h1>Tokens that may never be learnt</h1>")
    for one in report.vocabularies:
        for kind, examples in (one.oddities.examples if one.oddities else {}).items():
            if examples:
                parts.append(f"<h2>{escape(one.name)}: {_KINDS[kind]}</h2>")
                parts.append(f"<p><code>{escape(', '.join(examples))}</code></p>")
    summary = f"{names} on {total:,} bytes of text in {len(report.sample_bytes)} languages."
    return html_page("Tokenizer report", summary, parts)
