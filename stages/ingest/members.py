"""A member of an archive, as its header describes it."""

from collections.abc import Callable
from dataclasses import dataclass

from stages.ingest.raw import Limits, safe_path
from stages.ingest.streams import DamagedError

MAX_MEMBERS = 5_000_000
"""Members read from one archive, since a reader remembers all names (about 100 bytes each) to keep them unique."""


def _unreadable() -> bytes:
    raise DamagedError("corrupt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One file of an archive, before its content is read."""

    name: str | None = None
    """As the archive has it; None for the archive itself, whose `problem` says why no further member follows."""
    size: int = 0
    """Bytes of content that the header declares; no more are ever read."""
    problem: str | None = None
    """Known from the header alone; then the content is not read."""
    read: Callable[[], bytes] = _unreadable
    """The content, `size` bytes; raises `DamagedError`. Valid until the next member is asked for."""


def judge(name: str, size: int, limits: Limits, problem: str | None = None) -> str | None:
    """The problem of a member: `problem` if it has one, else what its name and size say."""
    if problem is not None:
        return problem
    if safe_path(name) is None:
        return "unsafe-path"
    return "oversize" if size > limits.max_document_bytes else None
