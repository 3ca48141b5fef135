"""What every executor does: run tasks against the store, and report outcomes instead of raising."""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from pipeline.dataset import Task
from pipeline.errors import GristmillError, SiteError
from pipeline.isolate import die_with_parent
from pipeline.site_file import Site
from pipeline.storage import open_storage
from pipeline.store import Store
from schemas.manifest import Record

_STORES: dict[str, Store] = {}

THREAD_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Environment of every worker: results must not depend on how many threads a library would take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a task failed, for the report."""

    message: str
    details: str
    """Traceback of the worker; empty for an error of the project, whose message says everything."""
    is_final: bool
    """True when trying again cannot help: a user's mistake or an inner contradiction."""
    is_site: bool = False
    """True when the site is at fault (disk full, storage gone) and every other shard will fail too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a task ended."""

    task: Task
    failure: Failure | None = None
    records: tuple[Record, ...] = ()
    """Of the shards that it has made."""


class Executor(Protocol):
    """Runs tasks. `submit` does not block; `wait` blocks until at least one submitted task has ended."""

    capacity: int
    """Tasks worth having in flight."""

    def submit(self, task: Task) -> None:
        """Start one task."""

    def submit_chain(self, tasks: Sequence[Task]) -> None:
        """Start all tasks of a step that has a stateful stage."""

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Outcomes since the last call; empty if none came in time."""

    def close(self) -> None:
        """Stop everything that runs. Harmless to call twice."""


def worker_store(site: Site) -> Store:
    """This process's store for a site, with its threads pinned."""
    key = site.store.model_dump_json() + site.llm.model_dump_json()
    if key not in _STORES:
        os.environ.update(THREAD_VARIABLES)
        pa.set_cpu_count(1)
        pa.set_io_thread_count(2)
        _STORES[key] = Store(open_storage(site.store), site.llm)
    return _STORES[key]


def attempt(task: Task, store: Store) -> Failure | list[Record]:
    """Run a task; an exception becomes a failure. This is the outer edge of a worker."""
    try:
        return task.call(store)
    except Exception as error:  # noqa: BLE001 - the edge: whatever a stage raises belongs to its shard
        return failure_of(error)
    finally:
        pa.default_memory_pool().release_unused()


def outcome_of(task: Task, result: Failure | list[Record]) -> Outcome:
    """What `attempt` gave, as an outcome."""
    if isinstance(result, Failure):
        return Outcome(task=task, failure=result)
    return Outcome(task=task, records=tuple(result))


def failure_of(error: BaseException) -> Failure:
    """An exception as a failure."""
    final = isinstance(error, GristmillError | ValueError | TypeError | AssertionError)
    message = str(error) if isinstance(error, GristmillError) else f"{type(error).__name__}: {error}"
    details = "" if isinstance(error, GristmillError) else "".join(traceback.format_exception(error))
    return Failure(message=message, details=details, is_final=final, is_site=isinstance(error, SiteError))


def enter_worker(folders: Sequence[str]) -> None:
    """Make this process one of the run's: it ends with its node, and can import from users' recipe folders.

    Ray's workers look for a node that is gone for up to a minute before they end.
    """
    die_with_parent()
    for folder in folders:
        if folder not in sys.path:
            sys.path.append(folder)
