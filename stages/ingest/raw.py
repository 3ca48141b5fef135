"""What all readers share: limits, safe paths, and the builder of `RAW` tables."""

import hashlib
from dataclasses import dataclass, field

import pyarrow as pa

from schemas.documents import RAW


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Caps that keep hostile or odd input from filling memory or disk."""

    shard_bytes: int = 64_000_000
    """Content bytes after which a shard is cut."""
    max_document_bytes: int = 16_000_000
    """A larger document is kept as a row with the problem `oversize` and no text."""
    max_expansion_ratio: int = 200
    """A compressed member or stream that expands further than this is a `bomb`."""
    max_archive_bytes: int = 64_000_000_000
    """Bytes read out of one archive or compressed stream before the rest is a `bomb`."""

    def __post_init__(self) -> None:
        for name in ("shard_bytes", "max_document_bytes", "max_expansion_ratio", "max_archive_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_document_bytes > 1_000_000_000:
            raise ValueError(f"max_document_bytes must be at most 1,000,000,000, got {self.max_document_bytes}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What all documents of one unit have in common."""

    origin: str
    revision: str = ""
    license: str | None = None
    license_from: str | None = None


@dataclass(slots=True)
class RawRows:
    """Collects documents and turns them into one `RAW` table."""

    provenance: Provenance
    num_bytes: int = 0
    """Content bytes so far."""
    columns: dict[str, list[object]] = field(default_factory=lambda: {name: [] for name in RAW.names})

    def __len__(self) -> int:
        return len(self.columns["path"])

    def add(
        self,
        path: str,
        content: bytes | None,
        *,
        member: str | None = None,
        size: int | None = None,
        content_hash: bytes | None = None,
        language: str | None = None,
        problem: str | None = None,
    ) -> None:
        """One document. `content` is None exactly when `problem` is given; then `size` says how large it is."""
        assert (content is None) == (problem is not None), (path, problem)
        if content is not None:
            size = len(content)
            content_hash = content_hash or hashlib.sha256(content).digest()
            self.num_bytes += size
        row = (
            self.provenance.origin, self.provenance.revision, path, member, language, self.provenance.license,
            self.provenance.license_from, size or 0, content_hash, content, problem,
        )  # fmt: skip
        for values, value in zip(self.columns.values(), row, strict=True):
            values.append(value)

    def table(self) -> pa.Table:
        """The rows so far, in order of addition."""
        return pa.table({name: pa.array(self.columns[name], RAW.field(name).type) for name in RAW.names}, schema=RAW)


def safe_path(name: str) -> str | None:
    """A member name as a relative `/`-separated path; None if it is absolute or climbs out with `..`."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    absolute = name.startswith(("/", "\\")) or (bool(parts) and len(parts[0]) == 2 and parts[0][1] == ":")
    if absolute or not parts or ".." in parts or "\0" in name:
        return None
    return "/".join(parts)
