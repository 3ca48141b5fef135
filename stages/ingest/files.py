"""File lists: what every source of plain files shares.

Reads single files, safely. Writes listings (`LISTING`), one per unit, and `RAW` tables of the content that was listed.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.source import Part, ReadContext, ScanContext, Unit
from stages.ingest.raw import Limits, Provenance, RawRows

_COLUMNS: "list[pa.Field[Any]]" = [
    pa.field("path", pa.string(), nullable=False),
    pa.field("name", pa.binary(), nullable=False),
    pa.field("size", pa.int64(), nullable=False),
    pa.field("digest", pa.binary()),
    pa.field("problem", pa.string()),
]

LISTING = pa.schema(_COLUMNS)
"""The files of one unit, sorted by path.

path: printable path inside the source. name: the bytes that open it, relative to the root of the source.
digest: SHA-256 of the content, or the id of a git blob; null exactly where `problem` says why it is not read.
"""

MAX_UNIT_FILES = 100_000
"""Files after which a unit is cut, so that millions of empty files do not make one listing."""

_AMBIGUOUS = re.compile(r"\\x[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source: a row of `LISTING`."""

    path: str
    name: bytes
    size: int = 0
    digest: bytes | None = None
    problem: str | None = None


def printable(name: str | bytes) -> str:
    r"""A file name or path as text: bytes that are not UTF-8 become `\xNN`. Two names never give the same text.

    Where a part of the path has such bytes, or already looks as if it had, its own backslashes are doubled.
    """
    raw = os.fsencode(name) if isinstance(name, str) else name
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "/".join(map(_escape, raw.split(b"/")))
    return "/".join(map(_escape, raw.split(b"/"))) if _AMBIGUOUS.search(text) else text


def _escape(part: bytes) -> str:
    text = part.decode("utf-8", "backslashreplace")
    return part.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace") if _AMBIGUOUS.search(text) else text


@dataclass(slots=True)
class Describer:
    """Looks at files under `root` (absolute, without links) and hashes those that will be read."""

    root: Path
    limits: Limits
    context: ScanContext
    _folder: tuple[Path, bool] | None = None

    def describe(self, name: str) -> Entry:
        """The file `name` under the root with its digest, or with the problem why it is not read.

        Links are never followed: one that stays inside the root is a `link` (its target is listed under its own name),
        any other is a `broken-link`. Devices, sockets and pipes are a `link` too and are never opened.
        """
        file, path, raw = self.root / name, printable(name), os.fsencode(name)
        size = 0
        try:
            status = file.lstat()
            if not self._holds_folder(file.parent):
                return Entry(path, raw, problem="broken-link")
            if stat.S_ISLNK(status.st_mode):
                return Entry(path, raw, status.st_size, problem="link" if self._holds(file) else "broken-link")
            if not stat.S_ISREG(status.st_mode):
                return Entry(path, raw, problem="link")
            size = status.st_size
            if size > self.limits.max_document_bytes:
                return Entry(path, raw, size, problem="oversize")
            return Entry(path, raw, size, self.context.sha256(file))
        except OSError:
            return Entry(path, raw, size, problem="unreadable")

    def _holds_folder(self, folder: Path) -> bool:
        """`_holds`, remembered for the last folder, because files come folder by folder."""
        if self._folder is None or self._folder[0] != folder:
            self._folder = (folder, self._holds(folder))
        return self._folder[1]

    def _holds(self, path: Path) -> bool:
        try:
            return Path(os.path.realpath(path, strict=True)).is_relative_to(self.root)
        except OSError:
            return False


def cut_units(
    entries: Iterable[Entry], root: Path, provenance: Provenance, limits: Limits, context: ScanContext
) -> Iterator[Unit]:
    """The files of one origin and revision as units of at most `limits.shard_bytes`, each with one part.

    `entries` come sorted by path. A unit's identity covers its provenance and, of each file, path, size, digest and
    problem; a file larger than a shard is a unit of its own.
    """
    chunks: list[tuple[str, str, Part]] = [
        (_identity(provenance, chunk), context.save(_listing(chunk)), _part(chunk))
        for chunk in _chunks(entries, limits)
    ]
    origin = f"{provenance.origin}@{provenance.revision}" if provenance.revision else provenance.origin
    for number, (identity, listing, part) in enumerate(chunks, start=1):
        location = {"root": os.fspath(root), "listing": listing, "provenance": asdict(provenance)}
        yield Unit(
            label=f"{origin} {number}/{len(chunks)}",
            identity=identity,
            location=json.dumps(location, sort_keys=True),
            parts=(part,),
        )


def _chunks(entries: Iterable[Entry], limits: Limits) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    filled = 0
    for entry in entries:
        size = 0 if entry.digest is None else entry.size
        if chunk and (filled + size > limits.shard_bytes or len(chunk) == MAX_UNIT_FILES):
            yield chunk
            chunk, filled = [], 0
        chunk.append(entry)
        filled += size
    if chunk:
        yield chunk


def _identity(provenance: Provenance, chunk: list[Entry]) -> str:
    digest = hashlib.sha256(json.dumps(asdict(provenance), sort_keys=True).encode())
    for entry in chunk:
        content = None if entry.digest is None else entry.digest.hex()
        digest.update(json.dumps([entry.path, entry.size, content, entry.problem]).encode() + b"\n")
    return digest.hexdigest()


def _listing(chunk: list[Entry]) -> pa.Table:
    columns = {name: [getattr(entry, name) for entry in chunk] for name in LISTING.names}
    return pa.table(columns, schema=LISTING)


def _part(chunk: list[Entry]) -> Part:
    return Part(rows=len(chunk), bytes=sum(entry.size for entry in chunk if entry.digest is not None))


@dataclass(frozen=True, slots=True)
class Opened:
    """A unit as a reader sees it."""

    root: Path
    entries: list[Entry]
    provenance: Provenance


def open_unit(unit: Unit, context: ReadContext) -> Opened:
    """What `cut_units` put into the unit."""
    location = json.loads(unit.location)
    columns = context.listing(location["listing"]).select(LISTING.names).to_pydict().values()
    entries = [Entry(*row) for row in zip(*columns, strict=True)]
    return Opened(Path(location["root"]), entries, Provenance(**location["provenance"]))


def read_unit(unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    """The one table of a unit of files on disk. Raises `SourceError` if a file is not what the scan listed."""
    opened = open_unit(unit, context)
    rows = RawRows(opened.provenance)
    for entry in opened.entries:
        if entry.digest is None:
            rows.add(entry.path, None, size=entry.size, problem=entry.problem)
        else:
            rows.add(entry.path, _read_listed(opened.root, entry), content_hash=entry.digest)
    yield rows.table()


def _read_listed(root: Path, entry: Entry) -> bytes:
    file = root / os.fsdecode(entry.name)
    try:
        content = read_regular(file, entry.size + 1)
    except OSError as error:
        raise SourceError(f"{file} changed while reading ({error.strerror or error}); run again") from error
    if len(content) != entry.size or hashlib.sha256(content).digest() != entry.digest:
        raise SourceError(f"{file} changed while reading: it is no longer the {entry.size} bytes listed; run again")
    return content


def read_regular(file: Path, max_bytes: int) -> bytes:
    """At most the first `max_bytes` of a regular file. Never waits on a pipe or follows a final link: `OSError`."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{file} is not a regular file")
        return opened.read(max_bytes)
