"""The same input gives the same bytes, whoever computes them and however its files came to be."""

import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.machine import gristmill, made_of, write_sources

USER = Path(__file__).parent / "user"


def shuffled(numbers: list[int]) -> list[int]:
    return random.Random(7).sample(numbers, len(numbers))


def make(folder: Path, *options: object, hash_seed: int) -> Mapping[str, str]:
    """Run the user's recipe, with a stage in actors, on the folder `source` beside the store."""
    recipe = Path(shutil.copytree(USER, folder / "user")) / "slow_recipe.py"
    arguments = ["run", f"{recipe}:slow", "--source", "source?shard_bytes=10000", "--actors", "--store", "store"]
    ended = gristmill(*arguments, *options, cwd=folder, PYTHONHASHSEED=str(hash_seed))
    assert ended.code == 0, ended.err
    return made_of(folder / "store")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What the local executor makes of files written in the order of their names."""
    folder = tmp_path_factory.mktemp("expected")
    write_sources(folder / "source")
    made = make(folder, "--local", hash_seed=1)
    steps = {name.split("/")[1].rpartition("-")[0] for name in made if name.startswith("shards/")}
    wanted = {"documents", "marks", "duplicates", "select", "tokens", "placement", "files", "index", "summary"}
    assert wanted | {"slow-map", "slow-shuffle", "packing-best-fit-2048"} <= steps
    assert {"corpora/slow/1/manifest.json", "corpora/slow/1/data/python/part-00000.parquet"} <= made.keys()
    return made


def test_order_of_files_and_hash_seed(expected: Mapping[str, str], tmp_path: Path) -> None:
    write_sources(tmp_path / "source", order=shuffled)
    assert make(tmp_path, "--local", hash_seed=2) == expected


@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, 2])
def test_number_of_workers(workers: int, expected: Mapping[str, str], tmp_path: Path) -> None:
    write_sources(tmp_path / "source", order=shuffled)
    assert make(tmp_path, "--workers", workers, hash_seed=2 + workers) == expected
