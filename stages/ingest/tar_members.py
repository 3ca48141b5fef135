"""Members of a tar stream (ustar, GNU, pax) and of a Ruby gem, forward only and in bounded memory.

Reads a `Stream`. Gives one `Member` per entry that is not a folder.
"""

import functools
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from stages.ingest.members import Member, judge
from stages.ingest.raw import Limits
from stages.ingest.streams import DamagedError, Stream

_BLOCK = tarfile.BLOCKSIZE
_MAX_HEADER_BYTES = 1 << 20
_LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)


@dataclass(slots=True)
class _Extended:
    """What extended headers say about the next member."""

    path: str | None = None
    size: int | None = None
    sparse: bool = False


def tar_members(stream: Stream, limits: Limits) -> Iterator[Member]:
    """The members in archive order, then one without a name if the archive is damaged.

    A member's content can be read until the next one is asked for.
    """
    try:
        for info in _headers(stream):
            yield from _member(stream, info, limits)
    except DamagedError as error:
        yield Member(problem=error.problem)


def gem_members(stream: Stream, limits: Limits) -> Iterator[Member]:
    """The members of the `data.tar.gz` inside a gem; its other members are the package index's, not documents."""
    problem = "corrupt"
    try:
        for info in _headers(stream):
            if info.name == "data.tar.gz":
                inner = Stream(_Section(stream, info.size).read, "gzip", limits)
                yield from tar_members(inner, limits)
                return
    except DamagedError as error:
        problem = error.problem
    yield Member(problem=problem)


@dataclass(slots=True)
class _Section:
    """The next `left` bytes of a stream."""

    stream: Stream
    left: int

    def read(self, size: int) -> bytes:
        data = self.stream.read(min(size, self.left))
        self.left -= len(data)
        return data


def _member(stream: Stream, info: tarfile.TarInfo, limits: Limits) -> Iterator[Member]:
    if info.isdir():
        return
    problem: str | None = None
    if info.type in _LINKS:
        problem = "link"
    elif not info.isreg() or info.type == tarfile.GNUTYPE_SPARSE:
        problem = "unsupported"
    read = functools.partial(_read, stream, info.size)
    yield Member(name=info.name, size=info.size, problem=judge(info.name, info.size, limits, problem), read=read)


def _read(stream: Stream, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise DamagedError("truncated")
    return content


def _headers(stream: Stream) -> Iterator[tarfile.TarInfo]:
    """Headers with the names and sizes that count; passes over what of a member's data was not read."""
    extended = _Extended()
    while info := _header(stream):
        if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            _extend(extended, info.type, _payload(stream, info.size))
            continue
        if info.type == tarfile.XGLTYPE:
            _payload(stream, info.size)
            continue
        info.name = extended.path if extended.path is not None else info.name
        info.size = extended.size if extended.size is not None else info.size
        info.type = tarfile.GNUTYPE_SPARSE if extended.sparse else info.type
        extended = _Extended()
        if info.isdir() or info.type in _LINKS:
            info.size = 0
        end = stream.position + info.size
        yield info
        left = end - stream.position
        if stream.skip(left) < left:
            raise DamagedError("truncated")
        stream.skip(-info.size % _BLOCK)


def _header(stream: Stream) -> tarfile.TarInfo | None:
    """The next header; None at the end."""
    first = stream.position == 0
    block = stream.read(_BLOCK)
    if first and len(block) < _BLOCK:
        raise DamagedError("corrupt")
    if not block or (len(block) == _BLOCK and not any(block)):
        return None
    if len(block) < _BLOCK:
        raise DamagedError("truncated")
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except (tarfile.HeaderError, ValueError) as error:
        raise DamagedError("corrupt") from error
    if info.size < 0:
        raise DamagedError("corrupt")
    more = info.type == tarfile.GNUTYPE_SPARSE and block[482]
    while more:
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise DamagedError("truncated")
        more = block[504]
    return info


def _payload(stream: Stream, size: int) -> bytes:
    if size > _MAX_HEADER_BYTES:
        raise DamagedError("corrupt")
    payload = _read(stream, size)
    stream.skip(-size % _BLOCK)
    return payload


def _extend(extended: _Extended, kind: bytes, payload: bytes) -> None:
    if kind == tarfile.GNUTYPE_LONGLINK:
        return
    if kind == tarfile.GNUTYPE_LONGNAME:
        extended.path = payload.partition(b"\0")[0].decode("utf-8", "replace")
        return
    for key, value in _pax_records(payload):
        if key in (b"path", b"GNU.sparse.name"):
            extended.path = value.decode("utf-8", "replace")
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise DamagedError("corrupt")
            extended.size = int(value)
        extended.sparse = extended.sparse or key.startswith(b"GNU.sparse.")


def _pax_records(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(payload) and payload[at]:
        space = payload.find(b" ", at, at + 20)
        length = payload[at:space] if space > 0 else b""
        end = at + int(length) if length.isdigit() else 0
        record = payload[space + 1 : end]
        key, equals, value = record.partition(b"=")
        if end <= space or end > len(payload) or not equals or not value.endswith(b"\n"):
            raise DamagedError("corrupt")
        yield key, value[:-1]
        at = end
