"""From a sample to clusters with domains and names: the arithmetic of the training task."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.clusters.coarsen import Coarse, CoarsenConfig, coarsen
from jobs.clusters.kmeans import Kmeans, KmeansConfig, train_kmeans
from jobs.clusters.names import NamesConfig, keywords_by_group, main_languages, name_domains
from jobs.clusters.sample import SampleConfig
from schemas.clusters import CLUSTERING_KEY
from stages.embed.nearest import Numbers, nearest_two
from stages.embed.vectors import Floats, stored_vectors, unit_vectors

Doubles = npt.NDArray[np.float64]

_WHOLE = 0.95
"""Share from which a cluster is taken to be one origin, and an origin to be in one cluster."""
_FEW = 20
"""Sampled documents below which a cluster's origins say nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterConfig:
    """How a corpus is clustered."""

    sample: SampleConfig = field(default_factory=SampleConfig)
    kmeans: KmeansConfig = field(default_factory=KmeansConfig)
    coarsen: CoarsenConfig = field(default_factory=CoarsenConfig)
    names: NamesConfig = field(default_factory=NamesConfig)
    population: str = "bytes"
    """What the shares of domains are of: `bytes` or `documents`."""
    alarm_distance: float = 0.001
    """A cluster whose mean 1 - cosine is below this holds copies; an alarm."""
    alarm_share: float = 0.2
    """A cluster with a larger share of the population is an alarm."""

    def __post_init__(self) -> None:
        if self.population not in ("bytes", "documents"):
            raise ValueError(f"population={self.population!r} must be bytes or documents")


def make_clusters(sample: pa.Table, config: ClusterConfig, schema: pa.Schema, *, gpu: bool = False) -> pa.Table:
    """The table of clusters of a sample (`sample_schema`), largest first, with the figures in its metadata."""
    vectors = unit_vectors(stored_vectors(sample["embedding"])[0])
    weights = sample["weight"].to_numpy()
    measures = {"documents": weights, "bytes": weights * sample["size"].to_numpy()}
    trained = train_kmeans(vectors, config.kmeans, gpu=gpu)
    centroids, labels, distances = _by_size(trained.centroids, vectors, measures[config.population])
    count = len(centroids)
    totals: dict[str, Doubles] = {n: np.bincount(labels, v, count).astype(np.float64) for n, v in measures.items()}
    coarse = coarsen(centroids, totals[config.population], config.coarsen)
    names = _names(sample, config.names, labels, coarse, weights)
    keywords = keywords_by_group(sample["excerpt"], labels.astype(np.int64), count, config.names.keywords)
    sampled = np.bincount(labels, minlength=count)
    origins = _origin_shares(sample["origin"], labels, count)
    columns = {
        "cluster": np.arange(count, dtype=np.int32),
        "centroid": pa.FixedSizeListArray.from_arrays(pa.array(centroids.ravel()), centroids.shape[1]),
        "domain": [names[d] for d in coarse.domain.tolist()],
        "keywords": keywords,
        **totals,
        "sampled": sampled,
        "mean_distance": (np.bincount(labels, distances, count) / np.maximum(sampled, 1)).astype(np.float32),
        "origin_share": origins[0],
    }
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    report = _report(trained, coarse, names, totals, _alarms(table, origins, config))
    return table.replace_schema_metadata({CLUSTERING_KEY: json.dumps(report, sort_keys=True).encode()})


def _by_size(centroids: Floats, vectors: Floats, population: Doubles) -> tuple[Floats, Numbers, Floats]:
    """Centroids by descending population, with the label of and the distance to the nearest of each vector."""
    labels, first, _ = nearest_two(vectors, centroids)
    order = np.argsort(-np.bincount(labels, population, len(centroids)), kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return np.ascontiguousarray(centroids[order]), place[labels], np.float32(1) - first


def _names(sample: pa.Table, config: NamesConfig, labels: Numbers, coarse: Coarse, weights: Doubles) -> list[str]:
    domain, count = coarse.domain[labels], len(coarse.shares)
    found = keywords_by_group(sample["excerpt"], domain, count, config.keywords)
    languages = main_languages(sample["language"], domain, weights, count, config)
    return name_domains(found, languages, config.words)


def _origin_shares(origins: pa.ChunkedArray, labels: Numbers, count: int) -> tuple[Floats, Floats]:
    """For each cluster: the share of its most frequent origin in it, and of that origin's documents that it holds."""
    codes = pc.rank(origins, tiebreaker="dense").to_numpy().astype(np.int64) - 1
    kinds = int(codes.max(initial=-1)) + 1
    pairs, counts = np.unique(labels.astype(np.int64) * max(kinds, 1) + codes, return_counts=True)
    cluster, origin = np.divmod(pairs, max(kinds, 1))
    order = np.lexsort((-counts, cluster))
    first = order[np.unique(cluster[order], return_index=True)[1]]
    of_cluster, of_origin = np.zeros(count, np.float32), np.zeros(count, np.float32)
    of_cluster[cluster[first]] = counts[first] / np.bincount(labels, minlength=count)[cluster[first]]
    of_origin[cluster[first]] = counts[first] / np.bincount(codes, minlength=kinds)[origin[first]]
    return of_cluster, of_origin


def _alarms(table: pa.Table, origins: tuple[Floats, Floats], config: ClusterConfig) -> list[dict[str, Any]]:
    """What is wrong with single clusters: copies, too large a share, one whole origin and nothing else."""
    population, sampled = table[config.population].to_numpy(), table["sampled"].to_numpy()
    share, distance = population / max(population.sum(), 1e-300), table["mean_distance"].to_numpy()
    of_cluster, of_origin = origins
    is_origin = (of_cluster >= _WHOLE) & (of_origin >= _WHOLE) & (sampled >= _FEW) & (sampled < sampled.sum())
    found = {
        "copies": (np.flatnonzero((distance < config.alarm_distance) & (sampled >= _FEW)), distance),
        "large": (np.flatnonzero(share > config.alarm_share), share),
        "one-origin": (np.flatnonzero(is_origin), of_origin),
    }
    return [
        {"alarm": alarm, "cluster": int(k), "value": float(values[k])}
        for alarm, (clusters, values) in found.items()
        for k in clusters
    ]


def _report(
    trained: Kmeans, coarse: Coarse, names: Sequence[str], totals: dict[str, Doubles], alarms: list[dict[str, Any]]
) -> dict[str, Any]:
    domains = [
        {"name": name, "share": share}
        | {measure: float(np.bincount(coarse.domain, of, len(names))[d]) for measure, of in totals.items()}
        for d, (name, share) in enumerate(zip(names, coarse.shares.tolist(), strict=True))
    ]
    tree = [asdict(merge) for merge in coarse.merges]
    return {"quality": trained.quality(), "domains": domains, "alarms": alarms, "tree": tree}
