"""Which cluster each embedding belongs to, by a codebook of centroids with the domain of each.

Reads `embedding`. Writes `ASSIGNMENT`. The stage takes the codebook from the folder of a published bundle, and so can
stand in one chain with the stage that embeds: then only 12 bytes and a name per document are written for it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import RecipeError
from pipeline.stage import Configured, Resources, Stage, Transform, configured
from schemas.clusters import ASSIGNMENT
from schemas.columns import columns
from schemas.embeddings import model_of
from stages.embed.nearest import nearest_two
from stages.embed.vectors import Floats, stored_vectors

BUNDLE_FILE, CENTROIDS_FILE = "bundle.json", "centroids.npy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Codebook:
    """Centroids of one embedding model."""

    model: bytes
    """What the vectors depend on (`schemas.embeddings.MODEL_KEY`)."""
    centroids: Floats
    """float32[K, d] of unit length, K at least 2."""
    domains: tuple[str, ...]
    """The domain of each cluster."""

    def __post_init__(self) -> None:
        if self.centroids.ndim != 2 or len(self.centroids) != len(self.domains) or len(self.domains) < 2:
            raise ValueError(f"centroids {self.centroids.shape} with {len(self.domains)} domains; at least 2 clusters")

    def check(self, embeddings: pa.Schema) -> None:
        """Raises RecipeError for embeddings of another model."""
        check_model(self.model, embeddings)

    def assign(self, embedding: pa.ChunkedArray) -> pa.Table:
        """`ASSIGNMENT` of a column of embeddings."""
        stored, is_there = stored_vectors(embedding)
        best, first, second = nearest_two(stored, self.centroids)
        nothing = ~is_there
        names = pa.array(self.domains, pa.string())
        cluster = pa.array(best, pa.int32(), mask=nothing)
        distance = pa.array(np.float32(1) - first, pa.float32(), mask=nothing)
        margin = pa.array(first - second, pa.float32(), mask=nothing)
        return pa.table([cluster, distance, margin, names.take(cluster)], schema=ASSIGNMENT)


def check_model(model: bytes, embeddings: pa.Schema) -> None:
    """Raises RecipeError for embeddings by another model than the one that clusters are of."""
    if (found := model_of(embeddings)) != model:
        raise RecipeError(
            f"the clusters are of embeddings by {model.decode()}, these are by {found.decode()}; embed with that "
            "model, or cluster these"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AssignConfig:
    """Which codebook."""

    bundle: str
    """Folder of a published bundle, readable by every worker."""
    sha256: str
    """Hex digest of its `bundle.json`, so that the content of the folder is part of identity."""


def assign_stage(config: AssignConfig, embeddings: pa.Schema) -> Configured[AssignConfig]:
    """The stage for embeddings of this schema. Raises RecipeError if they are by another model than the centroids."""
    read_codebook(Path(config.bundle), config.sha256).check(embeddings)
    stage = Stage(
        name="assign-cluster",
        version=2,
        reads=columns(embeddings.field("embedding")),
        writes=ASSIGNMENT,
        open=_open,
        resources=Resources(memory_bytes=500_000_000),
        exact=False,
        libraries=("numpy",),
    )
    return configured(stage, config)


def _open(config: AssignConfig) -> Transform:
    codebook = read_codebook(Path(config.bundle), config.sha256)
    return lambda table: codebook.assign(table["embedding"])


def read_codebook(folder: Path, sha256: str) -> Codebook:
    """The codebook of a bundle whose `bundle.json` has this digest. Raises RecipeError for another or a damaged one."""
    return read_codebook_file(folder, read_bundle(folder, sha256))


def read_codebook_file(folder: Path, bundle: Mapping[str, Any]) -> Codebook:
    """The codebook of a bundle that has been read."""
    centroids = np.load(folder / CENTROIDS_FILE, allow_pickle=False)
    domains = tuple(cluster["domain"] for cluster in bundle["clusters"])
    return Codebook(model=bundle["model"].encode(), centroids=centroids, domains=domains)


def read_bundle(folder: Path, sha256: str = "") -> dict[str, Any]:
    """What `bundle.json` says, checked against its digest, unless that is empty, and the centroids against theirs."""
    try:
        content = (folder / BUNDLE_FILE).read_bytes()
        centroids = hashlib.sha256((folder / CENTROIDS_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise RecipeError(f"{folder} is no bundle of domains: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise RecipeError(f"{folder / BUNDLE_FILE} has SHA-256 {found}, not {sha256}; give the bundle's own")
    parsed: dict[str, Any] = json.loads(content)
    if parsed["centroids_sha256"] != centroids:
        raise RecipeError(f"{folder / CENTROIDS_FILE} is not the file that the bundle was published with; copy it anew")
    return parsed
