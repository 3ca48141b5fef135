"""Arrow lists of numbers as flat numpy views and back: no copy, no Python object per row."""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.text_views import text_views

Numbers = npt.NDArray[Any]
Number = TypeVar("Number", bound=np.generic)


def fixed(array: npt.NDArray[Any], kind: type[Number]) -> npt.NDArray[Number]:
    """The array, read-only, so that numba compiles each kernel once for arrays of Arrow and of numpy alike."""
    view = np.ascontiguousarray(array, kind).view()
    view.flags.writeable = False
    return view


def list_views(lists: "pa.ListArray[Any]") -> tuple[npt.NDArray[np.int32], Numbers]:
    """Offsets (one more than rows) into the numbers, and those numbers. What lies under a null is undefined.

    Raises ValueError where a list holds nulls.
    """
    kind = lists.type.value_type.to_pandas_dtype()
    if len(lists) == 0:
        return fixed(np.zeros(1), np.int32), fixed(np.zeros(0), kind)
    return lists.offsets.to_numpy(), fixed(lists.values.to_numpy(), kind)


def is_null(column: "pa.Array[Any]") -> npt.NDArray[np.bool_]:
    """Which rows are null."""
    nulls: npt.NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return nulls


def row_ranges(offsets: npt.NDArray[np.integer[Any]], most: int) -> Iterator[tuple[int, int]]:
    """First row and number of rows of slices with up to `most` elements, at least one row each."""
    start = 0
    while start < len(offsets) - 1:
        end = max(int(np.searchsorted(offsets, int(offsets[start]) + most, side="right")) - 1, start + 1)
        yield start, end - start
        start = end


def text_parts(table: pa.Table, most_bytes: int) -> Iterator[pa.RecordBatch]:
    """The table in batches whose `text` has up to `most_bytes` bytes, at least one row each."""
    for batch in table.to_batches():
        for start, rows in row_ranges(text_views(batch["text"])[0], most_bytes):
            yield batch.slice(start, rows)


def list_array(
    offsets: npt.NDArray[np.int64], values: Numbers, kind: pa.DataType, nulls: npt.NDArray[np.bool_] | None = None
) -> "pa.ListArray[Any]":
    """Lists of a type from offsets and numbers. Raises ValueError for more numbers than 32-bit offsets reach."""
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{offsets[-1]} values in {len(offsets) - 1} rows do not fit 32-bit offsets; take fewer rows")
    borders = pa.array(offsets.astype(np.int32), pa.int32())
    flat = pa.array(values[: offsets[-1]], kind.value_type)
    return pa.ListArray.from_arrays(borders, flat, type=kind, mask=None if nulls is None else pa.array(nulls))
