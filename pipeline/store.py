"""Shards and their commit records. The record is the only truth: data without one does not exist."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import CorruptShardError, IdentityError, NotFoundError
from pipeline.parquet import parquet_bytes, read_parquet, read_spill, spill_bytes
from pipeline.site_file import LlmSite
from pipeline.storage import Storage
from schemas.manifest import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """A planned or committed piece of a dataset."""

    step: str
    """Folder of the step: `name-identity`."""
    key: str
    base: str
    """Key of the documents shard it is row-aligned with; its own key for others."""
    rows: int | None = None
    """As planned; None while unknown."""
    bytes: int | None = None
    """Content bytes as planned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """How a shard came to be, for its record."""

    exact: bool = True
    libraries: Mapping[str, str]
    counters: Mapping[str, int]


class Store:
    """Commits and reads shards by key. The one thing of the site that a task is given."""

    def __init__(self, storage: Storage, llm: LlmSite | None = None) -> None:
        self.storage = storage
        self.llm = llm or LlmSite()
        """The site's endpoint, for tasks that ask a model (`pipeline.chat`)."""

    def committed(self, step: str) -> set[str]:
        """Keys that a step has committed."""
        return {name.removesuffix(".json") for name in self.storage.files(f"records/{step}")}

    def has(self, shard: Shard) -> bool:
        """Whether the shard is committed."""
        try:
            self.record(shard)
        except NotFoundError:
            return False
        return True

    def record(self, shard: Shard) -> Record:
        """The commit record. Raises NotFoundError for a shard that is not committed."""
        name = _record_file(shard.step, shard.key)
        try:
            return Record.model_validate_json(self.storage.read(name))
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{self.storage.url(name)} is not there: the shard was never made or its record was deleted; "
                "run the recipe again to make it"
            ) from error

    def read(self, shard: Shard, columns: list[str] | None = None) -> pa.Table:
        """Columns of a committed shard."""
        name = self.record(shard).file
        with self.storage.open(name) as file:
            try:
                return read_parquet(file, columns)
            except (pa.ArrowException, OSError) as error:
                raise self._corrupt(shard, name) from error

    def read_partition(self, shard: Shard, partition: int) -> pa.RecordBatch:
        """One partition of a committed spill."""
        name = self.record(shard).file
        with self.storage.open(name) as file:
            try:
                return read_spill(file, partition)
            except (pa.ArrowException, OSError) as error:
                raise self._corrupt(shard, name) from error

    def commit(self, shard: Shard, table: pa.Table, made: Made, *, rows_per_group: int | None = None) -> Record:
        """Write a shard and then its record; a repetition with the same bytes is harmless.

        Raises IdentityError if the key was committed before with other bytes and the step is exact.
        """
        data = parquet_bytes(table, rows_per_group=rows_per_group)
        return self._commit(shard, data, "parquet", table.num_rows, made)

    def commit_spill(self, shard: Shard, partitions: list[pa.Table], schema: pa.Schema, made: Made) -> Record:
        """Write an exchange's spill, one table per partition."""
        rows = sum(table.num_rows for table in partitions)
        return self._commit(shard, spill_bytes(partitions, schema), "arrow", rows, made)

    def _commit(self, shard: Shard, data: pa.Buffer, suffix: str, rows: int, made: Made) -> Record:
        sha256 = hashlib.sha256(data).hexdigest()
        # Two workers may make an inexact shard with different bytes at once: each then has a file of its own.
        stem = shard.key if made.exact else f"{shard.key}-{sha256[:16]}"
        file = f"shards/{shard.step}/{stem}.{suffix}"
        record = Record(
            key=shard.key,
            step=shard.step,
            file=file,
            sha256=sha256,
            file_bytes=data.size,
            rows=rows,
            base=shard.base,
            exact=made.exact,
            libraries=dict(made.libraries) | {"pyarrow": pa.__version__},
            counters={"rows": rows} | dict(made.counters),
        )
        name = _record_file(shard.step, shard.key)
        try:
            before = Record.model_validate_json(self.storage.read(name))
        except FileNotFoundError:
            self.storage.write(file, data)
            if self.storage.create(name, record.model_dump_json().encode()):
                return record
            before = Record.model_validate_json(self.storage.read(name))
        if before.exact and before.sha256 != sha256:
            raise IdentityError(
                f"{shard.step}/{shard.key} was committed with digest {before.sha256[:16]} and made again with "
                f"{sha256[:16]}: the step is not deterministic, or its version was not raised when its code changed"
            )
        return before

    def discard(self, shard: Shard) -> None:
        """Forget a committed shard: the record first, so that no record ever lacks its data."""
        file = self.record(shard).file
        self.storage.delete(_record_file(shard.step, shard.key))
        self.storage.delete(file)

    def _corrupt(self, shard: Shard, file: str) -> CorruptShardError:
        record = self.storage.url(_record_file(shard.step, shard.key))
        return CorruptShardError(
            f"{self.storage.url(file)} does not hold what its record says; delete {record} and run again"
        )


def _record_file(step: str, key: str) -> str:
    return f"records/{step}/{key}.json"
