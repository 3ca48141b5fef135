"""The fixed chain that measures the engine: SHA-256 of each text, its line statistics, one sidecar.

`loop` is the same work without an engine: read, the same functions, the same Parquet bytes, in a plain Python loop.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.annotate import annotate, extend
from pipeline.dataset import Dataset
from pipeline.parquet import parquet_bytes, read_parquet
from pipeline.stage import Configured, Stage, Transform, configured
from schemas.columns import columns
from schemas.documents import SHA256
from stages.filter import lines
from stages.text_views import string_chunks, text_views


@dataclass(frozen=True, kw_only=True, slots=True)
class Sha256Config:
    """Nothing to set."""


def sha256_of(texts: Any) -> "pa.ChunkedArray[Any]":
    """SHA-256 of each text's UTF-8 bytes. No text may be null."""
    arrays = []
    for chunk in string_chunks(texts):
        offsets, data = text_views(chunk)
        view, bounds = data.data, offsets.tolist()
        digests = [hashlib.sha256(view[a:b]).digest() for a, b in pairwise(bounds)]
        arrays.append(pa.array(digests, SHA256))
    return pa.chunked_array(arrays, SHA256)


def _open(config: Sha256Config) -> Transform:
    return lambda table: pa.table({"sha256": sha256_of(table["text"])})


SHA256_STAGE: Stage[Sha256Config] = Stage(
    name="bench-sha256",
    version=1,
    reads=columns(pa.field("text", pa.string())),
    writes=columns(pa.field("sha256", SHA256)),
    open=_open,
)

STAGES: tuple[Configured[Any], ...] = (
    configured(SHA256_STAGE, Sha256Config()),
    configured(lines.STAGE, lines.LinesConfig()),
)


def fixed_chain(documents: Dataset) -> Dataset:
    """The chain as a step of a plan."""
    return annotate("bench-chain", documents, stages=STAGES)


def open_stages() -> list[Transform]:
    """The stages' functions, as a worker of the engine has them."""
    return [stage.open() for stage in STAGES]


def loop(transforms: Sequence[Transform], files: Sequence[Path], out: Path) -> None:
    """The same chain over these files."""
    names = [name for stage in STAGES for name in stage.stage.writes.names]
    for path in files:
        with pa.OSFile(str(path), "rb") as file:
            table = read_parquet(file, ["text"])
        for transform in transforms:
            table = extend(table, transform(table))
        (out / path.name).write_bytes(parquet_bytes(table.select(names)))
