"""The run: plan the wanted keys, subtract those committed, do the rest."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.annotate import ChainCall
from pipeline.dataset import Dataset, Task
from pipeline.errors import ShardsFailedError, SiteError
from pipeline.execute import Executor, Failure, Outcome
from pipeline.plan import Plan
from schemas.manifest import Record

Listener = Callable[["Event"], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What a run tells its listeners."""

    kind: str
    """`planned` (a dataset was expanded), `started`, `finished`, `failed`, `retried` (a task) or `idle`."""
    dataset: Dataset | None = None
    task: Task | None = None
    failure: Failure | None = None
    records: tuple[Record, ...] = ()
    """Of the shards that a finished task has made."""


@dataclass(kw_only=True)
class Run:
    """One execution of a plan. Finished shards stay finished whatever happens to it."""

    plan: Plan
    executor: Executor
    retries: int
    listener: Listener
    failures: dict[str, tuple[Dataset, Task, Failure]] = field(default_factory=dict)
    _ready: list[tuple[int, int, Task]] = field(default_factory=list)
    _chains: list[tuple[Dataset, list[Task]]] = field(default_factory=list)
    _blockers: Counter[int] = field(default_factory=Counter)
    _waiting: dict[object, list[Task]] = field(default_factory=dict)
    _dataset_of: dict[int, Dataset] = field(default_factory=dict)
    _open: Counter[Dataset] = field(default_factory=Counter)
    _attempts: Counter[str] = field(default_factory=Counter)
    _announced: set[Dataset] = field(default_factory=set)
    _in_flight: int = 0
    _order: "itertools.count[int]" = field(default_factory=itertools.count)

    def execute(self) -> None:
        """Run until the targets are committed.

        Raises ShardsFailedError if some shards could not be made, and SiteError at once if the site is at fault.
        """
        self._grow()
        while True:
            self._submit()
            if not self._in_flight:
                break
            outcomes = self.executor.wait(timeout_s=0.5)
            for outcome in outcomes:
                self._finish(outcome)
            if not outcomes:
                self.listener(Event(kind="idle"))
        if self.failures:
            raise ShardsFailedError(_report(self.failures))
        incomplete = [dataset.name for dataset in self.plan.targets if not self.plan.is_complete(dataset)]
        assert not incomplete, f"nothing is left to run and {incomplete} are not complete"

    def _grow(self) -> None:
        """Expand what can be expanded and schedule what is now wanted."""
        self.plan.grow()
        for dataset in [d for d in self.plan.tasks if d not in self._announced]:
            self._announced.add(dataset)
            self.listener(Event(kind="planned", dataset=dataset))
        depth = {dataset: number for number, dataset in enumerate(self.plan.datasets)}
        for dataset, tasks in self.plan.wanted().items():
            new = [task for task in tasks if id(task) not in self._dataset_of]
            for task in new:
                self._dataset_of[id(task)] = dataset
            self._open[dataset] += len(new)
            if new and _is_stateful(new[0]):
                self._chains.append((dataset, new))
                continue
            for task in new:
                self._enter(task, depth[dataset])

    def _enter(self, task: Task, depth: int) -> None:
        needs = [s.key for s in task.inputs if not self.plan.has(s)]
        needs += [d for d in task.barriers if not self.plan.is_complete(d)]  # type: ignore[misc]
        self._blockers[id(task)] = len(needs)
        for need in needs:
            self._waiting.setdefault(need, []).append(task)
        if not needs:
            # later steps first: what they read was just written
            heapq.heappush(self._ready, (-depth, next(self._order), task))

    def _submit(self) -> None:
        for dataset, tasks in [*self._chains]:
            if all(self.plan.has(shard) for task in tasks for shard in task.inputs):
                self._chains.remove((dataset, tasks))
                self.executor.submit_chain(tasks)
                self._in_flight += len(tasks)
        while self._ready and self._in_flight < self.executor.capacity:
            _, _, task = heapq.heappop(self._ready)
            self.listener(Event(kind="started", dataset=self._dataset_of[id(task)], task=task))
            self.executor.submit(task)
            self._in_flight += 1

    def _finish(self, outcome: Outcome) -> None:
        self._in_flight -= 1
        task, failure = outcome.task, outcome.failure
        dataset = self._dataset_of[id(task)]
        if failure is not None:
            self._fail(dataset, task, failure)
            return
        self.plan.mark_committed(task.outputs, outcome.records)
        self._open[dataset] -= 1
        self.listener(Event(kind="finished", dataset=dataset, task=task, records=outcome.records))
        done: list[object] = [shard.key for shard in task.outputs]
        complete = not self._open[dataset] and self.plan.is_complete(dataset)
        for need in [*done, dataset] if complete else done:
            self._release(need)
        if complete:
            self._discard_spills()
            if not self.plan.is_whole():
                self._grow()

    def _release(self, need: object) -> None:
        depth = {dataset: number for number, dataset in enumerate(self.plan.datasets)}
        for task in self._waiting.pop(need, []):
            self._blockers[id(task)] -= 1
            if not self._blockers[id(task)]:
                heapq.heappush(self._ready, (-depth[self._dataset_of[id(task)]], next(self._order), task))

    def _fail(self, dataset: Dataset, task: Task, failure: Failure) -> None:
        key = task.outputs[0].key
        self._attempts[key] += 1
        if not failure.is_final and self._attempts[key] <= self.retries:
            self.listener(Event(kind="retried", dataset=dataset, task=task, failure=failure))
            self.executor.submit(task)
            self._in_flight += 1
            return
        if failure.is_site:
            raise SiteError(failure.message)
        self.failures[key] = (dataset, task, failure)
        self.listener(Event(kind="failed", dataset=dataset, task=task, failure=failure))

    def _discard_spills(self) -> None:
        """Delete spills whose readers are all committed."""
        for spill in [d for d in self.plan.datasets if d.temporary and self.plan.is_complete(d)]:
            readers = [d for d in self.plan.datasets if spill in d.inputs]
            if all(self.plan.is_complete(reader) for reader in readers):
                for shard in self.plan.shards(spill):
                    self.plan.store.discard(shard)
                    self.plan.committed[shard.step].discard(shard.key)


def _is_stateful(task: Task) -> bool:
    return isinstance(task.call, ChainCall) and any(c.stage.stateful for c in task.call.stages)


def _report(failures: dict[str, tuple[Dataset, Task, Failure]]) -> str:
    lines = [f"  {dataset.name} {task.label}: {failure.message}" for dataset, task, failure in failures.values()]
    shown = "\n".join(lines[:20]) + (f"\n  and {len(lines) - 20} more" if len(lines) > 20 else "")
    return f"{len(lines)} shard(s) failed, all others are committed; mend the cause and run the same again:\n{shown}"
