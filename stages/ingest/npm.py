"""The npm source: packages of the npm registry at exact versions, fetched with `npm pack`.

Reads npm's configured registry; no script of a package runs. Writes `RAW`: one row per file of a package.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.source import ReadContext, ScanContext, Source, Unit
from schemas.documents import RAW
from stages.ingest.archive import read_archive, scan_archive
from stages.ingest.metadata import npm_license
from stages.ingest.packages import fetch_archive, read_package_json
from stages.ingest.raw import Limits, Provenance

_NAME = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
_VERSION = r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
_PINNED = re.compile(f"(?!-){_NAME}@{_VERSION}", re.ASCII)

_PACK = ("npm", "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination=.")

_REMEDY = "check its name, its version and the network"


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmConfig:
    """Which packages."""

    packages: tuple[str, ...]
    """Packages at exact versions: `react@18.3.1`, `@babel/core@7.26.0`."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.packages:
            raise ValueError("packages is empty; name at least one, such as 'react@18.3.1'")
        for package in self.packages:
            if not _PINNED.fullmatch(package):
                raise ValueError(
                    f"package {package!r} must be NAME@VERSION, such as 'react@18.3.1' or '@babel/core@7.26.0'"
                )


def _scan(config: NpmConfig, context: ScanContext) -> Iterator[Unit]:
    for package in sorted(set(config.packages)):
        name, _, version = package.rpartition("@")
        tarball = fetch_archive(package, (*_PACK, package), context.downloads("npm"), _REMEDY)
        license_ = npm_license(read_package_json(tarball))
        provenance = Provenance(
            origin=f"npm:{name}", revision=version, license=license_, license_from="metadata" if license_ else None
        )
        yield from scan_archive(tarball, provenance, config.limits, context)


def _read(config: NpmConfig, unit: Unit, context: ReadContext) -> Iterator[pa.Table]:
    return read_archive(unit, config.limits, context)


SOURCE: Source[NpmConfig] = Source(name="npm", version=1, writes=RAW, scan=_scan, read=_read)
