"""What a cluster is worth: the mean and quantiles of any score over its documents, weighted by their size, as a mark.

Reads a number per document from any sidecar, the assignment and a weight. `score_clusters` writes one shard with a row
per cluster, `mark_scores` the sidecar that tells each document of its cluster. Nothing is deleted: a predicate such as
`cluster_score >= 3 OR cluster_score IS NULL` decides in `select`, and every dropped document keeps its reason.
Only integers decide quantiles; means are sums in the order of the shards. Memory: 32 bytes per cluster and distinct
score, of which there are at most some thousands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.annotate import zip_columns
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.errors import PlanError
from pipeline.exchange import PARTITION, Exchange, Feed, Place, Reduced, exchange
from pipeline.store import Made, Shard, Store
from schemas.columns import columns
from schemas.manifest import Record

_SUMS = columns(
    pa.field("cluster", pa.int32()),
    pa.field("score", pa.float32()),
    pa.field("weight", pa.int64()),
    pa.field("weighted", pa.float64()),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneConfig:
    """Which score, and how it is weighted."""

    column: str
    """Numeric column that holds the score; documents without one do not count."""
    weight: str = "size"
    """Integer column of weights: `num_tokens`, or `size` where there are no tokens yet."""
    quantiles: tuple[int, ...] = (10, 50, 90)
    """Percentiles that are marked, by weight; exact but for the 11 bits that scores are rounded to there."""

    def __post_init__(self) -> None:
        if not all(0 < q < 100 for q in self.quantiles) or len(set(self.quantiles)) != len(self.quantiles):
            raise ValueError(f"quantiles must be distinct and between 0 and 100, got {self.quantiles}")


def score_schema(config: PruneConfig) -> pa.Schema:
    """`cluster_score`: the weighted mean; `cluster_score_p10` and so on: quantiles. Null where nothing has a score."""
    names = ("cluster_score", *(f"cluster_score_p{q}" for q in config.quantiles))
    return columns(*(pa.field(name, pa.float32()) for name in names))


def score_clusters(scores: Dataset, assignment: Dataset, weights: Dataset, config: PruneConfig) -> Dataset:
    """The one-shard dataset with a row per cluster: `cluster` and the columns of `score_schema`.

    Raises PlanError for a column that is not there.
    """
    for dataset, column in ((scores, config.column), (weights, config.weight)):
        if column not in dataset.schema.names:
            known = ", ".join(dataset.schema.names)
            raise PlanError(f"cluster scores: {dataset.name} has no column {column!r}; it has: {known}")
    writes = columns(pa.field("cluster", pa.int32()), *score_schema(config))
    feed = Feed(
        map=_sum, datasets=(scores, assignment, weights), columns=((config.column,), ("cluster",), (config.weight,))
    )
    functions = Exchange(name="cluster-scores", version=1, spills=_SUMS, writes=writes, reduce=_summarise)
    return exchange(functions, config, [feed], partitions=lambda *_: 1)


def mark_scores(scores: Dataset, assignment: Dataset, weights: Dataset, config: PruneConfig) -> Dataset:
    """The sidecar of `score_schema`: what each document's cluster is worth; null for documents without a cluster."""
    return Dataset(
        name="cluster-score",
        version=1,
        config=config,
        inputs=(assignment, score_clusters(scores, assignment, weights, config)),
        schema=score_schema(config),
        expand=_expand,
    )


def _sum(config: PruneConfig, place: Place, table: pa.Table) -> pa.Table:
    """Weights by cluster and rounded score, and the sums of weight times score as it is."""
    score = table[config.column].cast(pa.float64())
    valid = pc.and_(pc.and_(pc.is_valid(table["cluster"]), pc.is_finite(score)), pc.is_valid(table[config.weight]))
    kept = table.filter(pc.fill_null(valid, False))
    values, weight = kept[config.column].cast(pa.float64()).to_numpy(), kept[config.weight].to_numpy().astype(np.int64)
    rounded = _round(values)
    pairs = np.stack([kept["cluster"].to_numpy().astype(np.int64), rounded.view(np.int32).astype(np.int64)], axis=1)
    distinct, place_of = np.unique(pairs, axis=0, return_inverse=True)
    weights, weighted = np.zeros(len(distinct), np.int64), np.zeros(len(distinct))
    np.add.at(weights, place_of, weight)
    np.add.at(weighted, place_of, weight * values)
    return pa.table(
        {
            "cluster": distinct[:, 0].astype(np.int32),
            "score": distinct[:, 1].astype(np.int32).view(np.float32),
            "weight": weights,
            "weighted": weighted,
            PARTITION: np.zeros(len(distinct), np.int32),
        }
    )


def _round(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """To 11 significant bits; 0 is never negative."""
    fraction, exponent = np.frexp(values)
    rounded: npt.NDArray[np.float32] = (np.ldexp(np.rint(np.ldexp(fraction, 11)), exponent - 11) + 0.0).astype(
        np.float32
    )
    return rounded


def _summarise(config: PruneConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    cluster, score, weight, weighted = (rows[name].to_numpy() for name in _SUMS.names)
    order = np.lexsort((score, cluster))
    found, starts = np.unique(cluster[order], return_index=True)
    ends = np.append(starts, len(cluster))[1:]
    made: list[list[float | None]] = []
    for first, end in zip(starts.tolist(), ends.tolist(), strict=True):
        at = np.sort(order[first:end])  # means: in the order of the shards
        total = int(weight[at].sum())
        mean = float(np.cumsum(weighted[at])[-1]) / total if total else None
        made.append(
            [mean, *(_quantile(score[order[first:end]], weight[order[first:end]], q) for q in config.quantiles)]
        )
    schema = columns(pa.field("cluster", pa.int32()), *score_schema(config))
    values = [[row[i] for row in made] for i in range(len(schema) - 1)]
    return Reduced(table=pa.table([found.astype(np.int32), *values], schema=schema))


def _quantile(score: npt.NDArray[np.float32], weight: npt.NDArray[np.int64], percent: int) -> float | None:
    """The least of the ascending scores that at least `percent` of the weight does not exceed; None without weight."""
    reached = np.cumsum(weight)
    if not reached[-1]:
        return None
    return float(score[np.searchsorted(reached * 100, int(reached[-1]) * percent)])


def _expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
    assignment, (scored,) = (expansion.shards(d) for d in dataset.inputs)
    made = Made(libraries={}, counters={})
    tasks = []
    for number, shard in enumerate(assignment):
        output = dataset.shard(shard.key, scored.key, base=shard.base, rows=shard.rows, size=shard.bytes)
        call = MarkCall(shard, scored, tuple(dataset.schema.names), output, made)
        label = f"{number + 1}/{len(assignment)}"
        tasks.append(Task(label=label, outputs=(output,), call=call, inputs=(shard, scored)))
    return tasks


@dataclass(frozen=True, slots=True)
class MarkCall:
    """The task that marks the documents of one shard."""

    assignment: Shard
    scored: Shard
    names: Sequence[str]
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        scored = store.read(self.scored)
        cluster = zip_columns(store, [self.assignment], [("cluster",)])["cluster"]
        row = pc.index_in(cluster, scored["cluster"].combine_chunks())
        table = scored.select(list(self.names)).take(row.combine_chunks() if hasattr(row, "combine_chunks") else row)
        return [store.commit(self.output, table, self.made)]
