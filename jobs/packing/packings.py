"""Packings: indexes that say how the documents of published files become training sequences.

Reads `num_tokens` and `group` of the files, never tokens, so that another packing of a corpus is cheap. Writes one
shard of `PACKING` rows per file. Memory: about 200 bytes per document and sequence of a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from jobs.packing.methods import pack_rows
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.fingerprint import digest
from pipeline.store import Made, Shard, Store
from schemas.corpus import PACKING
from schemas.manifest import Packing, PackingFile, Record

Method = Literal["best-fit", "concatenate", "document"]

METHODS: tuple[Method, ...] = ("best-fit", "concatenate", "document")


@dataclass(frozen=True, kw_only=True, slots=True)
class PackingConfig:
    """How documents become training sequences."""

    method: Method = "best-fit"
    """`best-fit`: whole documents together, so that few are cut; `concatenate`: end to end, cut at every length;
    `document`: one document per sequence."""
    sequence_length: int = 2048
    """Tokens of a sequence; a longer document is cut. 0, with `document` only: a sequence is a whole document."""
    seed: int = 0
    """Of the order of the sequences of `best-fit`; the other methods keep the order of the shuffle."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"packing method {self.method!r} must be one of {', '.join(METHODS)}")
        if self.sequence_length < 0 or self.sequence_length == 1 or self.sequence_length > 1 << 30:
            raise ValueError(
                f"sequence_length must be 0 (one row per document) or at least 2, got {self.sequence_length}"
            )
        if not self.sequence_length and self.method != "document":
            raise ValueError(f"sequence_length 0 needs the packing method document, got {self.method}; set one of both")

    @property
    def name(self) -> str:
        """`best-fit-2048`: what the packing is called unless it is given a name."""
        return f"{self.method}-{self.sequence_length}" if self.sequence_length else self.method


def pack(files: Dataset, config: PackingConfig) -> Dataset:
    """The index of every file, in the order of the files."""
    return Dataset(
        name=f"packing-{config.name}",
        version=1,
        config=config,
        inputs=(files,),
        schema=PACKING,
        expand=_expand,
    )


def packing_of(
    name: str, config: PackingConfig, padding: int, data: Sequence[str], records: Sequence[Record]
) -> Packing:
    """What a version says of a packing, from its shards and the paths of the data files they index."""
    files = [
        PackingFile(
            path=f"packings/{name}/{path.removeprefix('data/')}",
            data=path,
            key=record.key,
            sha256=record.sha256,
            file_bytes=record.file_bytes,
            rows=record.rows,
            tokens=record.counters["tokens"],
            pieces=record.counters["pieces"],
        )
        for path, record in zip(data, records, strict=True)
    ]
    return Packing(
        name=name,
        identity=digest(config, padding, [(file.data, file.sha256) for file in files]),
        method=config.method,
        sequence_length=config.sequence_length,
        seed=config.seed,
        padding=padding,
        sequences=sum(file.rows for file in files),
        tokens=sum(file.tokens for file in files),
        pieces=sum(file.pieces for file in files),
        files=files,
    )


@dataclass(frozen=True, slots=True)
class PackCall:
    """The index of one file."""

    config: PackingConfig
    number: int
    source: Shard
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        """Commit the index."""
        sizes = store.read(self.source, ["num_tokens", "group"])
        config = self.config
        rows = pack_rows(
            sizes["num_tokens"].to_numpy(),
            sizes["group"].to_numpy(),
            method=config.method,
            sequence_length=config.sequence_length,
            key=config.seed * 1_000_003 + self.number,
        )
        counters = {
            "tokens": pc.sum(rows["num_tokens"].cast(pa.int64())).as_py() or 0,
            "pieces": pc.sum(pc.list_value_length(rows["document"]).cast(pa.int64())).as_py() or 0,
        }
        return [store.commit(self.output, rows, Made(libraries=self.made.libraries, counters=counters))]


def _expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
    assert isinstance(dataset.config, PackingConfig)
    files, made = expansion.shards(dataset.inputs[0]), Made(libraries=dataset.versions, counters={})
    tasks = []
    for number, file in enumerate(files):
        output = dataset.shard(file.key, str(number))
        call = PackCall(dataset.config, number, file, output, made)
        tasks.append(Task(label=f"{number + 1}/{len(files)}", outputs=(output,), call=call, inputs=(file,)))
    return tasks
