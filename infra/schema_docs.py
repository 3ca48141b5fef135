"""Writes docs/schemas.md from the schemas in the code and the docstrings that stand below them.

Reads the modules of `ARROW` and `schemas.manifest`. Writes one Markdown page; `make docs` runs it.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pyarrow as pa
from pydantic import BaseModel

from schemas import manifest
from schemas.alignment import ALIGNMENT_MEASURES, ALIGNMENT_STATUSES
from schemas.ast import CONCEPTS, STATUSES
from schemas.documents import PROBLEMS

PAGE = Path(__file__).resolve().parent.parent / "docs/schemas.md"

ARROW = {
    "Documents": (("schemas.documents", "RAW"), ("schemas.documents", "DOCUMENT")),
    "Marks and decisions": (
        ("stages.filter.lines", "LINES"),
        ("jobs.deduplicate", "DUPLICATES"),
        ("schemas.corpus", "DECISION"),
    ),
    "Syntax trees": (
        ("schemas.ast", "AST"),
        ("schemas.ast", "UNITS"),
        ("schemas.syntax_statistics", "SYNTAX_STATISTICS"),
    ),
    "Tokens and their places": (
        ("schemas.tokens", "TOKENS"),
        ("schemas.words", "WORDS"),
        ("schemas.fim", "FIM"),
        ("schemas.alignment", "ALIGNMENT"),
        ("schemas.alignment", "ALIGNMENT_STATISTICS"),
        ("schemas.repository", "REPOSITORY"),
        ("schemas.corpus", "PLACEMENT"),
    ),
    "Tokenizer training": (("schemas.pretokens", "PRETOKENS"), ("schemas.pretokens", "TOKENIZER")),
    "Published": (
        ("schemas.corpus", "DATA"),
        ("schemas.corpus", "PACKING"),
        ("schemas.corpus", "SEQUENCES"),
        ("schemas.corpus", "INDEX"),
        ("schemas.corpus", "SUMMARY"),
        ("schemas.corpus", "MIXED"),
    ),
    "Clusters": (("schemas.clusters", "ASSIGNMENT"),),
    "Mixtures": (
        ("schemas.mixtures", "DOMAIN_SAMPLE"),
        ("schemas.mixtures", "MIXTURES"),
        ("schemas.mixtures", "MIXTURE_RUNS"),
        ("schemas.mixtures", "DOMAIN_CELLS"),
        ("schemas.mixtures", "MIXTURE_BASIS"),
        ("schemas.mixtures", "MIXTURE_RESULT"),
    ),
}
"""Titles of sections, with the schemas of each: module and name."""

NAMES = {
    "Documents": (("Problems", "schemas.documents.PROBLEMS", "why a document has no text", PROBLEMS),),
    "Syntax trees": (
        ("Statuses", "schemas.ast.STATUSES", "why a document has a tree, or none", STATUSES),
        ("Concepts", "schemas.ast.CONCEPTS", "what a node is, in every language", CONCEPTS),
    ),
    "Tokens and their places": (
        ("Statuses", "schemas.alignment.ALIGNMENT_STATUSES", "why tokens are aligned, or not", ALIGNMENT_STATUSES),
        ("Measures", "schemas.alignment.ALIGNMENT_MEASURES", "what is counted", ALIGNMENT_MEASURES),
    ),
}
"""Names that columns hold, by section: title, where they are defined, head of the table, names with meanings."""

MODELS = (
    "Manifest",
    "FileEntry",
    "Packing",
    "PackingFile",
    "Mixture",
    "MixtureDomain",
    "SourceEntry",
    "FunnelEntry",
    "StepEntry",
    "Record",
)
"""Classes of `schemas.manifest`, in the order of the page."""

_HEAD = """# Schemas

Written by `make docs` from the code; do not edit. What the columns are for is told in [marks and
selection](marks-and-selection.md), [syntax trees](syntax-trees.md), [tokenization](tokenization.md) and
[publishing](publishing.md).
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, names in ARROW.items():
        parts.append(f"## {title}\n")
        parts += [_arrow_section(importlib.import_module(module), name) for module, name in names]
        parts += [_names_section(*names) for names in NAMES.get(title, ())]
    parts.append("## Manifests and commit records\n")
    parts += [_model_section(getattr(manifest, name)) for name in MODELS]
    return "\n".join(parts)


def _arrow_section(module: ModuleType, name: str) -> str:
    schema: pa.Schema = getattr(module, name)
    fields = [pair for field in schema for pair in _fields(field)]
    rows = [(f"`{path}`", f"`{_kind(field.type)}`", "yes" if field.nullable else "no") for path, field in fields]
    table = _table(("column", "type", "may be null"), rows)
    names = [path.rpartition(".")[2] for path, _ in fields]
    return f"### {name}\n\n`{module.__name__}.{name}`\n\n{table}\n\n{_prose(_attribute_doc(module, name), names)}\n"


def _fields(field: pa.Field) -> Iterator[tuple[str, pa.Field]]:
    """The column, and below a list of structs their fields."""
    yield field.name, field
    if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
        for inner in field.type.value_type:
            yield f"{field.name}[].{inner.name}", inner


def _kind(kind: pa.DataType) -> str:
    if not pa.types.is_list(kind):
        return str(kind)
    return "list<struct>" if pa.types.is_struct(kind.value_type) else f"list<{kind.value_type}>"


def _names_section(title: str, where: str, head: str, names: Mapping[str, str]) -> str:
    rows = [(f"`{name}`", text) for name, text in names.items()]
    return f"### {title}\n\n`{where}`\n\n{_table(('name', head), rows)}\n"


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


def _prose(text: str, columns: Sequence[str]) -> str:
    """A docstring as Markdown: sentences that begin with names of columns become a list."""
    name = "|".join(sorted(columns, key=len, reverse=True))
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
