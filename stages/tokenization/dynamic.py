"""Dynamic tokenization as a view over tokens: each batch merges the pairs that are frequent in it (2411.18553).

Takes tokens and where words begin; gives shorter rows, in which new ids stand for pairs, and the list of these pairs,
from which a model makes their embeddings. What is merged depends on the batch, so the reader must plan batches.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.tokenization.dynamic_kernels import join_words, mark_words, merge_words
from stages.tokenization.lists import fixed, is_null, list_array, list_views
from stages.tokenization.merging_tables import count_slots
from stages.tokenization.pieces import Pieces
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.stochastic_kernels import count_texts, spell_texts

TokenLists: TypeAlias = "pa.ListArray[Any]"


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedBatch:
    """A batch after its merges."""

    tokens: TokenLists
    """As given, with ids from `base` on for pairs."""
    pairs: npt.NDArray[np.int32]
    """Rows (left id, right id): row i is what id `base` + i stands for; its parts may be earlier new ids."""
    base: int

    def parts(self) -> TokenLists:
        """The ids below `base` that each new id stands for, in order."""
        parts: list[list[int]] = []
        for pair in self.pairs.tolist():
            sides = [parts[part - self.base] if part >= self.base else [part] for part in pair]
            parts.append([*sides[0], *sides[1]])
        return pa.array(parts, pa.list_(pa.int32()))


def merge_batch(tokens: TokenLists, words: TokenLists, *, merges: int, base: int) -> MergedBatch:
    """Merge the most frequent pair of neighbours inside words, up to `merges` times, while one occurs twice.

    `words` (list<bool>, as long as the tokens) says where words begin; no pair crosses a border or the end of a row.
    Pairs are counted as in BPE training: all neighbours, overlapping ones too. Of equally frequent pairs the one with
    the lowest ids comes first, so the order of rows decides nothing. Time grows with the distinct words of the batch
    and with merges x distinct pairs. Raises ValueError where words and tokens differ in length and for ids from `base`.
    """
    if merges < 0 or not 0 <= base <= (1 << 31) - 1 - merges:
        raise ValueError(f"merges={merges} and base={base} must be positive and their sum below 2^31")
    nulls = is_null(tokens)
    offsets, ids = list_views(tokens)
    lengths = np.where(nulls, 0, np.diff(offsets))
    borders = np.concatenate([[0], np.cumsum(lengths)])
    flat = ids[np.repeat(offsets[:-1] - borders[:-1], lengths) + np.arange(borders[-1])]
    if len(flat) and (int(flat.max()) >= base or int(flat.min()) < 0):
        raise ValueError(f"ids go from {int(flat.min())} to {int(flat.max())}; they must be below base={base}")
    starts, codes, distinct = _distinct_words(flat, _first_tokens(words, nulls, borders))
    counts = np.bincount(codes, minlength=len(distinct[0]) - 1).astype(np.int64)
    ends, merged = np.diff(distinct[0]), distinct[1].copy()
    slots = count_slots(3 * len(merged))
    pairs = merge_words(fixed(distinct[0], np.int64), ends, merged, counts, merges, base, slots)
    out, rows = np.empty(len(flat), np.int32), np.zeros(len(tokens) + 1, np.int64)
    join_words(fixed(borders, np.int64), starts, codes, fixed(distinct[0], np.int64), ends, merged, rows, out)
    return MergedBatch(tokens=list_array(rows, out, tokens.type, nulls), pairs=pairs, base=base)


def _first_tokens(
    words: TokenLists, nulls: npt.NDArray[np.bool_], borders: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Which of the tokens begin words."""
    filled = words.filter(pa.array(~nulls))
    offsets = filled.offsets.to_numpy() if len(filled) else np.zeros(1, np.int32)
    if filled.null_count or not np.array_equal(np.diff(offsets), np.diff(borders)[~nulls]):
        raise ValueError("words must have one flag per token in every row; make them from the same tokens")
    flags = filled.flatten().to_numpy(zero_copy_only=False).copy()
    flags[borders[:-1][np.diff(borders) > 0]] = True
    return np.flatnonzero(flags)


def _distinct_words(
    flat: npt.NDArray[np.int32], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
    """Where words begin, the number of each word, and the distinct words: offsets and ids. Their bytes are compared."""
    places = pa.array((4 * np.append(starts, len(flat))).astype(np.int64), pa.int64())
    spelt = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(starts), [None, places.buffers()[1], pa.py_buffer(np.ascontiguousarray(flat))]
    )
    encoded = spelt.dictionary_encode()
    _, offsets, data = encoded.dictionary.buffers()
    size = len(encoded.dictionary)
    if size == 0 or data is None:
        return starts, np.zeros(0, np.int32), (np.zeros(1, np.int64), np.zeros(0, np.int32))
    words = np.frombuffer(memoryview(offsets), np.int64)[: size + 1] // 4, np.frombuffer(memoryview(data), np.int32)
    return starts, encoded.indices.to_numpy().astype(np.int32), (words[0], words[1][: words[0][-1]])


def begin_words(tokens: TokenLists, pieces: Pieces, split: str) -> TokenLists:
    """Whether each token begins a word of the split (list<bool>), found from the bytes of the tokens; null for null.

    A token without bytes, such as the end of a document, is a word by itself.
    """
    nulls = is_null(tokens)
    offsets, ids = list_views(tokens)
    offsets, piece_offsets = fixed(offsets, np.int32), fixed(pieces.offsets, np.int64)
    num_texts, num_bytes = count_texts(offsets, ids, nulls, piece_offsets)
    texts, kept = np.zeros(num_texts + 1, np.int64), np.zeros(num_texts, np.int64)
    data, first_text = np.empty(num_bytes, np.uint8), np.zeros(len(tokens) + 1, np.int64)
    piece_data = fixed(pieces.data, np.uint8)
    spell_texts(offsets, ids, nulls, piece_offsets, piece_data, texts, kept, data, first_text)
    starts, _ = pretoken_starts(texts, data, split)
    lengths = np.where(nulls, 0, np.diff(offsets)).astype(np.int64)
    flags = np.zeros(int(lengths.sum()), np.bool_)
    mark_words(offsets, ids, lengths, piece_offsets, np.append(starts, num_bytes), flags)
    return list_array(np.concatenate([[0], np.cumsum(lengths)]), flags, pa.list_(pa.bool_()), nulls)
