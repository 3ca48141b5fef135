"""Arrow strings as flat numpy views, for kernels and native libraries: no copy, no Python object per row."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def string_chunks(column: "pa.ChunkedArray[pa.StringScalar]") -> Iterator[pa.StringArray]:
    """The chunks of a string column."""
    for chunk in column.chunks:
        assert isinstance(chunk, pa.StringArray), chunk.type
        yield chunk


def text_views(text: pa.StringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Offsets (one more than rows) into the UTF-8 bytes, and those bytes. What lies under a null is undefined."""
    _, offsets, data = text.buffers()
    if len(text) == 0 or offsets is None:
        return np.zeros(1, np.int32), np.zeros(0, np.uint8)
    starts = np.frombuffer(memoryview(offsets), np.int32)[text.offset : text.offset + len(text) + 1]
    return starts, np.zeros(0, np.uint8) if data is None else np.frombuffer(memoryview(data), np.uint8)
