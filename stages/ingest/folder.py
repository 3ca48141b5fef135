"""The folder source: the files of a folder or a glob, as they lie on disk.

Reads a folder tree without following links. Writes `RAW`: one row per file, link, device and unreadable folder.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.source import ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.files import Describer, Entry, cut_units, printable, read_unit
from stages.ingest.patterns import GLOB_CHARACTERS, Patterns
from stages.ingest.raw import Limits, Provenance

DEFAULT_EXCLUDE = (
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    "*.pyc",
    "node_modules",
    ".venv",
    ".DS_Store",
    "gristmill-store",
)
"""Version control's own files, compiled Python, packages that have an origin and a licence of their own, and the store
of its default name, which grows while the folder is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderConfig:
    """Which folder, and which of its files (see `Patterns`)."""

    path: str
    """A folder, or a folder followed by a glob: `src/**/*.py`. A folder whose name looks like a glob is a folder."""
    origin: str | None = None
    """The documents' origin; `folder:` and the folder's name if None."""
    include: tuple[str, ...] = ()
    """Files wanted; empty means all. Not allowed beside a glob in `path`."""
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    """Files and folders left out, without a row."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.path or "\0" in self.path:
            raise ValueError(f"path must name a folder, got {self.path!r}")
        if self.origin == "":
            raise ValueError("origin must not be empty; leave it out for `folder:` and the folder's name")
        Patterns(self.include, self.exclude)


def walk_files(root: Path, patterns: Patterns) -> Iterator[Entry | str]:
    """Names of the wanted files under `root`, sorted by printable path; an `Entry` for a folder that cannot be listed.

    Needs memory for the names in one folder and its ancestors, not for the tree.
    """
    stack = [iter(_list(root, ""))]
    while stack:
        name = next(stack[-1], None)
        if name is None:
            stack.pop()
        elif not name.endswith("/"):
            if patterns.keeps(printable(name)):
                yield name
        elif not patterns.prunes(printable(name[:-1])):
            try:
                stack.append(iter(_list(root, name)))
            except OSError:
                yield Entry(printable(name[:-1]), os.fsencode(name[:-1]), problem="unreadable")


def _list(root: Path, folder: str) -> list[str]:
    """Names in a folder relative to the root, folders with a trailing slash, in the order of their full paths."""
    with os.scandir(root / folder) as entries:
        names = [folder + entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "") for entry in entries]
    return sorted(names, key=printable)


def scan_folder(root: Path, patterns: Patterns, limits: Limits, context: ScanContext) -> Iterator[Entry]:
    """The wanted files under `root` (absolute, without links), sorted by path."""
    describer = Describer(root, limits, context)
    for found in walk_files(root, patterns):
        yield found if isinstance(found, Entry) else describer.describe(found)


def _scan(config: FolderConfig, context: ScanContext) -> Iterator[Unit]:
    folder, glob = _split_glob(Path(os.path.abspath(config.path)))  # noqa: PTH100, resolve() would follow links
    _check_folder(folder)
    if glob and config.include:
        raise SourceError(
            f"path {config.path!r} has the glob {glob!r} and include={config.include!r} is given too; "
            f"set path={os.fspath(folder)!r} and put every pattern into include"
        )
    patterns = Patterns((f"/{glob}",) if glob else config.include, config.exclude)
    origin = config.origin or f"folder:{printable(folder.name) or '/'}"
    root = folder.resolve()
    entries = scan_folder(root, patterns, config.limits, context)
    yield from cut_units(entries, root, Provenance(origin=origin), config.limits, context)


def _split_glob(path: Path) -> tuple[Path, str]:
    """The folder before the first name with a glob character, and the rest."""
    parts = path.parts
    for end, part in enumerate(parts):
        here = Path(*parts[: end + 1])
        if GLOB_CHARACTERS & set(part) and not os.path.lexists(here):
            return Path(*parts[:end]), "/".join(parts[end:])
    return path, ""


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        raise SourceError(f"folder {folder} does not exist; check its spelling, and that it is mounted on this machine")
    if not folder.is_dir():
        raise SourceError(
            f"{folder} is a file, expected a folder or a glob; "
            f"set path={os.fspath(folder.parent)!r} and include=({'/' + folder.name!r},)"
        )
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise SourceError(f"folder {folder} cannot be listed ({error.strerror}); check its permissions") from error


def _read(_config: FolderConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    return read_unit(unit, context)


SOURCE: Source[FolderConfig] = Source(name="folder", version=1, writes=RAW, scan=_scan, read=_read)
