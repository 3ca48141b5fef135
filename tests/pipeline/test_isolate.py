"""Rows that hang, explode or crash cost only themselves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from pipeline.errors import IsolatedError
from pipeline.isolate import Isolated, Limits

LIMITS = Limits(max_seconds=1, max_memory_bytes=300_000_000)


@pytest.fixture
def isolated() -> Iterator[Isolated]:
    made = Isolated("tests.pipeline.risky_rows:open_rows", "!", LIMITS)
    yield made
    made.close()


def run(isolated: Isolated, *words: str) -> list[str]:
    """What came of each row: its output or the reason."""
    out: list[str] = []
    for piece in isolated(pa.record_batch({"word": list(words)})):
        out += [piece] if isinstance(piece, str) else piece["word"].to_pylist()
    return out


def test_rows_come_back_in_order_from_one_process(isolated: Isolated) -> None:
    (first,) = isolated(pa.record_batch({"word": ["a", "b"]}))
    (second,) = isolated(pa.record_batch({"word": ["c"]}))
    assert not isinstance(first, str)
    assert not isinstance(second, str)
    assert first["word"].to_pylist() + second["word"].to_pylist() == ["a!", "b!", "c!"]
    assert first["pid"][0].as_py() == second["pid"][0].as_py() != os.getpid()


@pytest.mark.parametrize(
    ("word", "reason"),
    [("crash", "crash"), ("exit", "crash"), ("spin", "timeout"), ("eat", "memory"), ("eat-slowly", "memory")],
)
def test_a_bad_row_is_named_and_its_neighbours_are_whole(isolated: Isolated, word: str, reason: str) -> None:
    assert run(isolated, "a", "b", word, "c", word, "d") == ["a!", "b!", reason, "c!", reason, "d!"]


def test_a_row_that_waits_without_working_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.isolate._WALL_FACTOR", 2)
    isolated = Isolated("tests.pipeline.risky_rows:open_rows", "!", LIMITS)
    assert run(isolated, "a", "sleep", "b") == ["a!", "timeout", "b!"]
    isolated.close()


def test_what_the_function_prints_does_not_fall_among_the_answers(isolated: Isolated) -> None:
    assert run(isolated, "print", "a") == ["print!", "a!"]


def test_an_exception_of_the_function_is_raised_with_its_traceback(isolated: Isolated) -> None:
    with pytest.raises(IsolatedError, match="no such word"):
        run(isolated, "raise")


def test_a_function_that_cannot_be_opened_is_an_error_that_says_why() -> None:
    isolated = Isolated("tests.pipeline.no_such_module:open_rows", "!", LIMITS)
    with pytest.raises(IsolatedError, match="no_such_module"):
        run(isolated, "a")
    isolated.close()


def test_what_fails_before_the_first_row_is_nobodys_fault(isolated: Isolated) -> None:
    assert run(isolated, "a") == ["a!"]
    with pytest.raises(IsolatedError, match="before its first row"):
        run(isolated, "a", "die-early", "b")


def test_a_large_batch_goes_through_the_pipes(isolated: Isolated) -> None:
    words = ["x" * 1_000_000] * 20
    assert run(isolated, *words) == [word + "!" for word in words]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its owner has died")
def test_a_child_that_hangs_dies_with_its_owner() -> None:
    code = """
import pyarrow as pa
from pipeline.isolate import Isolated, Limits
isolated = Isolated("tests.pipeline.risky_rows:open_rows", "!", Limits(max_seconds=600, max_memory_bytes=10**9))
next(isolated(pa.record_batch({"word": ["a"]})))
print(isolated._child._process.pid, flush=True)
next(isolated(pa.record_batch({"word": ["spin"]})))
"""
    root = Path(__file__).parents[2]
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root)
    assert owner.stdout is not None
    child = psutil.Process(int(owner.stdout.readline()))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 20
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its owner"
        time.sleep(0.1)


@pytest.mark.parametrize("limits", [(0, 1), (1, 0), (-1, 1)])
def test_limits_must_be_positive(limits: tuple[float, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Limits(max_seconds=limits[0], max_memory_bytes=limits[1])
