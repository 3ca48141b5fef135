"""The environment source: a Python interpreter's standard library and the distributions installed for it.

Reads the files as they are installed; imports and runs none of them. Writes `RAW`: one row per file.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.errors import SourceError
from pipeline.source import ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.files import Describer, Entry, cut_units, printable, read_unit
from stages.ingest.folder import scan_folder
from stages.ingest.interpreter import (
    Distribution,
    Interpreter,
    find_distributions,
    find_interpreter,
    normalize_name,
    recorded_files,
)
from stages.ingest.metadata import distribution_license
from stages.ingest.patterns import Patterns
from stages.ingest.raw import Limits, Provenance

DEFAULT_EXCLUDE = (
    "__pycache__", "*.pyc", "*.pyo",
    "*.so", "*.so.*", "*.pyd", "*.dll", "*.dylib", "*.a", "*.o", "*.lib", "*.exe", "*.jar", "*.wasm",
    "*.zip", "*.whl", "*.gz", "*.bz2", "*.xz", "*.zst", "*.tar", "*.pkl", "*.pickle", "*.npy", "*.npz", "*.parquet",
    "*.png", "*.jpg", "*.jpeg", "*.gif", "*.ico", "*.ttf", "*.woff", "*.woff2", "*.pdf", "*.mo",
    "/*.dist-info/RECORD", "/*.dist-info/INSTALLER", "/*.dist-info/REQUESTED", "/*.dist-info/direct_url.json",
    "/*.dist-info/WHEEL", "/*.pth",
)  # fmt: skip
"""Compiled code and other binaries, which would be rows without text, and what the installer wrote on this machine."""

_STDLIB_EXCLUDE = ("/site-packages", "/dist-packages", "/config-*", "/_sysconfigdata_*")
"""Not the standard library: what is installed into it, and the settings this machine's Python was built with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentConfig:
    """Which interpreter, and what of it (see `Patterns`)."""

    interpreter: str | None = None
    """Path of a Python executable, also of a virtual environment; the running one if None. Never runs packages."""
    stdlib: bool = True
    """Read the standard library."""
    installed: bool = True
    """Read installed distributions."""
    packages: tuple[str, ...] = ()
    """Distributions wanted, in any spelling of their name; empty means all."""
    include: tuple[str, ...] = ()
    """Files wanted, by path relative to site-packages or to the standard library; empty means all."""
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    """Files and folders left out, without a row."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not (self.stdlib or self.installed):
            raise ValueError("stdlib and installed are both False, which leaves nothing to read; set one to True")
        if self.packages and not self.installed:
            raise ValueError(f"packages={self.packages!r} are wanted but installed=False; set installed=True")
        Patterns(self.include, self.exclude)


def _scan(config: EnvironmentConfig, context: ScanContext) -> Iterator[Unit]:
    interpreter = find_interpreter(config.interpreter or sys.executable)
    wanted = _wanted(config, interpreter) if config.installed else []
    if config.stdlib:
        patterns = Patterns(config.include, config.exclude + _STDLIB_EXCLUDE)
        provenance = Provenance(
            origin="python:stdlib", revision=interpreter.version, license="PSF-2.0", license_from="metadata"
        )
        entries = scan_folder(interpreter.stdlib, patterns, config.limits, context)
        yield from cut_units(entries, interpreter.stdlib, provenance, config.limits, context)
    for distribution in wanted:
        license_ = distribution_license(distribution.metadata)
        provenance = Provenance(
            origin=f"pypi:{distribution.name}",
            revision=distribution.version,
            license=license_,
            license_from="metadata" if license_ else None,
        )
        entries = _entries(distribution, config, context)
        yield from cut_units(entries, distribution.site, provenance, config.limits, context)


def _wanted(config: EnvironmentConfig, interpreter: Interpreter) -> list[Distribution]:
    found = find_distributions(interpreter.site_packages)
    if not config.packages:
        return found
    names = {normalize_name(package) for package in config.packages}
    missing = sorted(names - {distribution.name for distribution in found})
    if missing:
        raise SourceError(
            f"packages {missing} are not installed in {[str(site) for site in interpreter.site_packages]}; "
            "install them there or take them out of packages"
        )
    return [distribution for distribution in found if distribution.name in names]


def _entries(distribution: Distribution, config: EnvironmentConfig, context: ScanContext) -> Iterator[Entry]:
    """The recorded files that are wanted; one row for `RECORD` itself where it cannot be used."""
    record = f"{distribution.folder}/RECORD"
    try:
        names = recorded_files(distribution)
    except (OSError, ValueError) as error:
        problem = "unreadable" if isinstance(error, OSError) else "corrupt"
        yield Entry(printable(record), os.fsencode(record), problem=problem)
        return
    patterns = Patterns(config.include, config.exclude)
    describer = Describer(distribution.site, config.limits, context)
    yield from (describer.describe(name) for name in names if patterns.wants(printable(name)))


def _read(_config: EnvironmentConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    return read_unit(unit, context)


SOURCE: Source[EnvironmentConfig] = Source(name="environment", version=1, writes=RAW, scan=_scan, read=_read)
