"""Training sequences of a published version: a packing's index over the documents, gathered as Arrow tables.

Reads the data files and index files of a version, from a folder or through a storage: the published files alone are
enough. Memory: one data file (4 bytes per token), its index and one batch.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from jobs.packing.rows import Documents, Index, gather
from pipeline import catalog
from pipeline.errors import CorruptShardError, NotFoundError
from pipeline.storage import LocalStorage, Storage
from schemas.corpus import DATA, PACKING
from schemas.manifest import Manifest, Packing, PackingFile

Model = TypeVar("Model", bound=BaseModel)

TABLE_TOKENS = 1 << 24
"""Tokens of a table of sequences, unless a single sequence has more: about 100 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A published version that is open for reading."""

    storage: Storage
    folder: str
    """Of the version in the storage; empty where the storage is the version's own folder."""
    manifest: Manifest

    @property
    def name(self) -> str:
        """`name@version`."""
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def domains(self) -> list[str]:
        """Domains that have files, sorted."""
        return sorted({_domain(file.path) for file in self.manifest.files})

    def packings(self) -> list[str]:
        """Names of the packings that are complete, sorted."""
        names = self.storage.folders(self._path("packings"))
        return [name for name in names if "packing.json" in self.storage.files(self._path(f"packings/{name}"))]

    def packing(self, name: str) -> Packing:
        """A packing by name. Raises NotFoundError naming those that are there."""
        known = self.packings()
        if name not in known:
            there = ", ".join(known) or "none"
            raise NotFoundError(f"{self.name} has no packing {name!r}; it has: {there}; gristmill pack makes others")
        packing = _model(Packing, self.storage, self._path(f"packings/{name}/packing.json"))
        place = self.url(f"packings/{name}/packing.json")
        _check_paths(f"packings/{name}", [file.path for file in packing.files], place)
        known = [file.path for file in self.manifest.files]
        if packing.name != name or [file.data for file in packing.files] != known:
            raise CorruptShardError(f"{place} is not of the {len(known)} data files of {self.name}; copy it again")
        return packing

    def files(self, packing: str, domains: Sequence[str] | None = None) -> list[PackingFile]:
        """Index files of a packing, in order; None means all domains. Raises NotFoundError."""
        wanted = self._wanted(domains)
        return [file for file in self.packing(packing).files if _domain(file.data) in wanted]

    def sequences(
        self, packing: str, domains: Sequence[str] | None = None, *, batch_rows: int = 1024
    ) -> Iterator[pa.Table]:
        """All sequences in the order of training, as `SEQUENCES` tables of at most `batch_rows` rows.

        Long sequences come in smaller tables, of at most `TABLE_TOKENS` tokens or one sequence.
        """
        settings, wanted = self.packing(packing), self._wanted(domains)
        for file in settings.files:
            if _domain(file.data) in wanted:
                yield from self.file_sequences(settings, file, batch_rows=batch_rows)

    def file_sequences(
        self, packing: Packing, file: PackingFile, *, first_row: int = 0, batch_rows: int = 1024
    ) -> Iterator[pa.Table]:
        """The sequences of one index file from a row on. Raises CorruptShardError where index and data do not fit."""
        if batch_rows < 1 or first_row < 0:
            raise ValueError(f"batch_rows must be at least 1 and first_row at least 0, got {batch_rows}, {first_row}")
        index, documents = self.read_index(file), self.read_documents(file.data)
        index.check(documents, packing.sequence_length, self.url(file.path))
        length, padding = packing.sequence_length, packing.padding
        ends = index.ends(length)
        row = first_row
        while row < len(index):
            done = int(ends[row - 1]) if row else 0
            most = int(np.searchsorted(ends, done + TABLE_TOKENS, side="right"))
            end = min(len(index), row + batch_rows, max(row + 1, most))
            yield gather(index, documents, row, end, sequence_length=length, padding=padding)
            row = end

    def documents(self, domains: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All documents in the order of the shuffle, `document_id` and `tokens`, one row group at a time."""
        wanted = self._wanted(domains)
        for file in self.manifest.files:
            if _domain(file.path) in wanted:
                yield from self._row_groups(file.path)

    def verify(self) -> None:
        """Compare every file of the data and of the complete packings with its SHA-256.

        Reading checks counts and places only. Raises CorruptShardError for the first file that differs.
        """
        expected = {file.path: file.sha256 for file in self.manifest.files}
        for name in self.packings():
            expected |= {file.path: file.sha256 for file in self.packing(name).files}
        for path, sha256 in expected.items():
            if (found := self._sha256(path)) != sha256:
                raise CorruptShardError(f"{self.url(path)} has SHA-256 {found}, not {sha256}; copy it again")

    def read_documents(self, path: str) -> Documents:
        """A data file in memory."""
        entry = next(file for file in self.manifest.files if file.path == path)
        with self.open(path) as parquet:
            if parquet.metadata.num_rows != entry.rows:
                raise self._other(path, f"{parquet.metadata.num_rows} rows", entry.rows, entry.tokens)
        ids, offsets = np.empty((entry.rows, 16), np.uint8), np.zeros(entry.rows + 1, np.int64)
        tokens, row, token = np.empty(entry.tokens, np.int32), 0, 0
        for table in self._row_groups(path):
            lists = _one(table["tokens"])
            own = lists.offsets.to_numpy()
            row, first, token, before = row + len(lists), row, token + int(own[-1] - own[0]), token
            if row > entry.rows or token > entry.tokens or lists.null_count or lists.values.null_count:
                raise self._other(path, f"{row} rows and {token} tokens or more, or nulls", entry.rows, entry.tokens)
            tokens[before:token] = lists.values.to_numpy()[own[0] : own[-1]]
            offsets[first + 1 : row + 1] = own[1:] - own[0] + before
            ids[first:row] = _id_bytes(_one(table["document_id"]))
        if row != entry.rows or token != entry.tokens:
            raise self._other(path, f"{row} rows and {token} tokens", entry.rows, entry.tokens)
        return Documents(ids=ids, offsets=offsets, tokens=tokens)

    def read_index(self, file: PackingFile) -> Index:
        """An index file in memory. What its pieces say is not checked here."""
        with self.open(file.path, PACKING) as parquet:
            table = parquet.read(columns=["document", "start", "length"], use_threads=False)
        lists = [_one(column) for column in table.columns]
        borders = [column.offsets.to_numpy().astype(np.int64) for column in lists]
        is_same = all(np.array_equal(border - border[0], borders[0] - borders[0][0]) for border in borders)
        if table.num_rows != file.rows or not is_same or any(a.null_count or a.values.null_count for a in lists):
            raise CorruptShardError(
                f"{self.url(file.path)} must have {file.rows} rows with lists of equal lengths and without nulls; "
                f"it has {table.num_rows} rows: fetch the file again"
            )
        values = [a.values.to_numpy()[b[0] : b[-1]] for a, b in zip(lists, borders, strict=True)]
        return Index(borders=borders[0] - borders[0][0], document=values[0], start=values[1], length=values[2])

    @contextmanager
    def open(self, path: str, schema: pa.Schema = DATA) -> Iterator[pq.ParquetFile]:
        """A data file of the version, or one of another schema. Raises CorruptShardError unless it is one."""
        try:
            with self.storage.open(self._path(path)) as file:
                parquet = pq.ParquetFile(file)
                if not parquet.schema_arrow.equals(schema):
                    raise CorruptShardError(f"{self.url(path)} has other columns than {', '.join(schema.names)}")
                yield parquet
        except FileNotFoundError as error:
            raise self._missing(path) from error
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # pyarrow has one for each kind of damage
            raise CorruptShardError(f"{self.url(path)} cannot be read: {error}; copy it again") from error

    def url(self, path: str) -> str:
        """How a user opens a file of the version with other tools."""
        return self.storage.url(self._path(path))

    def _sha256(self, path: str) -> str:
        try:
            with self.storage.open(self._path(path)) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise self._missing(path) from error

    def _missing(self, path: str) -> NotFoundError:
        return NotFoundError(f"{self.url(path)} is not there, though the manifest lists it; copy it again")

    def _row_groups(self, path: str) -> Iterator[pa.Table]:
        with self.open(path) as parquet:
            for group in (g for g in range(parquet.num_row_groups) if parquet.metadata.row_group(g).num_rows):
                yield parquet.read_row_group(group, columns=["document_id", "tokens"], use_threads=False)

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    def _other(self, path: str, found: str, rows: int, tokens: int) -> CorruptShardError:
        return CorruptShardError(f"{self.url(path)} has {found}; the manifest says {rows} rows and {tokens} tokens")

    def _wanted(self, domains: Sequence[str] | None) -> set[str]:
        known = self.domains
        if unknown := sorted(set(domains or ()) - set(known)):
            raise NotFoundError(f"{self.name} has no domain {unknown[0]!r}; it has: {', '.join(known)}")
        return set(known if domains is None else domains)


def open_version(where: Storage | Path | str, reference: str = "") -> Version:
    """A published version: `name@version` (or `name`, the newest) of a store, or the folder of a version itself.

    A path with a reference is the folder of a store. Raises NotFoundError for a version or folder that is not there.
    """
    if reference and isinstance(where, Path | str):
        if not Path(where).is_dir():
            raise NotFoundError(f"no store at {where}; give the folder that gristmill ls --store reads")
        where = LocalStorage(Path(where))
    if not isinstance(where, Path | str):
        manifest = catalog.load(where, reference)
        if not catalog.is_complete(where, manifest):
            raise NotFoundError(f"{reference} was claimed and never finished; run its recipe again")
        return _checked(where, catalog.folder(manifest), manifest)
    if not (Path(where) / "manifest.json").is_file():
        raise NotFoundError(f"{where} holds no manifest.json; give the folder of a published version")
    storage = LocalStorage(Path(where))
    return _checked(storage, "", _model(Manifest, storage, "manifest.json"))


def _checked(storage: Storage, folder: str, manifest: Manifest) -> Version:
    version = Version(storage=storage, folder=folder, manifest=manifest)
    _check_paths("data", [file.path for file in manifest.files], version.url("manifest.json"))
    return version


def _check_paths(folder: str, paths: Sequence[str], place: str) -> None:
    """Raise CorruptShardError for a path out of its folder: manifests may come from anywhere."""
    for path in paths:
        if not re.fullmatch(rf"{re.escape(folder)}/[a-z0-9-]+/part-\d+\.parquet", path):
            raise CorruptShardError(f"{place} lists {path!r}; expected {folder}/DOMAIN/part-NUMBER.parquet")


def _model(kind: type[Model], storage: Storage, path: str) -> Model:
    try:
        return kind.model_validate_json(storage.read(path))
    except ValidationError as error:
        raise CorruptShardError(f"{storage.url(path)} is not what this version of gristmill writes: {error}") from error


def _domain(path: str) -> str:
    return path.split("/")[1]


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array, also when it is empty."""
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) and found.chunks else found


def _id_bytes(ids: pa.Array) -> np.ndarray:
    data = np.frombuffer(ids.buffers()[1], np.uint8)
    return data[16 * ids.offset : 16 * (ids.offset + len(ids))].reshape(-1, 16)
