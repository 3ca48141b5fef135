from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.clusters.job import assign, cluster, read_clustering, read_codebook
from jobs.clusters.lloyd import lloyd_step
from pipeline.annotate import annotate
from pipeline.errors import RecipeError
from stages.embed.static_table import StaticTableConfig, static_table_stage
from stages.embed.vectors import stored_vectors, unit_vectors
from tests import machine
from tests.jobs.clusters.test_job import CONFIG
from tests.jobs.clusters.topics import corpus


def test_a_step_gives_the_mean_directions_of_all_documents(tmp_path: Path) -> None:
    documents, embeddings, marks, _ = corpus()
    clusters = cluster(documents, embeddings, marks, config=CONFIG)
    step, assignment = lloyd_step(clusters, embeddings, marks), assign(embeddings, clusters)
    last = lloyd_step(step, embeddings, marks)
    ran = machine.run(machine.site_of(tmp_path), last, assignment)
    (before,), (after,), (twice,) = ran.tables(clusters), ran.tables(step), ran.tables(last)

    vectors = np.concatenate(
        [unit_vectors(stored_vectors(table["embedding"])[0]) for table in ran.tables(embeddings)]
    ).astype(np.float64)
    assigned = pa.concat_tables(ran.tables(assignment))["cluster"].to_pylist()
    kept = pa.concat_tables(ran.tables(marks))["keep"].to_pylist()
    centroids = read_codebook(after).centroids
    for number, count in enumerate(after["documents"].to_pylist()):
        members = [r for r, (c, k) in enumerate(zip(assigned, kept, strict=True)) if c == number and k]
        assert count == len(members)
        total = vectors[members].sum(axis=0)
        np.testing.assert_allclose(centroids[number], total / np.linalg.norm(total), atol=1e-5)
    assert after["domain"].equals(before["domain"])
    distance = [read_clustering(table)["quality"]["full_mean_distance"] for table in (after, twice)]
    assert distance[1] <= distance[0] + 1e-6


def test_other_embeddings_are_refused() -> None:
    documents, embeddings, _, _ = corpus(1)
    others = annotate("embeddings", documents, stages=[static_table_stage(StaticTableConfig(max_tokens=9))])
    with pytest.raises(RecipeError, match="embed with that model"):
        lloyd_step(cluster(documents, embeddings, config=CONFIG), others)
