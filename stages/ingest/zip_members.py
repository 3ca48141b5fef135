"""Members of a zip archive, from its central directory, in bounded memory.

Reads zip and zip64 with stored, deflate, bzip2 and Zstandard members. Gives one `Member` per entry that is not a
folder. Written against APPNOTE.TXT 6.3.10; `zipfile` holds the whole directory in memory and gives up on the first
damaged entry.
"""

import functools
import stat
import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stages.ingest.members import MAX_MEMBERS, Member, judge
from stages.ingest.raw import Limits
from stages.ingest.streams import HARMLESS_BYTES, DamagedError, Stream

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_CODECS = {0: "plain", 8: "deflate", 12: "bzip2", 93: "zstd"}
_ENCRYPTED, _UTF8 = 0x1 | 0x40, 0x800
_FARTHEST = 2**62


@dataclass(frozen=True, slots=True)
class _Directory:
    start: int
    size: int
    shift: int
    """Bytes in front of the archive, as in self-extracting ones."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int

    @property
    def text(self) -> str:
        """The name; archivers that do not flag UTF-8 often mean it all the same, the standard says CP437."""
        try:
            return self.name.decode()
        except UnicodeDecodeError:
            return self.name.decode("utf-8", "replace") if self.flags & _UTF8 else self.name.decode("cp437")

    @property
    def is_folder(self) -> bool:
        return self.name.endswith(b"/") and not self.size


def zip_members(path: Path, limits: Limits) -> Iterator[Member]:
    """The members in directory order, then one without a name if the archive is damaged.

    Members whose data overlap, and those after `max_archive_bytes` or `max_expansion_ratio` of the whole archive is
    used up, are a `bomb`. Needs about 50 bytes of memory per entry.
    """
    length = path.stat().st_size
    with path.open("rb") as listing, path.open("rb") as data:
        try:
            directory = _find_directory(data, length)
            overlapping = _find_overlaps(_entries(listing, directory))
            budget = min(limits.max_archive_bytes, limits.max_expansion_ratio * length + HARMLESS_BYTES)
            for entry, overlaps in zip(_entries(listing, directory), overlapping, strict=False):
                if entry.is_folder:
                    continue
                bomb = bool(overlaps) or entry.size > limits.max_expansion_ratio * entry.packed + HARMLESS_BYTES
                problem = judge(entry.text, entry.size, limits, _problem(entry, bomb, directory.start))
                if problem is None:
                    budget -= entry.size
                    problem = "bomb" if budget < 0 else None
                read = functools.partial(_read, data, entry, limits)
                yield Member(name=entry.text, size=entry.size, problem=problem, read=read)
            if len(overlapping) > MAX_MEMBERS:
                yield Member(problem="bomb")
        except DamagedError as error:
            yield Member(problem=error.problem)


def _problem(entry: _Entry, bomb: bool, end: int) -> str | None:
    if stat.S_IFMT(entry.mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "link"
    if entry.flags & _ENCRYPTED:
        return "encrypted"
    if entry.method not in _CODECS:
        return "unsupported"
    if entry.offset + entry.packed > end:
        return "corrupt"
    return "bomb" if bomb else None


def _read(data: BinaryIO, entry: _Entry, limits: Limits) -> bytes:
    data.seek(entry.offset)
    head = data.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(b"PK\3\4"):
        raise DamagedError("corrupt")
    name_size, extra_size = _LOCAL.unpack(head)[-2:]
    if data.read(name_size) != entry.name:
        raise DamagedError("corrupt")
    data.seek(extra_size, 1)
    stream = Stream(_Section(data, entry.packed).read, _CODECS[entry.method], limits)
    content = stream.read(entry.size)
    if len(content) < entry.size or stream.read(1) or zlib.crc32(content) != entry.crc:
        raise DamagedError("corrupt")
    return content


@dataclass(slots=True)
class _Section:
    """The next `left` bytes of a file."""

    file: BinaryIO
    left: int

    def read(self, size: int) -> bytes:
        data = self.file.read(min(size, self.left))
        self.left -= len(data)
        return data


def _find_directory(file: BinaryIO, length: int) -> _Directory:
    """Where the central directory is; `truncated` if the archive's end is missing."""
    tail_start = max(0, length - _END.size - 65_535)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    while at >= 0 and (len(tail) < at + _END.size or _END.unpack_from(tail, at)[-1] > len(tail) - at - _END.size):
        at = tail.rfind(b"PK\5\6", 0, at)
    if at < 0:
        raise DamagedError("truncated")
    size, offset = _END.unpack_from(tail, at)[5:7]
    end = tail_start + at
    file.seek(max(0, end - _LOCATOR.size - _END64.size))
    zip64 = file.read(_END64.size + _LOCATOR.size)
    if zip64.startswith(b"PK\6\6") and zip64[_END64.size :].startswith(b"PK\6\7"):
        end -= _LOCATOR.size + _END64.size
        size, offset = _END64.unpack_from(zip64)[8:10]
    start = end - size
    if start < offset:
        raise DamagedError("corrupt")
    return _Directory(start=start, size=size, shift=start - offset)


def _entries(file: BinaryIO, directory: _Directory) -> Iterator[_Entry]:
    """The entries in directory order, with offsets from the start of the file."""
    file.seek(directory.start)
    left = directory.size
    while left > 0:
        head = file.read(_ENTRY.size)
        if len(head) < _ENTRY.size or not head.startswith(b"PK\1\2"):
            raise DamagedError("corrupt")
        fields = _ENTRY.unpack(head)
        flags, method, crc, packed, size, name_size, extra_size, comment_size = (*fields[5:7], *fields[9:15])
        name, extra = file.read(name_size), file.read(extra_size)
        file.seek(comment_size, 1)
        left -= _ENTRY.size + name_size + extra_size + comment_size
        size, packed, offset = _widen(extra, size, packed, fields[18])
        yield _Entry(name, flags, method, crc, packed, size, offset + directory.shift, fields[17] >> 16)


def _widen(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset from the zip64 extra field, where the 32-bit fields say so."""
    values = [size, packed, offset]
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = iter(struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8]))
            values = [next(wide, (value,))[0] if value == 0xFFFFFFFF else value for value in values]
            break
        at += 4 + length
    return values[0], values[1], values[2]


def _find_overlaps(entries: Iterator[_Entry]) -> NDArray[np.bool_]:
    """True for each entry whose data begin before the data of an earlier-placed one end."""
    starts, ends = array("q"), array("q")
    try:
        for entry in entries:
            starts.append(min(entry.offset, _FARTHEST))
            ends.append(min(entry.offset + _LOCAL.size + len(entry.name) + entry.packed, _FARTHEST))
            if len(starts) > MAX_MEMBERS:
                break
    except DamagedError:
        pass  # the caller meets it again at the same entry
    start, end = np.frombuffer(starts, np.int64), np.frombuffer(ends, np.int64)
    order = np.argsort(start, kind="stable")
    reach = np.maximum.accumulate(end[order])
    overlapping = np.zeros(len(start), np.bool_)
    overlapping[order[1:]] = start[order[1:]] < reach[:-1]
    return overlapping
