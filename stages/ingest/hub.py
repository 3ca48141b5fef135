"""The hub source: a dataset of the Hugging Face Hub, or a local one, by the name that `datasets` knows it under.

Streams the dataset once, at the scan, into Parquet files that survive the run, and continues where it stopped. Writes
`RAW` from those files: one row per record, whose member is the record's number in the split, counted from 0.
"""

import importlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import SourceError
from pipeline.source import ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.containers import ROW_BYTES, clean_path, digest_facts
from stages.ingest.parquet import read_parquet, scan_parquet
from stages.ingest.records import Named, RecordConfig

_BATCH_ROWS = 256
_FINISHED = "finished.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class HubConfig(RecordConfig):
    """Which dataset, and which fields of its records."""

    name: str
    """`owner/dataset`, a builder such as `json` or `parquet`, or a local folder."""
    config: str | None = None
    """The dataset's configuration; its default one if None."""
    split: str = "train"
    revision: str | None = None
    """A commit, tag or branch; pin a commit, or a later fetch into an empty folder may give another dataset."""
    data_files: tuple[str, ...] = ()
    """Files within the dataset, or for a builder; all if empty."""
    max_rows: int | None = None
    """Stop after so many records; the whole split if None."""

    def __post_init__(self) -> None:
        if not self.name or not self.split:
            raise ValueError(f"name and split must not be empty, got name={self.name!r}, split={self.split!r}")
        if self.max_rows is not None and self.max_rows < 1:
            raise ValueError(f"max_rows must be at least 1, got {self.max_rows}")
        RecordConfig.__post_init__(self)


def _scan(config: HubConfig, context: ScanContext) -> Iterator[Unit]:
    folder = context.downloads(f"hub-{_fetch_key(config, context)[:32]}")
    _fetch(config, folder)
    name = clean_path(Path(config.name).name if Path(config.name).exists() else config.name)
    path = f"{config.config}/{config.split}" if config.config else config.split
    named = Named(origin=f"hub:{name}", path=clean_path(path), revision=config.revision or "")
    row = 0
    for file in _fetched(folder):
        yield from scan_parquet(config, file, named, context, first_row=row)
        row += pq.read_metadata(file).num_rows


def _fetch_key(config: HubConfig, context: ScanContext) -> str:
    """What decides the bytes that are fetched; local files count by content."""
    source = [config.name, config.config, config.split, config.revision, config.data_files, config.max_rows]
    local = [[str(path), context.sha256(path).hex()] for path in _local_files(config)]
    return digest_facts("hub", source, local, _columns(config), config.limits.shard_bytes)


def _local_files(config: HubConfig) -> list[Path]:
    roots = [Path(config.name), *(Path(file) for file in config.data_files)]
    found = {path for root in roots for path in (root.rglob("*") if root.is_dir() else [root])}
    return sorted(path for path in found if path.is_file())


def _columns(config: HubConfig) -> list[str]:
    return sorted({config.text_column, *config.mapped().values()})


def _fetched(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _fetch(config: HubConfig, folder: Path) -> None:
    """Stream what the folder does not hold yet. Each file appears whole; the last one written says that all are there.

    Raises `SourceError` where `datasets` cannot find, reach or read the dataset.
    """
    if (folder / _FINISHED).exists():
        return
    _set_environment()
    datasets = importlib.import_module("datasets")
    network = importlib.import_module("huggingface_hub.errors").HTTPError
    failures = (OSError, ValueError, RuntimeError, pa.ArrowException, datasets.exceptions.DatasetsError, network)
    done = sum(pq.read_metadata(file).num_rows for file in _fetched(folder))
    try:
        tables = _stream(datasets, config, done)
        for number, file_tables in enumerate(_by_shard(tables, config), start=len(_fetched(folder))):
            _write(folder / f"part-{number:06d}.parquet", file_tables)
    except failures as error:
        reason = " ".join(str(error).split())
        raise SourceError(
            f"dataset {config.name!r} (config {config.config!r}, split {config.split!r}, revision "
            f"{config.revision!r}) cannot be streamed: {type(error).__name__}: {reason:.500}; "
            "check these names and the network, set HF_TOKEN for a gated dataset, or give a local folder as name; "
            "a new run continues after the files already fetched"
        ) from error
    facts = {"rows": sum(pq.read_metadata(file).num_rows for file in _fetched(folder)), "name": config.name}
    staged = folder / f"{_FINISHED}.tmp"
    staged.write_text(json.dumps(facts))
    staged.rename(folder / _FINISHED)


def _set_environment() -> None:
    """No telemetry and no progress bars, unless the user says otherwise; read when `datasets` is first imported."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")


def _stream(datasets: Any, config: HubConfig, done: int) -> Iterator[pa.Table]:
    """The records from number `done` on, as tables of the columns needed. Never runs code of the dataset."""
    stream = datasets.load_dataset(
        config.name,
        name=config.config,
        split=config.split,
        revision=config.revision,
        data_files=list(config.data_files) or None,
        streaming=True,
    )
    if config.max_rows is not None:
        stream = stream.take(config.max_rows)
    for table in stream.skip(done).with_format("arrow").iter(batch_size=_BATCH_ROWS):
        yield _needed(table, config)


def _needed(table: pa.Table, config: HubConfig) -> pa.Table:
    """The columns that are mapped, or the roots of their dotted names. Raises `SourceError` if one is missing."""
    names = []
    for column in _columns(config):
        root = column if column in table.column_names else column.partition(".")[0]
        if root not in table.column_names:
            listed = ", ".join(f"{field.name} ({field.type})" for field in table.schema)
            raise SourceError(
                f"dataset {config.name!r} has no column {column!r}; the columns are: {listed:.1000}; name one of them"
            )
        names.append(root)
    return table.select(sorted(set(names))).replace_schema_metadata(None)


def _by_shard(tables: Iterator[pa.Table], config: HubConfig) -> Iterator[list[pa.Table]]:
    """Tables gathered up to about a shard; cut after the same records however often the stream was resumed."""
    held: list[pa.Table] = []
    filled = 0
    for table in tables:
        held.append(table)
        filled += table.nbytes + table.num_rows * ROW_BYTES
        if filled >= config.limits.shard_bytes:
            yield held
            held, filled = [], 0
    if held:
        yield held


def _write(path: Path, tables: list[pa.Table]) -> None:
    staged = path.with_suffix(".tmp")
    table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    pq.write_table(table, staged, compression="zstd", use_dictionary=False)
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    staged.rename(path)


def _read(config: HubConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    yield from read_parquet(config, unit)


SOURCE: Source[HubConfig] = Source(name="hub", version=1, writes=RAW, scan=_scan, read=_read, libraries=("datasets",))
