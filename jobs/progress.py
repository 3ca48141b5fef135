"""What a person sees of a run: a live table on a terminal, plain lines elsewhere, a funnel at the end."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from jobs.card import human_bytes
from pipeline.dataset import Dataset
from pipeline.plan import Plan
from pipeline.run import Event
from schemas.manifest import FunnelEntry


@dataclass(kw_only=True)
class StepProgress:
    """Counts of one step while it runs."""

    total: int
    resumed: int
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

    @property
    def seconds(self) -> float:
        """Wall time at work so far."""
        if not self.started:
            return 0.0
        complete = self.done + self.resumed + self.failed >= self.total
        return (self.ended if complete else time.monotonic()) - self.started

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
        elif event.kind == "finished" and event.task is not None:
            step.started = step.started or time.monotonic()
            self._finish(step, event)

    def _plan(self, dataset: Dataset) -> None:
        shards = self.plan.shards(dataset)
        wanted = sum(len(task.outputs) for task in self.plan.wanted().get(dataset, []))
        resumed = len(shards) - wanted
        known = self.steps.setdefault(dataset.name, StepProgress(total=0, resumed=0))
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


class Display(Protocol):
    """A way to show a tracker."""

    def update(self) -> None:
        """Show the present state, at most as often as is useful."""

    def close(self) -> None:
        """Show the last state."""


class LiveDisplay:
    """A table that redraws itself four times a second."""

    def __init__(self, tracker: Tracker, console: Console) -> None:
        self._tracker = tracker
        self._live = Live(self._table(), console=console, refresh_per_second=4, transient=False)
        self._live.start()

    def update(self) -> None:
        """Redraw."""
        self._live.update(self._table())

    def close(self) -> None:
        """Draw the last state and leave it there."""
        self._live.update(self._table())
        self._live.stop()

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("step")
        for head in ("shards", "documents", "MB/s", "dropped", "failed", "ETA"):
            table.add_column(head, justify="right")
        for name, step in self._tracker.steps.items():
            table.add_row(name, *cells(step), style="dim" if step.done + step.resumed == step.total else None)
        return table


class PlainDisplay:
    """One line per step that has moved, every `interval_s` seconds."""

    def __init__(self, tracker: Tracker, console: Console, interval_s: float = 5.0) -> None:
        self._tracker, self._console, self._interval_s = tracker, console, interval_s
        self._shown: dict[str, tuple[int, int]] = {}
        self._next = time.monotonic() + interval_s

    def update(self) -> None:
        """Print what has moved if the interval is over."""
        if time.monotonic() >= self._next:
            self.close()
            self._next = time.monotonic() + self._interval_s

    def close(self) -> None:
        """Print what has moved since the last line."""
        for name, step in self._tracker.steps.items():
            state = (step.done, step.failed)
            if step.started and self._shown.get(name) != state:
                self._shown[name] = state
                shards, documents, rate, dropped, failed, eta = cells(step)
                self._console.print(
                    f"{name}: {shards} shards, {documents} documents, {rate} MB/s, {dropped} dropped, {failed} failed, "
                    f"ETA {eta}",
                    soft_wrap=True,
                    highlight=False,
                )


def cells(step: StepProgress) -> tuple[str, str, str, str, str, str]:
    """Shards, documents, MB/s, dropped, failed and ETA of a step, as text."""
    rate = step.bytes / 1e6 / step.seconds if step.seconds > 0 and step.bytes else None
    eta = step.eta_s
    return (
        f"{step.done + step.resumed}/{step.total}",
        f"{step.documents:,}",
        "-" if rate is None else f"{rate:,.1f}",
        f"{step.dropped:,}",
        f"{step.failed:,}",
        "-" if eta is None else f"{int(eta) // 60}:{int(eta) % 60:02d}",
    )


def funnel_table(entries: list[FunnelEntry]) -> Table:
    """Rows and bytes into and out of every step, with reasons."""
    table = Table(title="funnel", title_justify="left", box=None, pad_edge=False)
    table.add_column("step")
    for head in ("documents in", "out", "bytes in", "out"):
        table.add_column(head, justify="right")
    table.add_column("reasons")
    for e in entries:
        reasons = ", ".join(f"{name} {n:,}" for name, n in sorted(e.reasons.items(), key=lambda p: -p[1]))
        sizes = (human_bytes(e.bytes_in), human_bytes(e.bytes_out)) if e.bytes_in else ("-", "-")
        table.add_row(e.step, f"{e.rows_in:,}", f"{e.rows_out:,}", *sizes, reasons)
    return table
