"""`python -m tests.bench.packing utilisation|shuffle [--json FILE]`: packing of real code, shuffle in little memory.

utilisation: packs the code corpus beside the repository, one file per language, and reads the sequences back.
shuffle: shuffles a synthetic corpus that is ten times larger than what the worker may take above its base, in a process
of its own whose peak the kernel counts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.packing.files import FilesConfig, shuffle
from jobs.packing.methods import pack_rows
from jobs.packing.packings import METHODS
from jobs.packing.rows import Documents, Index, gather
from jobs.placement import PlacementConfig, placement_stage
from pipeline.annotate import annotate
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.execute_local import LocalExecutor
from pipeline.plan import Plan
from pipeline.run import Run
from pipeline.site_file import Site, StoreSite
from pipeline.storage import open_storage
from pipeline.store import Made, Shard, Store
from schemas.columns import columns
from schemas.documents import ID
from schemas.manifest import Record
from stages.tokenization import encode
from tests.bench.material import CORPUS, ROOT
from tests.bench.usage import peak_rss_bytes

UTILISATION_BAR = 0.995
SHUFFLE_BAR = 10.0
"""How many times larger than the worker's memory above its base the shuffled corpus must be."""

_LENGTHS = (2048, 8192)
_MEAN_TOKENS = 1000
_SHARD_TOKENS = 2_000_000
_ROWS = columns(
    pa.field("document_id", ID),
    pa.field("keep", pa.bool_()),
    pa.field("language", pa.string()),
    pa.field("size", pa.int64()),
    pa.field("tokens", pa.list_(pa.int32())),
    pa.field("num_tokens", pa.int32()),
)


def measure_utilisation() -> dict[str, Any]:
    """How full rows are and how fast they are made, over the documents of every language of the code corpus."""
    sizes = dict(_corpus_sizes())
    tokens, documents = sum(int(s.sum()) for s in sizes.values()), sum(len(s) for s in sizes.values())
    found: dict[str, Any] = {"documents": documents, "tokens": tokens}
    warm = np.arange(1, 9, dtype=np.int32)
    pack_rows(warm, warm, method="best-fit", sequence_length=8, key=0)
    for method in METHODS:
        for length in _LENGTHS:
            started = time.process_time()
            packed = {name: _pack(s, method, length) for name, s in sizes.items()}
            cpu_s = time.process_time() - started
            rows = sum(table.num_rows for table in packed.values())
            pieces = sum(len(table["document"].combine_chunks().values) for table in packed.values())
            cut = sum(_cut(table) for table in packed.values())
            found[f"{method}-{length}"] = {
                "utilisation": tokens / (rows * length),
                "sequences": rows,
                "pieces": pieces,
                "documents_cut": cut / documents,
                "mtokens_per_cpu_s": tokens / 1e6 / cpu_s,
                "documents_per_cpu_s": documents / cpu_s,
                "lowest": min(int(s.sum()) / (packed[n].num_rows * length) for n, s in sizes.items()),
            }
    return found | {"read": _measure_reading(max(sizes.values(), key=lambda s: int(s.sum())))}


def measure_shuffle(tokens: int, tokens_per_file: int, scratch: Path) -> dict[str, Any]:
    """The peak of a worker that shuffles, above what it takes before the first task."""
    line = [sys.executable, "-m", "tests.bench.packing", "_work", "--tokens", str(tokens)]
    line += ["--tokens-per-file", str(tokens_per_file), "--scratch", str(scratch)]
    for step in ("documents", "files"):
        done = subprocess.run([*line, "--step", step], check=True, capture_output=True, text=True, cwd=ROOT)
    worker = json.loads(done.stdout)
    above = worker["peak_bytes"] - worker["base_bytes"]
    return {
        **worker,
        "tokens": tokens,
        "tokens_per_file": tokens_per_file,
        "corpus_bytes": 4 * tokens,
        "above_base_bytes": above,
        "bytes_per_token_of_file": above / tokens_per_file,
        "times_larger": 4 * tokens / above,
        "mtokens_per_cpu_s": tokens / 1e6 / worker["cpu_s"],
    }


def _corpus_sizes() -> Iterator[tuple[str, npt.NDArray[np.int32]]]:
    """Tokens of each document, its end included, by file of the corpus."""
    transform = encode.STAGE.open(encode.EncodeConfig(certify_rows=0))
    for path in sorted(CORPUS.glob("*.parquet")):
        texts = pq.read_table(path, columns=["content"]).rename_columns(["text"])
        encoded = transform(texts.cast(pa.schema([("text", pa.string())])))
        yield path.stem, encoded["num_tokens"].to_numpy() + np.int32(1)


def _pack(sizes: npt.NDArray[np.int32], method: str, length: int) -> pa.Table:
    groups = np.arange(len(sizes), dtype=np.int32)
    return pack_rows(sizes, groups, method=method, sequence_length=length, key=0)


def _cut(table: pa.Table) -> int:
    """Documents that stand in more than one piece."""
    return int((np.bincount(table["document"].combine_chunks().values.to_numpy()) > 1).sum())


def _measure_reading(sizes: npt.NDArray[np.int32]) -> dict[str, float]:
    """Tokens of sequences per CPU-second, from documents in memory."""
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    ids = np.zeros((len(sizes), 16), np.uint8)
    documents = Documents(ids=ids, offsets=offsets, tokens=np.arange(offsets[-1], dtype=np.int32))
    table = _pack(sizes, "best-fit", 2048)
    lists = [table[name].combine_chunks() for name in ("document", "start", "length")]
    borders, values = lists[0].offsets.to_numpy().astype(np.int64), [a.values.to_numpy() for a in lists]
    index = Index(borders=borders, document=values[0], start=values[1], length=values[2])
    index.check(documents, 2048, "bench")
    gather(index, documents, 0, 1, sequence_length=2048, padding=0)
    started = time.process_time()
    for row in range(0, len(index), 1024):
        gather(index, documents, row, min(len(index), row + 1024), sequence_length=2048, padding=0)
    return {"mtokens_per_cpu_s": float(offsets[-1]) / 1e6 / (time.process_time() - started)}


@dataclass(frozen=True, slots=True)
class _Generate:
    """Commit one synthetic shard: documents of lognormal length, tokens at random."""

    number: int
    tokens: int
    output: Shard

    def __call__(self, store: Store) -> list[Record]:
        random = np.random.default_rng(self.number)
        count = self.tokens // _MEAN_TOKENS
        lengths = random.lognormal(np.log(_MEAN_TOKENS) - 0.5, 1.0, count).astype(np.int32)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        values = {
            "document_id": pa.array([random.bytes(16) for _ in range(count)], ID),
            "keep": pa.array(np.ones(count, bool)),
            "language": pa.array(["Python"] * count),
            "size": pa.array(np.full(count, 1, np.int64)),
            "tokens": pa.ListArray.from_arrays(
                pa.array(offsets), pa.array(random.integers(0, 100_000, offsets[-1], np.int32))
            ),
            "num_tokens": pa.array(lengths),
        }
        made = Made(libraries={}, counters={})
        return [store.commit(self.output, pa.table(values, schema=_ROWS), made)]


def _expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
    assert isinstance(dataset.config, int)
    each = min(dataset.config, _SHARD_TOKENS)
    outputs = [dataset.shard(str(number)) for number in range(-(-dataset.config // each))]
    return [Task(label=str(n), outputs=(o,), call=_Generate(n, each, o)) for n, o in enumerate(outputs)]


def _work(tokens: int, tokens_per_file: int, scratch: Path, step: str) -> None:
    """One step in this process, after a small one that loads the code; prints what it took."""
    _run(10 * _MEAN_TOKENS, tokens_per_file, scratch / f"small-{step}", "files")
    base, started = peak_rss_bytes(os.getpid()), time.process_time()
    _run(tokens, tokens_per_file, scratch / "large", step)
    cpu_s = time.process_time() - started
    print(json.dumps({"base_bytes": base, "peak_bytes": peak_rss_bytes(os.getpid()), "cpu_s": cpu_s}))


def _run(tokens: int, tokens_per_file: int, scratch: Path, step: str) -> None:
    site = Site(store=StoreSite(path=str(scratch)))
    documents = Dataset(name="documents", version=1, config=tokens, schema=_ROWS, expand=_expand)
    place = placement_stage(PlacementConfig(domain_column="language", seed=0))
    placement = annotate("placement", documents, stages=[place])
    config = FilesConfig(end_of_document=0, tokens_per_file=tokens_per_file)
    target = documents if step == "documents" else shuffle(documents, placement, documents, config)
    plan = Plan(targets=(target,), store=Store(open_storage(site.store)), scratch=scratch)
    Run(plan=plan, executor=LocalExecutor(site), retries=0, listener=lambda _: None).execute()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.packing", description=__doc__)
    parser.add_argument("bench", choices=["utilisation", "shuffle", "_work"])
    parser.add_argument("--tokens", type=int, default=250_000_000, help="of the synthetic corpus")
    parser.add_argument("--tokens-per-file", type=int, default=2_000_000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--step", choices=["documents", "files"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bench == "_work":
        _work(args.tokens, args.tokens_per_file, args.scratch, args.step)
        return
    if args.bench == "utilisation":
        found = measure_utilisation()
    else:
        with tempfile.TemporaryDirectory(prefix="gristmill-bench-", dir=args.scratch) as scratch:
            found = measure_shuffle(args.tokens, args.tokens_per_file, Path(scratch))
    text = json.dumps(found, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
