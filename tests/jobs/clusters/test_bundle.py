import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.clusters.bundle import distance_thresholds, load_bundle, write_bundle
from jobs.clusters.job import assign, cluster
from pipeline import fingerprint
from pipeline.annotate import annotate
from pipeline.errors import PublishError, RecipeError, SiteError
from schemas.clusters import ASSIGNMENT
from stages.embed.assign import FORMAT, AssignConfig, assign_stage
from stages.embed.static_table import StaticTableConfig, static_table_stage
from tests import machine
from tests.contract import check_stage
from tests.jobs.clusters.test_job import CONFIG
from tests.jobs.clusters.topics import TOPICS, corpus

TEXTS = ["bake the cake with butter and cream", None, "", "the judge and the court of appeal", "a rocket to a planet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, pa.Table, list[pa.Table]]:
    """A bundle with its digest, the clusters and the assignment that it is of."""
    documents, embeddings, marks, _ = corpus()
    clusters = cluster(documents, embeddings, marks, config=CONFIG)
    assignment = assign(embeddings, clusters)
    ran = machine.run(machine.site_of(tmp_path_factory.mktemp("store")), assignment)
    (table,) = ran.tables(clusters)
    folder = tmp_path_factory.mktemp("bundles") / "topics"
    assigned = ran.tables(assignment)
    names = sorted(set(table["domain"].to_pylist()))
    weights = dict(zip(names, (0.5, 0.25, 0.25), strict=True))
    digest = write_bundle(
        folder, table, StaticTableConfig(), weights=weights, thresholds=distance_thresholds(assigned, 0.95)
    )
    return folder, digest, table, assigned


def test_a_bundle_labels_texts_without_the_corpus(made: tuple[Path, str, pa.Table, list[pa.Table]]) -> None:
    folder, digest, table, assigned = made
    bundle = load_bundle(folder, digest)
    labels = bundle.label(TEXTS)
    assert labels.schema.equals(ASSIGNMENT)
    domains = labels["domain"].to_pylist()
    assert domains[1:3] == [None, None]
    for domain, topic in ((domains[0], "cooking"), (domains[3], "law"), (domains[4], "space")):
        assert all(word in TOPICS[topic] for word in domain.split("-"))
    assert sum(bundle.weights.values()) == 1
    assert sorted(bundle.thresholds) == sorted(set(table["domain"].to_pylist()))
    strange = "SELECT name FROM users; DROP TABLE accounts"
    assert bundle.label([strange])["domain"].to_pylist() != [None]
    assert bundle.label([strange], strict=True)["domain"].to_pylist() == [None]

    _, _, _, tables = corpus()
    again = bundle.label(tables[1]["text"].to_pylist())
    assert again["cluster"].equals(assigned[1]["cluster"])
    assert again["domain"].equals(assigned[1]["domain"])


def test_the_stage_keeps_the_laws_and_goes_into_one_chain(
    made: tuple[Path, str, pa.Table, list[pa.Table]], tmp_path: Path
) -> None:
    folder, digest, _, assigned = made
    documents, _, _, tables = corpus()
    embed = static_table_stage()
    stage = assign_stage(AssignConfig(bundle=str(folder), sha256=digest), embed.stage.writes)
    check_stage(stage, embed.open()(tables[0]), tolerance=1e-6)
    moved = fingerprint.digest(AssignConfig(bundle="elsewhere", sha256=digest))
    assert moved == fingerprint.digest(stage.config) != fingerprint.digest(AssignConfig(bundle=str(folder), sha256=""))
    fused = annotate("fused", documents, stages=[embed, stage])
    shards = machine.run(machine.site_of(tmp_path), fused).tables(fused)
    assert [t["cluster"].equals(a["cluster"]) for t, a in zip(shards, assigned, strict=True)] == [True] * 3


def test_what_does_not_fit_is_refused(made: tuple[Path, str, pa.Table, list[pa.Table]], tmp_path: Path) -> None:
    folder, digest, table, _ = made
    other = StaticTableConfig(max_tokens=7)
    with pytest.raises(RecipeError, match="embed with that model"):
        write_bundle(tmp_path / "new", table, other)
    with pytest.raises(RecipeError, match="embed with that model"):
        assign_stage(AssignConfig(bundle=str(folder), sha256=digest), static_table_stage(other).stage.writes)
    with pytest.raises(RecipeError, match="no domain nowhere"):
        write_bundle(tmp_path / "new", table, StaticTableConfig(), weights={"nowhere": 1.0})
    with pytest.raises(PublishError, match="is there already"):
        write_bundle(folder, table, StaticTableConfig())
    (tmp_path / "file").touch()
    with pytest.raises(SiteError, match=r"cannot write .*file/new: Not a directory"):
        write_bundle(tmp_path / "file" / "new", table, StaticTableConfig())
    with pytest.raises(RecipeError, match="give the bundle's own"):
        load_bundle(folder, "0" * 64)
    with pytest.raises(RecipeError, match="is no bundle of domains"):
        load_bundle(tmp_path / "nothing")


def test_without_thresholds_nothing_can_be_strict(
    made: tuple[Path, str, pa.Table, list[pa.Table]], tmp_path: Path
) -> None:
    write_bundle(tmp_path / "new", made[2], StaticTableConfig())
    bundle = load_bundle(tmp_path / "new")
    assert (bundle.weights, bundle.thresholds) == ({}, {})
    assert bundle.label(TEXTS)["domain"].null_count == 2
    with pytest.raises(RecipeError, match="the bundle has no thresholds"):
        bundle.label(TEXTS, strict=True)


near = st.floats(0, 2, width=32) | st.sampled_from([-1e-7, 0.0, 0.25, 1 / 4096, 2.0])
rows = st.lists(st.tuples(st.sampled_from(["a", "b", None]), near), max_size=20)


@given(st.lists(rows, max_size=4), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_thresholds_equal_the_quantiles_of_all_distances(
    shards: list[list[tuple[str | None, float]]], q: float
) -> None:
    schema = pa.schema({"domain": pa.string(), "cluster_distance": pa.float32()})
    tables = [pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in s], schema) for s in shards]
    distances: dict[str, list[float]] = {}
    for name, distance in (row for shard in shards for row in shard):
        if name:
            distances.setdefault(name, []).append(distance)
    expected = {n: np.ceil(np.quantile(d, q, method="higher") * 4096) / 4096 for n, d in distances.items()}
    assert distance_thresholds(iter(tables), q) == expected


def test_a_damaged_bundle_is_refused(made: tuple[Path, str, pa.Table, list[pa.Table]], tmp_path: Path) -> None:
    _, _, table, _ = made
    folder = tmp_path / "copy"
    write_bundle(folder, table, replace(StaticTableConfig(), storage="int8"))
    assert json.loads((folder / "bundle.json").read_text())["format"] == FORMAT
    centroids = bytearray((folder / "centroids.npy").read_bytes())
    centroids[-1] ^= 1
    (folder / "centroids.npy").write_bytes(centroids)
    with pytest.raises(RecipeError, match="copy it anew"):
        load_bundle(folder)
