"""Runs that are interrupted: nothing is left behind, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.jobs.conftest import write
from tests.jobs.invoke import invoke
from tests.machine import ROOT


def marked(mark: str) -> list[psutil.Process]:
    """Processes whose environment holds the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("GRISTMILL_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind_and_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    for count in range(40):
        write(tmp_path / f"input/m{count}.py", f"x = {count}\n" * 50)
    store, mark = tmp_path / "store", f"{tmp_path}"
    source = f"{tmp_path / 'input'}?shard_bytes=300"
    line = [sys.executable, "-m", "jobs.cli", "run", "tiny", "--store", str(store), "--source", source]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GRISTMILL_TEST_MARK": mark}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        line, env=environment, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    wait_for(lambda: len(list(store.glob("records/*/*"))) > 20, 60)
    if number == signal.SIGINT:  # as a terminal does it
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out) == (130, ""), err
    assert err.endswith("interrupted; finished shards are kept, run the same command again to go on\n")
    assert "Traceback" not in err
    wait_for(lambda: not marked(mark), 60)
    kept = len(list(store.glob("records/documents-*/[!.]*.json")))
    ended = invoke("run", "tiny", "--local", "--store", store, "--source", source, "--json")
    assert ended.json["steps"]["documents"]["resumed"] == kept
    fresh = invoke("run", "tiny", "--local", "--store", tmp_path / "fresh", "--source", source, "--json")
    assert fresh.json["manifest"]["files"] == ended.json["manifest"]["files"]


def wait_for(happened: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_a_scan_does_not_hold_up_an_interrupt(tmp_path: Path) -> None:
    """The scan of a source that never ends (a growing backlog of files to hash) is left behind."""
    recipe = tmp_path / "slow_scan.py"
    write(recipe, SLOW_SCAN)
    line = [
        sys.executable,
        "-m",
        "jobs.cli",
        "run",
        f"{recipe}:slow_scan",
        "--local",
        "--store",
        str(tmp_path / "store"),
    ]
    process = subprocess.Popen(line, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "store/scanning").exists, 30)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err


SLOW_SCAN = """
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jobs.publish import Corpus
from jobs.recipes.tiny import tiny
from pipeline.ingest import Input
from stages.ingest import folder


def scan(config: folder.FolderConfig, context: object) -> Iterator[object]:
    Path(config.path, "scanning").touch()
    time.sleep(120)
    yield from ()


def slow_scan() -> Corpus:
    made = tiny(source=["."])
    here = Path(__file__).parent / "store"
    given = Input(source=replace(folder.SOURCE, scan=scan), config=folder.FolderConfig(path=str(here)))
    made.documents.details["inputs"] = (given,)
    return made
"""
