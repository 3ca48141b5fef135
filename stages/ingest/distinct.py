"""What the row-local ingest stages share: the type of a column and a map over its distinct values."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pyarrow as pa

Column: TypeAlias = Any
"""An Arrow array. The stubs of its kernels lack too many overloads for a narrower type to be of use."""


def map_distinct(values: Column, function: Callable[[str], str | None]) -> Column:
    """`function` over a string column, called once per distinct value; null stays null."""
    encoded = values.dictionary_encode()
    mapped = pa.array([function(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return mapped.take(encoded.indices)
