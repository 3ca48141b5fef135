"""Clusters of a corpus and the assignment of its documents: sample, train, name; then one task per shard.

`cluster` reads documents and embeddings and writes one shard of `schemas.clusters.clusters`. `assign` reads embeddings
and those clusters and writes the sidecar `ASSIGNMENT`: no text is touched. Memory of the training: the sample, its
vectors twice as float32 (2 GB per million of 256 dimensions) and 32 K^2 bytes.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.clusters.clustering import ClusterConfig, make_clusters
from jobs.clusters.sample import sample_documents
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.stage import Resources
from pipeline.store import Made, Shard, Store
from schemas.clusters import ASSIGNMENT, CLUSTERING_KEY, clusters
from schemas.embeddings import MODEL_KEY, model_of
from schemas.manifest import Record
from stages.embed.assign import Codebook, check_model


def cluster(
    documents: Dataset,
    embeddings: Dataset,
    *sidecars: Dataset,
    config: ClusterConfig | None = None,
    resources: Resources = Resources(memory_bytes=4_000_000_000),
) -> Dataset:
    """The one-shard dataset of clusters, from a sample of the documents that no sidecar drops (`keep`, `duplicate_of`).

    `resources` are those of the training, which uses GPUs where it is given any; they are no part of identity.
    Raises ValueError for embeddings of an unknown model.
    """
    config, model = config or ClusterConfig(), model_of(embeddings.schema)
    sample = sample_documents(documents, embeddings, *sidecars, config=config.sample)
    return Dataset(
        name="clusters",
        version=2,
        config=[config, model],
        inputs=(sample,),
        schema=clusters(embeddings.schema.field("embedding").type.list_size, model),
        expand=_expand_training,
        libraries=("faiss-cpu", "numpy"),
        exact=False,
        details={"config": config, "resources": resources},
    )


def assign(embeddings: Dataset, clustered: Dataset) -> Dataset:
    """The sidecar `ASSIGNMENT` of the embeddings' documents.

    `clustered` is what `cluster` gave. Raises RecipeError if it is of embeddings by another model.
    """
    model = (clustered.schema.field("centroid").metadata or {})[MODEL_KEY]
    check_model(model, embeddings.schema)
    return Dataset(
        name="assignment",
        version=2,
        config=None,
        inputs=(embeddings, clustered),
        schema=ASSIGNMENT,
        expand=_expand_assignment,
        libraries=("numpy",),
        exact=False,
    )


def read_codebook(table: pa.Table) -> Codebook:
    """The codebook of a shard of clusters."""
    field = table.schema.field("centroid")
    numbers = pa.concat_arrays(table["centroid"].chunks).flatten().to_numpy().reshape(-1, field.type.list_size)
    return Codebook(
        model=field.metadata[MODEL_KEY],
        centroids=np.ascontiguousarray(numbers, np.float32),
        domains=tuple(table["domain"].to_pylist()),
    )


def read_clustering(table: pa.Table) -> dict[str, Any]:
    """Quality figures, alarms, domains and the tree of a shard of clusters."""
    found: dict[str, Any] = json.loads((table.schema.metadata or {})[CLUSTERING_KEY])
    return found


def _expand_training(dataset: Dataset, expansion: Expansion) -> list[Task]:
    (sample,) = expansion.shards(dataset.inputs[0])
    output = dataset.shard(sample.key)
    resources: Resources = dataset.details["resources"]
    made = Made(exact=False, libraries=dataset.versions, counters={})
    call = TrainCall(sample, dataset.details["config"], dataset.schema, resources.gpus > 0, output, made)
    return [Task(label="1/1", outputs=(output,), call=call, inputs=(sample,), resources=resources)]


def _expand_assignment(dataset: Dataset, expansion: Expansion) -> list[Task]:
    embeddings, (clustered,) = (expansion.shards(d) for d in dataset.inputs)
    made = Made(exact=False, libraries=dataset.versions, counters={})
    tasks = []
    for number, shard in enumerate(embeddings):
        output = dataset.shard(shard.key, clustered.key, base=shard.base, rows=shard.rows, size=shard.bytes)
        call = AssignCall(shard, clustered, output, made)
        label = f"{number + 1}/{len(embeddings)}"
        tasks.append(Task(label=label, outputs=(output,), call=call, inputs=(shard, clustered)))
    return tasks


@dataclass(frozen=True, slots=True)
class TrainCall:
    """The task that makes the clusters of a sample."""

    sample: Shard
    config: ClusterConfig
    schema: pa.Schema
    gpu: bool
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        table = make_clusters(store.read(self.sample), self.config, self.schema, gpu=self.gpu)
        alarms = len(read_clustering(table)["alarms"])
        made = Made(exact=False, libraries=self.made.libraries, counters={"alarms": alarms})
        return [store.commit(self.output, table, made)]


@dataclass(frozen=True, slots=True)
class AssignCall:
    """The task that assigns the documents of one shard."""

    embeddings: Shard
    clusters: Shard
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        table = store.read(self.embeddings, ["embedding"])
        codebook = read_codebook(store.read(self.clusters))
        codebook.check(table.schema)
        assigned = codebook.assign(table["embedding"])
        made = Made(exact=False, libraries=self.made.libraries, counters={"bytes": self.output.bytes or 0})
        return [store.commit(self.output, assigned, made)]
