"""What `ast show` does: the tree of a file, or of a document of a published version."""

from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from jobs import inspection
from jobs.looking import existing_storage, print_json, standard_output
from jobs.terminal import printable
from jobs.tree_display import described_units, print_tree, print_units
from pipeline import catalog
from pipeline.annotate import extend
from pipeline.errors import NotFoundError, SourceError
from pipeline.stage import configured, open_stages
from pipeline.store import Store
from schemas.ast import AST, CONCEPTS, STATUSES
from schemas.documents import PROBLEMS, RAW
from stages.ingest.document import chain
from stages.parse import syntax
from stages.parse.loaded import grammar_of
from stages.parse.reading import s_expression, tree_of


def show_tree(
    *,
    target: str,
    corpus: str | None,
    language: str | None,
    anonymous: bool,
    depth: int | None,
    units_only: bool,
    sexp: bool,
    site: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """`gristmill ast show`."""
    if sexp and (as_json or units_only or anonymous or depth is not None):
        raise click.UsageError("--sexp prints the whole tree in its own form; give it without other forms")
    if corpus is not None and language is not None:
        raise click.UsageError("--language is for a FILE; a document of a version has its language")
    row = _parse_file(Path(target), language) if corpus is None else _stored_row(corpus, target, site, store)
    status = row["ast_status"][0].as_py()
    if status != "parsed":
        known = ", ".join(sorted(grammar_of())) if status == "no-grammar" else ""
        hint = f"; --language is one of: {known}" if known and corpus is None else ""
        raise NotFoundError(f"{target} has no tree: {status}: {STATUSES[status]}{hint}")
    tree = tree_of(row, 0)
    units = described_units(tree, row["units"][0].as_py())
    scalars = {name: row[name][0].as_py() for name in AST.names if not pa.types.is_list(AST.field(name).type)}
    if as_json:
        nodes = [] if units_only else [_node(tree, node) for node in range(len(tree))]
        print_json({"language": row["language"][0].as_py(), **scalars, "nodes": nodes, "units": units})
        return
    if sexp:
        click.echo(printable(s_expression(tree)))
        return
    console = standard_output()
    if not units_only:
        print_tree(console, tree, anonymous=anonymous, depth=depth)
        console.print()
    print_units(console, units)
    console.print(
        f"\n{row['language'][0].as_py()} by {scalars['grammar']} {scalars['grammar_version']}: "
        f"{scalars['ast_nodes']:,} nodes, {scalars['ast_depth']:,} deep, {scalars['ast_errors']:,} errors, "
        f"{scalars['ast_missing']:,} missing, {'lossless' if scalars['ast_lossless'] else 'NOT LOSSLESS'}",
        highlight=False,
    )


def _node(tree: Any, node: int) -> dict[str, object]:
    return {
        "kind": tree.type(node),
        "concept": list(CONCEPTS)[tree.concept[node]],
        "parent": tree.parent(node),
        "start": tree.start[node],
        "end": tree.end(node),
        "field": tree.fields[tree.field[node]] or None,
        "flags": tree.flags[node],
    }


def _parse_file(path: Path, language: str | None) -> pa.Table:
    """One row of `text`, `language` and the tree of a file, decoded and named as ingest does it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; name a file, or a document with --corpus NAME@VERSION") from error
    values = {"origin": "file", "revision": "", "path": path.name, "language": language, "size": len(content)}
    table = pa.Table.from_pylist([{**dict.fromkeys(RAW.names), **values, "content": content}], schema=RAW)
    for transform in open_stages(chain()):
        table = extend(table, transform(table))
    problem = table["problem"][0].as_py()
    if problem is not None:
        raise SourceError(f"{path} is not text: {problem}: {PROBLEMS.get(problem, '')}")
    parse = configured(syntax.STAGE, syntax.SyntaxConfig()).open()
    return extend(table.select(["text", "language"]), parse(table))


def _stored_row(corpus: str, document: str, site: Path | None, store: str | None) -> pa.Table:
    """The same of a document of a published version, from one row group of each of its shards."""
    storage = existing_storage(site, store)
    manifest = catalog.load(storage, corpus)
    trees = inspection.named_step(manifest, syntax.STAGE.name)
    if trees is None:
        raise NotFoundError(f"{manifest.name}@{manifest.version} holds no trees; build one with: gristmill run trees")
    matches = inspection.find(Store(storage), manifest, document, 2)
    if len(matches) > 1:
        click.echo(f"more documents match {printable(document)!r}; the first is shown", err=True)
    documents = inspection.step(manifest, "documents")
    text = inspection.read_row(Store(storage), documents, matches[0], lambda _: ["text", "language"])
    return extend(text, inspection.read_row(Store(storage), trees, matches[0], lambda schema: schema.names))
