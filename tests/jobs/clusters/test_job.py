from pathlib import Path

import numpy as np
import pytest

from jobs.clusters.clustering import ClusterConfig
from jobs.clusters.coarsen import CoarsenConfig
from jobs.clusters.job import assign, cluster, read_clustering, read_codebook
from jobs.clusters.kmeans import KmeansConfig
from jobs.clusters.sample import SampleConfig
from pipeline.annotate import annotate
from pipeline.errors import RecipeError
from stages.embed.static_table import StaticTableConfig, static_table_stage
from tests import machine
from tests.jobs.clusters.topics import TOPICS, corpus

CONFIG = ClusterConfig(
    sample=SampleConfig(documents=90),
    kmeans=KmeansConfig(clusters=9, iterations=8),
    coarsen=CoarsenConfig(domains=3, max_share=0.5),
)


def test_a_recipe_from_documents_to_domains(tmp_path: Path) -> None:
    documents, embeddings, marks, tables = corpus()
    clusters = cluster(documents, embeddings, marks, config=CONFIG)
    assignment = assign(embeddings, clusters)
    ran = machine.run(machine.site_of(tmp_path / "store"), assignment)

    (table,) = ran.tables(clusters)
    names = set(table["domain"].to_pylist())
    assert len(names) == 3
    assert all(sum(word in topic for topic in TOPICS.values()) == 1 for name in names for word in name.split("-"))
    found = read_clustering(table)
    assert {domain["name"] for domain in found["domains"]} == names
    assert sum(domain["share"] for domain in found["domains"]) == pytest.approx(1)
    assert len(found["quality"]["inertia"]) == 3
    assert {alarm["alarm"] for alarm in found["alarms"]} <= {"large", "copies", "one-origin"}
    assert table["bytes"].to_pylist() == sorted(table["bytes"].to_pylist(), reverse=True)
    kept = sum(bool(text) and row % 10 != 9 for t in tables for row, text in enumerate(t["text"].to_pylist()))
    assert sum(table["documents"].to_pylist()) == pytest.approx(kept, rel=0.25)

    for given, got in zip(tables, ran.tables(assignment), strict=True):
        assert got["cluster"].is_null().to_pylist() == [not text for text in given["text"].to_pylist()]
        topics = {(o, d) for o, d in zip(given["origin"].to_pylist(), got["domain"].to_pylist(), strict=True) if d}
        assert len(topics) == 3
        assert (got["cluster_margin"].drop_null().to_numpy() >= 0).all()

    again = machine.run(machine.site_of(tmp_path / "other"), assignment)
    assert [t.equals(u) for t, u in zip(again.tables(assignment), ran.tables(assignment), strict=True)] == [True] * 3
    assert again.tables(clusters)[0].equals(table, check_metadata=True)


def test_clusters_of_other_embeddings_are_refused() -> None:
    documents, embeddings, _, _ = corpus(1)
    clusters = cluster(documents, embeddings, config=CONFIG)
    others = annotate("embeddings", documents, stages=[static_table_stage(StaticTableConfig(max_tokens=9))])
    with pytest.raises(RecipeError, match="embed with that model, or cluster these"):
        assign(others, clusters)
    small = annotate("embeddings", documents, stages=[static_table_stage(StaticTableConfig(storage="int8"))])
    assert assign(small, clusters).schema.names[0] == "cluster"


def test_a_codebook_comes_back_from_its_shard(tmp_path: Path) -> None:
    documents, embeddings, _, _ = corpus(1)
    clusters = cluster(documents, embeddings, config=CONFIG)
    (table,) = machine.run(machine.site_of(tmp_path), clusters).tables(clusters)
    codebook = read_codebook(table)
    np.testing.assert_allclose(np.linalg.norm(codebook.centroids, axis=1), 1, atol=1e-6)
    assert codebook.domains == tuple(table["domain"].to_pylist())
    codebook.check(embeddings.schema)


def test_a_config_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="bytes or documents"):
        ClusterConfig(population="tokens")
