"""What is installed for a Python interpreter: its standard library and the distributions in its site-packages.

Reads the interpreter's paths, `METADATA` and `RECORD`; never imports an installed package and runs no `.pth` file.
Writes nothing.
"""

import csv
import json
import os
import posixpath
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from pipeline.errors import SourceError
from stages.ingest.files import printable, read_regular
from stages.ingest.metadata import MAX_METADATA_BYTES, parse_metadata

_QUERY = """
import json, os, platform, site, sys, sysconfig
home = os.path.dirname(os.path.dirname(os.path.abspath(sys.executable)))
prefix = home if os.path.exists(os.path.join(home, "pyvenv.cfg")) else sys.prefix
print(json.dumps([platform.python_version(), sysconfig.get_paths()["stdlib"], site.getsitepackages([prefix])]))
"""
"""Runs isolated and without `site`, so that nothing installed is run; a virtual environment is recognised by hand."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_MAX_RECORD_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Where an interpreter keeps its libraries."""

    version: str
    stdlib: Path
    site_packages: tuple[Path, ...]
    """Existing folders, in the order in which they are searched."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution."""

    name: str
    """Normalised, as package indexes write it: `ruamel-yaml`."""
    version: str
    site: Path
    folder: str
    """Name of its `.dist-info` or `.egg-info` folder in `site`."""
    metadata: Message


def find_interpreter(executable: str) -> Interpreter:
    """Ask an interpreter where its libraries are. Raises `SourceError` if it cannot be run."""
    command = [executable, "-I", "-S", "-c", _QUERY]
    try:
        answer = subprocess.run(command, check=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        version, stdlib, sites = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SourceError(
            f"interpreter {executable!r} does not run as Python 3 ({error}); give the path of a python executable"
        ) from error
    folders = tuple(Path(site).resolve() for site in sites if os.path.isdir(site))  # noqa: PTH112
    return Interpreter(version, Path(stdlib).resolve(), tuple(dict.fromkeys(folders)))


def find_distributions(site_packages: tuple[Path, ...]) -> list[Distribution]:
    """All distributions, by name and version; of two records of one version, the one that is imported first."""
    found: dict[tuple[str, str], Distribution] = {}
    for site in site_packages:
        for folder in sorted(os.listdir(site)):  # noqa: PTH208
            if folder.endswith((".dist-info", ".egg-info")):
                distribution = _distribution(site, folder)
                found.setdefault((distribution.name, distribution.version), distribution)
    return [found[key] for key in sorted(found)]


def normalize_name(name: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distribution(site: Path, folder: str) -> Distribution:
    """A distribution by its metadata, or by the name of its folder where the metadata says nothing usable."""
    file = site / folder / ("METADATA" if folder.endswith(".dist-info") else "PKG-INFO")
    try:
        metadata = parse_metadata(read_regular(file, MAX_METADATA_BYTES))
    except OSError:
        metadata = Message()
    stem_name, _, stem_version = printable(Path(folder).stem).partition("-")
    name, version = str(metadata["Name"] or "").strip(), str(metadata["Version"] or "").strip()
    if not _NAME.fullmatch(name):
        name = stem_name
    return Distribution(normalize_name(name), version or stem_version, site, folder, metadata)


def recorded_files(distribution: Distribution) -> Iterator[str]:
    """Names relative to site-packages that the distribution's `RECORD` lists there, each once, sorted as printed.

    Names that leave site-packages (scripts in `bin`, but also hostile ones) are left out. Raises `OSError` if there is
    no `RECORD` to read and `ValueError` if it is none.
    """
    raw = read_regular(distribution.site / distribution.folder / "RECORD", _MAX_RECORD_BYTES)
    names = set()
    try:
        for row in csv.reader(raw.decode("utf-8", "surrogateescape").splitlines(), strict=True):
            name = posixpath.normpath(row[0]) if row and not row[0].endswith("/") else "."
            if not name.startswith(("/", "../")) and name not in (".", "..") and "\0" not in name:
                names.add(name)
    except csv.Error as error:
        raise ValueError(f"{distribution.folder}/RECORD is no table: {error}") from error
    return iter(sorted(names, key=printable))
