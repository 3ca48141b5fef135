"""What a person sees of a run: counts, the live table, plain lines and the funnel."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from jobs.display import LiveDisplay, PlainDisplay, cells, clock, funnel_table, open_display
from jobs.progress import StepProgress, Tracker
from pipeline.dataset import Dataset
from pipeline.run import Event, Run
from schemas.manifest import FunnelEntry
from tests.jobs.conftest import write_mixed


def terminal(width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=40, color_system="standard")


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def tracked(tmp_path: Path) -> Tracker:
    """A tracker that has seen the whole of a run in this process."""
    from jobs.recipes.tiny import tiny
    from pipeline.execute_local import LocalExecutor
    from tests.machine import plan_of, site_of

    site = site_of(tmp_path / "store")
    source = write_mixed(tmp_path / "input")
    plan = plan_of(site, *tiny(source=[f"{source}?max_document_bytes=50000&shard_bytes=20000"]).targets)
    tracker = Tracker(plan=plan)
    Run(plan=plan, executor=LocalExecutor(site), retries=0, listener=tracker).execute()
    return tracker


def test_an_exchange_is_one_row_with_its_spills(tracked: Tracker) -> None:
    rows = dict(tracked.rows())
    assert list(rows) == [dataset.name for dataset in tracked.plan.datasets if not dataset.temporary]
    spills, reduces = tracked.steps["duplicate-groups-map"], tracked.steps["duplicate-groups"]
    assert rows["duplicate-groups"].total == spills.total + reduces.total
    assert all(step.is_complete and step.done == step.total for step in rows.values())
    assert (rows["documents"].documents, rows["documents"].dropped) == (48, 3)
    assert rows["select"].dropped == 6


def test_the_live_table_ends_with_the_last_state(tracked: Tracker) -> None:
    console = terminal()
    display = open_display(tracked, console)
    assert isinstance(display, LiveDisplay)
    display.update()
    display.close()
    display.close()
    last = written(console).split("step ")[-1]
    assert "documents" in last
    assert "48" in last
    shards = sum(step.total for _, step in tracked.rows())
    assert f"{shards}/{shards} shards" in last
    widths = {len(line.rstrip()) for line in plain(last).splitlines()[1:3]}
    assert len(widths) == 1


def plain(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_a_narrow_terminal_keeps_the_names(tracked: Tracker) -> None:
    console = terminal(width=60)
    display = LiveDisplay(tracked, console)
    display.close()
    assert "duplicate-groups" in written(console)
    assert "MB/s" not in written(console)


def test_nothing_to_do_leaves_nothing_on_the_screen(tracked: Tracker) -> None:
    tracked.first_task_at = 0.0
    console = terminal()
    display = LiveDisplay(tracked, console)
    display.close()
    assert written(console).endswith(("\x1b[2K", "\x1b[?25h")) or "\x1b[1A\x1b[2K" in written(console)


def test_before_the_first_step_it_says_what_it_waits_for(tracked: Tracker) -> None:
    console = terminal()
    display = LiveDisplay(Tracker(plan=tracked.plan), console)
    display.close()
    assert "looking at the sources and starting the workers  0:00" in written(console)


def test_plain_lines_say_what_moved_once(tracked: Tracker) -> None:
    console = Console(file=io.StringIO(), width=80)
    display = PlainDisplay(tracked, console, interval_s=3600)
    display.update()
    assert written(console) == ""
    display.close()
    lines = written(console).splitlines()
    assert [line.split(":")[0] for line in lines] == [name for name, _ in tracked.rows()]
    assert lines[0].startswith("documents: ")
    assert "48 documents, 3 dropped" in lines[0]
    assert "done in 0:0" in lines[0]
    display.close()
    assert written(console).splitlines() == lines


def test_cells_of_a_step_at_work() -> None:
    now = time.monotonic()
    step = StepProgress(
        total=1200, resumed=200, started=now - 100, done=250, documents=7000, bytes=50_000_000, failed=1
    )
    shards, documents, rate, dropped, failed, seconds, eta = cells(step)
    assert (shards, documents, dropped, failed, seconds) == ("450/1,200", "7,000", "", "1", "1:40")
    assert rate == "0.5"
    assert eta == "4:59"


def test_a_step_is_not_complete_while_its_total_may_grow() -> None:
    step = StepProgress(total=3, done=3, started=1.0, ended=2.0, is_whole=False)
    assert not step.is_complete
    assert StepProgress(total=3, done=2, failed=1, started=1.0, ended=2.0).seconds == 1.0


def test_an_event_of_a_failure_counts(tracked: Tracker) -> None:
    dataset: Dataset = tracked.plan.datasets[0]
    tracked(Event(kind="failed", dataset=dataset))
    assert dict(tracked.rows())["documents"].failed == 1
    console = terminal()
    display = LiveDisplay(tracked, console)
    display.close()
    assert "\x1b[1;31m" in written(console)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (7.9, "0:07"), (750, "12:30"), (10925, "3:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_funnel_names_only_reasons_that_occur() -> None:
    entry = FunnelEntry(
        step="select", rows_in=10, rows_out=6, bytes_in=1000, bytes_out=600, reasons={"a": 1, "none": 0, "b": 3}
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(funnel_table([entry]))
    assert "b 3, a 1" in written(console)
    assert "none" not in written(console)
