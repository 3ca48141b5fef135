"""Safetensors files, read and written piece by piece: a header of JSON, then the tensors end to end.

Numbers are little-endian. Nothing but the piece at hand is in memory.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from jobs.folders import whole_file
from pipeline.errors import PublishError, SourceError

_MAX_HEADER = 100_000_000
"""Bytes; what the safetensors library allows."""
_COPIED = 16_000_000
"""Bytes copied at once."""

WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number of the types that matrices can have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor of a file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte in the file."""
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorFile:
    """The header of a file."""

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    def matrix(self, name: str) -> "Matrix":
        """A matrix by name. Raises SourceError where it is none of the known types."""
        tensor = self.tensors.get(name)
        if tensor is None:
            known = ", ".join(sorted(self.tensors)[:20])
            raise SourceError(f"{self.path} has no tensor {name!r}; it has: {known}")
        if tensor.dtype not in WIDTHS or len(tensor.shape) != 2:
            types = ", ".join(WIDTHS)
            raise SourceError(f"tensor {name} is {tensor.dtype} {list(tensor.shape)}; it must be a matrix of {types}")
        kind = np.dtype("<f4") if tensor.dtype == "F32" else np.dtype("<u2")
        raw = np.memmap(self.path, kind, "r", tensor.start, tensor.shape)
        return Matrix(dtype=tensor.dtype, raw=raw)


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """Rows of a file, not in memory before they are asked for. 16-bit numbers are kept as they are stored."""

    dtype: str
    raw: npt.NDArray[Any]

    def rows(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """These rows as 32-bit numbers."""
        return widen(self.raw[index], self.dtype)


def widen(raw: npt.NDArray[Any], dtype: str) -> npt.NDArray[np.float32]:
    """Numbers as stored to 32-bit numbers: exact."""
    if dtype == "F32":
        return raw.astype(np.float32)
    if dtype == "F16":
        return raw.view(np.float16).astype(np.float32)
    return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrow(values: npt.NDArray[np.float32], dtype: str) -> npt.NDArray[Any]:
    """32-bit numbers as they are stored: to the nearest, of two the even one."""
    if dtype == "F32":
        return values
    if dtype == "F16":
        return values.astype(np.float16).view(np.uint16)
    bits = values.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    kept = np.where(np.isnan(values), bits >> np.uint32(16) | np.uint32(0x40), rounded)
    return kept.astype(np.uint16)


def open_tensors(path: Path) -> TensorFile:
    """Read a header. Raises SourceError for a file that is no safetensors file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_MAX_HEADER, size - 8):
                raise SourceError(f"{path} is no safetensors file: its header would have {length} bytes")
            header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        tensors = {name: _tensor(entry, 8 + length, size) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path} cannot be read as a safetensors file: {error!r}") from error
    return TensorFile(path=path, tensors=tensors, metadata=metadata)


def _tensor(entry: Mapping[str, Any], base: int, size: int) -> Tensor:
    start, end = entry["data_offsets"]
    tensor = Tensor(dtype=entry["dtype"], shape=tuple(entry["shape"]), start=base + start, end=base + end)
    if not base <= tensor.start <= tensor.end <= size:
        raise ValueError(f"a tensor lies at {start} to {end}, outside the file")
    if tensor.dtype in WIDTHS and int(np.prod(tensor.shape)) * WIDTHS[tensor.dtype] != end - start:
        raise ValueError(f"{tensor.dtype} {entry['shape']} does not have {end - start} bytes")
    return tensor


@contextmanager
def write_tensors(to: Path, source: TensorFile, shapes: Mapping[str, tuple[int, ...]]) -> Iterator["TensorWriter"]:
    """A file with the tensors of `source`, some of other shapes; there when the block ends well, or not at all.

    Raises PublishError if there is a file already.
    """
    if to.exists():
        raise PublishError(f"{to} is there already; choose another --to or remove it")
    with whole_file(to) as file:
        yield TensorWriter(file, source, shapes)


class TensorWriter:
    """Writes the tensors one after the other, in the order of `names`."""

    def __init__(self, file: IO[bytes], source: TensorFile, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._file, self._source = file, source
        self.names = sorted(source.tensors, key=lambda name: source.tensors[name].start)
        header: dict[str, object] = {"__metadata__": dict(source.metadata)} if source.metadata else {}
        end = 0
        for name in self.names:
            tensor = source.tensors[name]
            shape = shapes.get(name, tensor.shape)
            size = int(np.prod(shape)) * WIDTHS[tensor.dtype] if name in shapes else tensor.end - tensor.start
            header[name] = {"dtype": tensor.dtype, "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
        spelt = json.dumps(header, separators=(",", ":")).encode()
        spelt += b" " * (-len(spelt) % 8)
        file.write(len(spelt).to_bytes(8, "little") + spelt)

    def write(self, rows: npt.NDArray[Any]) -> None:
        """The next rows of a tensor, as stored."""
        self._file.write(np.ascontiguousarray(rows).data)

    def copy(self, name: str) -> None:
        """A whole tensor as it is in the source."""
        tensor = self._source.tensors[name]
        with self._source.path.open("rb") as source:
            source.seek(tensor.start)
            left = tensor.end - tensor.start
            while left:
                piece = source.read(min(left, _COPIED))
                self._file.write(piece)
                left -= len(piece)
