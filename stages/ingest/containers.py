"""Container files: how archives, JSONL and Parquet files are named in a config, found and identified.

Reads names of files only. Gives `Container`s sorted by name.
"""

import glob
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.errors import SourceError
from stages.ingest.files import printable
from stages.ingest.patterns import GLOB_CHARACTERS
from stages.ingest.raw import safe_path

ROW_BYTES = 128
"""What a row weighs besides its content, so that millions of empty documents fill a shard too."""


@dataclass(frozen=True, slots=True)
class Container:
    """A file that holds documents."""

    name: str
    """Relative to the folder of its path or glob, `/`-separated; the same on every machine."""
    path: Path

    @property
    def origin(self) -> str:
        """The default origin of its documents."""
        return f"file:{self.name}"


def check_paths(paths: tuple[str, ...]) -> None:
    """Raise `ValueError` unless `paths` is a tuple of usable names."""
    if not isinstance(paths, tuple) or not paths or any(not path or "\0" in path for path in paths):
        raise ValueError(f"paths must be a tuple with at least one path or glob, got {paths!r}")


def find_containers(paths: tuple[str, ...], suffixes: tuple[str, ...]) -> list[Container]:
    """The regular files that `paths` select, sorted by name.

    A path is a file, a folder (all files below it that end in one of `suffixes`) or a glob (`**` crosses folders).
    A file's name is relative to the folder given, or to the folder before the first glob character. Raises
    `SourceError` where a path selects nothing, a file cannot be read, or two files would have one name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for container in _select(Path(path).absolute(), suffixes):
            other = found.setdefault(container.name, container.path)
            if other != container.path:
                raise SourceError(
                    f"{other} and {container.path} would both be named {container.name!r}; "
                    f"select them by one glob over a common folder, such as {os.path.commonpath([other, path])}/**"
                )
    return [Container(name, found[name]) for name in sorted(found)]


def _select(path: Path, suffixes: tuple[str, ...]) -> list[Container]:
    base, files = path.parent, [path]
    if path.is_dir():
        base, files = path, _glob(path, "**", suffixes)
    elif not os.path.lexists(path) and GLOB_CHARACTERS & set(os.fspath(path)):
        base, pattern = _split_glob(path)
        files = _glob(base, pattern, ("",))
    if not files:
        raise SourceError(f"{path} selects no file; expected files ending in {', '.join(suffixes)}; check its spelling")
    for file in files:
        _check_file(file)
    return [Container(printable(os.fspath(file.relative_to(base))), file) for file in files]


def _split_glob(path: Path) -> tuple[Path, str]:
    end = next(end for end, part in enumerate(path.parts) if GLOB_CHARACTERS & set(part))
    return Path(*path.parts[:end]), "/".join(path.parts[end:])


def _glob(base: Path, pattern: str, suffixes: tuple[str, ...]) -> list[Path]:
    names = glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 (Path.glob fails on folders it cannot list)
    return [base / name for name in sorted(names) if name.endswith(suffixes) and (base / name).is_file()]


def _check_file(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise SourceError(f"{file} cannot be opened ({error.strerror}); check its spelling") from error
    if not stat.S_ISREG(mode):
        raise SourceError(f"{file} is not a regular file; give a file, a folder or a glob")
    if not os.access(file, os.R_OK):
        raise SourceError(f"{file} cannot be read; check its permissions")


def stamp(path: Path) -> str:
    """Size and time of a file: tells a reader, cheaply, that the file is still the one that was scanned."""
    status = path.stat()
    return f"{status.st_size}:{status.st_mtime_ns}"


def unchanged(path: Path, scanned: str, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The tables that are read from a file; `SourceError` before one that is not of the file that was scanned."""
    for table in tables:
        if stamp(path) != scanned:
            raise SourceError(f"{path} changed since it was scanned; run the same command again")
        yield table


def digest_facts(*facts: object) -> str:
    """Hex digest of JSON values: the identity of a unit."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def clean_path(name: str) -> str:
    """A safe relative path that resembles `name`, whatever it is."""
    parts = name.replace("\\", "/").replace("\0", "\N{REPLACEMENT CHARACTER}").split("/")
    return safe_path(name) or "/".join(part.rstrip(":") for part in parts if part.strip(".:")) or "unnamed"
