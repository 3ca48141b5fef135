"""A published bundle of domains: what labels texts without the corpus.

A folder with `centroids.npy` (float32[K, d], unit length) and `bundle.json`: the embedder and its config, the domain
and keywords of each cluster, the domains with shares, distance thresholds and mixture weights, quality figures, and the
tree.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.clusters.job import read_clustering, read_codebook
from jobs.folders import disk_errors
from pipeline.errors import PublishError, RecipeError
from pipeline.stage import Configured, Transform
from stages.embed.assign import (
    BUNDLE_FILE,
    CENTROIDS_FILE,
    FORMAT,
    BundleFile,
    Codebook,
    Embedder,
    SentenceModelEntry,
    StaticTableEntry,
    read_bundle,
    read_codebook_file,
)
from stages.embed.sentence_model import sentence_model_stage
from stages.embed.static_table import StaticTableConfig, static_table_stage

_BINS_PER_UNIT = 4096
"""Of the histogram of distances from which thresholds are read: its borders are exact as float32."""
_BINS = 2 * _BINS_PER_UNIT + 2
"""For 0, up to 2, and what is above by rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle that is open for labelling."""

    codebook: Codebook
    file: BundleFile
    embed: Transform
    column: str
    """What `embed` reads."""

    @property
    def weights(self) -> dict[str, float]:
        """Share of each domain in the mixture; empty if none was published."""
        return self.file.weights

    @property
    def thresholds(self) -> dict[str, float]:
        """Of each domain, the largest distance of a document that is taken to belong to it; empty if there are none."""
        return self.file.thresholds

    def label(self, texts: Sequence[str | None], *, strict: bool = False) -> pa.Table:
        """`schemas.clusters.ASSIGNMENT` of texts. `strict` leaves out the domain of those beyond its threshold.

        Raises RecipeError for `strict` without thresholds.
        """
        if strict and not self.thresholds:
            raise RecipeError("the bundle has no thresholds; label without --strict, or export it with thresholds")
        table = self.embed(pa.table({self.column: pa.array(texts, pa.string())}))
        assigned = self.codebook.assign(table["embedding"])
        if not strict:
            return assigned
        names = pa.array(list(self.thresholds), pa.string())
        limits = pa.array(list(self.thresholds.values()), pa.float32())
        limit = pc.fill_null(limits.take(pc.index_in(assigned["domain"], names)), float("inf"))
        near = pc.less_equal(assigned["cluster_distance"], limit)
        domain = pc.if_else(near, assigned["domain"], pa.scalar(None, pa.string()))
        return assigned.set_column(3, assigned.schema.field(3), domain)


def write_bundle(
    folder: Path,
    clustered: pa.Table,
    embedder: Embedder,
    *,
    weights: Mapping[str, float] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> str:
    """Write a bundle into a new folder; gives the SHA-256 of its `bundle.json`.

    `clustered` is the shard of `jobs.clusters.job.cluster`, with its metadata; `embedder` the config that embedded.
    Raises RecipeError if that is another, or for a weight or threshold of an unknown domain, PublishError if there is
    a folder already, and SiteError where none can be written.
    """
    codebook, found = read_codebook(clustered), read_clustering(clustered)
    codebook.check(embedder_stage(embedder).stage.writes)
    domains = [domain["name"] for domain in found["domains"]]
    if unknown := sorted(({*(weights or {})} | {*(thresholds or {})}) - set(domains)):
        raise RecipeError(f"no domain {', '.join(unknown)}; the clusters have {', '.join(domains)}")
    columns = zip(*(clustered[name].to_pylist() for name in ("domain", "keywords", "mean_distance")), strict=True)
    content = found | {
        "format": FORMAT,
        "model": codebook.model.decode(),
        "embedder": _entry(embedder).model_dump(),
        "clusters": [{"domain": d, "keywords": k, "mean_distance": m} for d, k, m in columns],
        "weights": dict(weights or {}),
        "thresholds": dict(thresholds or {}),
    }
    array = io.BytesIO()
    np.save(array, codebook.centroids, allow_pickle=False)
    content["centroids_sha256"] = hashlib.sha256(array.getvalue()).hexdigest()
    text = json.dumps(content, indent=1, sort_keys=True).encode()
    with disk_errors(folder):
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            raise PublishError(f"{folder} is there already; choose another folder or remove it") from error
        (folder / CENTROIDS_FILE).write_bytes(array.getvalue())
        staged = folder / f"{BUNDLE_FILE}.part"
        staged.write_bytes(text)
        staged.rename(folder / BUNDLE_FILE)
    return hashlib.sha256(text).hexdigest()


def load_bundle(folder: str | Path, sha256: str = "") -> Bundle:
    """Open a bundle; `sha256` of its `bundle.json` is checked unless empty.

    Raises RecipeError for a damaged bundle, and where its embedder is not here or is another than it was.
    """
    file = read_bundle(Path(folder), sha256)
    embedder = file.embedder.config
    codebook, stage = read_codebook_file(Path(folder), file), embedder_stage(embedder)
    codebook.check(stage.stage.writes)
    return Bundle(codebook=codebook, file=file, embed=stage.open(), column=embedder.column)


def embedder_stage(config: Embedder) -> Configured[Any]:
    """The stage of an embedder's config."""
    return static_table_stage(config) if isinstance(config, StaticTableConfig) else sentence_model_stage(config)


def _entry(embedder: Embedder) -> StaticTableEntry | SentenceModelEntry:
    if isinstance(embedder, StaticTableConfig):
        return StaticTableEntry(config=embedder)
    return SentenceModelEntry(config=embedder)


def distance_thresholds(assignment: Iterable[pa.Table], quantile: float) -> dict[str, float]:
    """Of each domain the distance that this share of its documents does not exceed, rounded up to 1/4096.

    `assignment` gives `domain` and `cluster_distance` of one shard after the other, each of which is looked at once.
    Memory: one shard, and 128 KiB per domain.
    """
    counts: dict[str, npt.NDArray[np.int64]] = {}
    for table in assignment:
        rows = table.select(["domain", "cluster_distance"]).drop_null()
        names = pc.unique(rows["domain"])
        bins = np.ceil(rows["cluster_distance"].to_numpy() * _BINS_PER_UNIT).astype(np.int64).clip(0, _BINS - 1)
        codes = pc.index_in(rows["domain"], names).to_numpy().astype(np.int64)
        found = np.bincount(codes * _BINS + bins, minlength=len(names) * _BINS).reshape(-1, _BINS)
        for name, of_domain in zip(names.to_pylist(), found, strict=True):
            counts[name] = counts[name] + of_domain if name in counts else of_domain.copy()
    return {name: _quantile(of_domain, quantile) / _BINS_PER_UNIT for name, of_domain in sorted(counts.items())}


def _quantile(counts: npt.NDArray[np.int64], quantile: float) -> int:
    """The bin that holds the quantile by NumPy's method `higher`."""
    rank = np.ceil((counts.sum() - 1) * quantile)
    return int(np.searchsorted(np.cumsum(counts), rank, side="right"))
