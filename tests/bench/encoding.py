"""`python -m tests.bench.encoding bound|memory|parquet`: what encoding costs beside the encoder, as JSON.

`bound`: a shard of documents to a shard of tokens, through the call that a run makes, against the sum of its parts,
each alone: reading the text column, encoding, writing the tokens as Parquet, SHA-256 of the file. `memory`: resident
bytes while the engine encodes text that never repeats. `parquet`: ways of writing tokens.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import stage as stages
from pipeline.annotate import ChainCall, annotate
from pipeline.execute import THREAD_VARIABLES
from pipeline.parquet import parquet_bytes
from pipeline.plan import Plan
from pipeline.site_file import StoreSite
from pipeline.storage import open_storage
from pipeline.store import Store
from stages.text_views import string_chunks, text_views
from stages.tokenization import engines
from stages.tokenization.encode import BATCH_BYTES, EncodeConfig, encode_stage
from stages.tokenization.engines import Gigatoken
from stages.tokenization.lists import text_parts
from stages.tokenization.shipped import SHIPPED
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary
from tests.bench import material
from tests.bench.material import ROOT, SyntheticConfig, synthetic, synthetic_table
from tests.bench.report import Figure

Result = TypeVar("Result")
_MB = 1e6
_SAMPLE_BYTES = 500_000_000
_ROUND_BYTES = 16_000_000


def measure_bound(folder: Path, vocabulary: str, shard_bytes: int, repeat: int) -> Iterator[dict[str, object]]:
    """CPU seconds of every shard, with an encoder that has seen nothing (`cold`) and with the same text again."""
    store, config = Store(open_storage(StoreSite(path=str(folder)))), _config(vocabulary)
    documents = synthetic(SyntheticConfig(shards=repeat, shard_bytes=shard_bytes))
    tokens = annotate("tokens", documents, stages=[encode_stage(config)])
    plan = Plan(targets=(tokens,), store=store, scratch=folder / "scratch")
    plan.grow()
    for number, (made, task) in enumerate(zip(plan.tasks[documents], plan.tasks[tokens], strict=True)):
        made.call(store)
        call, engine = task.call, Gigatoken(_load(config))
        assert isinstance(call, ChainCall)
        stages._OPENED.clear()
        stages.open_stages(call.stages)
        before = Gigatoken(_load(config))
        _parts(store, call, before)  # files in the page cache, heaps grown: neither side goes first
        for state in ("cold", "warm"):
            whole: float | None = None
            if number % 2:
                whole, _ = _timed(lambda call=call: call(store))
            parts, size = _parts(store, call, engine)
            if whole is None:
                whole, _ = _timed(lambda call=call: call(store))
            store.discard(call.output)
            share = sum(parts.values()) / whole
            yield {"vocabulary": vocabulary, "cache": state, "bytes": size, "whole": whole, "share": share} | parts


def _config(vocabulary: str) -> EncodeConfig:
    """For the name of a shipped vocabulary, or the path of a file that needs no split."""
    sha256 = "" if vocabulary in SHIPPED else hashlib.sha256(Path(vocabulary).read_bytes()).hexdigest()
    return EncodeConfig(vocabulary=vocabulary, vocabulary_sha256=sha256)


def _load(config: EncodeConfig) -> Vocabulary:
    return load_vocabulary(config.vocabulary, sha256=config.vocabulary_sha256, split=config.split)


def _parts(store: Store, call: ChainCall, engine: Gigatoken) -> tuple[dict[str, float], int]:
    """CPU seconds of each part alone, and the bytes of text."""
    read, table = _timed(lambda: store.read(call.inputs[0], ["text"]))
    views = [text_views(part["text"]) for part in text_parts(table, BATCH_BYTES)]
    encode, encoded = _timed(lambda: [engine.encode(*view) for view in views])
    lists = [pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), pa.array(ids)) for starts, ids in encoded]
    tokens = pa.chunked_array(lists)
    num_tokens = pa.array(np.diff(tokens.combine_chunks().offsets.to_numpy()), pa.int32())
    written = pa.table({"tokens": tokens, "num_tokens": num_tokens})
    write, data = _timed(lambda: parquet_bytes(written))
    digest, _ = _timed(lambda: hashlib.sha256(data).hexdigest())
    size = sum(int(offsets[-1] - offsets[0]) for offsets, _ in views)
    return {"read": read, "encode": encode, "write": write, "digest": digest}, size


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def measure_memory(vocabulary: str, total_bytes: float) -> Iterator[dict[str, float]]:
    """Resident bytes every 0.5 GB of text in which every 20th letter is another one in each round."""
    (text,) = string_chunks(synthetic_table(SyntheticConfig(shards=1, shard_bytes=_ROUND_BYTES), 0)["text"])
    offsets, data = (view.copy() for view in text_views(text))
    material._pool.cache_clear()
    pa.default_memory_pool().release_unused()
    engine, process = Gigatoken(_load(_config(vocabulary))), psutil.Process()
    letters = np.flatnonzero((data >= ord("a")) & (data <= ord("z")))
    rng, done, cpu_s = np.random.default_rng(20261124), 0, 0.0
    while done < total_bytes:
        spent, _ = _timed(lambda: engine.encode(offsets, _changed(data, letters, rng)))
        before, done, cpu_s = done, done + len(data), cpu_s + spent
        if before // _SAMPLE_BYTES != done // _SAMPLE_BYTES:
            yield {"gb": done / 1e9, "rss_mb": process.memory_info().rss / _MB, "mb_per_cpu_s": done / _MB / cpu_s}


def _changed(
    data: npt.NDArray[np.uint8], letters: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    changed, places = data.copy(), rng.choice(letters, len(letters) // 20)
    changed[places] = rng.integers(ord("a"), ord("z") + 1, len(places), dtype=np.uint8)
    return changed


_WAYS: Mapping[str, Mapping[str, Any]] = {
    "plain, zstd 1": {"compression": "zstd", "compression_level": 1},
    "plain, zstd 3": {"compression": "zstd", "compression_level": 3},
    "plain, zstd -1": {"compression": "zstd", "compression_level": -1},
    "plain, lz4": {"compression": "lz4"},
    "plain, none": {"compression": "none"},
    "split, zstd 1": {
        "compression": "zstd",
        "compression_level": 1,
        "column_encoding": {"tokens.list.element": "BYTE_STREAM_SPLIT"},
    },
    "delta, zstd 1": {
        "compression": "zstd",
        "compression_level": 1,
        "column_encoding": {"tokens.list.element": "DELTA_BINARY_PACKED"},
    },
    "dictionary, zstd 1": {"compression": "zstd", "compression_level": 1, "use_dictionary": ["tokens.list.element"]},
}


def measure_parquet(vocabulary: str, shard_bytes: int) -> Iterator[dict[str, object]]:
    """Bytes per token, and millions of tokens per CPU-second of writing and of reading, of each way."""
    text = synthetic_table(SyntheticConfig(shards=1, shard_bytes=shard_bytes), 0)["text"]
    tokens = encode_stage(_config(vocabulary)).open()(pa.table({"text": text})).combine_chunks()
    count = sum(tokens["num_tokens"].to_pylist())
    rows = max(1, 16_000_000 * tokens.num_rows // tokens.nbytes)
    for name, options in _WAYS.items():
        options = {"use_dictionary": False, "write_statistics": False, "row_group_size": rows} | dict(options)
        out = pa.BufferOutputStream()
        write, _ = _timed(lambda: pq.write_table(tokens, out, **options))  # noqa: B023
        data = out.getvalue()
        read, _ = _timed(lambda: pq.read_table(pa.BufferReader(data), use_threads=False))  # noqa: B023
        rates = {"write": count / write / _MB, "read": count / read / _MB}
        yield {"way": name, "bytes_per_token": data.size / count} | rates


def bench_encoding(repeat: int, *, quick: bool) -> Iterator[Figure]:
    """Documents to tokens against the sum of the parts, and memory over text that never repeats."""
    bound = _lines("bound", "--repeat", str(repeat), "--shard-mb", "8" if quick else "64")
    for cache in ("cold", "warm"):
        rows = [row for row in bound if row["cache"] == cache]
        least = {part: min(row[part] for row in rows) for part in ("whole", "read", "encode", "write", "digest")}
        share = 100 * sum(least[part] for part in least if part != "whole") / least["whole"]
        note = {"cold": "encoder has seen nothing", "warm": "the same text again"}[cache] + "; least time of each part"
        yield _figure(f"share of the bound, {cache}", "%", [share], target=85, note=note)
        yield _figure(f"throughput, {cache}", "MB/CPU-s", [row["bytes"] / _MB / row["whole"] for row in rows])
        for part in ("read", "encode", "write", "digest"):
            yield _figure(f"{part} alone, {cache}", "MB/CPU-s", [row["bytes"] / _MB / row[part] for row in rows])
    memory = [row["rss_mb"] for row in _lines("memory", "--gb", "1.1" if quick else "10.1")]
    half = len(memory) // 2
    growth = 100 * (max(memory[half:]) / max(memory[:half]) - 1)
    note = f"highest of the second half over the first of {len(memory) / 2:g} GB that never repeat"
    yield Figure(bench="encoding", name="growth of memory", unit="%", runs=(growth,), target=10, note=note)
    yield Figure(bench="encoding", name="resident memory, highest", unit="MB", runs=(max(memory),))


def _lines(*arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.bench.encoding", *arguments]
    environment = os.environ | THREAD_VARIABLES
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _figure(name: str, unit: str, runs: Sequence[float], *, target: float | None = None, note: str = "") -> Figure:
    return Figure(bench="encoding", name=name, unit=unit, runs=tuple(runs), better="more", target=target, note=note)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.encoding", description=__doc__)
    parser.add_argument("what", choices=["bound", "memory", "parquet"])
    parser.add_argument("--vocabulary", default="cl100k_base", help="name, or path of a file")
    parser.add_argument("--shard-mb", type=float, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--gb", type=float, default=10, help="of `memory`")
    args = parser.parse_args(arguments)
    size = int(args.shard_mb * _MB)
    pa.set_cpu_count(1)
    if args.what == "bound":
        engines._CACHE_BYTES = 1 << 40  # three engines share the process: each would take the others for its own growth
    with tempfile.TemporaryDirectory(prefix="gristmill-encoding-") as folder:
        runs: dict[str, Callable[[], Iterator[Mapping[str, object]]]] = {
            "bound": lambda: measure_bound(Path(folder), args.vocabulary, size, args.repeat),
            "memory": lambda: measure_memory(args.vocabulary, args.gb * 1e9),
            "parquet": lambda: measure_parquet(args.vocabulary, size),
        }
        for line in runs[args.what]():
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
