"""The PyPI source: wheels of named packages at exact versions, fetched with pip.

Reads pip's configured index. Writes `RAW`: one row per file of a wheel. Only wheels: to read an sdist's metadata, pip
runs its build code.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.source import ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.archive import read_archive, scan_archive
from stages.ingest.interpreter import normalize_name
from stages.ingest.metadata import distribution_license
from stages.ingest.packages import fetch_archive, read_wheel_metadata
from stages.ingest.raw import Limits, Provenance

_PINNED = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*")

_DOWNLOAD = (
    "-m",
    "pip",
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--no-input",
    "--progress-bar=off",
    "--dest=.",
)

_REMEDY = (
    "check its name, its version and the network; a package without a wheel for this Python is not built, "
    "because that runs its code: unpack its sdist and read it with the folder source"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PypiConfig:
    """Which packages."""

    packages: tuple[str, ...]
    """Packages at exact versions: `numpy==2.4.6`."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.packages:
            raise ValueError("packages is empty; name at least one, such as 'numpy==2.4.6'")
        for package in self.packages:
            if not _PINNED.fullmatch(package):
                raise ValueError(f"package {package!r} must be NAME==VERSION, such as 'numpy==2.4.6'")


def _scan(config: PypiConfig, context: ScanContext) -> Iterator[Unit]:
    for name, version in sorted({_split(package) for package in config.packages}):
        pinned = f"{name}=={version}"
        wheel = fetch_archive(pinned, (sys.executable, *_DOWNLOAD, pinned), context.downloads("pypi"), _REMEDY)
        license_ = distribution_license(read_wheel_metadata(wheel))
        provenance = Provenance(
            origin=f"pypi:{name}", revision=version, license=license_, license_from="metadata" if license_ else None
        )
        yield from scan_archive(wheel, provenance, config.limits, context)


def _split(package: str) -> tuple[str, str]:
    name, _, version = package.partition("==")
    return normalize_name(name), version


def _read(config: PypiConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    return read_archive(unit, config.limits, context)


SOURCE: Source[PypiConfig] = Source(name="pypi", version=1, writes=RAW, scan=_scan, read=_read)
