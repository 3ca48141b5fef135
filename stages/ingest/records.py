"""Records of JSONL and Parquet files: which fields become which columns, and the way from fields to `RAW`."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import SourceError
from pipeline.source import Part
from schemas.documents import RAW, SHA256
from stages.ingest.containers import clean_path
from stages.ingest.raw import Limits

_UNSAFE_PATH = r"^/|\\|\x00|//|/$|^$|^.:|(^|/)\.\.?(/|$)"
_SCHEME = r"^[a-z][a-z0-9+.-]*:"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordConfig:
    """Which fields of a record hold what. A dotted name reaches into objects: `meta.path`.

    A record is named by its origin, revision, path and member. Unless a field is mapped to path or member, the member
    is the record's number, so that names are unique. Mapped fields must be unique together; readers do not check it.
    """

    text_column: str = "text"
    id_column: str | None = None
    """Becomes `member`; the record's number where it is null."""
    path_column: str | None = None
    """Becomes `path`, made relative and safe; where it is null, the file's name and the record's number."""
    origin_column: str | None = None
    """Becomes `origin`; a value without a scheme gets `source:` before it."""
    revision_column: str | None = None
    language_column: str | None = None
    license_column: str | None = None
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not self.text_column:
            raise ValueError("text_column must name a column, got an empty string")
        for name, column in self.mapped().items():
            if not column:
                raise ValueError(f"the column for {name} must not be empty; leave it out if there is none")

    def mapped(self) -> dict[str, str]:
        """Columns besides the text, by the `RAW` column that they become."""
        columns = {
            "origin": self.origin_column,
            "revision": self.revision_column,
            "path": self.path_column,
            "member": self.id_column,
            "language": self.language_column,
            "license": self.license_column,
        }
        return {name: column for name, column in columns.items() if column is not None}

    def facts(self) -> list[object]:
        """What of this config decides the rows of a file, for its identity."""
        limits = self.limits
        return [self.text_column, self.mapped(), limits.shard_bytes, limits.max_document_bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """What documents are called where no field says it."""

    origin: str
    path: str
    revision: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """Some records as columns of equal length."""

    content: pa.Array
    """`binary`; null exactly where `problem` is set."""
    size: pa.Array
    """`int64`."""
    problem: pa.Array
    number: pa.Array
    """`int64`: where in the file."""
    fields: dict[str, pa.Array]
    """Mapped fields as `string`, by `RAW` column."""


def to_raw(records: Records, named: Named) -> pa.Table:
    """The `RAW` rows of some records, in order."""
    fields, rows = records.fields, len(records.content)
    number = records.number.cast(pa.string())
    member = pc.fill_null(fields["member"], number) if "member" in fields else number
    path = pa.repeat(named.path, rows)
    if "path" in fields:
        path = pc.fill_null(_clean_paths(fields["path"]), named.path)
        if "member" not in fields:
            member = pc.if_else(pc.is_valid(fields["path"]), pa.scalar(None, pa.string()), number)
    license_id = fields.get("license", pa.nulls(rows, pa.string()))
    columns = {
        "origin": _schemed(fields["origin"], named.origin) if "origin" in fields else pa.repeat(named.origin, rows),
        "revision": pc.fill_null(fields["revision"], named.revision)
        if "revision" in fields
        else pa.repeat(named.revision, rows),
        "path": path,
        "member": member,
        "language": fields.get("language", pa.nulls(rows, pa.string())),
        "license": license_id,
        "license_from": pc.if_else(pc.is_valid(license_id), "column", pa.scalar(None, pa.string())),
        "size": records.size,
        "content_hash": hash_contents(records.content),
        "content": records.content,
        "problem": records.problem,
    }
    return pa.table(columns, schema=RAW)


def problem_rows(named: Named, numbers: range, problem: str) -> pa.Table:
    """Rows for records that could not be read."""
    rows = len(numbers)
    records = Records(
        content=pa.nulls(rows, pa.binary()),
        size=pa.repeat(pa.scalar(0, pa.int64()), rows),
        problem=pa.repeat(problem, rows),
        number=pa.array(np.arange(numbers.start, numbers.stop, dtype=np.int64)),
        fields={},
    )
    return to_raw(records, named)


def container_row(named: Named, size: int, problem: str) -> pa.Table:
    """The one row of a file that cannot be read, or not to its end; its member is null."""
    row = {name: [None] for name in RAW.names}
    known = {"origin": named.origin, "revision": named.revision, "path": named.path, "size": size, "problem": problem}
    return pa.table({**row, **{name: [value] for name, value in known.items()}}, schema=RAW)


def hash_contents(content: pa.Array) -> pa.Array:
    """SHA-256 of each value of a `binary` array; null where it is null."""
    _, offsets_buffer, data = content.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[content.offset : content.offset + len(content) + 1].tolist()
    view, valid = memoryview(data or b""), content.is_valid()
    digests = b"".join(hashlib.sha256(view[start:end]).digest() for start, end in itertools.pairwise(offsets))
    plain = pa.Array.from_buffers(SHA256, len(content), [None, pa.py_buffer(digests)])
    return pc.if_else(valid, plain, pa.scalar(None, SHA256))


def clean_text(values: pa.Array) -> pa.Array:
    """Any column that can be read as text as valid UTF-8 `string`; damaged bytes become U+FFFD."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not is_text(values.type):
        return values.cast(pa.string())
    raw = values.cast(pa.large_binary())
    try:
        return raw.cast(pa.large_string()).cast(pa.string())
    except pa.ArrowInvalid:
        texts = [None if value is None else value.decode("utf-8", "replace") for value in raw.to_pylist()]
        return pa.array(texts, pa.string())


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are strings or bytes of any length."""
    types = pa.types
    checks = (
        types.is_string, types.is_large_string, types.is_string_view,
        types.is_binary, types.is_large_binary, types.is_binary_view,
    )  # fmt: skip
    return any(check(kind) for check in checks)


def _clean_paths(paths: pa.Array) -> pa.Array:
    unsafe = pc.fill_null(pc.match_substring_regex(paths, _UNSAFE_PATH), False)
    if not pc.any(unsafe).as_py():
        return paths
    cleaned = pa.array([clean_path(path) for path in paths.filter(unsafe).to_pylist()], pa.string())
    return pc.replace_with_mask(paths, unsafe, cleaned)


def _schemed(origins: pa.Array, default: str) -> pa.Array:
    schemed = pc.match_substring_regex(origins, _SCHEME)
    origins = pc.if_else(schemed, origins, pc.binary_join_element_wise("source:", origins, ""))
    return pc.fill_null(origins, default)


def regroup(tables: Iterator[pa.Table], parts: tuple[Part, ...], label: str) -> Iterator[pa.Table]:
    """The rows of `tables`, cut into the planned parts. Raises `SourceError` if their number is another."""
    held: list[pa.Table] = []
    for part in parts:
        rows = sum(table.num_rows for table in held)
        while rows < part.rows:
            table = next(tables, None)
            if table is None:
                raise SourceError(f"{label} changed since it was scanned: it has fewer records; run again")
            held.append(table)
            rows += table.num_rows
        joined = pa.concat_tables(held)
        yield joined.slice(0, part.rows)
        held = [joined.slice(part.rows)]
    if any(table.num_rows for table in held) or next(tables, None) is not None:
        raise SourceError(f"{label} changed since it was scanned: it has more records; run again")
