"""The source contract: where documents come from, found by a scan on the driver and read in units by workers.

A scan lists units whose identity comes from content, so every shard key is known before anything runs. A unit is read
in one go and becomes one or more shards (`parts`), one table each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import pyarrow as pa

Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One shard's worth of a unit."""

    rows: int
    bytes: int
    """Content bytes; an estimate for compressed containers, exact otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """What one worker reads in one go."""

    label: str
    """For people: `pypi:numpy@2.4.6 2/3`."""
    identity: str
    """Hex digest of what the unit holds: contents and names, never machine paths or times."""
    location: str
    """JSON that tells `Source.read` what to open; not part of identity."""
    parts: tuple[Part, ...]


class ScanContext(Protocol):
    """What the machine offers a scan."""

    def sha256(self, path: Path) -> bytes:
        """Digest of a file, 32 bytes; remembered by (path, size, mtime, inode) between runs."""

    def save(self, listing: pa.Table) -> str:
        """Keep a listing (files of a unit) where workers can read it; returns a name for `ReadContext.listing`."""

    def downloads(self, name: str) -> Path:
        """A local folder of this name that survives the run, for fetched packages."""


class ReadContext(Protocol):
    """What the machine offers a reader."""

    def listing(self, name: str) -> pa.Table:
        """A listing that the scan saved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source(Generic[Config]):
    """Streams tables of `writes` out of something outside the store."""

    name: str
    version: int
    """Bump when the same input and config would give other output."""
    writes: pa.Schema
    scan: Callable[[Config, ScanContext], Iterator[Unit]]
    """Units in a fixed order that does not depend on directory order. Raises `SourceError` for users' mistakes."""
    read: Callable[[Config, Unit, ReadContext], Iterator[pa.Table]]
    """One table per part, in order. What cannot be read becomes a row with a `problem`."""
    libraries: tuple[str, ...] = ()
