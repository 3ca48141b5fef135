"""Lines of JSON: split from a stream in bounded memory, parsed, and gathered into columns."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow as pa

from pipeline.errors import SourceError
from stages.ingest.records import RecordConfig, Records
from stages.ingest.streams import Stream

_PROBE_RECORDS = 100
_BATCH_BYTES = 8_000_000
_BATCH_ROWS = 50_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def split_lines(stream: Stream, max_bytes: int) -> Iterator[tuple[bytes | None, int]]:
    r"""Each line without its `\n`, and its size; None instead of a line of more than `max_bytes`.

    Raises the stream's `DamagedError` after the last whole line.
    """
    pieces: list[bytes] = []
    size = 0
    while block := stream.block():
        first, *rest = bytes(block).split(b"\n")
        size += len(first)
        pieces.append(first)
        if size > max_bytes:
            pieces.clear()
        if not rest:
            continue
        yield (b"".join(pieces) if size <= max_bytes else None), size
        for line in rest[:-1]:
            yield (line if len(line) <= max_bytes else None), len(line)
        pieces, size = [rest[-1]], len(rest[-1])
    if size:
        yield (b"".join(pieces) if size <= max_bytes else None), size


def is_blank(line: bytes | None) -> bool:
    """Whether a line holds nothing but whitespace."""
    return line is not None and (not line or line.isspace())


def parse_record(number: int, line: bytes) -> dict[str, object] | None:
    """The JSON object on a line; None if there is none. Of keys that occur twice, the last counts.

    Python's `NaN` and `Infinity` are accepted, since its `json` writes them.
    """
    if number == 1:
        line = line.removeprefix(_BYTE_ORDER_MARK)
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        record = _parse_leniently(line)
    return record if isinstance(record, dict) else None


def _parse_leniently(line: bytes) -> object:
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError):
        return None


def find_value(record: dict[str, object], column: str) -> object:
    """The value under a name, or under a dotted name; None where there is none."""
    if column in record or "." not in column:
        return record.get(column)
    value: object = record
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@dataclass(slots=True)
class Probe:
    """Looks whether the first records of a file have the text column at all."""

    config: RecordConfig
    path: Path
    seen: int = 0
    found: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    """Columns seen, with the JSON type of their first value."""

    def look(self, number: int, line: bytes | None) -> None:
        """Take a line into account. Raises `SourceError` when enough records have no text."""
        if self.found or line is None:
            return
        record = parse_record(number, line)
        if record is None:
            return
        self.seen += 1
        self.found = isinstance(find_value(record, self.config.text_column), str)
        for name, value in record.items():
            self.columns.setdefault(name, type(value).__name__)
        if self.seen == _PROBE_RECORDS:
            self.check()

    def check(self) -> None:
        """Raises `SourceError` if there were records, but none with text."""
        if self.found or not self.seen:
            return
        listed = ", ".join(f"{name} ({kind})" for name, kind in self.columns.items()) or "none"
        raise SourceError(
            f"{self.path}: none of the first {self.seen} records has a string in text_column="
            f"{self.config.text_column!r}; the columns are: {listed:.1000}; set text_column to the one with the text"
        )


@dataclass(slots=True)
class Batch:
    """Gathers lines as columns."""

    config: RecordConfig
    contents: list[bytes | None] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    problems: list[str | None] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    fields: dict[str, list[str | None]] = field(init=False)
    mapped: dict[str, str] = field(init=False)
    held: int = 0
    """Bytes of content so far."""

    def __post_init__(self) -> None:
        self.mapped = self.config.mapped()
        self.fields = {name: [] for name in self.mapped}

    @property
    def is_full(self) -> bool:
        return self.held >= _BATCH_BYTES or len(self.numbers) >= _BATCH_ROWS

    def add(self, number: int, line: bytes | None, size: int) -> None:
        """One line that is not blank; None for one that is too long."""
        record = None if line is None else parse_record(number, line)
        content = None if record is None else _as_bytes(find_value(record, self.config.text_column))
        if content is None:
            self.problems.append("oversize" if line is None else "broken-record")
        else:
            self.problems.append(None)
            size = len(content)
        self.contents.append(content)
        self.sizes.append(size)
        self.numbers.append(number)
        for name, column in self.mapped.items():
            self.fields[name].append(None if record is None else _as_text(find_value(record, column)))
        self.held += size if content is not None else 0

    def records(self) -> Records:
        """The lines so far."""
        return Records(
            content=pa.array(self.contents, pa.binary()),
            size=pa.array(self.sizes, pa.int64()),
            problem=pa.array(self.problems, pa.string()),
            number=pa.array(self.numbers, pa.int64()),
            fields={name: pa.array(values, pa.string()) for name, values in self.fields.items()},
        )


def _as_bytes(value: object) -> bytes | None:
    """Text as UTF-8; None for other types and for text with half a surrogate pair, which is no text."""
    if not isinstance(value, str):
        return None
    try:
        return value.encode()
    except UnicodeEncodeError:
        return None


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
