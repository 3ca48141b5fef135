"""The JSONL source: one JSON object a line, plain or compressed.

Reads lines as streams; a plain file is cut at line borders into units that are read in parallel. Writes `RAW`: one row
per line that is not blank, whose member is the line's number, counted from 1.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline.source import Part, ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.containers import ROW_BYTES, Container, check_paths, digest_facts, find_containers, stamp, unchanged
from stages.ingest.lines import Batch, Probe, is_blank, split_lines
from stages.ingest.records import Named, RecordConfig, container_row, regroup, to_raw
from stages.ingest.streams import BLOCK_BYTES, DamagedError, Stream, sniff_codec

SUFFIXES = tuple(
    name + packed for name in (".jsonl", ".ndjson", ".json") for packed in ("", ".gz", ".zst", ".xz", ".bz2")
)
"""File names that are taken from a folder; a file named itself, or by a glob, may have any name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JsonlConfig(RecordConfig):
    """Which files, and which fields of their records."""

    paths: tuple[str, ...]
    """Files, folders or globs."""

    def __post_init__(self) -> None:
        check_paths(self.paths)
        RecordConfig.__post_init__(self)


@dataclass(slots=True)
class _Cut:
    """The lines of one part."""

    start: int
    """Bytes of the file, unpacked, before its first line."""
    line: int
    """Number of its first line."""
    end: int = 0
    rows: int = 0
    content: int = 0
    """Bytes of its lines that will be read."""


def _scan(config: JsonlConfig, context: ScanContext) -> Iterator[Unit]:
    for container in find_containers(config.paths, SUFFIXES):
        with container.path.open("rb") as file:
            codec = sniff_codec(file.read(8))
        scanned = stamp(container.path)
        cuts = _cut(config, container, codec)
        if codec == "plain":
            for cut in cuts:
                yield _unit(config, container, codec, scanned, [cut], _digest(container.path, cut.start, cut.end))
        elif listed := list(cuts):
            yield _unit(config, container, codec, scanned, listed, context.sha256(container.path).hex())


def _unit(config: JsonlConfig, container: Container, codec: str, scanned: str, cuts: list[_Cut], digest: str) -> Unit:
    first = cuts[0]
    location = {
        "path": str(container.path), "stamp": scanned, "name": container.name, "codec": codec,
        "start": first.start, "end": cuts[-1].end, "line": first.line,
    }  # fmt: skip
    return Unit(
        label=f"{container.origin} from line {first.line}",
        identity=digest_facts("jsonl", container.name, codec, first.line, digest, *config.facts()),
        location=json.dumps(location, sort_keys=True),
        parts=tuple(Part(rows=cut.rows, bytes=cut.content) for cut in cuts),
    )


def _digest(path: Path, start: int, end: int) -> str:
    """SHA-256 of a range, so that lines added to a file leave the units before them as they were."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        read = _limited(file, start, end)
        while block := read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _limited(file: BinaryIO, start: int, end: int) -> Callable[[int], bytes]:
    file.seek(start)
    return lambda size: file.read(min(size, end - file.tell()))


def _cut(config: JsonlConfig, container: Container, codec: str) -> Iterator[_Cut]:
    """The parts of a file, from one pass over its lines."""
    limits, probe = config.limits, Probe(config, container.path)
    cut, position, filled = _Cut(start=0, line=1), 0, 0
    with container.path.open("rb") as file:
        try:
            lines = split_lines(Stream(file.read, codec, limits), limits.max_document_bytes)
            for number, (content, size) in enumerate(lines, start=1):
                weight = ROW_BYTES + (0 if content is None else size)
                if not is_blank(content):
                    if cut.rows and filled + weight > limits.shard_bytes:
                        cut.end = position
                        yield cut
                        cut, filled = _Cut(start=position, line=number), 0
                    probe.look(number, content)
                    cut.rows += 1
                    cut.content += weight - ROW_BYTES
                    filled += weight
                position += size + 1
        except DamagedError:
            cut.rows += 1
    probe.check()
    cut.end = position
    if cut.rows:
        yield cut


def _read(config: JsonlConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    location = json.loads(unit.location)
    tables = regroup(_tables(config, location), unit.parts, location["path"])
    yield from unchanged(Path(location["path"]), location["stamp"], tables)


def _tables(config: JsonlConfig, location: dict[str, Any]) -> Iterator[pa.Table]:
    """The rows of a unit in batches."""
    path = Path(location["path"])
    named = Named(origin=f"file:{location['name']}", path=location["name"].rpartition("/")[2])
    with path.open("rb") as file:
        plain = location["codec"] == "plain"
        read = _limited(file, location["start"], location["end"]) if plain else file.read
        stream, batch = Stream(read, location["codec"], config.limits), Batch(config)
        problem = None
        try:
            lines = split_lines(stream, config.limits.max_document_bytes)
            for number, (content, size) in enumerate(lines, start=location["line"]):
                if is_blank(content):
                    continue
                batch.add(number, content, size)
                if batch.is_full:
                    yield to_raw(batch.records(), named)
                    batch = Batch(config)
        except DamagedError as error:
            problem = error.problem
    if batch.numbers:
        yield to_raw(batch.records(), named)
    if problem is not None:
        yield container_row(named, path.stat().st_size, problem)


SOURCE: Source[JsonlConfig] = Source(
    name="jsonl", version=1, writes=RAW, scan=_scan, read=_read, libraries=("orjson", "zstandard")
)
