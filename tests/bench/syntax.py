"""`python -m tests.bench.syntax [--limit-mb MB]`: trees of the code corpus, as JSON; what the bench `syntax` runs.

Every batch of files is only parsed, and parsed, read, named, checked and put into Arrow columns, in turns of who comes
first, so that both sides of the ratio meet the same state of the machine.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from tree_sitter import Parser

from pipeline.parquet import parquet_bytes
from schemas.ast import ERROR, MISSING
from stages.parse.loaded import load_grammar
from stages.parse.parse import Parsed, parse_source, parsed_batch
from tests.bench.material import CORPUS

GRAMMARS = ("c", "cpp", "csharp", "go", "java", "javascript", "python", "ruby", "scala", "typescript")
_BATCH_BYTES = 4_000_000


@dataclass(slots=True)
class Measured:
    """One language."""

    grammar: str
    files: int = 0
    bytes: int = 0
    lines: int = 0
    nodes: int = 0
    units: int = 0
    without_errors: int = 0
    lossless: int = 0
    parse_cpu_s: float = 0
    full_cpu_s: float = 0
    stored_bytes: int = 0
    peak_bytes: int = 0


def measure_grammar(grammar: str, limit_bytes: int) -> Measured:
    """All files of a language, or the first ones up to a limit."""
    loaded, measured, batches = load_grammar(grammar), Measured(grammar), []
    for number, sources in enumerate(_batches(grammar, limit_bytes)):
        if number % 2:
            measured.parse_cpu_s += _parse_only(loaded.parser, sources)
        started = time.process_time()
        trees = [parse_source(source, grammar) for source in sources]
        batches.append(parsed_batch(trees))
        measured.full_cpu_s += time.process_time() - started
        if not number % 2:
            measured.parse_cpu_s += _parse_only(loaded.parser, sources)
        _add(measured, sources, trees)
    measured.stored_bytes = parquet_bytes(pa.Table.from_batches(batches)).size if batches else 0
    return measured


def _parse_only(parser: Parser, sources: list[bytes]) -> float:
    """CPU seconds of the parser alone."""
    started = time.process_time()
    for source in sources:
        parser.parse(source)
    return time.process_time() - started


def _add(measured: Measured, sources: list[bytes], trees: list[Parsed]) -> None:
    measured.files += len(sources)
    measured.bytes += sum(map(len, sources))
    measured.lines += sum(source.count(b"\n") for source in sources)
    measured.nodes += sum(len(tree.concept) for tree in trees)
    measured.units += sum(len(tree.units) for tree in trees)
    measured.without_errors += sum(not (tree.columns.flags & (ERROR | MISSING)).any() for tree in trees)
    measured.lossless += sum(tree.is_lossless for tree in trees)


def _batches(grammar: str, limit_bytes: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    total = size = 0
    for path in sorted(p for p in CORPUS.glob("*.parquet") if p.stem.partition("-")[0] == grammar):
        for text in pq.read_table(path, columns=["content"])["content"]:
            source = text.as_buffer().to_pybytes()
            batch.append(source)
            size, total = size + len(source), total + len(source)
            if size >= _BATCH_BYTES or total >= limit_bytes:
                yield batch
                batch, size = [], 0
            if total >= limit_bytes:
                return
    if batch:
        yield batch


def main() -> None:
    """Print one JSON list."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.syntax", description=__doc__)
    parser.add_argument("--limit-mb", type=float, default=1e6, help="of every language; all without it")
    limit = int(parser.parse_args().limit_mb * 1e6)
    for grammar in GRAMMARS:  # compile and load before anything is timed
        parse_source(b"x", grammar)
    measured = [measure_grammar(grammar, limit) for grammar in GRAMMARS]
    measured[0].peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([asdict(language) for language in measured]))


if __name__ == "__main__":
    main()
