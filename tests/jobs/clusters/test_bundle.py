import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.clusters.bundle import FORMAT, distance_thresholds, load_bundle, write_bundle
from jobs.clusters.job import assign, cluster
from pipeline.annotate import annotate
from pipeline.errors import PublishError, RecipeError
from schemas.clusters import ASSIGNMENT
from stages.embed.assign import AssignConfig, assign_stage
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
    with pytest.raises(RecipeError, match="give the bundle's own"):
        load_bundle(folder, "0" * 64)
    with pytest.raises(RecipeError, match="is no bundle of domains"):
        load_bundle(tmp_path / "nothing")


def test_a_damaged_bundle_is_refused(made: tuple[Path, str, pa.Table, list[pa.Table]], tmp_path: Path) -> None:
    _, _, table, _ = made
    folder = tmp_path / "copy"
    write_bundle(folder, table, replace(StaticTableConfig(), storage="int8"))
    content = json.loads((folder / "bundle.json").read_text())
    assert content["format"] == FORMAT
    (folder / "bundle.json").write_text(json.dumps(content | {"format": "other-9"}))
    with pytest.raises(RecipeError, match="use the release that wrote it"):
        load_bundle(folder)
    centroids = bytearray((folder / "centroids.npy").read_bytes())
    centroids[-1] ^= 1
    (folder / "centroids.npy").write_bytes(centroids)
    with pytest.raises(RecipeError, match="copy it anew"):
        load_bundle(folder)
