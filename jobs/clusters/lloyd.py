"""One exact Lloyd step over the whole corpus: each shard gives sums by cluster, one task adds them.

Reads embeddings, clusters and from sidecars which documents count. Writes clusters again, with their domains and names:
centroids are the mean directions of all documents, `documents` and `mean_distance` are exact. Memory: 8 bytes per
cluster and dimension in a task (2 MB for 1,000 clusters of 256), and the sums of one shard after the other in the last.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.clusters.job import read_clustering, read_codebook
from jobs.clusters.kmeans import sum_by_cluster
from jobs.clusters.sample import DECIDES, is_kept
from pipeline.annotate import zip_columns
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.store import Made, Shard, Store
from schemas.clusters import CLUSTERING_KEY
from schemas.columns import columns
from schemas.embeddings import MODEL_KEY
from schemas.manifest import Record
from stages.embed.assign import check_model
from stages.embed.nearest import nearest_two
from stages.embed.vectors import stored_vectors, unit_vectors

Doubles = npt.NDArray[np.float64]

_SUMS = columns(
    pa.field("count", pa.int64(), nullable=False),
    pa.field("cosine", pa.float64(), nullable=False),
    pa.field("sum", pa.list_(pa.float64()), nullable=False),
)
"""One row per cluster: its documents in the shard, the sum of their cosines to the centroid, and of their vectors."""


def lloyd_step(clustered: Dataset, embeddings: Dataset, *sidecars: Dataset) -> Dataset:
    """The clusters after one step over all documents that no sidecar drops. Raises RecipeError for other embeddings."""
    check_model((clustered.schema.field("centroid").metadata or {})[MODEL_KEY], embeddings.schema)
    sums = Dataset(
        name="cluster-sums",
        version=1,
        config=None,
        inputs=(clustered, embeddings, *sidecars),
        schema=_SUMS,
        expand=_expand_sums,
        libraries=("numpy",),
        exact=False,
    )
    return Dataset(
        name="clusters",
        version=1,
        config="lloyd",
        inputs=(clustered, sums),
        schema=clustered.schema,
        expand=_expand_step,
        libraries=("numpy",),
        exact=False,
    )


def _expand_sums(dataset: Dataset, expansion: Expansion) -> list[Task]:
    (clustered,), *rows = (expansion.shards(d) for d in dataset.inputs)
    names = [("embedding",), *(tuple(n for n in DECIDES if n in d.schema.names) for d in dataset.inputs[2:])]
    made = Made(exact=False, libraries=dataset.versions, counters={})
    tasks = []
    for number, row in enumerate(zip(*rows, strict=True)):
        output = dataset.shard(clustered.key, *(shard.key for shard in row))
        call = SumCall(clustered, row, names, output, made)
        tasks.append(Task(label=f"{number + 1}/{len(rows[0])}", outputs=(output,), call=call, inputs=(clustered, *row)))
    return tasks


def _expand_step(dataset: Dataset, expansion: Expansion) -> list[Task]:
    (clustered,), sums = (expansion.shards(d) for d in dataset.inputs)
    output = dataset.shard(clustered.key, *(shard.key for shard in sums))
    call = StepCall(clustered, sums, output, Made(exact=False, libraries=dataset.versions, counters={}))
    return [Task(label="1/1", outputs=(output,), call=call, inputs=(clustered, *sums))]


@dataclass(frozen=True, slots=True)
class SumCall:
    """The task that sums the vectors of one shard."""

    clusters: Shard
    rows: tuple[Shard, ...]
    names: Sequence[tuple[str, ...]]
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        centroids = read_codebook(store.read(self.clusters)).centroids
        table = zip_columns(store, self.rows, self.names)
        kept = table["embedding"].filter(pc.fill_null(is_kept(table), False))
        vectors = unit_vectors(stored_vectors(kept)[0])
        labels, cosine, _ = nearest_two(vectors, centroids)
        count = len(centroids)
        columns_ = [
            pa.array(np.bincount(labels, minlength=count)),
            pa.array(np.bincount(labels, cosine, count).astype(np.float64)),
            pa.array(list(sum_by_cluster(vectors, labels, count)), pa.list_(pa.float64())),
        ]
        return [store.commit(self.output, pa.table(columns_, schema=_SUMS), self.made)]


@dataclass(frozen=True, slots=True)
class StepCall:
    """The task that adds the sums of all shards, in their order."""

    clusters: Shard
    sums: tuple[Shard, ...]
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        before = store.read(self.clusters)
        centroids = read_codebook(before).centroids
        totals: Doubles = np.zeros(centroids.shape, np.float64)
        counts, cosines = np.zeros(len(centroids), np.int64), np.zeros(len(centroids), np.float64)
        for shard in self.sums:
            part = store.read(shard)
            totals += pc.list_flatten(part["sum"]).to_numpy().reshape(centroids.shape)
            counts += part["count"].to_numpy()
            cosines += part["cosine"].to_numpy()
        table = stepped(before, totals, counts, cosines)
        return [store.commit(self.output, table, self.made)]


def stepped(before: pa.Table, totals: Doubles, counts: npt.NDArray[np.int64], cosines: Doubles) -> pa.Table:
    """Clusters with the directions of the sums float64[K, d]; one without documents stays where it is."""
    old = read_codebook(before).centroids
    lengths = np.linalg.norm(totals, axis=1, keepdims=True)
    new = np.where(lengths > 0, totals / np.where(lengths > 0, lengths, 1), old).astype(np.float32)
    report = read_clustering(before)
    documents = int(counts.sum())
    report["quality"]["full_mean_distance"] = 1 - float(cosines.sum()) / max(documents, 1)
    report["quality"]["last_moved"] = float((1 - (new * old).sum(axis=1)).max())
    changed = {
        "centroid": pa.FixedSizeListArray.from_arrays(pa.array(new.ravel()), new.shape[1]),
        "documents": pa.array(counts.astype(np.float64)),
        "mean_distance": pa.array((1 - cosines / np.maximum(counts, 1)).astype(np.float32)),
    }
    schema = before.schema.with_metadata({CLUSTERING_KEY: json.dumps(report, sort_keys=True).encode()})
    return pa.table([changed.get(name, before[name]) for name in schema.names], schema=schema)
