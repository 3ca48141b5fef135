import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.usage import MeasureError, ignores_children, measure, peak_rss_bytes, process_state

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"


@pytest.fixture
def measured(tmp_path: Path):
    """`measure` in a process of its own: it waits for all children, which pytest's other tests may have."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "measured.py"
        path.write_text(script)
        code = (
            "import sys; from tests.bench.usage import measure\n"
            f"usage = measure([sys.executable, {str(path)!r}])\n"
            "print(usage.cpu_s, usage.wall_s, usage.max_rss_bytes)"
        )
        root = Path(__file__).resolve().parents[2]
        return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)

    return run


def spawn(seconds: float, before: str = "") -> str:
    """A script that starts a burning process of another session and ends at once."""
    burn = BURN.format(seconds=seconds)
    start = f"subprocess.Popen([sys.executable, '-c', {burn!r}], start_new_session=True)"
    return f"import subprocess, sys, signal\n{before}\n{start}\n"


def test_orphaned_daemon_is_waited_for_and_counted(measured):
    done = measured(spawn(0.6))
    assert done.returncode == 0, done.stderr
    cpu_s, wall_s, _ = map(float, done.stdout.split())
    assert 0.6 <= cpu_s < 1.6
    assert wall_s < 5


def test_child_of_a_parent_that_ignores_sigchld_is_counted(measured):
    before = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    done = measured(spawn(0.6, before) + "import time\ntime.sleep(2)\n")
    assert done.returncode == 0, done.stderr
    assert 0.45 <= float(done.stdout.split()[0]) < 1.6


def test_peak_memory_is_of_the_largest_process(measured):
    done = measured("block = bytearray(120_000_000)\n")
    assert 120_000_000 <= float(done.stdout.split()[2]) < 240_000_000


def test_failing_command_is_named_with_its_output(measured):
    done = measured("raise SystemExit('out of luck')")
    assert done.returncode != 0
    assert MeasureError.__name__ in done.stderr
    assert "out of luck" in done.stderr


def test_unwanted_settings_do_not_reach_commands(measured, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert measured("import os\nassert 'OPENBLAS_CORETYPE' not in os.environ\n").returncode == 0


def test_kernel_facts_of_this_process():
    state = process_state(os.getpid())
    assert state is not None
    assert state.parent == os.getppid()
    assert state.cpu_s > 0
    assert peak_rss_bytes(os.getpid()) > 10_000_000
    assert not ignores_children(os.getpid())


def test_processes_that_are_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_state(child.pid) is None
    assert peak_rss_bytes(child.pid) == 0


def test_measure_refuses_to_count_strangers():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with pytest.raises(AssertionError, match="another child"):
            measure([sys.executable, "-c", ""])
    finally:
        child.communicate()
