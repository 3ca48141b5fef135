"""The Ray executor: one plain task per shard, bounded in flight; steps with stateful stages stream through Ray Data."""

import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray import cloudpickle

from pipeline.dataset import Task
from pipeline.execute import Failure, Outcome, attempt, failure_of, outcome_of, use_code, worker_store
from pipeline.execute_ray_data import stream_chain
from pipeline.site_file import Site
from schemas.manifest import Record


@ray.remote  # type: ignore[untyped-decorator] # ray has no types
def _run_task(payload: bytes, site: Site, code: list[str]) -> Failure | list[Record]:
    use_code(code)
    task: Task = cloudpickle.loads(payload)
    return attempt(task, worker_store(site))


class RayExecutor:
    """Runs tasks on the cluster that `pipeline.cluster` has joined."""

    def __init__(self, site: Site, cpus: int, code: Sequence[str] = ()) -> None:
        self.capacity = 2 * cpus
        # a task that asks for more memory than any node has would wait for ever
        self._node_memory = max((int(n["Resources"].get("memory", 0)) for n in ray.nodes() if n["Alive"]), default=0)
        self._site, self._cpus, self._code = site, cpus, list(code)
        self._running: dict[Any, tuple[Task, float]] = {}
        self._streamed: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._streams: list[threading.Thread] = []

    def submit(self, task: Task) -> None:
        """Start one Ray task. A worker that dies is replaced and its task tried again."""
        resources = task.resources
        options: dict[str, Any] = {"num_cpus": resources.cpus, "max_retries": self._site.execution.retries}
        if resources.gpus:
            options["num_gpus"] = resources.gpus
        if resources.memory_bytes:
            options["memory"] = min(resources.memory_bytes, self._node_memory)
        reference = _run_task.options(**options).remote(cloudpickle.dumps(task), self._site, self._code)
        self._running[reference] = (task, time.monotonic())

    def submit_chain(self, tasks: Sequence[Task]) -> None:
        """Stream the tasks through Ray Data in a thread of the driver."""

        def stream() -> None:
            left = {task.outputs[0].key: task for task in tasks}
            try:
                for key, result in stream_chain(tasks, self._site, self._cpus, self._code):
                    self._streamed.put(outcome_of(left.pop(key), result))
            except Exception as error:  # noqa: BLE001 - the edge: a dead actor pool fails the shards it left
                for task in left.values():
                    self._streamed.put(Outcome(task=task, failure=failure_of(error)))

        thread = threading.Thread(target=stream, daemon=True)
        self._streams.append(thread)
        thread.start()

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Outcomes of finished tasks and streams."""
        self._streams = [thread for thread in self._streams if thread.is_alive() or not self._streamed.empty()]
        outcomes = self._drain()
        if self._running and not outcomes:
            pause = 0.05 if self._streams else timeout_s
            done, _ = ray.wait(list(self._running), num_returns=1, timeout=pause, fetch_local=False)
            outcomes = [self._finish(reference) for reference in done] + self._drain()
        elif self._streams and not outcomes:
            time.sleep(min(0.05, timeout_s))
        return outcomes

    def _drain(self) -> list[Outcome]:
        outcomes = []
        while not self._streamed.empty():
            outcomes.append(self._streamed.get())
        return outcomes

    def _finish(self, reference: Any) -> Outcome:
        task, start = self._running.pop(reference)
        try:
            result = ray.get(reference)
        except ray.exceptions.RayError as error:
            result = failure_of(error)
        return outcome_of(task, result, time.monotonic() - start)

    def close(self) -> None:
        """Cancel what still runs."""
        for reference in self._running:
            ray.cancel(reference, force=True)
        self._running.clear()
