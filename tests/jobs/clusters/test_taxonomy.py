import numpy as np
import pyarrow as pa
import pytest

from jobs.clusters.job import cluster, read_clustering, read_codebook
from jobs.clusters.taxonomy import ROOT, Taxonomy, build_taxonomy, cut_tree
from stages.embed.nearest import nearest_two
from tests import machine
from tests.jobs.clusters.test_job import CONFIG
from tests.jobs.clusters.topics import TOPICS, corpus


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    documents, embeddings, marks, _ = corpus()
    clusters = cluster(documents, embeddings, marks, config=CONFIG)
    return machine.run(machine.site_of(tmp_path_factory.mktemp("store")), clusters).tables(clusters)[0]


@pytest.fixture(scope="module")
def taxonomy(table: pa.Table) -> Taxonomy:
    return build_taxonomy(table, [3, 5])


def test_each_level_refines_the_one_above(table: pa.Table, taxonomy: Taxonomy) -> None:
    assert len(taxonomy.names) == 1 + 3 + 5 + 9 == len(set(taxonomy.names))
    assert len(taxonomy.children(ROOT)) == 3
    leaves = np.flatnonzero(taxonomy.clusters >= 0)
    assert taxonomy.clusters[leaves].tolist() == list(range(9))
    assert {len(taxonomy.path(leaf)) for leaf in leaves.tolist()} == {3}
    assert (taxonomy.parents[1:] < np.arange(1, len(taxonomy.names))).all()
    domains = table["domain"].to_pylist()
    by_node = {(taxonomy.path(leaf)[0], domains[taxonomy.clusters[leaf]]) for leaf in leaves.tolist()}
    assert len(by_node) == 3
    for node in taxonomy.children(ROOT).tolist():
        words = taxonomy.names[node].split("-")
        assert any(all(word in topic for word in words) for topic in TOPICS.values())


def test_labels_are_leaves_by_consistent_paths(table: pa.Table, taxonomy: Taxonomy) -> None:
    centroids = read_codebook(table).centroids
    leaves = taxonomy.label(centroids)
    assert (taxonomy.clusters[leaves] >= 0).all()
    nearest, _, _ = nearest_two(centroids, centroids)
    assert (taxonomy.clusters[leaves] == nearest).mean() > 0.6
    assert taxonomy.label(centroids[:0]).tolist() == []


def test_a_new_cluster_is_attached_where_it_belongs(table: pa.Table, taxonomy: Taxonomy) -> None:
    centroid = read_codebook(table).centroids[4]
    old = int(taxonomy.label(centroid[None])[0])
    moved = centroid + 0.01
    moved /= np.linalg.norm(moved)
    larger = taxonomy.attach(moved.astype(np.float32), "new", 9)
    assert larger.parents[-1] == taxonomy.parents[old]
    assert int(larger.label(moved[None].astype(np.float32))[0]) == len(larger.names) - 1
    with pytest.raises(ValueError, match="'new' is a node already"):
        larger.attach(centroid, "new", 10)


def test_cuts_of_the_tree_have_their_width(table: pa.Table) -> None:
    tree = read_clustering(table)["tree"]
    for width in range(1, 10):
        assert len(set(cut_tree(tree, 9, width).tolist())) == width
    with pytest.raises(ValueError, match="must ascend"):
        build_taxonomy(table, [5, 3])
