"""The Parquet source: one row a document.

Reads row groups; a file is cut into units from its footer alone. Writes `RAW`: one row per row of the file, whose
member is the row's number, counted from 0.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.source import Part, ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.columns import check_columns, pick
from stages.ingest.containers import ROW_BYTES, check_paths, digest_facts, find_containers, stamp, unchanged
from stages.ingest.records import (
    Named,
    RecordConfig,
    Records,
    clean_text,
    container_row,
    problem_rows,
    regroup,
    to_raw,
)
from stages.ingest.streams import HARMLESS_BYTES

SUFFIXES = (".parquet", ".pq")
"""File names that are taken from a folder; a file named itself, or by a glob, may have any name."""

_BATCH_BYTES = 8_000_000
_MAX_BATCH_ROWS = 16_384
_PART_EXPANSION = 4
"""A part that decodes to this many times its share of the file holds a `bomb`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetConfig(RecordConfig):
    """Which files, and which of their columns."""

    paths: tuple[str, ...]
    """Files, folders or globs."""

    def __post_init__(self) -> None:
        check_paths(self.paths)
        RecordConfig.__post_init__(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Groups:
    """Consecutive row groups of one unit."""

    first: int
    stop: int
    row: int
    """Number of the first row in the file."""
    rows: int
    bytes: int
    """Of the text column, unpacked; a text that occurs often may count once."""

    @property
    def is_repetitive(self) -> bool:
        """Whether rows take so little room that they may be many times larger when decoded."""
        return self.bytes <= self.rows * ROW_BYTES


def _scan(config: ParquetConfig, context: ScanContext) -> Iterator[Unit]:
    for container in find_containers(config.paths, SUFFIXES):
        named = Named(origin=container.origin, path=container.path.name)
        yield from scan_parquet(config, container.path, named, context)


def scan_parquet(
    config: RecordConfig, path: Path, named: Named, context: ScanContext, first_row: int = 0
) -> Iterator[Unit]:
    """The units of one file, from its footer; `first_row` is the number of its first row.

    Raises `SourceError` if a column is missing or cannot hold what it is mapped to. A file that cannot be opened, or
    says that it has impossibly many rows, becomes one row with the problem.
    """
    length, scanned = path.stat().st_size, stamp(path)
    digest = context.sha256(path).hex()
    location = {"path": str(path.absolute()), "stamp": scanned, "named": asdict(named)}
    facts = [digest, asdict(named), first_row, *config.facts()]
    try:
        with pq.ParquetFile(path) as file:
            problem = _judge(file.metadata, length, config)
            if problem is None:
                column = check_columns(config, path, file)
                groups = list(_group(file.metadata, column, config, first_row))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        problem = "corrupt"
    if problem is not None:
        yield Unit(
            label=named.origin,
            identity=digest_facts("parquet", problem, *facts),
            location=json.dumps({**location, "problem": problem}, sort_keys=True),
            parts=(Part(rows=1, bytes=0),),
        )
        return
    for group in groups:
        yield Unit(
            label=f"{named.origin} from row {group.row}",
            identity=digest_facts("parquet", *facts, asdict(group)),
            location=json.dumps({**location, "problem": None, "groups": asdict(group)}, sort_keys=True),
            parts=tuple(_parts(group, config)),
        )


def _judge(metadata: pq.FileMetaData, length: int, config: RecordConfig) -> str | None:
    rows = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    if any(count < 0 for count in rows):
        return "corrupt"
    return "bomb" if sum(rows) > length * config.limits.max_expansion_ratio + HARMLESS_BYTES else None


def _group(metadata: pq.FileMetaData, column: int, config: RecordConfig, row: int) -> Iterator[_Groups]:
    """Row groups joined up to about a shard each."""
    first, rows, size = 0, 0, 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        weight = max(0, group.column(column).total_uncompressed_size)
        if rows and size + weight + (rows + group.num_rows) * ROW_BYTES > config.limits.shard_bytes:
            yield _Groups(first=first, stop=index, row=row, rows=rows, bytes=size)
            first, row, rows, size = index, row + rows, 0, 0
        rows, size = rows + group.num_rows, size + weight
    if rows:
        yield _Groups(first=first, stop=metadata.num_row_groups, row=row, rows=rows, bytes=size)


def _parts(group: _Groups, config: RecordConfig) -> Iterator[Part]:
    """Equal numbers of rows, as many parts as the group is shards large."""
    size = min(group.bytes, group.rows * config.limits.max_document_bytes)
    count = min(group.rows, -(-(size + group.rows * ROW_BYTES) // config.limits.shard_bytes))
    for index in range(count):
        rows = group.rows * (index + 1) // count - group.rows * index // count
        yield Part(rows=rows, bytes=size * rows // group.rows)


def read_parquet(config: RecordConfig, unit: Unit) -> Iterator[pa.Table]:
    """One `RAW` table per part of a unit of `scan_parquet`.

    Holds one part in memory: about a shard, at worst a row group, where its large texts stand together.
    """
    location = json.loads(unit.location)
    path, named = Path(location["path"]), Named(**location["named"])
    if location["problem"] is not None:
        tables = iter([container_row(named, path.stat().st_size, location["problem"])])
    else:
        groups = _Groups(**location["groups"])
        tables = regroup(_tables(config, path, named, groups, unit.parts), unit.parts, str(path))
    yield from unchanged(path, location["stamp"], tables)


def _tables(
    config: RecordConfig, path: Path, named: Named, groups: _Groups, parts: tuple[Part, ...]
) -> Iterator[pa.Table]:
    """The rows of a unit in batches; those after damage are `corrupt`."""
    row, stop = groups.row, groups.row + groups.rows
    budget = _PART_EXPANSION * max(config.limits.shard_bytes, 0 if groups.is_repetitive else groups.bytes)
    ends = _ends(groups.row, parts)
    end, left = next(ends), budget
    try:
        for batch in _batches(config, path, groups):
            while batch.num_rows:
                here = batch.slice(0, end - row)
                records = _records(config, here, row, left)
                left -= pc.sum(pc.binary_length(records.content)).as_py() or 0
                yield to_raw(records, named)
                row, batch = row + here.num_rows, batch.slice(here.num_rows)
                if row == end:
                    end, left = next(ends, stop), budget
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
    for start in range(row, stop, _MAX_BATCH_ROWS):
        yield problem_rows(named, range(start, min(stop, start + _MAX_BATCH_ROWS)), "corrupt")


def _ends(row: int, parts: tuple[Part, ...]) -> Iterator[int]:
    for part in parts:
        row += part.rows
        yield row


def _batches(config: RecordConfig, path: Path, groups: _Groups) -> Iterator[pa.RecordBatch]:
    """The columns needed, a few megabytes at a time.

    A column of few distinct texts stays a dictionary, so that a small file cannot fill the memory.
    """
    per_row = groups.bytes // groups.rows + 1
    repeated = [config.text_column] if groups.is_repetitive else None
    with pq.ParquetFile(path, read_dictionary=repeated, memory_map=False, pre_buffer=False) as file:
        yield from file.iter_batches(
            batch_size=max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // per_row)),
            row_groups=list(range(groups.first, groups.stop)),
            columns=sorted({config.text_column, *config.mapped().values()}),
            use_threads=False,
        )


def _records(config: RecordConfig, batch: pa.RecordBatch, row: int, left: int) -> Records:
    texts = pick(batch, config.text_column)
    lengths = _lengths(texts)
    oversize = pc.greater(lengths, config.limits.max_document_bytes)
    kept = pc.if_else(oversize, 0, lengths)
    bomb = pc.greater(pc.cumulative_sum(pc.fill_null(kept, 0)), left)
    reasons = pc.make_struct(pc.is_null(texts), pc.fill_null(oversize, False), bomb)
    problem = pc.case_when(reasons, "broken-record", "oversize", "bomb", pa.scalar(None, pa.string()))
    return Records(
        content=_decode(pc.if_else(pc.is_null(problem), texts, pa.scalar(None, texts.type))),
        size=pc.fill_null(lengths, 0),
        problem=problem,
        number=pa.array(range(row, row + batch.num_rows), pa.int64()),
        fields={name: clean_text(pick(batch, column)) for name, column in config.mapped().items()},
    )


def _lengths(texts: pa.Array) -> pa.Array:
    if isinstance(texts, pa.DictionaryArray):
        return _lengths(texts.dictionary).take(texts.indices)
    if pa.types.is_string_view(texts.type) or pa.types.is_binary_view(texts.type):
        texts = texts.cast(pa.large_binary())
    return pc.binary_length(texts).cast(pa.int64())


def _decode(texts: pa.Array) -> pa.Array:
    if isinstance(texts, pa.DictionaryArray):
        texts = texts.dictionary_decode()
    return texts.cast(pa.large_binary()).cast(pa.binary())


def _read(config: ParquetConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    yield from read_parquet(config, unit)


SOURCE: Source[ParquetConfig] = Source(name="parquet", version=1, writes=RAW, scan=_scan, read=_read)
