"""The git source: the files of one commit, read straight out of a repository's object database.

Reads a work tree's or a bare repository's objects; checks nothing out, fetches nothing, runs no hook and no filter.
Writes `RAW`: one row per file, symbolic link and submodule.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.source import ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.files import Entry, cut_units, open_unit, printable
from stages.ingest.gitobjects import Repository, TreeEntry
from stages.ingest.patterns import Patterns
from stages.ingest.raw import Limits, Provenance, RawRows

MAX_FILES = 10_000_000
"""Files after which a tree is taken for one that was made to never end: nested trees cost their author nothing."""

_SCP_ADDRESS = re.compile(r"(?:[^/@:]+@)?(?P<host>[^/@:]+):(?P<path>[^:].*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class GitConfig:
    """Which repository, which commit, and which of its files (see `Patterns`)."""

    path: str
    """A work tree, its `.git`, or a bare repository."""
    revision: str = "HEAD"
    """Branch, tag or commit. The documents carry the full id of its commit."""
    origin: str | None = None
    """The documents' origin; `git:` and the address of the remote `origin`, or the folder's name, if None."""
    include: tuple[str, ...] = ()
    """Files wanted; empty means all."""
    exclude: tuple[str, ...] = ()
    """Files and folders left out, without a row."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.path or "\0" in self.path:
            raise ValueError(f"path must name a repository, got {self.path!r}")
        if not self.revision or self.revision.startswith("-") or "\0" in self.revision:
            raise ValueError(f"revision must be a branch, tag or commit, got {self.revision!r}")
        if self.origin == "":
            raise ValueError("origin must not be empty; leave it out for the address of the remote")
        Patterns(self.include, self.exclude)


def _scan(config: GitConfig, context: ScanContext) -> Iterator[Unit]:
    repository = Repository.find(Path(config.path))
    commit = repository.commit(config.revision)
    provenance = Provenance(origin=config.origin or _origin(repository), revision=commit)
    entries = _entries(repository, commit, Patterns(config.include, config.exclude), config.limits)
    yield from cut_units(entries, repository.git_dir, provenance, config.limits, context)


def _entries(repository: Repository, commit: str, patterns: Patterns, limits: Limits) -> Iterator[Entry]:
    """The wanted files of the commit, sorted by the bytes of their names, as trees are."""
    previous = b""
    for number, found in enumerate(repository.tree(commit), start=1):
        if number > MAX_FILES or (number > 1 and found.name <= previous):
            fault = (
                f"names more than {MAX_FILES:,} files" if number > MAX_FILES else f"repeats or misplaces {found.name!r}"
            )
            raise SourceError(
                f"commit {commit} of {repository.git_dir} {fault}; it is damaged or was made to do harm: "
                "check it with `git fsck` and leave the repository out"
            )
        path = _safe(found.name)
        if patterns.wants(path):
            yield _entry(path, found, limits)
        previous = found.name


def _safe(name: bytes) -> str:
    r"""The path as text; empty parts, `.` and `..` of a tree made to escape its folder are written as `\xNN`."""
    parts = printable(name).split("/")
    return "/".join(part.replace(".", r"\x2e") or r"\x2f" if part in ("", ".", "..") else part for part in parts)


def _entry(path: str, found: TreeEntry, limits: Limits) -> Entry:
    if path != printable(found.name):
        return Entry(path, found.name, found.size or 0, problem="unsafe-path")
    if found.mode not in ("100644", "100755", "100664"):
        return Entry(path, found.name, found.size or 0, problem="link")
    if found.size is None:
        return Entry(path, found.name, problem="corrupt")
    if found.size > limits.max_document_bytes:
        return Entry(path, found.name, found.size, problem="oversize")
    return Entry(path, found.name, found.size, bytes.fromhex(found.blob))


def _origin(repository: Repository) -> str:
    return f"git:{printable(_public_address(repository.remote()) or repository.name)}"


def _public_address(remote: str) -> str | None:
    """A remote's address without user, password, query and fragment; None for what is a path on this machine."""
    if "://" not in remote:
        match = _SCP_ADDRESS.fullmatch(remote)
        return f"{match['host']}:{match['path']}" if match else None
    try:
        address = urlsplit(remote)
        port = f":{address.port}" if address.port else ""
    except ValueError:
        return None
    if address.scheme == "file" or "::" in remote or not address.hostname:
        return None
    return f"{address.scheme}://{address.hostname}{port}{address.path}"


def _read(_config: GitConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    opened = open_unit(unit, context)
    blobs = [entry.digest.hex() for entry in opened.entries if entry.digest is not None]
    contents = Repository(opened.root).contents(blobs)
    rows = RawRows(opened.provenance)
    for entry in opened.entries:
        content = None if entry.digest is None else next(contents)
        if entry.digest is None:
            rows.add(entry.path, None, size=entry.size, problem=entry.problem)
        elif content is None or _blob_id(content, len(entry.digest)) != entry.digest:
            rows.add(entry.path, None, size=entry.size, problem="corrupt")
        else:
            rows.add(entry.path, content)
    yield rows.table()


def _blob_id(content: bytes, id_bytes: int) -> bytes:
    digest = hashlib.sha1(usedforsecurity=False) if id_bytes == 20 else hashlib.sha256()
    digest.update(b"blob %d\0" % len(content))
    digest.update(content)
    return digest.digest()


SOURCE: Source[GitConfig] = Source(name="git", version=1, writes=RAW, scan=_scan, read=_read)
