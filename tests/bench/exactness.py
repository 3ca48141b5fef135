"""`python -m tests.bench.exactness [--vocabulary NAME|PATH ...] [--engine gigatoken|torch]`: every text that there is,
and adversarial strings, encoded by an engine and by the reference; prints the differences as JSON. There must be none.

Texts are read from the corpora beside the repository in batches of about 4 MB, by as many processes as asked for.
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from stages.ingest.charset import decode
from stages.text_views import text_views
from stages.tokenization.disputed import disputed_rows
from stages.tokenization.engines import Engine, Reference, open_engine
from stages.tokenization.vocabulary import SHIPPED, load_vocabulary
from tests.bench.adversarial import adversarial_text
from tests.bench.material import ROOT

CORPORA = ROOT.parent / "shared" / "corpora"
VOCABULARIES = ("cl100k_base", "o200k_base", "tekken_240911", "qwen")
_BATCH_BYTES = 4_000_000
_STRINGS = 5_000
"""Adversarial strings of one piece of work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A file, or the adversarial strings from `first` to `stop`, for one vocabulary and engine."""

    vocabulary: str
    engine: str
    file: str = ""
    limit_bytes: int = 0
    first: int = 0
    stop: int = 0


@dataclass(slots=True)
class Found:
    """What comparing took and gave."""

    texts: int = 0
    bytes: int = 0
    tokens: int = 0
    disputed: int = 0
    """Texts that gigatoken leaves to the reference."""
    mismatches: int = 0
    examples: list[str] = field(default_factory=list)
    """The first texts that differ, at most 5, from where their ids differ."""
    engine_cpu_s: float = 0
    reference_cpu_s: float = 0

    def add(self, other: "Found") -> None:
        """Sum up."""
        for name in ("texts", "bytes", "tokens", "disputed", "mismatches", "engine_cpu_s", "reference_cpu_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.examples = [*self.examples, *other.examples][:5]


def compare(work: Work) -> Found:
    """Encode the texts of one piece of work with both."""
    engine, reference = _open(work.vocabulary, work.engine)
    found = Found()
    for texts in _batches(work):
        offsets, data = text_views(texts)
        times = [time.process_time()]
        starts, ids = engine.encode(offsets, data)
        times.append(time.process_time())
        wanted_starts, wanted = reference.encode(offsets, data)
        times.append(time.process_time())
        found.add(
            Found(
                texts=len(texts),
                bytes=int(offsets[-1] - offsets[0]),
                tokens=len(wanted),
                disputed=len(disputed_rows(offsets, data)),
                engine_cpu_s=times[1] - times[0],
                reference_cpu_s=times[2] - times[1],
            )
        )
        if not (np.array_equal(starts, wanted_starts) and np.array_equal(ids, wanted)):
            _explain(found, texts, (starts, ids), (wanted_starts, wanted))
    return found


def _explain(found: Found, texts: pa.StringArray, got: tuple[Any, Any], wanted: tuple[Any, Any]) -> None:
    for row, text in enumerate(texts.to_pylist()):
        mine, right = (ids[starts[row] : starts[row + 1]].tolist() for starts, ids in (got, wanted))
        if mine != right:
            at = next((i for i, (a, b) in enumerate(zip(mine, right, strict=False)) if a != b), len(right))
            found.mismatches += 1
            found.examples = [
                *found.examples,
                f"token {at} of {text.encode()[:300]!r}: {mine[at:][:5]}, {right[at:][:5]}",
            ][:5]


@lru_cache(maxsize=2)
def _open(name: str, engine: str) -> tuple[Engine, Reference]:
    vocabulary = load_vocabulary(name, sha256="" if name in SHIPPED else _sha256(name))
    reference = Reference(vocabulary)
    return open_engine(engine, vocabulary, reference, "auto"), reference


def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _batches(work: Work) -> Iterator[pa.StringArray]:
    batch: list[str] = []
    size = total = 0
    most = min(_BATCH_BYTES, work.limit_bytes or _BATCH_BYTES)
    for text in _texts(work):
        batch.append(text)
        size += len(text)
        if size >= most:
            yield pa.array(batch, pa.string())
            total, batch, size = total + size, [], 0
            if work.limit_bytes and total >= work.limit_bytes:
                return
    yield pa.array(batch, pa.string())


def _texts(work: Work) -> Iterator[str]:
    path = Path(work.file)
    if not work.file:
        yield from (adversarial_text(number) for number in range(work.first, work.stop))
    elif path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(batch_size=500, columns=["content"], use_threads=False):
            yield from batch.column(0).cast(pa.string()).to_pylist()
    elif path.suffix == ".bin":
        decoded = decode(path.read_bytes())
        yield from () if decoded is None else (decoded.text,)
    else:
        with path.open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
                yield from _strings(json.loads(line))


def _strings(value: object) -> Iterator[str]:
    """Every string of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def plan(vocabulary: str, engine: str, limit_bytes: int, strings: int) -> list[Work]:
    """All pieces of work, the largest first."""
    files = [path for path in CORPORA.rglob("*") if path.suffix in (".parquet", ".zst", ".bin")]
    files.sort(key=lambda path: (-path.stat().st_size, str(path)))
    works = [Work(vocabulary=vocabulary, engine=engine, file=str(path), limit_bytes=limit_bytes) for path in files]
    starts = range(0, strings, _STRINGS)
    works += [Work(vocabulary=vocabulary, engine=engine, first=n, stop=min(strings, n + _STRINGS)) for n in starts]
    return works


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON object per vocabulary; exit code 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.exactness", description=__doc__)
    parser.add_argument("--vocabulary", nargs="+", default=VOCABULARIES, help="names, or paths of files of them")
    parser.add_argument("--engine", nargs="+", default=["gigatoken"], choices=["gigatoken", "torch"])
    parser.add_argument("--limit-mb", type=float, default=0, help="of every file; all without it")
    parser.add_argument("--strings", type=int, default=50_000, help="adversarial strings (default 50000)")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args(arguments)
    failed = False
    for vocabulary, engine in product(args.vocabulary, args.engine):
        works, total = plan(vocabulary, engine, int(args.limit_mb * 1e6), args.strings), Found()
        with ProcessPoolExecutor(args.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for found in pool.map(compare, works):
                total.add(found)
        failed = failed or bool(total.mismatches)
        print(json.dumps({"vocabulary": vocabulary, "engine": engine} | asdict(total)), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
