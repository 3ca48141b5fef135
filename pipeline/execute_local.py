"""The executor for tests and debugging: every task in this process, one after the other."""

from collections import deque
from collections.abc import Sequence

from pipeline.dataset import Task
from pipeline.execute import Outcome, attempt, outcome_of, worker_store
from pipeline.site_file import Site


class LocalExecutor:
    """Runs a task when its outcome is waited for. Results are the same as on Ray."""

    capacity = 1

    def __init__(self, site: Site) -> None:
        self._store = worker_store(site)
        self._queue: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        """Queue one task."""
        self._queue.append(task)

    def submit_chain(self, tasks: Sequence[Task]) -> None:
        """Queue the tasks; stages stay open between them."""
        self._queue.extend(tasks)

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Run the next task."""
        if not self._queue:
            return []
        task = self._queue.popleft()
        return [outcome_of(task, attempt(task, self._store))]

    def close(self) -> None:
        """Forget what is queued."""
        self._queue.clear()
