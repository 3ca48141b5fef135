"""Risky work row by row in a child process that can be killed: a row that hangs, explodes or crashes costs only itself.

The child is a fresh interpreter that lives as long as its owner; batches go in and come out as Arrow IPC streams. It
writes the number of the row at work into shared memory, so that its owner knows whom to blame.
"""

import ctypes
import importlib
import mmap
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import psutil
import pyarrow as pa

from pipeline.errors import IsolatedError

Reason = Literal["timeout", "memory", "crash"]
At = Callable[[int], None]
"""Says which row of the batch is next, and with the number of rows that all are done. What is done before the first row
(loading, compiling) and after the last (putting the answer together) is not limited."""
Rows = Callable[[pa.RecordBatch, At], pa.RecordBatch]
"""What runs in the child: one row out per row in, in order, each a function of that row alone."""

_HEADER = 8
_FAILED = -1
_NOT_BEGUN = -1
_OUT_OF_MEMORY = 86
_LOOK_S = 0.05
_WALL_FACTOR = 60
"""A child that neither works nor answers is given up after that many times its limit of CPU time."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one row may take."""

    max_seconds: float
    """CPU time."""
    max_memory_bytes: int
    """Above what the child holds before its first row. Native code that is refused memory mostly crashes; a crash while
    more than a quarter of the limit is held counts as one for lack of memory."""

    def __post_init__(self) -> None:
        if self.max_seconds <= 0 or self.max_memory_bytes <= 0:
            raise ValueError(f"limits must be positive: {self}")


@dataclass(frozen=True, slots=True)
class _Ended:
    """A child that did not finish: the row it was at, and why."""

    row: int
    reason: Reason


class Isolated:
    """A function of the child by name, `module:function`: it takes the config and gives a `Rows`."""

    def __init__(self, function: str, config: object, limits: Limits) -> None:
        self._start = pickle.dumps((function, config, limits))
        self._limits = limits
        self._child: _Child | None = None

    def __call__(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch | Reason]:
        """Output for all rows in order, in pieces; a reason stands for exactly one row that could not be done."""
        first = 0
        while first < batch.num_rows:
            out = self._attempt(batch.slice(first))
            if not isinstance(out, _Ended):
                yield out
                return
            if out.row == batch.num_rows - first > 1:  # all rows were done, the answer was too much
                middle = first + out.row // 2
                yield from self(batch.slice(first, middle - first))
                first = middle
                continue
            if out.row:
                yield from self(batch.slice(first, out.row))
            # A crash may be the fault of what ran before: the row is tried again alone.
            alone = out if out.reason == "timeout" else self._attempt(batch.slice(first + out.row, 1))
            yield alone.reason if isinstance(alone, _Ended) else alone
            first += out.row + 1

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _attempt(self, batch: pa.RecordBatch) -> pa.RecordBatch | _Ended:
        is_fresh = self._child is None
        if self._child is None:
            self._child = _Child(self._start, self._limits)
            weakref.finalize(self, self._child.kill)  # also at the end of the interpreter
        out = self._child.run(batch)
        if not isinstance(out, _Ended):
            return out
        said = self._child.said()
        self.close()
        if out.row >= 0:
            return _Ended(min(out.row, batch.num_rows if batch.num_rows > 1 else 0), out.reason)
        if is_fresh:
            raise IsolatedError(f"the isolated process ended before its first row ({out.reason}):\n{said}")
        return self._attempt(batch)


class _Child:
    """One process and the pipes to it."""

    def __init__(self, start: bytes, limits: Limits) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._row_file = tempfile.NamedTemporaryFile(buffering=0)  # noqa: SIM115
        self._row_file.write(bytes(_HEADER))
        self._row = mmap.mmap(self._row_file.fileno(), _HEADER)
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.isolate", self._row_file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": paths},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._usage = psutil.Process(self._process.pid)
        self._limits = limits
        _send(self._in, start)
        if self._receive() is None:
            said = self.said()
            self.kill()
            raise IsolatedError(f"the isolated process did not start:\n{said}")
        self._base_bytes = self._peak_bytes = self._usage.memory_info().rss

    def run(self, batch: pa.RecordBatch) -> pa.RecordBatch | _Ended:
        """The child's output for a batch. Raises IsolatedError if its function raises."""
        self._row[:] = _NOT_BEGUN.to_bytes(_HEADER, "little", signed=True)
        try:
            _send(self._in, _to_ipc(batch))
        except BrokenPipeError:
            return _Ended(_NOT_BEGUN, self._why())
        answer = self._receive(batch.num_rows)
        if answer is None:
            return _Ended(self._at(), self._why())
        if isinstance(answer, str):
            return _Ended(self._at(), "timeout")
        with pa.ipc.open_stream(answer) as reader:
            return reader.read_next_batch()

    def kill(self) -> None:
        """End the process and wait for it, if that was not done before."""
        if self._row.closed:
            return
        self._process.kill()
        self._process.wait()
        for file in (self._in, self._out, self._errors, self._row_file):
            try:
                file.close()
            except BrokenPipeError:
                continue
        self._row.close()

    def _receive(self, rows: int = 0) -> bytes | Literal["timeout"] | None:
        """The next answer, which is about so many rows; None if the process has ended."""
        if rows and not self._await(rows):
            return "timeout"
        header = self._out.read(_HEADER)
        if len(header) < _HEADER:
            return None
        size = int.from_bytes(header, "little", signed=True)
        if size == _FAILED:
            raise IsolatedError(self._out.read().decode())
        answer = self._out.read(size)
        return answer if len(answer) == size else None

    def _await(self, rows: int) -> bool:
        """Whether an answer (or the end of the process) came before a row took longer than its limit."""
        max_seconds = self._limits.max_seconds
        row, began_cpu_s, began_s = _NOT_BEGUN - 1, 0.0, 0.0
        while not select.select([self._out], [], [], _LOOK_S)[0]:
            cpu_s, now_s, at = self._look(), time.monotonic(), self._at()
            if at != row:
                if row < 0:
                    self._base_bytes = self._usage_bytes()
                row, began_cpu_s, began_s, self._peak_bytes = at, cpu_s, now_s, self._base_bytes
                continue
            is_over = 0 <= row < rows and cpu_s - began_cpu_s > max_seconds
            if is_over or now_s - began_s > _WALL_FACTOR * max_seconds:
                return False
        return True

    def _look(self) -> float:
        """CPU seconds of the process; notes how much memory it holds."""
        try:
            self._peak_bytes = max(self._peak_bytes, self._usage_bytes())
            times = self._usage.cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return times.user + times.system

    def _usage_bytes(self) -> int:
        return int(self._usage.memory_info().rss)

    def _at(self) -> int:
        return int.from_bytes(self._row[:], "little", signed=True)

    def _why(self) -> Reason:
        held_much = self._peak_bytes - self._base_bytes > self._limits.max_memory_bytes / 4
        return "memory" if self._process.wait() == _OUT_OF_MEMORY or held_much else "crash"

    def said(self) -> str:
        """The end of what the process has printed."""
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
        return self._errors.read().decode(errors="replace")


def die_with_parent() -> None:
    """Have this process killed when the one that started it ends, also while it hangs; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _send(pipe: IO[bytes], data: Any) -> None:
    view = memoryview(data)
    pipe.write(len(view).to_bytes(_HEADER, "little", signed=True))
    pipe.write(view)
    pipe.flush()


def _to_ipc(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def main(row_file: str) -> None:
    """The child: open the function, then one batch after the other until its owner is gone."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not fall among the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who ends this process
    die_with_parent()
    name, config, limits = pickle.loads(_request(requests))  # noqa: S301 - from our own parent process
    with open(row_file, "r+b") as file:  # noqa: PTH123
        row = mmap.mmap(file.fileno(), _HEADER)
    module, _, function = name.partition(":")
    rows: Rows = getattr(importlib.import_module(module), function)(config)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _send(answers, b"")

    def at(number: int) -> None:
        if row[:] == _NOT_BEGUN.to_bytes(_HEADER, "little", signed=True):
            _limit(psutil.Process().memory_info().data + limits.max_memory_bytes)
        row[:] = number.to_bytes(_HEADER, "little", signed=True)

    while request := _request(requests):
        with pa.ipc.open_stream(request) as reader:
            batch = reader.read_next_batch()
        _limit(resource.RLIM_INFINITY)
        try:
            out = _to_ipc(rows(batch, at))
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)
        except Exception:  # noqa: BLE001 - the outer edge of the child: its owner raises it
            answers.write(_FAILED.to_bytes(_HEADER, "little", signed=True) + traceback.format_exc().encode())
            answers.close()
            return
        _send(answers, out)


def _request(pipe: IO[bytes]) -> bytes:
    """The next message; empty once the owner is gone."""
    header = pipe.read(_HEADER)
    return pipe.read(int.from_bytes(header, "little", signed=True)) if len(header) == _HEADER else b""


def _limit(data_bytes: int) -> None:
    """Bound the data of this process; elsewhere than on Linux the bound is not enforced."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(sys.argv[1])
