"""What runs are compared by: tokens by domain and fine cluster against a slow twin; whole domains of other versions."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.mixtures.basis import OWN_CELLS, count_shard, sum_partition
from pipeline.exchange import PARTITION, Place
from schemas.mixture_result import MixtureResult
from tests.jobs.conftest import write
from tests.jobs.invoke import invoke, run_tiny

SEARCH = ("--tokens", 2_000, "--proxy-tokens", 2_000)


@pytest.mark.parametrize("partitions", [1, 3])
def test_cells_are_counted_as_a_slow_twin_counts_them(partitions: int) -> None:
    draw = np.random.default_rng(partitions)
    shards: list[pa.Table] = []
    slow: dict[tuple[str, int], int] = {}
    for _ in range(4):
        rows: list[dict[str, Any]] = [
            {
                "cluster": None if draw.random() < 0.1 else int(draw.integers(0, 7)),
                "domain": None if draw.random() < 0.2 else f"d{draw.integers(0, 3)}",
                "num_tokens": int(draw.integers(0, 50)),
            }
            for _ in range(60)
        ]
        for row in rows:
            if row["domain"] is not None:
                cell = (row["domain"], -1 if row["cluster"] is None else row["cluster"])
                slow[cell] = slow.get(cell, 0) + row["num_tokens"] + 1
        types = pa.schema({"cluster": pa.int32(), "domain": pa.string(), "num_tokens": pa.int32()})
        table = pa.Table.from_pylist(rows, schema=types)
        shards.append(count_shard(None, Place(index=len(shards), partitions=partitions), table))
    spilled = pa.concat_tables(shards)
    found: dict[tuple[str, int], int] = {}
    for number in range(partitions):
        part = spilled.filter(pa.compute.equal(spilled[PARTITION], number)).drop_columns([PARTITION])
        table = sum_partition(None, Place(index=number, partitions=partitions), part, None).table
        keys = list(zip(table["domain"].to_pylist(), table["cell"].to_pylist(), strict=True))
        assert keys == sorted(keys)
        found.update(zip(keys, table["tokens"].to_pylist(), strict=True))
    assert found == slow


def test_without_clusters_a_domain_whose_files_are_the_same_carries_runs_over(tmp_path: Path) -> None:
    store, source = tmp_path / "store", tmp_path / "source"

    def searched(*more: object) -> dict[str, Any]:
        ended = invoke("mixture", "search", "tiny", "--local", "--store", store, "--json", *SEARCH, *more)
        assert ended.code == 0, ended.err
        return dict(ended.json)

    for number in range(12):
        write(source / f"{number}.c", f"int f{number}(int x) {{ return x * {number}; }}\n" * 6 + f"int y{number};\n")
        write(source / f"{number}.py", f"def f{number}(x):\n    return x + {number}\n" * 6 + f"y = {number}\n")
    run_tiny(store, source)
    target = ("--target", "python=1", "--rounds", "6")
    searched(*target, "--to", tmp_path / "old")
    for number in range(12):
        write(source / f"{number}.txt", f"The mill number {number} grinds grain. " * 6 + "\n")
    run_tiny(store, source)
    evidence = ("--evidence", tmp_path / "old/result.json")
    new = MixtureResult.model_validate({n: v for n, v in searched(*target, *evidence).items() if n not in _EXTRA})
    old = MixtureResult.model_validate_json((tmp_path / "old/result.json").read_bytes())
    assert new.basis.composition.codebook == old.basis.composition.codebook == OWN_CELLS
    assert {*new.basis.composition.tokens} == {"c", "python", "text"}
    for name in ("c", "python"):
        assert new.basis.composition.tokens[name] == old.basis.composition.tokens[name]
    assert new.basis.validation["python"] == old.basis.validation["python"]
    assert new.evidence[0].corpus == "tiny@1"
    write(source / "more.py", "print('one more')\n" * 30)
    write(source / "more.c", "int more;\n" * 30)
    run_tiny(store, source)
    other = invoke("mixture", "search", "tiny", "--local", "--store", store, *SEARCH, *target, *evidence)
    assert (other.code, "shares no domain whose files are the same" in other.err) == (2, True), other.err


_EXTRA = ("runs_made", "seconds")
