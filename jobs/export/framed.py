"""Files of samples behind a table of offsets, which MDS shards and litdata chunks have in common.

uint32 number of samples n, uint32[n + 1] where each begins and the last ends, a text, the samples. Little-endian.
Memory: one file and one batch of rows.
"""

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.export.layout import Part
from jobs.export.ragged import Array, Ragged

_SIZE = np.dtype("<u4")


def cells(column: Ragged) -> pa.LargeBinaryArray:
    """The bytes of each row's values, without a copy."""
    values = np.ascontiguousarray(column.values)
    offsets = pa.py_buffer(column.offsets * values.itemsize)
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(column.offsets) - 1, [None, offsets, pa.py_buffer(values)]
    )


def numbers(values: Array) -> pa.LargeBinaryArray:
    """One little-endian uint32 per row."""
    flat = values.astype(_SIZE)
    return cells(Ragged(np.arange(len(flat) + 1, dtype=np.int64), flat))


def joined(parts: Sequence[pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    """The parts of each row end to end."""
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """How samples become files."""

    limit: int
    """Most bytes of a file, as counted below; a larger sample has a file of its own."""
    text: bytes = b""
    """Between the offsets and the samples."""
    counted_per_file: int = 0
    """Bytes that count towards the limit beside the samples."""
    counted_per_sample: int = 0


@dataclass(kw_only=True, slots=True)
class FrameWriter:
    """Cuts a stream of samples into files named by number. The same for any batching of the stream."""

    root: Path
    pattern: str
    """Of the file names inside `root`, with one `{}`."""
    framing: Framing
    parts: list[Part] = field(default_factory=list)
    _held: list[tuple[pa.LargeBinaryArray, Array]] = field(default_factory=list)
    _size: int = 0

    def write(self, samples: pa.LargeBinaryArray, tokens: Array) -> None:
        """The next samples, with the tokens of each."""
        sizes = np.diff(_offsets(samples)) + self.framing.counted_per_sample
        ends = np.cumsum(sizes)
        start = 0
        while start < len(samples):
            done = ends[start - 1] if start else 0
            room = self.framing.limit - self.framing.counted_per_file - self._size
            stop = int(np.searchsorted(ends, done + room, side="right"))
            if stop == start and not self._held:
                stop = start + 1
            if stop > start:
                self._held.append((samples[start:stop], tokens[start:stop]))
                self._size += int(ends[stop - 1] - done)
            if stop < len(samples):
                self._flush()
            start = stop

    def close(self) -> tuple[Part, ...]:
        """Write what is left."""
        if self._held:
            self._flush()
        return tuple(self.parts)

    def _flush(self) -> None:
        name = self.pattern.format(len(self.parts))
        sizes = np.concatenate([np.diff(_offsets(samples)) for samples, _ in self._held])
        head = _SIZE.itemsize * (len(sizes) + 2) + len(self.framing.text)
        offsets = np.concatenate([[0], np.cumsum(sizes)]) + head
        if offsets[-1] >= 1 << 32:
            raise ValueError(
                f"{name}: a sample of {sizes.max():,} bytes does not fit the format, whose offsets are 32 bits"
            )
        with durable(self.root / name) as file:
            file.write(np.array([len(sizes)], _SIZE).data)
            file.write(offsets.astype(_SIZE).data)
            file.write(self.framing.text)
            for samples, _ in self._held:
                start, stop = _offsets(samples)[[0, -1]]
                file.write(samples.buffers()[2][int(start) : int(stop)])
        tokens = sum(int(counts.sum()) for _, counts in self._held)
        self.parts.append(Part(file=name, bytes=int(offsets[-1]), rows=len(sizes), tokens=tokens))
        self._held, self._size = [], 0


def _offsets(samples: pa.LargeBinaryArray) -> Array:
    return np.frombuffer(samples.buffers()[1], np.int64)[samples.offset : samples.offset + len(samples) + 1]


@contextmanager
def durable(path: Path) -> Iterator[BinaryIO]:
    """A new file that is on the disk when the block ends; another of its name is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Frame:
    """A file read back."""

    data: Array
    """uint8, mapped."""
    text: bytes
    starts: Array
    """int64 position of each sample in `data`."""
    ends: Array


def read_frame(path: Path, part: Part) -> Frame:
    """Map a file and check its table. Raises ValueError where it is not what it must be."""
    with path.open("rb") as file:
        data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    (count,) = data[:4].view(_SIZE) if len(data) >= 4 else (0,)
    if len(data) != part.bytes or count != part.rows:
        raise ValueError(
            f"{part.file}: {len(data):,} bytes and {count:,} rows, expected {part.bytes:,} and {part.rows:,}"
        )
    offsets = data[4 : 4 * (part.rows + 2)].view(_SIZE).astype(np.int64)
    if offsets[-1] != len(data) or np.any(np.diff(offsets) < 0) or offsets[0] < 4 * (part.rows + 2):
        raise ValueError(f"{part.file}: its table of offsets does not fit its {len(data):,} bytes")
    return Frame(data, bytes(data[4 * (part.rows + 2) : offsets[0]]), offsets[:-1], offsets[1:])


def uint32_at(frame: Frame, positions: Array) -> Array:
    """The numbers that begin at these bytes, int64."""
    columns = [frame.data[positions + byte].astype(np.int64) << (8 * byte) for byte in range(4)]
    found: Array = columns[0] | columns[1] | columns[2] | columns[3]
    return found


def gather(frame: Frame, starts: Array, sizes: Array, dtype: str) -> Ragged:
    """Ranges of the file's bytes as one column. Raises ValueError where a range ends outside of its sample."""
    item = np.dtype(dtype).itemsize
    if np.any(starts + sizes > frame.ends) or np.any(sizes % item):
        raise ValueError("a value ends outside of its sample")
    pieces: Iterable[Array] = (
        frame.data[start : start + size] for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    )
    values = np.concatenate([np.empty(0, np.uint8), *pieces])
    return Ragged(np.concatenate([[0], np.cumsum(sizes // item)]), values.view(np.dtype(dtype).newbyteorder("<")))
