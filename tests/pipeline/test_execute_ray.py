from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.annotate import annotate
from pipeline.dataset import Dataset
from pipeline.errors import ShardsFailedError
from pipeline.execute import enter_worker
from pipeline.stage import Configured
from tests.machine import ROOT, Ran, given, made_of, plan_of, run, site_of
from tests.pipeline.chains import Trouble, actor_chain, numbers, task_chain

pytestmark = pytest.mark.ray

CODE = (str(ROOT),)


def on_ray(store: Path, cpus: int, *targets: Dataset, retries: int = 0) -> Ran:
    from pipeline.execute_ray import RayExecutor

    site = site_of(store, retries=retries)
    executor = RayExecutor(site, cpus, CODE)
    try:
        return run(site, *targets, executor=executor)
    finally:
        executor.close()


def sidecar(stages: Sequence[Configured[Any]], shards: int = 4, name: str = "side") -> Dataset:
    return annotate(name, given("numbers", *numbers(shards)), stages=stages)


def committed(store: Path, dataset: Dataset) -> int:
    return len(plan_of(site_of(store), dataset).store.committed(dataset.folder))


@pytest.mark.parametrize("cpus", [1, 2])
def test_actors_give_the_bytes_of_the_local_executor(tmp_path: Path, ray_cpus: int, cpus: int) -> None:
    chain = sidecar(actor_chain())
    run(site_of(tmp_path / "local"), chain)
    ran = on_ray(tmp_path / "ray", cpus, chain)
    assert ran.made.count("side") == 4
    assert made_of(tmp_path / "ray") == made_of(tmp_path / "local")
    assert len(made_of(tmp_path / "ray")) == 8


def test_two_actor_chains_at_once_do_not_wait_for_each_other(tmp_path: Path, ray_cpus: int) -> None:
    chains = [sidecar(actor_chain(Trouble(seconds=0.01)), name=name) for name in ("one", "two")]
    ran = on_ray(tmp_path, 2, *chains)
    assert (ran.made.count("one"), ran.made.count("two")) == (4, 4)


@pytest.mark.parametrize("chain", [actor_chain, task_chain])
def test_a_failing_shard_fails_alone(tmp_path: Path, ray_cpus: int, chain: Any) -> None:
    dataset = sidecar(chain(Trouble(fail_on=101)))
    message = r"1 shard\(s\) failed(.|\n)*side 2/4: ValueError: number 101 is not wanted"
    with pytest.raises(ShardsFailedError, match=message) as caught:
        on_ray(tmp_path, 2, dataset)
    assert caught.value.exit_code == 4
    assert committed(tmp_path, dataset) == 3


@pytest.mark.parametrize("chain", [actor_chain, task_chain])
def test_a_shard_that_kills_its_worker_fails_alone(tmp_path: Path, ray_cpus: int, chain: Any) -> None:
    dataset = sidecar(chain(Trouble(die_on=101)))
    with pytest.raises(ShardsFailedError, match=r"1 shard\(s\) failed(.|\n)*side 2/4: .*worker.* died"):
        on_ray(tmp_path, 2, dataset)
    assert committed(tmp_path, dataset) == 3


@pytest.mark.parametrize("chain", [actor_chain, task_chain])
def test_a_killed_worker_is_replaced(tmp_path: Path, ray_cpus: int, chain: Any) -> None:
    flag = tmp_path / "died"
    ran = on_ray(tmp_path / "store", 2, sidecar(chain(Trouble(die_on=101, die_once=str(flag)))), retries=2)
    assert flag.exists()
    assert ran.made.count("side") == 4


def test_an_input_that_is_gone_fails_its_shard(tmp_path: Path, ray_cpus: int) -> None:
    dataset = sidecar(actor_chain())
    source = dataset.inputs[0]
    ran = on_ray(tmp_path, 2, source)
    lost = ran.plan.records(source)[2]
    (tmp_path / lost.file).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ShardsFailedError, match=f"side 3/4: .*{lost.file}.* does not hold what its record says"):
        on_ray(tmp_path, 2, dataset)
    assert committed(tmp_path, dataset) == 3


def test_ray_does_not_fuse_tasks_into_actors(tmp_path: Path, ray_cpus: int) -> None:
    import ray
    from ray import cloudpickle

    from pipeline.execute_ray_data import Stream, dataset_of

    dataset = sidecar(actor_chain())
    site = site_of(tmp_path)
    run(site, dataset.inputs[0])
    plan = plan_of(site, dataset)
    plan.grow()
    calls = [cloudpickle.dumps(task.call) for task in plan.tasks[dataset]]
    stream = Stream(site=site, cpus=2, gpus=0.0, memory_bytes=10**9, code=CODE)

    def statistics() -> str:
        enter_worker(CODE)
        return str(dataset_of(calls, stream).materialize().stats())

    lines = str(ray.get(ray.remote(num_cpus=0)(statistics).remote())).splitlines()
    operators = [line.split(":")[0].split(maxsplit=2)[2] for line in lines if line.startswith("Operator ")]
    assert operators == [
        "FromItems",
        "MapBatches(_load)->MapBatches(_apply_stateless)",
        "MapBatches(_Stages)",
        "MapBatches(_apply_stateless)->MapBatches(_save)",
    ]
