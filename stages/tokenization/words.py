"""Marks where words begin among the bytes of each text, for models that read bytes (H-Net, MrT5, HAT).

Reads `text`, whose bytes are the bytes of Arrow's buffer; writes `word_borders` and `num_words`, null where `text` is.
In a chain with `encode` the text is read once for both.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.stage import Stage, Transform
from schemas.words import WORDS
from stages.text_views import text_views
from stages.tokenization.lists import fixed, text_parts
from stages.tokenization.scanner import SPLIT_RULES, pretoken_starts

_BATCH_BYTES = 16_000_000
"""Text scanned in one call: positions of borders take several times the room of the bitmap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WordsConfig:
    """What a word is."""

    split: str = "o200k"
    """The split of a tokenizer: its pieces are the words. A space belongs to the word after it."""

    def __post_init__(self) -> None:
        if self.split not in SPLIT_RULES:
            raise ValueError(f"split={self.split!r} must be one of {', '.join(SPLIT_RULES)}")


def _open(config: WordsConfig) -> Transform:
    def mark(table: pa.Table) -> pa.Table:
        parts = [_mark(part["text"], config) for part in text_parts(table, _BATCH_BYTES)]
        return pa.Table.from_batches(parts, schema=WORDS)

    return mark


def _mark(text: pa.StringArray, config: WordsConfig) -> pa.RecordBatch:
    nulls = text.is_null().to_numpy(zero_copy_only=False)
    offsets, data = text_views(text)
    if nulls.any():
        filled = text.fill_null("")
        assert isinstance(filled, pa.StringArray)
        offsets, data = text_views(filled)
    starts, first = pretoken_starts(offsets, data, config.split)
    borders = np.concatenate([[0], np.cumsum((np.diff(offsets) + 7) // 8)]).astype(np.int32)
    bits = np.zeros(int(borders[-1]), np.uint8)
    _set_bits(fixed(offsets, np.int64), starts, first, borders, bits)
    validity = pa.py_buffer(np.packbits(~nulls, bitorder="little")) if nulls.any() else None
    buffers = [validity, pa.py_buffer(borders), pa.py_buffer(bits)]
    bitmaps = pa.Array.from_buffers(pa.binary(), len(text), buffers)
    counts = pa.array(np.diff(first).astype(np.int32), mask=nulls)
    return pa.record_batch([bitmaps, counts], schema=WORDS)


def _set_starts(
    offsets: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    borders: npt.NDArray[np.int32],
    bits: npt.NDArray[np.uint8],
) -> None:
    """Set the bit of every start in the bitmap of its text, which begins at `borders[row]`."""
    for row in range(len(borders) - 1):
        for word in range(first[row], first[row + 1]):
            at = starts[word] - offsets[row]
            bits[borders[row] + (at >> 3)] |= np.uint8(1 << (at & 7))


_set_bits = numba.njit(cache=True)(_set_starts)


def unpack_words(text: pa.StringArray, borders: pa.BinaryArray) -> tuple["pa.ListArray[Any]", "pa.ListArray[Any]"]:
    """What a model that reads bytes takes: for each text its bytes (list<uint8>), and where words begin (list<bool>).

    The bytes are those of `text`, not a copy. Raises ValueError where a bitmap does not have the size of its text.
    """
    nulls = text.is_null().to_numpy(zero_copy_only=False) | borders.is_null().to_numpy(zero_copy_only=False)
    mask = pa.array(nulls)
    offsets, data = text_views(text)
    sizes = np.where(nulls, 0, np.diff(offsets)).astype(np.int64)
    packed = np.where(nulls, 0, _lengths(borders))
    if (wrong := np.flatnonzero(packed != (sizes + 7) // 8)).size:
        row = int(wrong[0])
        raise ValueError(f"row {row}: {packed[row]} bytes of borders for {sizes[row]} bytes of text; align the columns")
    starts = pa.array(offsets, pa.int32())
    raw = pa.ListArray.from_arrays(starts, pa.array(data), mask=mask)
    flags = np.zeros(int(offsets[-1]) if len(text) else 0, np.bool_)
    _spread(fixed(offsets, np.int64), *_bytes_of(borders), nulls, flags)
    return raw, pa.ListArray.from_arrays(starts, pa.array(flags), mask=mask)


def _lengths(borders: pa.BinaryArray) -> npt.NDArray[np.int64]:
    return np.diff(_bytes_of(borders)[0])


def _bytes_of(borders: pa.BinaryArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    _, offsets, data = borders.buffers()
    if len(borders) == 0 or offsets is None:
        return fixed(np.zeros(1), np.int64), fixed(np.zeros(0), np.uint8)
    places = np.frombuffer(memoryview(offsets), np.int32)[borders.offset : borders.offset + len(borders) + 1]
    flat = np.zeros(0, np.uint8) if data is None else np.frombuffer(memoryview(data), np.uint8)
    return fixed(places, np.int64), fixed(flat, np.uint8)


def _spread_bits(
    offsets: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    bits: npt.NDArray[np.uint8],
    nulls: npt.NDArray[np.bool_],
    flags: npt.NDArray[np.bool_],
) -> None:
    """Set the flag of every byte whose bit is set."""
    for row in range(len(nulls)):
        if nulls[row]:
            continue
        for at in range(offsets[row + 1] - offsets[row]):
            flags[offsets[row] + at] = (bits[places[row] + (at >> 3)] >> (at & 7)) & 1


_spread = numba.njit(cache=True)(_spread_bits)


STAGE: Stage[WordsConfig] = Stage(
    name="words",
    version=1,
    reads=pa.schema([("text", pa.string())]),
    writes=WORDS,
    open=_open,
    libraries=("tiktoken",),
)
