"""CPU time and memory of whole process trees, daemons included.

The measuring process becomes a child subreaper, so that a process whose parent has ended (Ray's daemons) becomes its
child and is waited for: the kernel then hands over its exact CPU time, that of the children it waited for included.
A parent that ignores SIGCHLD (the raylet) waits for nobody, and the time of its children (the workers) is lost to the
kernel's sums; for those the last sample before their end counts. Linux only.
"""

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_SAMPLE_S = 0.1
_GRACE_S = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
_UNWANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings of the calling shell that would change what libraries do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the processes of one measurement took, from the first command to the end of the last descendant."""

    cpu_s: float
    """User and system time of all of them."""
    wall_s: float
    """Until the last command ended; daemons that outlive it cost CPU time, not wall time."""
    max_rss_bytes: int
    """Peak resident bytes of the largest process."""
    worker_peak_bytes: Mapping[int, int]
    """Peak resident bytes of each process that looked like a Ray worker, by pid."""
    first_task_s: float | None
    """When a Ray worker was first seen to run a task."""
    other_cpus: float
    """CPUs that anything else on the machine kept busy: wall times are worth nothing unless it is near 0."""


class MeasureError(RuntimeError):
    """A measured command failed."""


@dataclass(slots=True)
class _Watch:
    start: float = field(default_factory=time.monotonic)
    peaks: dict[int, int] = field(default_factory=dict)
    first_task_s: float | None = None
    unwaited_cpu_s: dict[int, float] = field(default_factory=dict)
    """Processes whose parent ignores their end."""

    def look(self) -> None:
        """Note what is lost when a process ends, and the peaks that the kernel keeps of every Ray worker."""
        for pid in descendants():
            state = process_state(pid)
            if state is None:
                continue
            self.unwaited_cpu_s.pop(pid, None)
            if ignores_children(state.parent):
                self.unwaited_cpu_s[pid] = state.cpu_s
            title = process_title(pid)
            if not title.startswith("ray::"):
                continue
            self.peaks[pid] = max(peak_rss_bytes(pid), self.peaks.get(pid, 0))
            if self.first_task_s is None and title.startswith("ray::_run_task"):
                self.first_task_s = time.monotonic() - self.start


def measure(*commands: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Usage:
    """Run the commands side by side and wait for every process that they leave behind.

    The calling process must have no other children. Raises MeasureError with the end of a command's output if it fails.
    """
    become_subreaper()
    assert not psutil.Process().children(), "another child would be counted"
    env = {name: value for name, value in os.environ.items() if name not in _UNWANTED} | dict(environment or {})
    watch, busy_s, own_s = _Watch(), _busy_cpu_s(), time.process_time()
    running = {}
    for command in commands:
        process = subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        running[process.pid] = process
    output = dict.fromkeys(running, b"")
    cpu_s, max_rss, wall_s, failed = 0.0, 0, 0.0, []
    for pid, status, usage in _reap(running, output, watch):
        cpu_s += usage.ru_utime + usage.ru_stime
        watch.unwaited_cpu_s.pop(pid, None)
        max_rss = max(max_rss, usage.ru_maxrss * 1024)
        if pid in running:
            wall_s = time.monotonic() - watch.start
            running[pid].returncode = os.waitstatus_to_exitcode(status)
            if status:
                failed.append(pid)
    for process in running.values():
        assert process.stdout is not None
        process.stdout.close()
    if failed:
        ends = "\n".join(f"{list(commands)}: {output[pid][-3000:].decode(errors='replace')}" for pid in failed)
        raise MeasureError(f"a measured command failed:\n{ends}")
    cpu_s += sum(watch.unwaited_cpu_s.values())
    other_s = _busy_cpu_s() - busy_s - (time.process_time() - own_s) - cpu_s
    return Usage(
        cpu_s=cpu_s,
        wall_s=wall_s,
        max_rss_bytes=max_rss,
        worker_peak_bytes=watch.peaks,
        first_task_s=watch.first_task_s,
        other_cpus=max(0.0, other_s / (time.monotonic() - watch.start)),
    )


def _reap(
    running: Mapping[int, "subprocess.Popen[bytes]"], output: dict[int, bytes], watch: _Watch
) -> Iterator[tuple[int, int, resource.struct_rusage]]:
    """Every child that ends, until none is left; what outlives the commands by long is killed."""
    left, deadline = set(running), float("inf")
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        for number, process in running.items():
            assert process.stdout is not None
            with suppress(ValueError):
                output[number] = (output[number] + (process.stdout.read() or b""))[-100_000:]
        if pid:
            left.discard(pid)
            if not left and deadline == float("inf"):
                deadline = time.monotonic() + _GRACE_S
            yield pid, status, usage
            continue
        if time.monotonic() > deadline:
            for child in descendants():
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        watch.look()
        time.sleep(_SAMPLE_S)


def become_subreaper() -> None:
    """Orphaned descendants become children of this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed; benches need Linux 3.4 or newer")


def _busy_cpu_s() -> float:
    """CPU seconds of the whole machine so far."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait


def tree_cpu_s() -> float:
    """CPU seconds so far of this process and all its descendants, those that ended and were waited for included."""
    states = [process_state(pid) for pid in (os.getpid(), *descendants())]
    return sum(state.cpu_s for state in states if state is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A process as the kernel shows it."""

    parent: int
    cpu_s: float
    """Of the process and of its children that it has waited for."""


def process_state(pid: int) -> State | None:
    """None for a process that is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return State(parent=int(fields[1]), cpu_s=sum(int(ticks) for ticks in fields[11:15]) / _TICKS)
    return None


def ignores_children(pid: int) -> bool:
    """Whether the process has set SIGCHLD to be ignored, so that its children end unwaited for."""
    ignored = _status(pid).get("SigIgn", "0")
    return bool(int(ignored, 16) >> (signal.SIGCHLD - 1) & 1)


def descendants() -> list[int]:
    """Process ids below this one."""
    with suppress(psutil.NoSuchProcess):
        return [process.pid for process in psutil.Process().children(recursive=True)]
    return []


def process_title(pid: int) -> str:
    """What `ps` shows; empty for a process that is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def peak_rss_bytes(pid: int) -> int:
    """The kernel's own high-water mark of resident bytes; 0 for a process that is gone."""
    return int(_status(pid).get("VmHWM", "0").split()[0]) * 1024


def _status(pid: int) -> dict[str, str]:
    with suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}
