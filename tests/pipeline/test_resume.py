"""`kill -9` of the driver, a worker and the node: the same command run again ends with the same bytes."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.machine import Ended, command, finish, gristmill, made_of, write_sources

pytestmark = pytest.mark.ray

USER = Path(__file__).parent / "user"
POINTS = {"driver": ("map", "shuffle", "publish"), "raylet": ("map", "shuffle"), "worker": ("map", "shuffle")}
"""Where each is killed. The node is taken down before publishing, which the driver does alone."""
AGENTS = ("ray::DashboardA", "ray::RuntimeEnv")
"""How the names of Ray's agents begin, which notice the end of their node by themselves, but up to a minute late."""


class Scene:
    """One recipe on one input, run into a store of one's own."""

    def __init__(self, folder: Path) -> None:
        self.source = write_sources(folder / "source")
        self.recipe = Path(shutil.copytree(USER, folder / "user")) / "slow_recipe.py"

    def arguments(self, store: Path) -> list[object]:
        source = f"{self.source}?shard_bytes=10000"
        return ["run", f"{self.recipe}:slow", "--source", source, "--seconds", 0.2, "--store", store, "--json"]

    def start(self, store: Path) -> "subprocess.Popen[str]":
        return command(*self.arguments(store), "--workers", 2, PAUSE_BEFORE_COPY="1")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def undisturbed(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What an undisturbed run makes, without Ray."""
    store = tmp_path_factory.mktemp("undisturbed")
    ended = gristmill(*scene.arguments(store), "--local")
    assert ended.code == 0, ended.err
    return made_of(store)


@pytest.mark.parametrize("victim", ["driver", "raylet"])
def test_a_killed_run_goes_on(victim: str, scene: Scene, undisturbed: Mapping[str, str], tmp_path: Path) -> None:
    kept: dict[str, tuple[int, int]] = {}
    for point in POINTS[victim]:
        process = scene.start(tmp_path)
        family = strike(process, victim, point, tmp_path)
        before, ended = records(tmp_path), finish(process, 90)
        check_end(victim, ended)
        check_gone(family)
        assert kept.items() <= records(tmp_path).items(), f"{point}: a committed shard was made again"
        kept = before
    whole = gristmill(*scene.arguments(tmp_path))
    assert whole.code == 0, whole.err
    assert gristmill(*scene.arguments(tmp_path)).json["shards_made"] == 0
    assert kept.items() <= records(tmp_path).items()
    assert made_of(tmp_path) == undisturbed


def test_killed_workers_are_replaced(scene: Scene, undisturbed: Mapping[str, str], tmp_path: Path) -> None:
    process = scene.start(tmp_path)
    kept: dict[str, tuple[int, int]] = {}
    for point in POINTS["worker"]:
        family = strike(process, "worker", point, tmp_path)
        assert kept.items() <= records(tmp_path).items(), f"{point}: a committed shard was made again"
        kept = records(tmp_path)
    ended = finish(process)
    assert ended.code == 0, ended.err
    check_gone(family)
    assert kept.items() <= records(tmp_path).items()
    assert made_of(tmp_path) == undisturbed
    assert gristmill(*scene.arguments(tmp_path)).json["shards_made"] == 0


def strike(process: "subprocess.Popen[str]", victim: str, point: str, store: Path) -> list[psutil.Process]:
    """Wait for the point, kill the victim and give all processes of the run as they were."""
    deadline = time.monotonic() + 120
    while not reached(point, store):
        assert process.poll() is None, finish(process).err
        assert time.monotonic() < deadline, f"{point} was not reached"
        time.sleep(0.02)
    driver = psutil.Process(process.pid)
    family = driver.children(recursive=True)
    os.kill(target_of(driver, victim).pid, signal.SIGKILL)
    return family


def target_of(driver: psutil.Process, victim: str) -> psutil.Process:
    """The process to kill."""
    if victim == "driver":
        return driver
    node = next(child for child in driver.children() if child.name() == "raylet")
    if victim == "raylet":
        return node
    return next(child for child in node.children() if child.name().startswith(("ray::_run_task", "ray::IDLE")))


def reached(point: str, store: Path) -> bool:
    """Whether a run stands in the middle of its map, of its shuffle or of its publishing."""
    if point == "publish":
        return (store / "catalog/slow/1.json").exists() and not (store / "corpora/slow/1/manifest.json").exists()
    wanted = {"map": ("slow-map-", 2), "shuffle": ("slow-shuffle-", 1)}[point]
    folders = [f for f in (store / "records").glob(f"{wanted[0]}*") if not f.name.startswith("slow-shuffle-map-")]
    return sum(1 for folder in folders for _ in folder.glob("[!.]*.json")) >= wanted[1]


def records(store: Path) -> dict[str, tuple[int, int]]:
    """(inode, time) of every commit record that is not a spill's, and of the shard that it commits."""
    committed = list(store.glob("records/*/[!.]*.json"))
    shards = (store / "shards" / file.parent.name for file in committed)
    files = [*committed, *(s for f, folder in zip(committed, shards, strict=True) for s in folder.glob(f"{f.stem}*"))]
    stats = {str(file): file.stat() for file in files if "-map-" not in file.parent.name.replace("slow-map-", "")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def check_end(victim: str, ended: Ended) -> None:
    if victim == "driver":
        assert ended.code == -signal.SIGKILL
        return
    assert ended.code == 5, ended.err
    assert "error: the Ray node (local) died; finished shards are kept: run the same command again" in ended.err
    assert not ended.out
    assert "Traceback" not in ended.err
    assert "state-dump" not in ended.err


def check_gone(family: list[psutil.Process]) -> None:
    """Nothing of the run stays behind."""
    deadline = time.monotonic() + 20
    while left := [process for process in family if is_alive(process)]:
        if time.monotonic() > deadline or all(process.name().startswith(AGENTS) for process in left):
            break
        time.sleep(0.05)
    names = [process.name() for process in left if not process.name().startswith(AGENTS)]
    for process in left:
        process.kill()
    assert not names, f"left behind: {names}"


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
