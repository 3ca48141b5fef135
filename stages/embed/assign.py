"""Which cluster each embedding belongs to, by a codebook of centroids with the domain of each.

Reads `embedding`. Writes `ASSIGNMENT`. The stage takes the codebook from the folder of a published bundle, and so can
stand in one chain with the stage that embeds: then only 12 bytes and a name per document are written for it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import RecipeError
from pipeline.fingerprint import Movable
from pipeline.stage import Configured, Resources, Stage, Transform, configured
from schemas.clusters import ASSIGNMENT
from schemas.columns import columns
from schemas.embeddings import model_of
from stages.embed.nearest import nearest_two
from stages.embed.sentence_model import SentenceModelConfig
from stages.embed.static_table import StaticTableConfig
from stages.embed.vectors import Floats, stored_vectors

BUNDLE_FILE, CENTROIDS_FILE = "bundle.json", "centroids.npy"
FORMAT = "gristmill-domains-1"

Embedder = StaticTableConfig | SentenceModelConfig


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class StaticTableEntry(_Model, extra="forbid"):
    """A static table, as a bundle names it."""

    kind: Literal["static-table"] = "static-table"
    config: StaticTableConfig


class SentenceModelEntry(_Model, extra="forbid"):
    """A sentence model, as a bundle names it."""

    kind: Literal["sentence-model"] = "sentence-model"
    config: SentenceModelConfig


class ClusterEntry(_Model):
    """What a bundle must say of a cluster."""

    domain: str


class BundleFile(_Model):
    """What `bundle.json` must say; it may say more."""

    format: str
    model: str
    """What the embedder's vectors depend on (`schemas.embeddings.MODEL_KEY`)."""
    embedder: Annotated[StaticTableEntry | SentenceModelEntry, Field(discriminator="kind")]
    clusters: Annotated[tuple[ClusterEntry, ...], Field(min_length=2)]
    centroids_sha256: str
    weights: dict[str, float]
    """Share of each domain in the mixture; empty if none was published."""
    thresholds: dict[str, float]
    """Of each domain, the largest distance of a document that is taken to belong to it; empty if there are none."""

    @field_validator("format")
    @classmethod
    def _check_format(cls, found: str) -> str:
        if found != FORMAT:
            raise ValueError(f"{found!r} is not {FORMAT!r}; use the release that wrote it")
        return found


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
        """Raises RecipeError for embeddings of another model or width."""
        check_model(self.model, embeddings)
        dimensions = embeddings.field("embedding").type.list_size
        if self.centroids.shape[1] != dimensions:
            raise RecipeError(f"the centroids have {self.centroids.shape[1]} dimensions, the embeddings {dimensions}")

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
class AssignConfig(Movable):
    """Which codebook."""

    bundle: str
    """Folder of a published bundle, readable by every worker."""
    sha256: str
    """Hex digest of its `bundle.json`, so that the content of the folder is part of identity."""

    @property
    def locations(self) -> tuple[str, ...]:
        """The folder, which `sha256` identifies."""
        return ("bundle",)


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


def read_codebook_file(folder: Path, bundle: BundleFile) -> Codebook:
    """The codebook of a bundle that has been read. Raises RecipeError for centroids that are none."""
    path, count = folder / CENTROIDS_FILE, len(bundle.clusters)
    try:
        mapped = open_memmap(path, mode="r")  # unlike np.load it allocates nothing for a header that lies
    except (OSError, ValueError, TypeError) as error:
        raise RecipeError(f"{path} is no array of numpy ({error}); export the bundle anew") from error
    if mapped.dtype != np.float32 or mapped.ndim != 2 or len(mapped) != count:
        raise RecipeError(f"{path} holds {mapped.dtype}{list(mapped.shape)}, not float32[{count}, d]; export it anew")
    centroids: Floats = np.array(mapped, order="C")
    lengths = np.linalg.norm(centroids.astype(np.float64), axis=1)
    if not ((np.abs(lengths - 1) < 1e-3) | (lengths == 0)).all():
        raise RecipeError(f"{path} holds centroids that are not finite or not of unit length; export the bundle anew")
    domains = tuple(cluster.domain for cluster in bundle.clusters)
    return Codebook(model=bundle.model.encode(), centroids=centroids, domains=domains)


def read_bundle(folder: Path, sha256: str = "") -> BundleFile:
    """What `bundle.json` says, checked against its digest, unless that is empty, and the centroids against theirs.

    Raises RecipeError for what is no bundle, or another.
    """
    try:
        content = (folder / BUNDLE_FILE).read_bytes()
        centroids = hashlib.sha256((folder / CENTROIDS_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise RecipeError(f"{folder} is no bundle of domains: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise RecipeError(f"{folder / BUNDLE_FILE} has SHA-256 {found}, not {sha256}; give the bundle's own")
    try:
        parsed = BundleFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        reason = first["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{folder / BUNDLE_FILE} is no bundle of domains: {where}: {reason}") from error
    if parsed.centroids_sha256 != centroids:
        raise RecipeError(f"{folder / CENTROIDS_FILE} is not the file that the bundle was published with; copy it anew")
    return parsed
