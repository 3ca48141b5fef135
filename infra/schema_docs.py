"""Writes docs/schemas.md from the schemas in the code and the docstrings that stand below them.

Reads the modules of `ARROW` and `schemas.manifest`. Writes one Markdown page; `make docs` runs it.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pyarrow as pa
from pydantic import BaseModel

from schemas import manifest
from schemas.documents import PROBLEMS

PAGE = Path(__file__).resolve().parent.parent / "docs/schemas.md"

ARROW = {
    "Documents": (("schemas.documents", "RAW"), ("schemas.documents", "DOCUMENT")),
    "Marks and decisions": (
        ("stages.filter.lines", "LINES"),
        ("jobs.deduplicate", "DUPLICATES"),
        ("schemas.corpus", "DECISION"),
    ),
    "Tokens and their places": (("schemas.tokens", "TOKENS"), ("schemas.corpus", "PLACEMENT")),
    "Published": (("schemas.corpus", "PACKED"), ("schemas.corpus", "INDEX"), ("schemas.corpus", "SUMMARY")),
}
"""Titles of sections, with the schemas of each: module and name."""

MODELS = ("Manifest", "FileEntry", "SourceEntry", "FunnelEntry", "StepEntry", "Record")
"""Classes of `schemas.manifest`, in the order of the page."""

_HEAD = """# Schemas

Written by `make docs` from the code; do not edit. What the columns are for is told in [marks and
selection](marks-and-selection.md), [tokenization](tokenization.md) and [publishing](publishing.md).
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, names in ARROW.items():
        parts.append(f"## {title}\n")
        parts += [_arrow_section(importlib.import_module(module), name) for module, name in names]
        if title == "Documents":
            parts.append(_problems_section())
    parts.append("## Manifests and commit records\n")
    parts += [_model_section(getattr(manifest, name)) for name in MODELS]
    return "\n".join(parts)


def _arrow_section(module: ModuleType, name: str) -> str:
    schema: pa.Schema = getattr(module, name)
    rows = [(f"`{f.name}`", f"`{f.type}`", "yes" if f.nullable else "no") for f in schema]
    table = _table(("column", "type", "may be null"), rows)
    return f"### {name}\n\n`{module.__name__}.{name}`\n\n{table}\n\n{_prose(_attribute_doc(module, name), schema)}\n"


def _problems_section() -> str:
    rows = [(f"`{name}`", text) for name, text in PROBLEMS.items()]
    return (
        f"### Problems\n\n`schemas.documents.PROBLEMS`\n\n{_table(('problem', 'why a document has no text'), rows)}\n"
    )


def _model_section(model: type[BaseModel]) -> str:
    docs = _field_docs(model)
    fields = model.model_fields.items()
    rows = [(f"`{name}`", f"`{_type_name(field.annotation)}`", docs.get(name, "")) for name, field in fields]
    table = _table(("field", "type", "meaning"), rows)
    return f"### {model.__name__}\n\n{inspect.getdoc(model)}\n\n{table}\n"


def _type_name(annotation: object) -> str:
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return str(annotation).replace("schemas.manifest.", "")


def _attribute_doc(module: ModuleType, name: str) -> str:
    """The string below the assignment of a module's attribute; empty if there is none."""
    return _docs_below(ast.parse(inspect.getsource(module)).body).get(name, "")


def _field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The strings below a class's fields, each on one line."""
    parsed = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(parsed, ast.ClassDef)
    return {name: " ".join(text.split()) for name, text in _docs_below(parsed.body).items()}


def _docs_below(body: list[ast.stmt]) -> dict[str, str]:
    found = {}
    for statement, following in pairwise(body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        doc = following.value if isinstance(following, ast.Expr) else None
        if isinstance(target, ast.Name) and isinstance(doc, ast.Constant) and isinstance(doc.value, str):
            found[target.id] = inspect.cleandoc(doc.value)
    return found


def _prose(text: str, schema: pa.Schema) -> str:
    """A docstring as Markdown: sentences that begin with names of columns become a list."""
    name = "|".join(sorted(schema.names, key=len, reverse=True))
    names = rf"(?P<names>(?:{name})(?:, (?:{name}))*): "
    lines: list[str] = []
    for line in re.sub(rf"(?<=[.;]) (?={names})", "\n", text).splitlines():
        found = re.match(names, line)
        in_list = bool(lines) and lines[-1].startswith(("- ", "  "))
        if found:
            marked = ", ".join(f"`{column}`" for column in found["names"].split(", "))
            lines += [] if in_list or not lines else [""]
            lines.append(f"- {marked}: {line[found.end() :].rstrip(';')}")
        else:
            lines.append(f"  {line}" if in_list else line)
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
