"""What a run has to do: expand the datasets, subtract what is committed, keep what the targets still need."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.dataset import Dataset, Task, topological
from pipeline.store import Shard, Store
from schemas.manifest import Record

_READERS = 16
"""Records read at once; on an object store each costs a round trip."""


@dataclass(kw_only=True)
class Plan:
    """The expanded part of a recipe. Grows while a run commits the counts that later steps wait for."""

    targets: tuple[Dataset, ...]
    store: Store
    scratch: Path
    datasets: list[Dataset] = field(init=False)
    tasks: dict[Dataset, list[Task]] = field(init=False, default_factory=dict)
    committed: dict[str, set[str]] = field(init=False, default_factory=dict)
    """Committed keys by step folder."""
    _shards: dict[Dataset, tuple[Shard, ...]] = field(init=False, default_factory=dict)
    _records: dict[str, Record] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.datasets = topological(*self.targets)

    def grow(self) -> list[Dataset]:
        """Expand every dataset that can be; returns the new ones."""
        grown = []
        for dataset in self.datasets:
            ready = all(i in self.tasks for i in dataset.inputs) and all(self.is_complete(d) for d in dataset.counts_of)
            if dataset in self.tasks or not ready:
                continue
            self.committed.setdefault(dataset.folder, self.store.committed(dataset.folder))
            self.tasks[dataset] = dataset.expand(dataset, self)
            self._shards[dataset] = tuple(shard for task in self.tasks[dataset] for shard in task.outputs)
            grown.append(dataset)
        return grown

    def shards(self, dataset: Dataset) -> tuple[Shard, ...]:
        """All shards of an expanded dataset, in order."""
        return self._shards[dataset]

    def records(self, dataset: Dataset) -> list[Record]:
        """Commit records of a complete dataset."""
        shards = self.shards(dataset)
        missing = [shard for shard in shards if shard.key not in self._records]
        if missing:
            with ThreadPoolExecutor(_READERS) as pool:
                self._remember(pool.map(self.store.record, missing))
        return [self._records[shard.key] for shard in shards]

    def _remember(self, records: Iterable[Record]) -> None:
        self._records.update((record.key, record) for record in records)

    def has(self, shard: Shard) -> bool:
        """Whether the shard is committed."""
        return shard.key in self.committed[shard.step]

    def mark_committed(self, shards: Iterable[Shard], records: Iterable[Record] = ()) -> None:
        """Note what a task has committed, with the records that are at hand."""
        for shard in shards:
            self.committed[shard.step].add(shard.key)
        self._remember(records)

    def is_done(self, task: Task) -> bool:
        """Whether everything the task makes is committed."""
        return all(self.has(shard) for shard in task.outputs)

    def is_complete(self, dataset: Dataset) -> bool:
        """Whether all shards of the dataset are known and committed."""
        return dataset in self._shards and all(self.has(shard) for shard in self._shards[dataset])

    def is_whole(self) -> bool:
        """Whether every dataset has been expanded."""
        return len(self.tasks) == len(self.datasets)

    def wanted(self) -> dict[Dataset, list[Task]]:
        """Uncommitted tasks that the targets need, by dataset.

        A spill whose readers are all committed is not needed, even if it was deleted. What a dataset that is not yet
        expanded will read is needed as a whole.
        """
        needed: dict[Dataset, list[Task]] = {}
        producers = {shard.key: task for tasks in self.tasks.values() for task in tasks for shard in task.outputs}
        wanted_keys: set[str] = set()
        whole: set[Dataset] = set(self.targets)
        for dataset in reversed(self.datasets):
            if dataset not in self.tasks:
                whole.update((*dataset.inputs, *dataset.counts_of))
                continue
            for task in self.tasks[dataset]:
                asked = dataset in whole or any(shard.key in wanted_keys for shard in task.outputs)
                if not asked or self.is_done(task):
                    continue
                needed.setdefault(dataset, []).append(task)
                wanted_keys.update(shard.key for shard in task.inputs if shard.key in producers)
                whole.update(task.barriers)
        return {dataset: needed[dataset] for dataset in self.datasets if dataset in needed}
