"""What code says in words: names, docstrings and comments of its units, to be embedded in place of its text.

Reads `text` and `units`. Writes `unit_text`: qualified by nothing, one unit per line, its name and its documentation;
null where there is no tree, empty where there is no unit. Embed it with `column="unit_text"`.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Stage, Transform
from schemas.ast import UNITS
from schemas.columns import columns
from stages.text_views import text_views

Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

UNIT_TEXT = columns(pa.field("unit_text", pa.string()))

_PARTS = ("name", "doc")
_SPACE, _NEWLINE = 0x20, 0x0A


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitTextConfig:
    """How much is taken."""

    max_bytes: int = 4096
    """Of each document."""
    max_doc_bytes: int = 400
    """Of the documentation of each unit."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.max_doc_bytes < 0:
            raise ValueError(f"max_bytes must be at least 1 and max_doc_bytes at least 0: {self}")


def _open(config: UnitTextConfig) -> Transform:
    def take(table: pa.Table) -> pa.Table:
        batches = table.combine_chunks().to_batches()
        arrays = [_texts(batch["text"], batch["units"], config) for batch in batches]
        return pa.table([pa.chunked_array(arrays, pa.string())], schema=UNIT_TEXT)

    return take


def _texts(text: pa.StringArray, units: Any, config: UnitTextConfig) -> pa.Array:
    offsets, data = text_views(text)
    counts = pc.fill_null(pc.list_value_length(units), 0).to_numpy()
    flat = units.flatten()
    ranges = np.stack(
        [
            pc.fill_null(pc.struct_field(flat, f"{part}_{side}"), 0).to_numpy().astype(np.int64)
            for part in _PARTS
            for side in ("start", "end")
        ],
        axis=1,
    )
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    limits = np.array([config.max_bytes, config.max_doc_bytes], np.int64)
    out = np.empty(len(text) * config.max_bytes, np.uint8)
    ends = gather_words(offsets.astype(np.int64), data, starts, ranges, limits, out)
    buffers = [None, pa.py_buffer(np.concatenate([[0], ends]).astype(np.int32)), pa.py_buffer(out[: ends[-1]])]
    gathered = pa.StringArray.from_buffers(len(text), *buffers[1:])
    return pc.if_else(pc.and_(units.is_valid(), text.is_valid()), gathered, pa.scalar(None, pa.string()))


def _gather(offsets: Longs, data: Bytes, starts: Longs, ranges: Longs, limits: Longs, out: Bytes) -> Longs:
    """Copy name and documentation of every unit of every text; gives where each text's words end in `out`.

    ranges: int64[units, 4], name and documentation as byte ranges of the text, empty where there is none.
    limits: bytes of a document and of a unit's documentation. What is cut is cut before a character.
    """
    ends, at = np.empty(len(offsets) - 1, np.int64), np.int64(0)
    for row in range(len(ends)):
        last = at + limits[0]
        for unit in range(starts[row], starts[row + 1]):
            for part in range(2):
                begin, end = ranges[unit, 2 * part], ranges[unit, 2 * part + 1]
                size = min(end - begin, last - at - 1, limits[1] if part else limits[0])
                source = offsets[row] + begin
                while 0 < size < end - begin and data[source + size] & 0xC0 == 0x80:
                    size -= 1
                if size > 0:
                    for i in range(size):
                        out[at + i] = data[source + i]
                    out[at + size] = _NEWLINE if part else _SPACE
                    at += size + 1
        ends[row] = at
    return ends


gather_words = numba.njit(cache=True)(_gather)

STAGE: Stage[UnitTextConfig] = Stage(
    name="unit-text",
    version=1,
    reads=columns(pa.field("text", pa.string()), UNITS.field("units")),
    writes=UNIT_TEXT,
    open=_open,
)
