"""A tokenizer report as one page of HTML that needs no other file: plots inside, no script, everything escaped."""

from base64 import b64encode
from collections.abc import Mapping
from html import escape

from jobs.tokenizers.report import Report
from jobs.tokenizers.report_tables import tables_of

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: .5rem 0 2rem; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
code { white-space: pre-wrap; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin-bottom: 0; }
"""

_KINDS = {
    "unreachable": "no text encodes to them",
    "unseen": "not in the sample",
    "seen_once": "once in the sample",
}


def page(report: Report, plots: Mapping[str, bytes]) -> str:
    """The whole page."""
    total = sum(report.sample_bytes.values())
    names = ", ".join(one.name for one in report.vocabularies)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Tokenizer report</title>',
        f"<style>{_STYLE}</style></head><body>",
        "<h1>Tokenizer report</h1>",
        f"<p>{escape(names)} on {total:,} bytes of text in {len(report.sample_bytes)} languages.</p>",
    ]
    for name, image in plots.items():
        parts.append(f'<p><img alt="{escape(name)}" src="data:image/png;base64,{b64encode(image).decode()}"></p>')
    for title, heads, rows in tables_of(report):
        parts.append(_table(title, heads, rows))
    parts.append("<h1>Tokens that may never be learnt</h1>")
    for one in report.vocabularies:
        for kind, examples in (one.oddities.examples if one.oddities else {}).items():
            if examples:
                parts.append(f"<h2>{escape(one.name)}: {_KINDS[kind]}</h2>")
                parts.append(f"<p><code>{escape(', '.join(examples))}</code></p>")
    return "\n".join([*parts, "</body></html>", ""])


def _table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
