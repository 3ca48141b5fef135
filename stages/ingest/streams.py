"""Compressed streams with limits: bounded memory whatever the input, and the same failure at the same byte every time.

Reads gzip, bzip2, xz, Zstandard and raw deflate. Gives blocks of plain bytes or a `DamagedError`.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import zstandard

from stages.ingest.raw import Limits

READ_BYTES = 65_536
"""Compressed bytes read at a time."""

BLOCK_BYTES = 1 << 20
"""Most plain bytes in one block; Zstandard's may be up to 32 times larger, since it is fed 1 KiB at a time."""

HARMLESS_BYTES = 1 << 20
"""Expansion up to this size is never a bomb: small regular files compress a thousandfold."""

MAX_WINDOW_BYTES = 1 << 27
"""Largest Zstandard window; what `zstd --long` needs."""

MAX_XZ_BYTES = 1 << 28
"""Memory for one xz decoder; `xz -9` needs a quarter of it."""

Read = Callable[[int], bytes]
"""Gives at most so many bytes; none at the end."""


class DamagedError(Exception):
    """A container that cannot be read further; `problem` is a key of `PROBLEMS`. Readers turn it into a row."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Decoder(Protocol):
    """One compressed stream, as `bz2.BZ2Decompressor` and `lzma.LZMADecompressor` offer it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        out = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.needs_input = not self._stream.unconsumed_tail and len(out) < max_length
        return out


class _Zstandard:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
        self._data, self._at = b"", 0

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def needs_input(self) -> bool:
        return self._at >= len(self._data)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data) + self._data[self._at :]

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if data:
            self._data, self._at = self._data[self._at :] + data, 0
        out, size = [], 0
        while size < max_length and self._at < len(self._data) and not self._stream.eof:
            out.append(self._stream.decompress(self._data[self._at : self._at + 1024]))
            self._at += 1024
            size += len(out[-1])
        return b"".join(out)


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(-15),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=MAX_XZ_BYTES),
    "zstd": _Zstandard,
}

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def sniff_codec(head: bytes) -> str:
    """The codec whose magic bytes a file starts with; `plain` if none."""
    skippable = len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50
    return "zstd" if skippable else next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "plain")


@dataclass(slots=True)
class Stream:
    """Plain bytes of a compressed (or `plain`) stream, forward only.

    Every byte before the damage is served before `DamagedError` is raised, and it is raised again on every later call.
    Holds about one block in memory.
    """

    source: Read
    codec: str
    limits: Limits
    position: int = 0
    """Plain bytes served so far."""
    _blocks: Iterator[bytes] = field(init=False)
    _rest: memoryview = field(init=False, default=memoryview(b""))
    _taken: int = field(init=False, default=0)
    _error: DamagedError | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._blocks = self._copy() if self.codec == "plain" else self._inflate(_DECODERS[self.codec])

    def block(self) -> memoryview:
        """The next bytes, however many are at hand; empty at the end."""
        if not self._rest:
            self._fill()
        out, self._rest = self._rest, memoryview(b"")
        self.position += len(out)
        return out

    def read(self, size: int) -> bytes:
        """`size` bytes; fewer only at the end."""
        pieces = []
        while size and (self._rest or self._fill()):
            piece, self._rest = self._rest[:size], self._rest[size:]
            pieces.append(piece)
            size -= len(piece)
            self.position += len(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        """Pass over `size` bytes; the number passed is less only at the end."""
        start = self.position
        while size and (self._rest or self._fill()):
            step = min(size, len(self._rest))
            self._rest = self._rest[step:]
            size -= step
            self.position += step
        return self.position - start

    def _fill(self) -> bool:
        if self._error is not None:
            raise self._error
        try:
            self._rest = memoryview(next(self._blocks, b""))
        except DamagedError as error:
            self._error = error
            raise
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's own failure; bz2 reports damage as an OSError without a number
            self._error = DamagedError("corrupt")
            raise self._error from error
        return bool(self._rest)

    def _copy(self) -> Iterator[bytes]:
        while block := self.source(BLOCK_BYTES):
            yield block

    def _inflate(self, make: Callable[[], Decoder]) -> Iterator[bytes]:
        decoder, data, fresh, given = make(), b"", True, 0
        while True:
            if not data and (fresh or decoder.needs_input):
                data = self.source(READ_BYTES)
                self._taken += len(data)
                if not data and fresh:
                    return
            ended = not data and decoder.needs_input
            out, data, fresh = decoder.decompress(data, BLOCK_BYTES), b"", False
            given += len(out)
            if given > min(self.limits.max_archive_bytes, self._taken * self._ratio + HARMLESS_BYTES):
                raise DamagedError("bomb")
            if out:
                yield out
            if decoder.eof:
                data = decoder.unused_data.lstrip(b"\0")  # tapes and xz pad with zeros
                decoder, fresh = make(), True
                if self.codec == "deflate":
                    return
            elif ended and not out:
                raise DamagedError("truncated")

    @property
    def _ratio(self) -> int:
        return self.limits.max_expansion_ratio
