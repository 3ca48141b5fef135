"""The first step of every plan: units of sources in, shards of the base table out."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.annotate import add_counts, extend
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.errors import PlanError, SourceError
from pipeline.fingerprint import digest, library_versions
from pipeline.parquet import parquet_bytes, read_parquet
from pipeline.source import Source, Unit
from pipeline.stage import Configured, Transform, open_stages
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """A source with its config."""

    source: Source[Any]
    config: Any


def ingest(*inputs: Input, stages: Sequence[Configured[Any]], name: str = "documents") -> Dataset:
    """The base table: what the sources hold, through the stages; the last stage writes its columns.

    Where the input lies is not part of identity: shards are keyed by the content that the scan found. Raises PlanError
    without inputs, or if two inputs have other columns.
    """
    if not inputs:
        raise PlanError("there is nothing to read; name at least one source")
    if any(not i.source.writes.equals(inputs[0].source.writes) for i in inputs):
        raise PlanError("all sources of one step must write the same columns")
    return Dataset(
        name=name,
        version=1,
        config=[(c.stage.name, c.stage.version, c.config) for c in stages],
        schema=stages[-1].stage.writes,
        expand=_expand,
        libraries=tuple(sorted({library for c in stages for library in c.stage.libraries})),
        exact=all(c.stage.exact for c in stages),
        details={"inputs": inputs, "stages": tuple(stages)},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestCall:
    """Read one unit and commit its parts in order; parts that are committed are read past."""

    input: Input
    unit: Unit
    stages: tuple[Configured[Any], ...]
    outputs: tuple[Shard, ...]
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        done = {shard.key for shard in self.outputs if len(self.outputs) > 1 and store.has(shard)}
        last = max(number for number, shard in enumerate(self.outputs) if shard.key not in done)
        transforms = open_stages(self.stages)
        tables = self.input.source.read(self.input.config, self.unit, StoreReadContext(store))
        records = []
        for shard in self.outputs[: last + 1]:
            raw = next(tables, None)
            if raw is None:
                raise SourceError(f"{self.unit.label} has fewer shards than the {len(self.outputs)} planned; run again")
            if shard.key not in done:
                records.append(self._commit(store, shard, raw, transforms))
        return records

    def _commit(self, store: Store, shard: Shard, raw: pa.Table, transforms: list[Transform]) -> Record:
        if raw.num_rows != shard.rows:
            raise SourceError(
                f"{self.unit.label} gave {raw.num_rows} documents where the scan found {shard.rows}: "
                "it changed while it was read; run the same command again"
            )
        counters = self.made.counters
        table = raw
        written = raw
        for configured, transform in zip(self.stages, transforms, strict=True):
            written = transform(table)
            table = extend(table, written)
            if configured.stage.count is not None:
                counters = add_counts(counters, configured.stage.count(table))
        return store.commit(
            shard, written, Made(exact=self.made.exact, libraries=self.made.libraries, counters=counters)
        )


class StoreReadContext:
    """`ReadContext` over the store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def listing(self, name: str) -> pa.Table:
        """A listing that the scan saved."""
        with self.store.storage.open(f"listings/{name}.parquet") as file:
            return read_parquet(file)


class StoreScanContext(StoreReadContext):
    """`ScanContext` over the store and a local folder: digests are remembered by (path, size, mtime, inode)."""

    def __init__(self, store: Store, scratch: Path) -> None:
        super().__init__(store)
        self.scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        self.known = sqlite3.connect(scratch / "digests.sqlite", isolation_level=None, timeout=60)
        # a lost digest costs a second reading, so nothing waits for the disk
        self.known.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF")
        self.known.execute("CREATE TABLE IF NOT EXISTS digests (file BLOB PRIMARY KEY, stat TEXT, sha256 BLOB)")

    def sha256(self, path: Path) -> bytes:
        """Digest of a file."""
        stat, name = path.stat(), os.fsencode(path.absolute())
        state = f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}"
        row = self.known.execute("SELECT sha256 FROM digests WHERE file = ? AND stat = ?", (name, state)).fetchone()
        if row is not None:
            return bytes(row[0])
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
        self.known.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (name, state, found))
        return found

    def save(self, listing: pa.Table) -> str:
        """Keep a listing under the digest of its bytes."""
        data = parquet_bytes(listing)
        name = hashlib.blake2b(data, digest_size=16).hexdigest()
        self.store.storage.write(f"listings/{name}.parquet", data)
        return name

    def downloads(self, name: str) -> Path:
        """A local folder of this name."""
        folder = self.scratch / "downloads" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """Let go of the digests."""
        self.known.close()


def scan(inputs: Sequence[Input], expansion: Expansion) -> Iterator[tuple[Input, Unit]]:
    """All units of all inputs, in the order of the inputs."""
    context = StoreScanContext(expansion.store, expansion.scratch)
    try:
        for given in inputs:
            for unit in given.source.scan(given.config, context):
                yield given, unit
    finally:
        context.close()


def _expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
    tasks, seen = [], set[str]()
    for given, unit in scan(dataset.details["inputs"], expansion):
        source = given.source
        identity = digest(source.name, source.version, library_versions(source.libraries), unit.identity)
        if identity in seen:  # the same content under the same names, named twice
            continue
        seen.add(identity)
        outputs = tuple(
            dataset.shard(identity, str(number), rows=part.rows, size=part.bytes)
            for number, part in enumerate(unit.parts)
        )
        made = Made(exact=dataset.exact, libraries=dataset.versions, counters={})
        call = IngestCall(input=given, unit=unit, stages=dataset.details["stages"], outputs=outputs, made=made)
        tasks.append(Task(label=unit.label, outputs=outputs, call=call))
    if not tasks:
        raise SourceError("the sources hold no documents; check their paths and patterns")
    return tasks
