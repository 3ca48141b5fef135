"""What a run has done so far: counts per step, from the run's events."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.dataset import Dataset
from pipeline.plan import Plan
from pipeline.run import Event


@dataclass(kw_only=True)
class StepProgress:
    """Counts of one step while it runs."""

    total: int = 0
    resumed: int = 0
    """Shards that this run need not make: committed before, or needed by nothing."""
    started: float = 0.0
    """Monotonic seconds when its first task started; 0 before."""
    done: int = 0
    failed: int = 0
    documents: int = 0
    dropped: int = 0
    bytes: int = 0
    """Content bytes of the shards that this run has made."""
    ended: float = 0.0
    """Monotonic seconds when its last shard was committed."""
    is_whole: bool = True
    """False while `total` may still grow."""

    @property
    def is_complete(self) -> bool:
        """Whether every shard is committed or has failed."""
        return self.is_whole and self.done + self.resumed + self.failed >= self.total

    @property
    def seconds(self) -> float:
        """Wall time at work so far."""
        if not self.started:
            return 0.0
        return (self.ended if self.is_complete and self.ended else time.monotonic()) - self.started

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the pace so far; None before the first shard."""
        left = self.total - self.done - self.resumed - self.failed
        return None if not self.done else self.seconds / self.done * left


@dataclass(kw_only=True)
class Tracker:
    """Turns events into counts."""

    plan: Plan
    steps: dict[str, StepProgress] = field(default_factory=dict)
    """By name of the dataset; the spills of an exchange are `NAME-map`."""
    first_task_at: float = 0.0

    def __call__(self, event: Event) -> None:
        if event.dataset is None:
            return
        if event.kind == "planned":
            self._plan(event.dataset)
            return
        step = self.steps[event.dataset.name]
        if event.kind == "started":
            step.started = step.started or time.monotonic()
            self.first_task_at = self.first_task_at or step.started
        elif event.kind == "failed":
            step.failed += 1
            step.ended = time.monotonic()
        elif event.kind == "finished" and event.task is not None:
            step.started = step.started or time.monotonic()
            self._finish(step, event)

    def rows(self) -> list[tuple[str, StepProgress]]:
        """Every step of the plan in its order; an exchange together with its spills."""
        steps = dict(self.steps)
        merged = []
        for dataset in [d for d in self.plan.datasets if not d.temporary]:
            own = steps.get(dataset.name, StepProgress())
            spills = {d.name: steps[d.name] for d in dataset.inputs if d.temporary and d.name in steps}
            merged.append((dataset.name, _merge(own, spills.values(), is_whole=dataset.name in steps)))
        return merged

    def _plan(self, dataset: Dataset) -> None:
        shards = self.plan.shards(dataset)
        wanted = sum(len(task.outputs) for task in self.plan.wanted().get(dataset, []))
        resumed = len(shards) - wanted
        known = self.steps.setdefault(dataset.name, StepProgress())
        known.total += len(shards)
        known.resumed += resumed

    def _finish(self, step: StepProgress, event: Event) -> None:
        assert event.task is not None
        step.ended = time.monotonic()
        step.done += len(event.task.outputs)
        for record in event.records:
            counters: Counter[str] = Counter(record.counters)
            step.documents += counters["rows"]
            step.dropped += counters["rows"] - counters.get("out_rows", counters["rows"])
            step.bytes += counters["bytes"]


def _merge(own: StepProgress, spills: Iterable[StepProgress], *, is_whole: bool) -> StepProgress:
    """An exchange as one row: shards of both halves, documents of the second."""
    both = [own, *spills]
    return StepProgress(
        total=sum(step.total for step in both),
        resumed=sum(step.resumed for step in both),
        started=min((step.started for step in both if step.started), default=0.0),
        done=sum(step.done for step in both),
        failed=sum(step.failed for step in both),
        documents=own.documents,
        dropped=own.dropped,
        bytes=own.bytes,
        ended=max(step.ended for step in both),
        is_whole=is_whole,
    )
