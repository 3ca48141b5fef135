"""Units that superwords are learnt and used in: stretches of a line, cut so that Hugging Face can cut the same.

Reads offsets and bytes of texts, writes positions of bytes, as `stages.tokenization.scanner` does for pretokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.tokenization.draws import Keys, below, draw, mix
from stages.tokenization.scanner import scanner_classes
from stages.tokenization.training.bpe import binary_views
from stages.tokenization.unit_kernels import MAX_DIGITS, unit_end

Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Starts: TypeAlias = tuple[Longs, Longs]
Counts: TypeAlias = tuple[pa.BinaryArray, Longs]
"""Distinct pieces of text and how often each occurs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuts:
    """All that counting depends on: what is learnt from the counts may change without counting again."""

    split: str = ""
    """How text is cut into words; empty where no words are counted."""
    max_unit_chars: int = 0
    """Longest unit; 0 where no units are counted."""
    max_words: int = 0
    """Most words of a random chunk; 0 where no chunks are counted."""
    seed: int = 0
    """Of the sizes of chunks."""


_COUNTS = pa.schema([("piece", pa.binary()), ("count", pa.int64())])


def unit_pattern(max_chars: int) -> str:
    """The regular expression of units: up to three digits, or up to `max_chars` characters and the line breaks after.

    Whitespace between two line breaks goes with them, so almost no pretoken of a usual split crosses a unit's end.
    """
    breaks = rf"\s{{0,{max_chars}}}[\r\n]"
    return rf"\p{{N}}{{1,{MAX_DIGITS}}}|[^\r\n\p{{N}}]{{1,{max_chars}}}(?:{breaks})?|{breaks}"


def unit_starts(offsets: npt.NDArray[np.integer[Any]], data: Bytes, max_chars: int) -> Starts:
    """Positions in `data` where units begin, and for each text the first of them: one more than texts.

    Takes 8 bytes per unit. Time is linear in the text, whatever it is.
    """
    texts = np.ascontiguousarray(offsets, np.int64)
    starts = np.empty(int(offsets[-1] - offsets[0]), np.int64)
    first = np.empty(len(offsets), np.int64)
    total = _scan(texts, data, scanner_classes(), max_chars, starts, first)
    return starts[:total].copy(), first


def _scan_units(offsets: Longs, data: Bytes, classes: Bytes, max_chars: int, starts: Longs, first: Longs) -> int:
    total = 0
    for text in range(len(offsets) - 1):
        first[text] = total
        at = offsets[text]
        while at < offsets[text + 1]:
            starts[total] = at
            total += 1
            at = unit_end(data, at, offsets[text + 1], classes, max_chars)
    first[-1] = total
    return total


_scan = numba.njit(cache=True)(_scan_units)


def chunk_starts(units: Starts, words: Starts, keys: Keys, max_words: int) -> Starts:
    """Chunks of a random number of words, 1 to `max_words`, that never reach over the end of a unit.

    `words` are pretokens of the same texts; `keys` has one stream of draws per text. The sizes of a text's chunks
    depend on its own key and content only.
    """
    starts = np.empty(len(units[0]) + len(words[0]), np.int64)
    first = np.empty(len(units[1]), np.int64)
    total = _chunk(*units, *words, keys, max_words, starts, first)
    return starts[:total].copy(), first


def _chunk_texts(
    units: Longs, unit_first: Longs, words: Longs, word_first: Longs, keys: Keys, most: int, starts: Longs, first: Longs
) -> int:
    total = 0
    for text in range(len(keys)):
        first[text] = total
        unit, draws, left = unit_first[text], 0, np.int64(0)
        for word in range(word_first[text], word_first[text + 1]):
            while unit < unit_first[text + 1] and units[unit] <= words[word]:
                if units[unit] < words[word]:
                    starts[total] = units[unit]
                    total += 1
                left, unit = np.int64(0), unit + 1
            if left == 0:
                starts[total] = words[word]
                total, left, draws = total + 1, below(draw(keys[text], draws), most) + 1, draws + 1
            left -= 1
        while unit < unit_first[text + 1]:
            starts[total] = units[unit]
            total, unit = total + 1, unit + 1
    first[-1] = total
    return total


_chunk = numba.njit(cache=True)(_chunk_texts)


def count_pieces(starts: Longs, data: Bytes, end: int) -> Counts:
    """The distinct pieces among those that begin at `starts`, the last ending at `end`, sorted, each with its count.

    Counts of several texts add up (`add_counts`). Raises ValueError for 2^31 bytes or more.
    """
    if end >= 1 << 31:
        raise ValueError(f"{end} bytes of text do not fit 32-bit offsets; count them in several calls")
    offsets = pa.array(np.append(starts, end).astype(np.int32))
    buffers = [None, offsets.buffers()[1], pa.py_buffer(np.ascontiguousarray(data))]
    pieces = pa.BinaryArray.from_buffers(pa.binary(), len(starts), buffers)
    return add_counts([(pieces, np.ones(len(starts), np.int64))])


def add_counts(parts: Sequence[Counts]) -> Counts:
    """Counts of several texts as of all of them together, sorted by piece."""
    tables = [pa.table({"piece": pieces, "count": counts}) for pieces, counts in parts]
    rows = pa.concat_tables([_COUNTS.empty_table(), *tables]).group_by("piece", use_threads=False)
    added = rows.aggregate([("count", "sum")]).sort_by("piece")
    return added["piece"].combine_chunks(), added["count_sum"].to_numpy().astype(np.int64)


def bound_counts(pieces: pa.BinaryArray, counts: Longs, max_bytes: int) -> Counts:
    """Pieces of at most `max_bytes` in all, chosen by a hash of their content: the same ones in any order or batch."""
    offsets, data = binary_views(pieces)
    lengths = np.diff(offsets)
    if lengths.sum() <= max_bytes:
        return pieces, counts
    order = np.argsort(_hash(offsets, data), kind="stable")
    kept = np.sort(order[: int(np.searchsorted(np.cumsum(lengths[order]), max_bytes, side="right"))])
    chosen = pieces.take(pa.array(kept))
    assert isinstance(chosen, pa.BinaryArray)
    return chosen, counts[kept]


def _hash_pieces(offsets: Longs, data: Bytes) -> npt.NDArray[np.uint64]:
    hashes = np.empty(len(offsets) - 1, np.uint64)
    for piece in range(len(hashes)):
        state = np.uint64(offsets[piece + 1] - offsets[piece])
        for at in range(offsets[piece], offsets[piece + 1]):
            state = mix(state + np.uint64(data[at]))
        hashes[piece] = state
    return hashes


_hash = numba.njit(cache=True)(_hash_pieces)
