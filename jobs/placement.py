"""Which published file a document goes to, and where in the shuffle.

Reads `keep`, `document_id`, `num_tokens`, `size`, the domain column and, where repositories stay together,
`repository_key` and `repository_rank`. Writes `domain`, `shuffle_key` and `shuffle_rank`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.stage import Configured, Counts, Stage, Transform, configured
from schemas.columns import columns
from schemas.corpus import PLACEMENT
from schemas.documents import ID

MAX_DOMAIN_CHARS = 200
"""A file system takes 255 bytes, and some names have a suffix."""

_MIX = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementConfig:
    """How documents are spread over files."""

    domain_column: str
    """String column whose values name the domains."""
    seed: int
    grouped: bool = False
    """Keep the files of a repository together, in the order of `repository_rank`."""


def placement_stage(config: PlacementConfig) -> Configured[PlacementConfig]:
    """The stage for a domain column."""
    reads = [
        pa.field("document_id", ID),
        pa.field("keep", pa.bool_()),
        pa.field("num_tokens", pa.int32()),
        pa.field("size", pa.int64()),
        pa.field(config.domain_column, pa.string()),
    ]
    if config.grouped:
        reads += [pa.field("repository_key", pa.uint64()), pa.field("repository_rank", pa.int32())]
    stage = Stage(name="placement", version=3, reads=columns(*reads), writes=PLACEMENT, open=_open, count=_count)
    return configured(stage, config)


def domain_name(value: str | None) -> str:
    """A folder name for a domain: `C++` is `cpp`, `C#` is `csharp`, null is `other`. Cut at `MAX_DOMAIN_CHARS`."""
    spelled = (value or "other").lower().replace("+", "p").replace("#", "sharp")
    return re.sub(r"[^a-z0-9]+", "-", spelled).strip("-")[:MAX_DOMAIN_CHARS].rstrip("-") or "other"


def shuffle_keys(ids: pa.Array, seed: int) -> NDArray[np.uint64]:
    """A uniform uint64 for each 16-byte id: SplitMix64's finalizer over both halves and the seed.

    Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, section 3.
    """
    halves = np.frombuffer(ids.buffers()[1], "<u8")[2 * ids.offset : 2 * (ids.offset + len(ids))].reshape(-1, 2)
    with np.errstate(over="ignore"):
        return mix(mix(halves[:, 0] + _start(seed)) ^ halves[:, 1])


def mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer, a bijection that scatters. Integers overflow on purpose."""
    z = (z ^ (z >> np.uint64(30))) * _MIX[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    return z ^ (z >> np.uint64(31))


def _start(seed: int) -> np.uint64:
    return np.uint64(seed % 2**64) * np.uint64(0x9E3779B97F4A7C15)


def tokens_by_domain(counters: Mapping[str, int]) -> dict[str, int]:
    """Tokens of kept documents, end-of-document tokens included, from a placement's counters."""
    return {name.removeprefix("tokens:"): n for name, n in counters.items() if name.startswith("tokens:")}


def _open(config: PlacementConfig) -> Transform:
    def place(table: pa.Table) -> pa.Table:
        distinct = table[config.domain_column].combine_chunks().dictionary_encode(null_encoding="encode")
        distinct = distinct.combine_chunks() if isinstance(distinct, pa.ChunkedArray) else distinct
        names = pa.array([domain_name(value) for value in distinct.dictionary.to_pylist()], pa.string())
        domains = names.take(distinct.indices)
        keys, ranks = _order(config, table)
        is_placed = pc.and_(table["keep"], pc.is_valid(table["num_tokens"])).combine_chunks()
        found = {"domain": domains, "shuffle_key": keys, "shuffle_rank": ranks}
        placed = {n: pc.if_else(is_placed, column, pa.scalar(None, column.type)) for n, column in found.items()}
        return pa.table(placed, schema=PLACEMENT)

    return place


def _order(config: PlacementConfig, table: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Shuffle key and rank. Documents of one repository share its key; those of none have their own and no rank."""
    keys = pa.array(shuffle_keys(table["document_id"].combine_chunks(), config.seed), pa.uint64())
    if not config.grouped:
        return keys, pa.nulls(table.num_rows, pa.int32())
    repository = table["repository_key"].combine_chunks()
    is_grouped = pc.and_(repository.is_valid(), table["repository_rank"].combine_chunks().is_valid())
    with np.errstate(over="ignore"):
        shared = pa.array(mix(mix(repository.fill_null(0).to_numpy()) + _start(config.seed)), pa.uint64())
    rank = pc.if_else(is_grouped, table["repository_rank"].combine_chunks(), pa.scalar(None, pa.int32()))
    return pc.if_else(is_grouped, shared, keys), rank


def _count(table: pa.Table) -> Counts:
    placed = table.select(["domain", "num_tokens", "size"]).filter(pc.is_valid(table["domain"]))
    groups = placed.group_by("domain", use_threads=False).aggregate([("num_tokens", "sum"), ("num_tokens", "count")])
    counts = {
        "bytes": pc.sum(table["size"]).as_py() or 0,
        "out_rows": placed.num_rows,
        "out_bytes": pc.sum(placed["size"]).as_py() or 0,
    }
    for name, tokens, documents in zip(*(groups[c].to_pylist() for c in groups.column_names), strict=True):
        counts[f"tokens:{name}"] = tokens + documents
    return counts
