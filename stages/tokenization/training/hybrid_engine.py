"""Encodes with a hybrid vocabulary: dictionary first, byte-pair encoding for the rest, proved for every text.

A text that its ids would not give back byte for byte is encoded by byte-pair encoding alone, and counted.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.tokenization.engines import Ids, Offsets
from stages.tokenization.merging import Merger
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.training.bpe import binary_views
from stages.tokenization.training.hybrid import HybridVocabulary
from stages.tokenization.training.hybrid_kernels import (
    Edges,
    analyse_words,
    decode_ids,
    fill_words,
    find_lossy,
    spread,
)
from stages.tokenization.training.trie import build_trie

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class HybridEngine:
    """A hybrid vocabulary in memory."""

    def __init__(self, vocabulary: HybridVocabulary) -> None:
        tokens = vocabulary.tokens
        self._split = vocabulary.split
        self._analyser = Analyser(vocabulary)
        self._offsets = np.concatenate([[0], np.cumsum([len(token) for token in tokens])]).astype(np.int64)
        self._pieces = np.frombuffer(b"".join(tokens), np.uint8)
        self._is_affix = np.zeros(len(tokens), np.bool_)
        self._is_affix[list(vocabulary.affixes)] = True
        self._cases = np.array([vocabulary.title, vocabulary.upper], np.int32)
        self._merger = Merger(vocabulary.merges, vocabulary.byte_ids(), False)
        self.fallbacks = 0
        """Texts that were encoded by byte-pair encoding alone, since the engine was made."""

    def encode(self, offsets: npt.NDArray[np.int32], data: Bytes) -> tuple[Offsets, Ids]:
        """See `Engine`."""
        starts, ids, _ = self.encode_checked(offsets, data)
        return starts, ids

    def encode_checked(self, offsets: npt.NDArray[np.int32], data: Bytes) -> tuple[Offsets, Ids, Mask]:
        """The same, and which texts fell back to byte-pair encoding."""
        words, first = pretoken_starts(offsets, data, self._split)
        codes, distinct, bytes_ = _distinct(words, data, int(offsets[-1]))
        ends, word_ids = self._encode_words(distinct, bytes_)
        starts, ids = _gather(codes, first, ends, word_ids)
        lossy = np.zeros(len(starts) - 1, np.bool_)
        texts = np.ascontiguousarray(offsets, np.int32)
        find_lossy(starts, ids, texts, data, self._offsets, self._pieces, self._is_affix, self._cases, lossy)
        if lossy.any():
            self.fallbacks += int(lossy.sum())
            plain_ends, plain_ids = self._merger.encode(distinct, bytes_)
            plain = _gather(codes, first, plain_ends.astype(np.int64), plain_ids)
            starts, ids = _choose(lossy, plain, (starts, ids))
        return starts, ids, lossy

    def decode(self, ids: Ids) -> bytes:
        """The bytes that these ids stand for."""
        text = np.empty(int((self._offsets[ids + 1] - self._offsets[ids]).sum()), np.uint8)
        size = decode_ids(
            np.ascontiguousarray(ids, np.int32), self._offsets, self._pieces, self._is_affix, self._cases, text
        )
        return text[:size].tobytes()

    def _encode_words(self, offsets: Longs, data: Bytes) -> tuple[Longs, Ids]:
        items, first, spans = self._analyser.analyse(offsets, data)
        span_ends, span_ids = self._merger.encode(*cut_spans(spans, data))
        ends, ids = np.zeros(len(offsets), np.int64), np.empty(len(items) + len(span_ids), np.int32)
        total = fill_words(items, first, span_ends, span_ids, ends, ids)
        return ends, ids[:total]


class Analyser:
    """Cuts words into the ids of a dictionary and spans that are left."""

    def __init__(self, vocabulary: HybridVocabulary) -> None:
        self._roots = _edges(vocabulary, vocabulary.roots)
        self._affixes = _edges(vocabulary, vocabulary.affixes)
        self._shortest = vocabulary.min_root_bytes
        self._cases = np.array([vocabulary.title, vocabulary.upper], np.int32)

    def analyse(self, offsets: Longs, data: Bytes) -> tuple[Ids, Longs, Ids]:
        """Items of all words end to end (-1 for a span), where each word's begin, and (start, end) of each span."""
        size = int(offsets[-1] - offsets[0])
        lower = np.where((data >= 0x41) & (data <= 0x5A), data | 0x20, data).astype(np.uint8)
        items, spans = np.empty(2 * size + 1, np.int32), np.empty((size + 1, 2), np.int32)
        first = np.empty(len(offsets), np.int64)
        total, held = analyse_words(
            offsets, data, lower, self._roots, self._affixes, self._shortest, self._cases, items, spans, first
        )
        return items[:total], first, spans[:held]


def _edges(vocabulary: HybridVocabulary, ids: tuple[int, ...]) -> Edges:
    trie = build_trie([vocabulary.tokens[token] for token in ids], ids)
    return trie.keys, trie.children, trie.values


def _distinct(words: Longs, data: Bytes, end: int) -> tuple[Ids, Longs, Bytes]:
    """The number of each word's distinct content, and offsets and bytes of the distinct contents."""
    if not len(words):
        return np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.uint8)
    offsets = pa.array(np.append(words, end).astype(np.int32))
    buffers = [None, offsets.buffers()[1], pa.py_buffer(np.ascontiguousarray(data))]
    encoded = pa.BinaryArray.from_buffers(pa.binary(), len(words), buffers).dictionary_encode()
    return encoded.indices.to_numpy(), *binary_views(encoded.dictionary)


def cut_spans(spans: Ids, data: Bytes) -> tuple[Longs, Bytes]:
    """The spans' bytes end to end, and their offsets."""
    lengths = (spans[:, 1] - spans[:, 0]).astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    places = np.repeat(spans[:, 0].astype(np.int64) - offsets[:-1], lengths) + np.arange(int(offsets[-1]))
    return offsets, data[places]


def _gather(codes: Ids, first: Longs, ends: Longs, word_ids: Ids) -> tuple[Offsets, Ids]:
    ids = np.empty(int(np.diff(ends)[codes].sum()), np.int32)
    starts = np.zeros(len(first), np.int64)
    spread(codes, first, ends, word_ids, starts, ids)
    return starts, ids


def _choose(lossy: Mask, plain: tuple[Offsets, Ids], hybrid: tuple[Offsets, Ids]) -> tuple[Offsets, Ids]:
    """Each text's ids from one of the two."""
    sides = [plain if is_lossy else hybrid for is_lossy in lossy.tolist()]
    rows = [ids[starts[text] : starts[text + 1]] for text, (starts, ids) in enumerate(sides)]
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    return np.concatenate([np.zeros(1, np.int64), ends]), np.concatenate(rows)
