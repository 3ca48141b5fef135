"""The Ray executor: one plain task per shard, bounded in flight; steps with stateful stages stream through Ray Data."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import ray
from ray import cloudpickle

from pipeline.cluster import NodeWatch, node_died
from pipeline.dataset import Task
from pipeline.execute import Failure, Outcome, attempt, enter_worker, failure_of, outcome_of, worker_store
from pipeline.site_file import Site
from schemas.manifest import Record


@ray.remote  # type: ignore[untyped-decorator] # ray has no types
def _run_task(payload: bytes, site: Site, code: list[str]) -> Failure | list[Record]:
    enter_worker(code)
    task: Task = cloudpickle.loads(payload)
    return attempt(task, worker_store(site))


_LOST = Failure(message="its worker died again and again", details="", is_final=True)


class RayExecutor:
    """Runs tasks on the cluster that `pipeline.cluster` has joined."""

    def __init__(self, site: Site, cpus: int, code: Sequence[str] = ()) -> None:
        self.capacity = 2 * cpus
        # a task that asks for more memory than any node has would wait for ever
        self._node_memory = max((int(n["Resources"].get("memory", 0)) for n in ray.nodes() if n["Alive"]), default=0)
        self._site, self._cpus, self._code = site, cpus, list(code)
        self._watch = NodeWatch(site)
        self._running: dict[Any, Task] = {}
        self._chains: deque[Sequence[Task]] = deque()
        self._streams: dict[Any, dict[str, Task]] = {}

    def submit(self, task: Task) -> None:
        """Start one Ray task. A worker that dies is replaced and its task tried again."""
        resources = task.resources
        options: dict[str, Any] = {"num_cpus": resources.cpus, "max_retries": self._site.execution.retries}
        if resources.gpus:
            options["num_gpus"] = resources.gpus
        if resources.memory_bytes:
            options["memory"] = min(resources.memory_bytes, self._node_memory)
        reference = _run_task.options(**options).remote(cloudpickle.dumps(task), self._site, self._code)
        self._running[reference] = task

    def submit_chain(self, tasks: Sequence[Task]) -> None:
        """Stream the tasks through Ray Data, one chain at a time: two would keep CPUs from each other for ever."""
        self._chains.append(tasks)
        if not self._streams:
            self._start_chain()

    def _start_chain(self) -> None:
        from pipeline.execute_ray_data import Stream, stream_chain

        tasks = self._chains.popleft()
        stream = Stream(
            site=self._site,
            cpus=self._cpus,
            gpus=ray.cluster_resources().get("GPU", 0.0),
            memory_bytes=self._node_memory,
            code=tuple(self._code),
        )
        results = stream_chain.remote([cloudpickle.dumps(task.call) for task in tasks], stream)
        self._streams[results] = {task.outputs[0].key: task for task in tasks}

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Outcomes of finished tasks and streams. Raises SiteError when the Ray node is gone."""
        self._watch.check()
        waited = [*self._running, *self._streams]
        if not waited:
            return []
        done, _ = ray.wait(waited, num_returns=1, timeout=timeout_s, fetch_local=False)
        return [outcome for ready in done for outcome in self._take(ready)]

    def _take(self, ready: Any) -> list[Outcome]:
        """What a finished task or the next row of a stream gives; the end of a stream fails what it left."""
        if ready in self._running:
            return [self._finish(ready)]
        left, failure = self._streams[ready], _LOST
        try:
            key, result = self._get(next(ready))
            return [outcome_of(left.pop(key), result)]
        except StopIteration:
            pass
        except ray.exceptions.RayError as error:
            failure = failure_of(error)
        del self._streams[ready]
        if self._chains:
            self._start_chain()
        return [Outcome(task=task, failure=failure) for task in left.values()]

    def _get(self, reference: Any) -> Any:
        try:
            return ray.get(reference)
        except ray.exceptions.LocalRayletDiedError as error:
            raise node_died(self._site) from error

    def _finish(self, reference: Any) -> Outcome:
        task = self._running.pop(reference)
        try:
            result = self._get(reference)
        except ray.exceptions.RayError as error:
            result = failure_of(error)
        return outcome_of(task, result)

    def close(self) -> None:
        """Give up what still runs: it ends when this process leaves the cluster, and an unfinished shard has no name.

        Nothing is cancelled: Ray aborts this process where a cancelled task is just being handed to a worker.
        """
        self._running.clear()
        self._streams.clear()
        self._chains.clear()
