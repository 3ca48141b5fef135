"""A step of a published version as the input of a new plan: its shards are there, nothing has to be made."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from pipeline.dataset import Dataset, Expansion, Task
from pipeline.errors import NotFoundError
from pipeline.fingerprint import digest
from pipeline.store import Shard, Store
from schemas.manifest import Record, StepEntry

_READERS = 16
"""Records read at once; on an object store each costs a round trip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredDataset(Dataset):
    """The handle of a published step. Its identity is that of its shards."""

    entry: StepEntry

    @property
    def identity(self) -> str:
        """Digest of its folder and shards."""
        return digest(self.entry.folder, self.entry.keys)

    @property
    def folder(self) -> str:
        """Where its shards lie."""
        return self.entry.folder


def stored(entry: StepEntry, schema: pa.Schema) -> Dataset:
    """The handle of a step that a manifest lists. `schema` has at least the columns that will be read."""
    return StoredDataset(
        name=entry.name, version=entry.version, config=entry.config, schema=schema, expand=_expand, entry=entry
    )


def _expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
    assert isinstance(dataset, StoredDataset)
    keys = dataset.entry.keys
    shards = [Shard(step=dataset.folder, key=key, base=key) for key in keys]
    with ThreadPoolExecutor(_READERS) as pool:
        records: Sequence[Record] = list(pool.map(expansion.store.record, shards))
    tasks = []
    for number, record in enumerate(records):
        size = record.counters.get("bytes")
        shard = Shard(step=dataset.folder, key=record.key, base=record.base, rows=record.rows, bytes=size)
        tasks.append(Task(label=f"{number + 1}/{len(keys)}", outputs=(shard,), call=_Gone(dataset.name)))
    return tasks


@dataclass(frozen=True, slots=True)
class _Gone:
    """What a run would call if a published shard had been deleted while it ran."""

    name: str

    def __call__(self, store: Store) -> list[Record]:
        raise NotFoundError(f"a published shard of {self.name} is not there any more; run its recipe again")
