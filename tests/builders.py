"""Small real objects that tests build on: the machine's side of the source contract, on a temporary folder."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.source import Source, Unit

Config = TypeVar("Config")


@dataclass(slots=True)
class LocalContext:
    """`ScanContext` and `ReadContext` in one process, on one folder."""

    folder: Path
    hashed: list[Path] = field(default_factory=list)
    """Every file that was hashed, in order, so that a test can say what was not read."""

    def sha256(self, path: Path) -> bytes:
        self.hashed.append(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def save(self, listing: pa.Table) -> str:
        folder = self.folder / "listings"
        folder.mkdir(parents=True, exist_ok=True)
        staged = folder / "staged.parquet"
        pq.write_table(listing.combine_chunks(), staged)
        name = hashlib.sha256(staged.read_bytes()).hexdigest()
        staged.rename(folder / f"{name}.parquet")
        return name

    def downloads(self, name: str) -> Path:
        folder = self.folder / "downloads" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def listing(self, name: str) -> pa.Table:
        return pq.read_table(self.folder / "listings" / f"{name}.parquet")


def scan_all(source: Source[Config], config: Config, folder: Path) -> list[Unit]:
    """The source's units, scanned with a `LocalContext` on `folder`."""
    return list(source.scan(config, LocalContext(folder)))


def read_units(source: Source[Config], config: Config, units: list[Unit], folder: Path) -> list[pa.Table]:
    """One table per part of all units, checked against what the source and its units declare."""
    context, tables = LocalContext(folder), []
    for unit in units:
        parts = list(source.read(config, unit, context))
        assert len(parts) == len(unit.parts), unit.label
        assert all(part.schema.equals(source.writes) for part in parts), unit.label
        tables += parts
    return tables


def read_all(source: Source[Config], config: Config, folder: Path) -> pa.Table:
    """Everything the source holds as one table: scan, then read of every unit."""
    tables = read_units(source, config, scan_all(source, config, folder), folder)
    return pa.concat_tables([source.writes.empty_table(), *tables]).combine_chunks()
