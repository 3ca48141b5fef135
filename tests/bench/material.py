"""What benches read: synthetic documents of a fixed seed, and the code corpus beside the repository.

A synthetic shard is a sample of real source files without repetition, each with a line of its own, so that no two
documents of a bench are equal and a shard compresses like real ones.
"""

import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.sources import parse_source
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.ingest import ingest
from pipeline.store import Made, Shard, Store
from schemas.documents import DOCUMENT
from schemas.manifest import Record
from stages.ingest.document import chain
from tests.bench.chain import sha256_of

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "corpora" / "code"
SOURCE = f"parquet:{CORPUS}?text_column=content&id_column=id&origin_column=repo&revision_column=commit"
_POOL_BYTES = 400_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticConfig:
    """How much."""

    shards: int
    shard_bytes: int
    seed: int = 20261123


@dataclass(frozen=True, slots=True)
class _Generate:
    """Commit one synthetic shard."""

    config: SyntheticConfig
    number: int
    output: Shard

    def __call__(self, store: Store) -> list[Record]:
        table = synthetic_table(self.config, self.number)
        size: int = pc.sum(table["size"]).as_py()
        return [store.commit(self.output, table, Made(libraries={}, counters={"bytes": size}))]


def synthetic(config: SyntheticConfig) -> Dataset:
    """Documents that are made on the first use of a store and found there later."""
    return Dataset(name="synthetic", version=1, config=config, schema=DOCUMENT, expand=_expand)


def code_documents() -> Dataset:
    """The code corpus through the real ingest."""
    return ingest(parse_source(SOURCE), stages=chain(), name="code")


def _expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
    config = dataset.config
    assert isinstance(config, SyntheticConfig)
    shards = [dataset.shard(str(number), size=config.shard_bytes) for number in range(config.shards)]
    return [
        Task(label=f"{number + 1}", outputs=(shard,), call=_Generate(config, number, shard))
        for number, shard in enumerate(shards)
    ]


def synthetic_table(config: SyntheticConfig, number: int) -> pa.Table:
    """Shard `number`: about `shard_bytes` of text, at least one document."""
    pool = _pool()
    lengths = pc.binary_length(pool).to_numpy()
    order = np.random.default_rng([config.seed, number]).permutation(len(pool))
    rows = max(1, int(np.searchsorted(np.cumsum(lengths[order]), config.shard_bytes)))
    picked = pool.take(pa.array(order[:rows]))
    salts = pa.array([f"\n// {config.seed} {number} {row}\n" for row in range(rows)])
    text = pc.binary_join_element_wise(picked, salts, "")
    names = [f"{number}/{row}" for row in range(rows)]
    ids = [blake2b(name.encode(), digest_size=16).digest() for name in names]
    hashes = sha256_of(pa.chunked_array([text]))
    known = {
        "document_id": pa.array(ids, DOCUMENT.field("document_id").type),
        "origin": pa.repeat("bench:synthetic", rows),
        "revision": pa.repeat("1", rows),
        "path": pa.array(names),
        "size": pc.binary_length(text).cast(pa.int64()),
        "content_hash": hashes,
        "text_hash": hashes,
        "encoding": pa.repeat("utf-8", rows),
        "text": text,
    }
    return pa.table({f.name: known.get(f.name, pa.nulls(rows, f.type)) for f in DOCUMENT}, schema=DOCUMENT)


@cache
def _pool() -> pa.StringArray:
    """Distinct real source files, in a fixed order: the code corpus, or the standard library."""
    texts = pa.chunked_array(list(_corpus_chunks() if CORPUS.is_dir() else _library_chunks()), pa.string())
    return pc.unique(texts)


def _corpus_chunks() -> Iterator[pa.Array]:
    for path in sorted(CORPUS.glob("*.parquet")):
        yield from pq.read_table(path, columns=["content"], use_threads=False)["content"].cast(pa.string()).chunks


def _library_chunks() -> Iterator[pa.Array]:
    """Files of the standard library, cut into pieces of about 8 kB to have enough of them."""
    total = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        text = path.read_bytes().decode(errors="replace")
        total += len(text)
        yield pa.array([text[start : start + 8_000] for start in range(0, len(text), 8_000)], pa.string())
        if total > _POOL_BYTES:
            return
