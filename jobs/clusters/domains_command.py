"""`gristmill domains show`, `export` and `label`: clusters of a published version, as a table and as a bundle."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import click
import pyarrow as pa
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from jobs.card import human_bytes
from jobs.clusters.bundle import distance_thresholds, load_bundle, write_bundle
from jobs.clusters.job import read_clustering
from jobs.clusters.taxonomy import ROOT, Taxonomy, build_taxonomy
from jobs.inspection import named_step
from jobs.looking import existing_storage, print_json, print_line, standard_output
from jobs.mixtures.realise_command import read_weights
from jobs.mixtures.results import RESULT_STEP, stored_result
from jobs.terminal import printable
from pipeline import catalog
from pipeline.errors import NotFoundError, RecipeError, SourceError
from pipeline.store import Shard, Store
from schemas.manifest import Manifest
from stages.embed.assign import Embedder

_KEYWORDS = 6
"""Shown of a domain."""


def show_domains(*, corpus: str, levels: str, site: Path | None, store: str | None, as_json: bool) -> None:
    """The domains of a version, largest first.

    Raises NotFoundError for a version without clusters, RecipeError for levels that its tree cannot be cut at.
    """
    opened, manifest = _open(corpus, site, store)
    table = _clusters(opened, manifest)
    found = read_clustering(table)
    rows = _rows(table, found)
    taxonomy = _taxonomy(table, levels) if levels else None
    if as_json:
        nodes = None if taxonomy is None else _nodes(taxonomy)
        print_json({"domains": rows, "quality": found["quality"], "alarms": found["alarms"], "tree": nodes})
        return
    _print(rows, found)
    if taxonomy is not None:
        standard_output().print(_drawn(taxonomy, len(_widths(levels))))


def export_domains(
    *,
    corpus: str,
    to: Path,
    weights: Path | None,
    quantile: float,
    site: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Write the bundle.

    Raises PublishError for a folder that is there, SiteError where none can be written, RecipeError for weights of
    other domains.
    """
    opened, manifest = _open(corpus, site, store)
    table = _clusters(opened, manifest)
    mixture = read_weights(weights) if weights else _stored_weights(opened, manifest, table)
    assignment = _shards(opened, manifest, "assignment", ["domain", "cluster_distance"])
    limits = distance_thresholds(assignment, quantile)
    digest = write_bundle(to, table, _embedder(manifest), weights=mixture, thresholds=limits)
    made = {"path": str(to), "sha256": digest, "domains": len(limits), "has_weights": bool(mixture)}
    if as_json:
        print_json(made)
        return
    with_weights = "with the weights of a mixture" if mixture else "without weights"
    print_line(standard_output(), f"{to}: {len(limits)} domains {with_weights}; sha256 {digest}")


def label_files(*, bundle: Path, files: Sequence[Path], strict: bool, as_json: bool) -> None:
    """The domain of every text. Raises RecipeError for a damaged bundle, SourceError for a file that cannot be read."""
    names, texts = _texts(files)
    labelled = load_bundle(bundle).label(texts, strict=strict).to_pylist()
    rows = [{"text": name, **row} for name, row in zip(names, labelled, strict=True)]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for head in ("text", "domain", "distance", "margin"):
        table.add_column(head, justify="left" if head in ("text", "domain") else "right", overflow="fold")
    for row in rows:
        numbers = ["-" if row[name] is None else f"{row[name]:.3f}" for name in ("cluster_distance", "cluster_margin")]
        table.add_row(_cell(row["text"]), _cell(row["domain"] or "-"), *numbers)
    standard_output().print(table)


def _open(corpus: str, site: Path | None, store: str | None) -> tuple[Store, Manifest]:
    opened = Store(existing_storage(site, store))
    return opened, catalog.load(opened.storage, corpus)


def _shards(store: Store, manifest: Manifest, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The shards of a step, one after the other."""
    entry = named_step(manifest, name)
    if entry is None:
        raise NotFoundError(
            f"{manifest.name}@{manifest.version} has no step {name!r}; gristmill run climb makes a version that has it"
        )
    for key in entry.keys:
        yield store.read(Shard(step=entry.folder, key=key, base=key), columns)


def _clusters(store: Store, manifest: Manifest) -> pa.Table:
    (table,) = _shards(store, manifest, "clusters")
    return table


def _stored_weights(store: Store, manifest: Manifest, table: pa.Table) -> Mapping[str, float]:
    """What the search of the version's recipe found, or none, with a line on standard error if it mixed others."""
    if named_step(manifest, RESULT_STEP) is None:
        return {}
    weights = stored_result(store, manifest).weights
    if not (others := sorted({*weights} - {*table["domain"].to_pylist()})):
        return weights
    name = f"{manifest.name}@{manifest.version}"
    line = f"{name} mixed {others[0]} and others, not the domains of the clusters: the bundle is without weights"
    click.echo(printable(line), err=True)
    return {}


def _embedder(manifest: Manifest) -> Embedder:
    """The config that embedded, from the manifest. Raises NotFoundError where it is none that a bundle can hold."""
    entry = named_step(manifest, "embeddings")
    config = entry.config if entry is not None else None
    if isinstance(config, list) and len(config) == 1 and isinstance(config[0], list):
        values = dict(config[0][2])
        kinds: dict[str, type[Embedder]] = {kind.__name__: kind for kind in get_args(Embedder)}
        kind = kinds.get(values.pop("config"))
        if kind is not None:
            return kind(**values)
    raise NotFoundError(f"{manifest.name}@{manifest.version} was not embedded by one stage that labels texts")


def _rows(table: pa.Table, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Domains by size, with their clusters and the keywords of the largest of them."""
    words: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for domain, keywords in zip(table["domain"].to_pylist(), table["keywords"].to_pylist(), strict=True):
        counts[domain] = counts.get(domain, 0) + 1
        words[domain] = list(dict.fromkeys([*words.get(domain, []), *keywords[:2]]))[:_KEYWORDS]
    ordered = sorted(found["domains"], key=lambda domain: (-domain["share"], domain["name"]))
    return [domain | {"clusters": counts[domain["name"]], "keywords": words[domain["name"]]} for domain in ordered]


def _print(rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> None:
    console = standard_output()
    table = Table(box=None, pad_edge=False)
    for head in ("domain", "share", "documents", "bytes", "clusters", "keywords"):
        table.add_column(head, justify="left" if head in ("domain", "keywords") else "right", overflow="fold")
    for row in rows:
        counts = (f"{row['documents']:,.0f}", human_bytes(int(row["bytes"])), f"{row['clusters']:,}")
        table.add_row(_cell(row["name"]), f"{row['share']:.1%}", *counts, _cell(", ".join(row["keywords"])))
    console.print(table)
    quality = found["quality"]
    agreement = f"mean distance {quality['mean_distance']:.3f}, seed stability {quality['seed_stability']:.2f}"
    print_line(
        console, f"{sum(row['clusters'] for row in rows):,} clusters of {quality['vectors']:,} texts: {agreement}"
    )
    for alarm in found["alarms"]:
        print_line(console, "alarm: " + ", ".join(f"{name} {value}" for name, value in sorted(alarm.items())))


def _widths(levels: str) -> list[int]:
    try:
        return [int(width) for width in levels.split(",")]
    except ValueError as error:
        raise RecipeError(f"--levels {levels!r} must be numbers, as in 5,20") from error


def _taxonomy(table: pa.Table, levels: str) -> Taxonomy:
    widths = _widths(levels)
    try:
        return build_taxonomy(table, widths)
    except ValueError as error:
        raise RecipeError(f"--levels {levels!r}: {error}") from error


def _cell(text: str) -> Text:
    """A cell as it is: no markup, no escape sequences."""
    return Text(printable(text))


def _nodes(taxonomy: Taxonomy) -> list[dict[str, Any]]:
    columns = (taxonomy.names, taxonomy.parents.tolist(), taxonomy.clusters.tolist())
    return [{"name": name, "parent": parent, "cluster": leaf} for name, parent, leaf in zip(*columns, strict=True)]


def _drawn(taxonomy: Taxonomy, depth: int) -> Tree:
    """The levels of named groups; the clusters below them are counted."""

    def grow(tree: Tree, node: int, left: int) -> None:
        for child in taxonomy.children(node).tolist():
            if left:
                grow(tree.add(_cell(taxonomy.names[child])), child, left - 1)

    root = Tree(_cell(taxonomy.names[ROOT]))
    grow(root, ROOT, depth)
    return root


def _texts(files: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Names and texts: one of each file, or one of each line of standard input."""
    if not files or [str(file) for file in files] == ["-"]:
        lines = _lines(sys.stdin.buffer.read())
        return lines, lines
    texts = []
    for file in files:
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise SourceError(f"cannot read {file}: {reason}") from error
    return [str(file) for file in files], texts


def _lines(content: bytes) -> list[str]:
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.removesuffix(b"\r").decode())
        except UnicodeDecodeError as error:
            raise SourceError(f"cannot read standard input: line {number} is not UTF-8") from error
    return texts
