"""A published bundle of domains: what labels texts without the corpus.

A folder with `centroids.npy` (float32[K, d], unit length) and `bundle.json`: the embedder and its config, the domain
and keywords of each cluster, the domains with shares, distance thresholds and mixture weights, quality figures, and the
tree.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.clusters.job import read_clustering, read_codebook
from pipeline.errors import PublishError, RecipeError
from pipeline.stage import Configured, Transform
from stages.embed.assign import BUNDLE_FILE, CENTROIDS_FILE, Codebook, read_bundle, read_codebook_file
from stages.embed.sentence_model import SentenceModelConfig, sentence_model_stage
from stages.embed.static_table import StaticTableConfig, static_table_stage

Embedder = StaticTableConfig | SentenceModelConfig

FORMAT = "gristmill-domains-1"
_EMBEDDERS = {"static-table": StaticTableConfig, "sentence-model": SentenceModelConfig}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle that is open for labelling."""

    codebook: Codebook
    content: Mapping[str, Any]
    """What `bundle.json` says."""
    embed: Transform
    column: str
    """What `embed` reads."""

    @property
    def weights(self) -> dict[str, float]:
        """Share of each domain in the mixture; empty if none was published."""
        return dict(self.content["weights"])

    @property
    def thresholds(self) -> dict[str, float]:
        """Of each domain, the largest distance of a document that is taken to belong to it; empty if there are none."""
        return dict(self.content["thresholds"])

    def label(self, texts: Sequence[str | None], *, strict: bool = False) -> pa.Table:
        """`schemas.clusters.ASSIGNMENT` of texts. `strict` leaves out the domain of those beyond its threshold."""
        table = self.embed(pa.table({self.column: pa.array(texts, pa.string())}))
        assigned = self.codebook.assign(table["embedding"])
        if not strict:
            return assigned
        names, limits = pa.array(list(self.thresholds), pa.string()), pa.array(list(self.thresholds.values()))
        limit = pc.fill_null(limits.take(pc.index_in(assigned["domain"], names)), float("inf"))
        near = pc.less_equal(assigned["cluster_distance"], limit.cast(pa.float32()))
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
    Raises RecipeError if that is another, or for a weight or threshold of an unknown domain, and PublishError if there
    is a folder already.
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
        "embedder": {"kind": _kind(embedder), "config": asdict(embedder)},
        "clusters": [{"domain": d, "keywords": k, "mean_distance": m} for d, k, m in columns],
        "weights": dict(weights or {}),
        "thresholds": dict(thresholds or {}),
    }
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise PublishError(f"{folder} is there already; choose another folder or remove it") from error
    np.save(folder / CENTROIDS_FILE, codebook.centroids, allow_pickle=False)
    content["centroids_sha256"] = hashlib.sha256((folder / CENTROIDS_FILE).read_bytes()).hexdigest()
    text = json.dumps(content, indent=1, sort_keys=True).encode()
    staged = folder / f"{BUNDLE_FILE}.part"
    staged.write_bytes(text)
    staged.rename(folder / BUNDLE_FILE)
    return hashlib.sha256(text).hexdigest()


def load_bundle(folder: str | Path, sha256: str = "") -> Bundle:
    """Open a bundle; `sha256` of its `bundle.json` is checked unless empty.

    Raises RecipeError for a damaged bundle, and where its embedder is not here or is another than it was.
    """
    content = read_bundle(Path(folder), sha256)
    if content.get("format") != FORMAT:
        raise RecipeError(
            f"{folder} is of format {content.get('format')!r}, not {FORMAT}; use the release that wrote it"
        )
    embedder: Embedder = _EMBEDDERS[content["embedder"]["kind"]](**content["embedder"]["config"])
    codebook, stage = read_codebook_file(Path(folder), content), embedder_stage(embedder)
    codebook.check(stage.stage.writes)
    return Bundle(codebook=codebook, content=content, embed=stage.open(), column=embedder.column)


def embedder_stage(config: Embedder) -> Configured[Any]:
    """The stage of an embedder's config."""
    return static_table_stage(config) if isinstance(config, StaticTableConfig) else sentence_model_stage(config)


def _kind(embedder: Embedder) -> str:
    return next(kind for kind, config in _EMBEDDERS.items() if isinstance(embedder, config))


def distance_thresholds(assignment: Sequence[pa.Table], quantile: float) -> dict[str, float]:
    """Of each domain the distance that this share of its documents does not exceed, from shards of an assignment."""
    rows = pa.concat_tables([table.select(["domain", "cluster_distance"]) for table in assignment]).drop_null()
    names = sorted(pc.unique(rows["domain"]).to_pylist())
    distances, codes = rows["cluster_distance"].to_numpy(), pc.index_in(rows["domain"], pa.array(names, pa.string()))
    number = codes.to_numpy()
    return {name: float(np.quantile(distances[number == k], quantile, method="higher")) for k, name in enumerate(names)}
