"""The archive source: zip, wheel, jar, tar in any compression, npm package, crate and gem.

Reads archives as streams; nothing is unpacked to disk or run. Writes `RAW`: one row per member that is not a folder.
The origin names the archive, `path` is the path inside it, and `member` is null unless a path occurs again: then `#2`,
`#3`. Archives inside archives are members like any other.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.source import Part, ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.containers import ROW_BYTES, check_paths, clean_path, digest_facts, find_containers, stamp, unchanged
from stages.ingest.files import printable
from stages.ingest.members import MAX_MEMBERS, Member
from stages.ingest.raw import Limits, Provenance, RawRows
from stages.ingest.streams import DamagedError, Stream, sniff_codec
from stages.ingest.tar_members import gem_members, tar_members
from stages.ingest.zip_members import zip_members

SUFFIXES = (
    ".zip", ".whl", ".jar", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".tzst",
    ".gem", ".crate",
)  # fmt: skip
"""File names that are taken from a folder; a file named itself, or by a glob, may have any name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveConfig:
    """Which archives. Their kind is told by their content."""

    paths: tuple[str, ...]
    """Files, folders or globs."""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        check_paths(self.paths)


def scan_archive(path: Path, provenance: Provenance, limits: Limits, context: ScanContext) -> Iterator[Unit]:
    """The archive as one unit with a part per shard; none if it holds no file.

    Reads the directory of a zip; streams through any other. Never fails on what the archive holds: damage becomes the
    last row, with the archive's name as its path.
    """
    kind, scanned = sniff_kind(path), stamp(path)
    parts = tuple(_plan(_members(path, kind, limits), limits))
    if not parts:
        return
    facts = asdict(provenance)
    origin = f"{provenance.origin}@{provenance.revision}" if provenance.revision else provenance.origin
    yield Unit(
        label=origin,
        identity=digest_facts("archive", kind, _name(path), context.sha256(path).hex(), facts, asdict(limits)),
        location=json.dumps(
            {"path": str(path.absolute()), "stamp": scanned, "kind": kind, "provenance": facts}, sort_keys=True
        ),
        parts=parts,
    )


def read_archive(unit: Unit, limits: Limits, context: ReadContext) -> Iterator[pa.Table]:
    """One `RAW` table per part of a unit of `scan_archive`. Holds one part in memory."""
    location = json.loads(unit.location)
    path, provenance = Path(location["path"]), Provenance(**location["provenance"])
    members = _members(path, location["kind"], limits)
    yield from unchanged(path, location["stamp"], _tables(path, provenance, members, unit.parts))


def _tables(
    path: Path, provenance: Provenance, members: Iterator[Member], parts: tuple[Part, ...]
) -> Iterator[pa.Table]:
    names, size = _Names(), path.stat().st_size
    for part in parts:
        rows = RawRows(provenance)
        while len(rows) < part.rows:
            member = next(members, None)
            if member is None:
                raise SourceError(f"{path} changed since it was scanned: it has fewer members; run again")
            _add(rows, member, names, path, size)
        yield rows.table()
    if next(members, None) is not None:
        raise SourceError(f"{path} changed since it was scanned: it has more members; run again")


def sniff_kind(path: Path) -> str:
    """`zip`, `gem`, or the codec of a tar stream (`plain` for none), by content."""
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith((b"PK\3\4", b"PK\5\6", b"PK\7\x08")):
        return "zip"
    codec = sniff_codec(head)
    if codec != "plain":
        return codec
    if path.suffix == ".gem":
        return "gem"
    return "zip" if path.suffix in (".zip", ".whl", ".jar") and not _is_tar(path) else "plain"


def _is_tar(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(262)[257:] == b"ustar"


def _members(path: Path, kind: str, limits: Limits) -> Iterator[Member]:
    """All members, and never more than `MAX_MEMBERS`; the same ones for a scan and a read."""
    members = zip_members(path, limits) if kind == "zip" else _stream_members(path, kind, limits)
    for count, member in enumerate(members):
        if count == MAX_MEMBERS:
            yield Member(problem="bomb")
            return
        yield member


def _stream_members(path: Path, kind: str, limits: Limits) -> Iterator[Member]:
    with path.open("rb") as file:
        if kind == "gem":
            yield from gem_members(Stream(file.read, "plain", limits), limits)
        else:
            yield from tar_members(Stream(file.read, kind, limits), limits)


def _plan(members: Iterator[Member], limits: Limits) -> Iterator[Part]:
    rows = content = filled = 0
    for member in members:
        size = member.size if member.problem is None else 0
        weight = size + len(member.name or "") + ROW_BYTES
        if rows and filled + weight > limits.shard_bytes:
            yield Part(rows=rows, bytes=content)
            rows = content = filled = 0
        rows, content, filled = rows + 1, content + size, filled + weight
    if rows:
        yield Part(rows=rows, bytes=content)


def _add(rows: RawRows, member: Member, names: "_Names", path: Path, archive_bytes: int) -> None:
    if member.name is None:
        name, again = names.assign(_name(path))
        rows.add(name, None, member=again, size=archive_bytes, problem=member.problem)
        return
    name, again = names.assign(clean_path(member.name))
    content, problem = None, member.problem
    if problem is None:
        try:
            content = member.read()
        except DamagedError as error:
            problem = error.problem
    rows.add(name, content, member=again, size=member.size, problem=problem)


def _name(path: Path) -> str:
    return clean_path(printable(path.name))


@dataclass(slots=True)
class _Names:
    """Keeps (path, member) unique within an archive; remembers 8 bytes of a digest per path."""

    seen: set[bytes] = field(default_factory=set)
    repeats: dict[bytes, int] = field(default_factory=dict)

    def assign(self, path: str) -> tuple[str, str | None]:
        key = hashlib.blake2b(path.encode(), digest_size=8).digest()
        if key not in self.seen:
            self.seen.add(key)
            return path, None
        self.repeats[key] = self.repeats.get(key, 1) + 1
        return path, f"#{self.repeats[key]}"


def _scan(config: ArchiveConfig, context: ScanContext) -> Iterator[Unit]:
    for container in find_containers(config.paths, SUFFIXES):
        yield from scan_archive(container.path, Provenance(origin=container.origin), config.limits, context)


def _read(config: ArchiveConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    yield from read_archive(unit, config.limits, context)


SOURCE: Source[ArchiveConfig] = Source(
    name="archive", version=1, writes=RAW, scan=_scan, read=_read, libraries=("zstandard",)
)
