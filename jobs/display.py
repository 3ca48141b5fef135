"""What a person sees of a run: a live table on a terminal, plain lines elsewhere, a funnel at the end."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from jobs.card import human_bytes
from jobs.progress import StepProgress, Tracker
from jobs.terminal import printable
from pipeline.run import Event
from schemas.manifest import FunnelEntry

_COLUMNS = ("shards", "documents", "MB/s", "dropped", "failed", "time", "ETA")
_NARROW = ("shards", "documents", "failed", "ETA")
_NARROW_BELOW = 80
"""Characters of a terminal on which not all columns fit."""


class Display(Protocol):
    """A way to show a tracker. It begins before the first event and ends with `close`."""

    def update(self) -> None:
        """Show the present state, at most as often as is useful."""

    def close(self) -> None:
        """Show the last state. Harmless to call twice."""


def open_display(tracker: Tracker, console: Console) -> Display:
    """The live table on a terminal, plain lines elsewhere."""
    return LiveDisplay(tracker, console) if console.is_terminal else PlainDisplay(tracker, console)


@contextmanager
def watch(tracker: Tracker, console: Console) -> Iterator[Callable[[Event], None]]:
    """What a run tells its events to: the tracker, shown while the block lasts, and a line for every retry."""
    display = open_display(tracker, console)

    def listen(event: Event) -> None:
        tracker(event)
        if event.kind == "retried" and event.failure is not None and event.dataset and event.task:
            line = f"retrying {event.dataset.name} {event.task.label}: {event.failure.message}"
            console.print(printable(line), highlight=False, markup=False, soft_wrap=True)
        display.update()

    try:
        yield listen
    finally:
        display.close()


class LiveDisplay:
    """A table that redraws itself four times a second, also while nothing happens."""

    def __init__(self, tracker: Tracker, console: Console) -> None:
        self._tracker, self._console, self._started = tracker, console, time.monotonic()
        self._spinner: Spinner | None = Spinner("dots", style="dim")
        self._live = Live(
            console=console,
            refresh_per_second=4,
            get_renderable=self._render,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start()

    def update(self) -> None:
        """Nothing: the table reads the tracker when it is drawn."""

    def close(self) -> None:
        """Leave the last state on the screen; nothing if no task has run."""
        self._spinner = None
        self._live.transient = not self._tracker.first_task_at
        self._live.stop()

    def _render(self) -> RenderableType:
        elapsed = clock(time.monotonic() - self._started)
        if not self._tracker.steps:
            return self._status(f"looking at the sources and starting the workers  {elapsed}")
        steps = self._tracker.rows()
        done, total = (sum(getattr(s, n) for _, s in steps) for n in ("done", "total"))
        resumed = sum(step.resumed for _, step in steps)
        before = f", {resumed:,} from before" if resumed else ""
        return Group(
            _step_table(steps, self._console.width),
            self._status(f"{done + resumed:,}/{total:,} shards{before}  {elapsed}"),
        )

    def _status(self, text: str) -> RenderableType:
        if self._spinner is None:
            return Text(text, style="dim")
        self._spinner.update(text=Text(text, style="dim"))
        return self._spinner


def _step_table(steps: Sequence[tuple[str, StepProgress]], width: int) -> Table:
    shown = _COLUMNS if width >= _NARROW_BELOW else _NARROW
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step", no_wrap=True)
    for head in shown:
        table.add_column(head, justify="right", no_wrap=True)
    # reserved from the start, so that the columns stay where they are while the numbers grow
    shards = 2 * max(len(f"{step.total:,}") for _, step in steps) + 1
    for name, step in steps:
        values = dict(zip(_COLUMNS, cells(step), strict=True))
        values |= {"shards": values["shards"].rjust(shards), "documents": values["documents"].rjust(11)}
        texts = [Text(values[head], style="bold red" if head == "failed" else "") for head in shown]
        table.add_row(name, *texts, style="dim" if step.is_complete and not step.failed else None)
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
        for name, step in self._tracker.rows():
            state = (step.done, step.failed)
            if step.started and self._shown.get(name) != state:
                self._shown[name] = state
                self._console.print(_line(name, step), soft_wrap=True, highlight=False, markup=False)


def _line(name: str, step: StepProgress) -> str:
    shards, documents, rate, dropped, failed, seconds, eta = cells(step)
    parts = [f"{shards} shards"]
    if documents:
        parts += [f"{documents} documents", f"{dropped or 0} dropped"]
    if rate:
        parts.append(f"{rate} MB/s")
    parts += [f"{failed or 0} failed", f"done in {seconds}" if step.is_complete else f"ETA {eta or 'unknown'}"]
    return f"{name}: {', '.join(parts)}"


def cells(step: StepProgress) -> list[str]:
    """Shards, documents, MB/s, dropped, failed, time and ETA of a step; empty where there is nothing to say."""
    rate = step.bytes / 1e6 / step.seconds if step.seconds > 0 and step.bytes else None
    eta = None if step.is_complete else step.eta_s
    return [
        f"{step.done + step.resumed:,}/{step.total:,}" if step.total else "",
        f"{step.documents:,}" if step.bytes else "",
        "" if rate is None else f"{rate:,.1f}",
        f"{step.dropped:,}" if step.dropped else "",
        f"{step.failed:,}" if step.failed else "",
        clock(step.seconds) if step.started else "",
        "" if eta is None else clock(eta),
    ]


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `3:02:05`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def funnel_table(entries: Sequence[FunnelEntry]) -> Table:
    """Rows and bytes into and out of every step, with reasons, the most frequent first."""
    table = Table(title="funnel", title_justify="left", box=None, pad_edge=False)
    table.add_column("step")
    for head in ("documents in", "out", "bytes in", "out"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("reasons")
    for e in entries:
        found = sorted(((name, n) for name, n in e.reasons.items() if n), key=lambda p: (-p[1], p[0]))
        reasons = ", ".join(f"{name} {n:,}" for name, n in found)
        sizes = (human_bytes(e.bytes_in), human_bytes(e.bytes_out)) if e.bytes_in else ("-", "-")
        table.add_row(e.step, f"{e.rows_in:,}", f"{e.rows_out:,}", *sizes, reasons)
    return table
