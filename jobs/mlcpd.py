"""`ast export`: a published version's documents and trees as files of MLCPD's format, for tools that read those.

Reads documents, the step `syntax` and `placement` shard by shard; writes `LANGUAGE_parsed_N.parquet` into a folder.
Running it again goes on: a finished file has its name, one at work is hidden.
"""

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.table import Table

from jobs.card import human_bytes
from jobs.folders import disk_errors
from jobs.inspection import step
from jobs.looking import existing_storage, print_json, standard_output
from pipeline import catalog
from pipeline.errors import NotFoundError, PublishError
from pipeline.store import Shard, Store
from schemas.ast import AST, UNITS
from schemas.manifest import Manifest, StepEntry
from stages.parse import syntax
from stages.parse.mlcpd import MLCPD, MlcpdConfig, mlcpd_batches, mlcpd_language

MARKER = "gristmill-export.json"
"""File of the folder that says what is exported into it."""

_WITHOUT = ("no-text", "no-grammar")
"""Documents that MLCPD would not have."""
_GROUP_BYTES = 32_000_000
_REPORT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """What is exported."""

    everything: bool = False
    """Documents that the version has dropped, too."""
    rows_per_file: int = 175_000
    row: MlcpdConfig = field(default_factory=MlcpdConfig)

    def __post_init__(self) -> None:
        if self.rows_per_file < 1:
            raise ValueError(f"rows_per_file must be at least 1, got {self.rows_per_file}")


@dataclass(kw_only=True, slots=True)
class Exported:
    """What was done for one language."""

    language: str
    rows: int = 0
    """In all files, of this run and of earlier ones."""
    files_written: int = 0
    files_kept: int = 0
    """Finished by an earlier run."""
    trees: int = 0
    """Of the rows written by this run, as all below."""
    nodes: int = 0
    errors: int = 0
    bytes: int = 0
    """Size of the files."""


def export_mlcpd(
    *, corpus: str, to: Path, everything: bool, site: Path | None, store: str | None, as_json: bool
) -> None:
    """`gristmill ast export`: progress on standard error, a summary on standard output."""
    opened = Store(existing_storage(site, store))
    manifest = catalog.load(opened.storage, corpus)
    done = export(opened, manifest, to, ExportConfig(everything=everything), _report())
    rows = [asdict(language) for language in done.values()]
    if as_json:
        print_json({"corpus": f"{manifest.name}@{manifest.version}", "path": str(to), "languages": rows})
        return
    table = Table(box=None, pad_edge=False)
    for head in Exported.__dataclass_fields__:
        table.add_column(head.replace("_", " "), justify="left" if head == "language" else "right")
    for row in rows:
        shown = [human_bytes(value) if name == "bytes" else f"{value:,}" for name, value in list(row.items())[1:]]
        table.add_row(row["language"], *shown)
    console = standard_output()
    console.print(table)
    console.print(f"{manifest.name}@{manifest.version} in MLCPD's format: {to}", highlight=False, soft_wrap=True)


def _report() -> Callable[[int, int], None]:
    """Says every few seconds how many documents are done."""
    started = last = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done and now - last >= _REPORT_SECONDS:
            last = now
            left = (now - started) / done * (total - done)
            click.echo(f"exported {done:,} of {total:,} documents, {left:,.0f} s left", err=True)

    return say


def export(
    store: Store, manifest: Manifest, to: Path, config: ExportConfig, say: Callable[[int, int], None]
) -> dict[str, Exported]:
    """What was done, by language. Holds one shard and, per language, a row group of about 32 MB.

    Raises NotFoundError if the version has no trees, PublishError if the folder holds something else, SiteError if it
    cannot be written.
    """
    source = _Source.of(store, manifest, config)
    plan = [Counter(names[names != ""].tolist()) for names in map(source.languages, range(source.shards))]
    totals = sum(plan, Counter[str]())
    done = {name: Exported(language=name, rows=rows) for name, rows in sorted(totals.items())}
    with disk_errors(to):
        _claim(to, manifest, config)
        files = _Files(to, totals, config, done)
        work = 0
        for shard, counts in enumerate(plan):
            wanted = {name: list(files.ranges(name, count)) for name, count in counts.items()}
            if any(target is not None for ranges in wanted.values() for target, _, _ in ranges):
                _export_shard(source, shard, wanted, config)
            work += sum(counts.values())
            say(work, sum(totals.values()))
    return done


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """The steps that are read."""

    store: Store
    documents: StepEntry
    syntax: StepEntry
    placement: StepEntry | None
    """None where all documents are exported."""

    @classmethod
    def of(cls, store: Store, manifest: Manifest, config: ExportConfig) -> "_Source":
        sidecars = {entry.name: entry for entry in manifest.steps if entry.role == "sidecar"}
        for name in (syntax.STAGE.name, *(() if config.everything else ("placement",))):
            if name not in sidecars:
                raise NotFoundError(
                    f"{manifest.name}@{manifest.version} has no step {name!r}; it has {', '.join(sidecars) or 'none'}. "
                    "Publish it with a recipe that parses its documents"
                )
        placement = None if config.everything else sidecars["placement"]
        return cls(
            store=store, documents=step(manifest, "documents"), syntax=sidecars[syntax.STAGE.name], placement=placement
        )

    @property
    def shards(self) -> int:
        return len(self.documents.keys)

    def read(self, entry: StepEntry, shard: int, columns: list[str]) -> pa.Table:
        key = entry.keys[shard]
        return self.store.read(Shard(step=entry.folder, key=key, base=key), columns)

    def languages(self, shard: int) -> np.typing.NDArray[np.object_]:
        """MLCPD's name of each document's language, empty for documents that are not exported."""
        languages = self.read(self.documents, shard, ["language"])["language"]
        without = pc.is_in(self.read(self.syntax, shard, ["ast_status"])["ast_status"], pa.array(_WITHOUT))
        if self.placement is not None:
            without = pc.or_(without, pc.is_null(self.read(self.placement, shard, ["domain"])["domain"]))
        names = {name: mlcpd_language(name) for name in pc.unique(languages).drop_null().to_pylist()}
        pairs = zip(languages.to_pylist(), without.to_pylist(), strict=True)
        return np.array(["" if is_out else names[name] for name, is_out in pairs], np.object_)

    def table(self, shard: int) -> pa.Table:
        """The columns that the export needs, with the names of the grammars."""
        trees = self.read(self.syntax, shard, [*AST.names, *UNITS.names])
        for name in ("text", "language"):
            trees = trees.append_column(name, self.read(self.documents, shard, [name])[name])
        return trees


def _export_shard(
    source: _Source, shard: int, wanted: Mapping[str, list[tuple["_File | None", int, int]]], config: ExportConfig
) -> None:
    table, names = source.table(shard), source.languages(shard)
    for name, ranges in wanted.items():
        rows = np.flatnonzero(names == name)
        for file, start, stop in ranges:
            if file is not None:
                for batch in mlcpd_batches(table.take(pa.array(rows[start:stop])), config.row):
                    file.write(batch)


class _Files:
    """The files of an export: which rows of a language go where, as they come."""

    def __init__(
        self, folder: Path, totals: Mapping[str, int], config: ExportConfig, done: Mapping[str, Exported]
    ) -> None:
        self._folder, self._totals, self._limit, self._done = folder, totals, config.rows_per_file, done
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._open: dict[str, _File | None] = {}

    def ranges(self, language: str, rows: int) -> Iterator[tuple["_File | None", int, int]]:
        """Where the next rows of a language go: a file, None where it is finished, and which of the rows."""
        start = 0
        while start < rows:
            seen = self._seen[language]
            file_rows = min(self._limit, self._totals[language] - seen // self._limit * self._limit)
            if seen % self._limit == 0:
                self._open[language] = self._begin(language, seen // self._limit + 1, file_rows)
            stop = min(rows, start + file_rows - seen % self._limit)
            yield self._open[language], start, stop
            self._seen[language] += stop - start
            start = stop

    def _begin(self, language: str, number: int, rows: int) -> "_File | None":
        path, done = self._folder / f"{language}_parsed_{number}.parquet", self._done[language]
        if path.exists():
            done.files_kept += 1
            done.bytes += path.stat().st_size
            return None
        return _File(path=path, rows=rows, done=done)


@dataclass(kw_only=True, slots=True)
class _File:
    """A file at work; it gets its name with its last row."""

    path: Path
    rows: int
    """That are still to come."""
    done: Exported
    _held: list[pa.RecordBatch] = field(default_factory=list)
    _writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; the last ones finish the file."""
        hidden = self.path.with_name(f".{self.path.name}.partial")
        if self._writer is None:
            self._writer = pq.ParquetWriter(hidden, MLCPD, compression="snappy")
        self._held.append(batch)
        self.rows -= batch.num_rows
        if not self.rows or sum(held.nbytes for held in self._held) >= _GROUP_BYTES:
            self._writer.write_table(pa.Table.from_batches(self._held))
            self._held = []
        self.done.trees += batch.num_rows - batch["ast_node_count"].null_count
        self.done.nodes += pc.sum(batch["ast_node_count"]).as_py() or 0
        self.done.errors += pc.sum(batch["num_errors"]).as_py() or 0
        if not self.rows:
            self._writer.close()
            with hidden.open("rb") as file:
                os.fsync(file.fileno())
            hidden.rename(self.path)
            self.done.files_written += 1
            self.done.bytes += self.path.stat().st_size


def _claim(folder: Path, manifest: Manifest, config: ExportConfig) -> None:
    """Make the folder, or check that it holds the same export. Raises PublishError if it does not."""
    own = {"corpus": f"{manifest.name}@{manifest.version}", "identity": manifest.identity, "config": asdict(config)}
    marker = folder / MARKER
    if marker.exists():
        try:
            before = json.loads(marker.read_text(encoding="utf-8"))
        except ValueError:
            before = None
        if before != own:
            raise PublishError(f"{folder} holds another export ({marker} says which); choose an empty folder")
        return
    folder.mkdir(parents=True, exist_ok=True)
    hidden = marker.with_name(f".{MARKER}.partial")
    if any(path != hidden for path in folder.iterdir()):  # an export may have been killed before it had its marker
        raise PublishError(f"{folder} is not empty and holds no export of gristmill; choose an empty folder")
    hidden.write_text(json.dumps(own, indent=1) + "\n", encoding="utf-8")
    hidden.rename(marker)
