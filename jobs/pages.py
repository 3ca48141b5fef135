"""Reports as one page of HTML that needs no other file: plots inside, no script, everything escaped."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: .5rem 0 2rem; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
code { white-space: pre-wrap; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin-bottom: 0; }
"""


def html_page(title: str, summary: str, parts: Sequence[str]) -> str:
    """A page. The title and the summary are escaped; the parts are HTML already."""
    head = f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    style = f"<style>{_STYLE}</style></head><body>"
    top = [f"<h1>{escape(title)}</h1>", f"<p>{escape(summary)}</p>"]
    return "\n".join(["<!doctype html>", head, style, *top, *parts, "</body></html>", ""])


def html_images(images: Mapping[str, bytes]) -> list[str]:
    """PNG images by name, inside the page."""
    return [
        f'<p><img alt="{escape(name)}" src="data:image/png;base64,{b64encode(image).decode()}"></p>'
        for name, image in images.items()
    ]


def html_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table under a heading."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
