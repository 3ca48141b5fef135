from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.clusters import prune
from jobs.clusters.prune import PruneConfig, mark_scores
from pipeline.exchange import Place
from schemas.columns import columns
from tests import machine

CONFIG = PruneConfig(column="score", quantiles=(10, 50))
Rows = list[tuple[int | None, float | None, int]]
"""(cluster, score, weight)."""


def tables(rows: Rows) -> tuple[pa.Table, pa.Table, pa.Table]:
    cluster, score, weight = zip(*rows, strict=True) if rows else ((), (), ())
    return (
        pa.table({"score": score}, schema=columns(pa.field("score", pa.float32()))),
        pa.table({"cluster": cluster}, schema=columns(pa.field("cluster", pa.int32()))),
        pa.table({"size": weight}, schema=columns(pa.field("size", pa.int64()))),
    )


def obvious(rows: Rows) -> dict[int, tuple[float | None, ...]]:
    """From the definition: repeat each score as often as it weighs."""
    found: dict[int, tuple[float | None, ...]] = {}
    for cluster in sorted({c for c, s, _ in rows if c is not None and s is not None and np.isfinite(s)}):
        scores = sorted(s for c, s, w in rows if c == cluster and s is not None and np.isfinite(s) for _ in range(w))
        if not scores:
            found[cluster] = (None, None, None)
            continue
        quantiles = [scores[max(0, -(-len(scores) * q // 100) - 1)] for q in CONFIG.quantiles]
        found[cluster] = (float(np.mean(scores)), *quantiles)
    return found


row = st.tuples(
    st.none() | st.integers(0, 3),
    st.none() | st.sampled_from([0.0, -1.5, 3.0, 2.25, float("nan"), float("inf")]),
    st.integers(0, 5),
)


@given(st.lists(st.lists(row, max_size=6), min_size=1, max_size=3))
def test_marks_equal_the_obvious_mean_and_quantiles(shards: list[Rows]) -> None:
    place = Place(index=0, partitions=1)
    spills = []
    for rows in shards:
        score, cluster, size = tables(rows)
        joined = pa.table({"score": score["score"], "cluster": cluster["cluster"], "size": size["size"]})
        spills.append(prune._sum(CONFIG, place, joined).select(prune._SUMS.names))
    found = prune._summarise(CONFIG, place, pa.concat_tables(spills).cast(prune._SUMS), None).table
    expected = obvious([one for rows in shards for one in rows])
    assert found["cluster"].to_pylist() == list(expected)
    for number, values in enumerate(expected.values()):
        got = [found[name][number].as_py() for name in found.column_names[1:]]
        assert got == pytest.approx(list(values)) if values[0] is not None else got == [None] * 3


def test_each_document_is_told_of_its_cluster(tmp_path: Path) -> None:
    shards: list[Rows] = [[(0, 1.0, 1), (1, 5.0, 1), (None, 9.0, 1)], [(0, 4.0, 3), (2, None, 1)]]
    parts = [tables(rows) for rows in shards]
    scores = machine.given("scores", *(part[0] for part in parts))
    assignment = machine.given("assignment", *(part[1] for part in parts), beside=scores)
    sizes = machine.given("sizes", *(part[2] for part in parts), beside=scores)
    marked = mark_scores(scores, assignment, sizes, CONFIG)
    first, second = machine.run(machine.site_of(tmp_path), marked).tables(marked)
    assert first["cluster_score"].to_pylist() == [3.25, 5.0, None]
    assert second["cluster_score"].to_pylist() == [3.25, None]
    assert first["cluster_score_p10"].to_pylist() == [1.0, 5.0, None]
    assert first["cluster_score_p50"].to_pylist() == [4.0, 5.0, None]


def test_a_config_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        PruneConfig(column="score", quantiles=(0,))
