"""What a vocabulary makes of texts: tokens, their lengths, which are never seen, how many merges are needed.

Memory: 30 bytes per byte of the texts of one language.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import RecipeError
from stages.text_views import text_views
from stages.tokenization.certify import choose_engine
from stages.tokenization.engines import Engine, Ids, Offsets, Reference
from stages.tokenization.merging import Merger
from stages.tokenization.pieces import Pieces, merges_of, pieces_of
from stages.tokenization.scanner_counts import count_pretokens
from stages.tokenization.splits import split_of
from stages.tokenization.vocabulary import Vocabulary

Counts = npt.NDArray[np.int64]

_MAX_LENGTH = 64
"""Longer tokens are counted as if they had so many bytes."""
_EXAMPLES = 40


@dataclass(frozen=True)
class Measured:
    """A vocabulary that is open for measuring."""

    vocabulary: Vocabulary
    name: str

    @cached_property
    def engine(self) -> Engine:
        """gigatoken or the engine of units where exact, else the reference. Raises RecipeError for no vocabulary."""
        try:
            reference = Reference(self.vocabulary)
        except ValueError as error:
            raise RecipeError(f"vocabulary {self.name} cannot be measured: {error}") from error
        return choose_engine(self.vocabulary, reference)[1]

    @cached_property
    def pieces(self) -> Pieces | None:
        """The bytes of its tokens; None where they do not stand for bytes of their own."""
        try:
            return pieces_of(self.vocabulary)
        except ValueError:
            return None

    @cached_property
    def merges(self) -> npt.NDArray[np.int32]:
        """Its merges in order; none where it is no byte-level BPE."""
        try:
            return merges_of(self.vocabulary)
        except ValueError:
            return np.zeros((0, 3), np.int32)

    @cached_property
    def merger(self) -> Merger | None:
        """What applies its merges; None where it has none."""
        if self.pieces is None or not len(self.merges):
            return None
        try:
            return Merger(self.merges, byte_ids(self.pieces), whole=False)
        except ValueError:
            return None

    @cached_property
    def split(self) -> str:
        """How it cuts text, by name; empty where that is none of those known."""
        return split_of(self.vocabulary)

    @property
    def size(self) -> int | None:
        """Ids that stand for text, and special tokens; None where tokens do not stand for bytes."""
        if self.pieces is None:
            return None
        return int((self.pieces.lengths > 0).sum()) + len(self.vocabulary.special_tokens)

    def encode(self, texts: "pa.Array[Any]") -> tuple[Offsets, Ids]:
        """Ids of all texts end to end, and where each text's begin."""
        assert isinstance(texts, pa.StringArray)
        return self.engine.encode(*text_views(texts))


def byte_ids(pieces: Pieces) -> npt.NDArray[np.int32]:
    """The id of each byte, -1 for a byte that is no token."""
    single = np.flatnonzero(pieces.lengths == 1)
    ids = np.full(256, -1, np.int32)
    ids[pieces.data[pieces.offsets[single]]] = single
    return ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Texts of one language in one vocabulary."""

    bytes: int
    words: int
    """Runs without ASCII white space."""
    tokens: int

    @property
    def bytes_per_token(self) -> float | None:
        return self.bytes / self.tokens if self.tokens else None

    @property
    def fertility(self) -> float | None:
        """Tokens of a word."""
        return self.tokens / self.words if self.words else None


def text_sizes(texts: "pa.Array[Any]") -> tuple[int, int]:
    """Bytes and words."""
    size = pc.sum(pc.binary_length(texts).cast(pa.int64())).as_py() or 0
    return size, pc.sum(pc.count_substring_regex(texts, r"[^\t\n\v\f\r ]+").cast(pa.int64())).as_py() or 0


def count_ids(ids: Ids, size: int) -> Counts:
    """How often each id occurs."""
    return np.bincount(ids, minlength=size).astype(np.int64)


def length_histogram(counts: Counts, pieces: Pieces) -> list[int]:
    """Bytes of text that lie in tokens of 0, 1, 2 ... bytes; the last entry is of all longer tokens too."""
    lengths = pieces.lengths[: len(counts)].astype(np.int64)
    known = counts[: len(lengths)]
    weighed = np.bincount(np.minimum(lengths, _MAX_LENGTH), weights=known * lengths, minlength=_MAX_LENGTH + 1)
    return [int(value) for value in weighed]


def mean_length(histogram: Sequence[int]) -> float | None:
    """Bytes of the token in which a byte of text lies, on average (CharBench, 2508.02591)."""
    total = sum(histogram)
    return sum(length * count for length, count in enumerate(histogram)) / total if total else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Oddities:
    """Tokens that a model may never learn: what glitch tokens come from."""

    unreachable: int | None
    """Tokens that no text encodes to: their own bytes become others, by the split or by merges."""
    unseen: int
    """Tokens that the sample does not have, without special ones."""
    seen_once: int
    examples: dict[str, list[str]]
    """The first of each kind by id, as `id: bytes`."""


def find_oddities(measured: Measured, counts: Counts) -> Oddities | None:
    """None for a vocabulary whose tokens are no bytes."""
    pieces = measured.pieces
    if pieces is None:
        return None
    is_own = pieces.lengths > 0
    unreachable = _unreachable(measured, pieces) if measured.merger else None
    counts = np.concatenate([counts, np.zeros(max(0, len(pieces) - len(counts)), np.int64)])[: len(pieces)]
    kinds = {
        "unreachable": np.zeros(len(pieces), np.bool_) if unreachable is None else unreachable,
        "unseen": is_own & (counts == 0),
        "seen_once": is_own & (counts == 1),
    }
    found = {name: np.flatnonzero(chosen) for name, chosen in kinds.items()}
    return Oddities(
        unreachable=None if unreachable is None else len(found["unreachable"]),
        unseen=len(found["unseen"]),
        seen_once=len(found["seen_once"]),
        examples={name: [f"{token}: {pieces[token]!r}" for token in ids[:_EXAMPLES]] for name, ids in found.items()},
    )


def _unreachable(measured: Measured, pieces: Pieces) -> npt.NDArray[np.bool_]:
    """Tokens that are text and that the vocabulary encodes to something else; of those that are part of a character,
    which no text is by itself, the ones whose bytes are not merged to them."""
    assert measured.merger is not None
    starts, ids = measured.merger.encode(pieces.offsets, pieces.data)
    wrong = (pieces.lengths > 0) & ~_is_itself(starts.astype(np.int64), ids, np.arange(len(pieces)))
    texts, tokens = [], []
    for token in np.flatnonzero(pieces.lengths > 0).tolist():
        try:
            texts.append(pieces[token].decode())
            tokens.append(token)
        except UnicodeDecodeError:
            continue
    chosen = np.array(tokens, np.int64)
    wrong[chosen] = ~_is_itself(*measured.encode(pa.array(texts, pa.string())), chosen)
    return wrong


def _is_itself(starts: Offsets, ids: Ids, tokens: Counts) -> npt.NDArray[np.bool_]:
    found = np.full(len(tokens), -1, np.int64)
    single = np.diff(starts) == 1
    found[single] = ids[starts[:-1][single]]
    same: npt.NDArray[np.bool_] = found == tokens
    return same


class Curve:
    """Tokens of texts in the first merges of a vocabulary: each distinct pretoken is merged once."""

    def __init__(self, measured: Measured, texts: "pa.Array[Any]") -> None:
        """Only for a vocabulary with merges and a known split."""
        assert measured.merger is not None
        assert isinstance(texts, pa.StringArray)
        self._merger, self.merges = measured.merger, len(measured.merges)
        counted = count_pretokens(*text_views(texts), np.arange(len(texts)), measured.split)
        self._counts, pretokens = counted.counts, counted.pretokens
        self._offsets = np.frombuffer(pretokens.buffers()[1], np.int32)[: len(pretokens) + 1].astype(np.int64)
        self._data = np.frombuffer(pretokens.buffers()[2], np.uint8)

    def tokens(self, merges: int) -> int:
        """Tokens with so many merges."""
        starts, _ = self._merger.encode(self._offsets, self._data, merges)
        return int((np.diff(starts.astype(np.int64)) * self._counts).sum())

    def points(self) -> list[tuple[int, int]]:
        """(size, tokens) for sizes of 256 bytes and 0, 1,000, 2,000, 4,000 ... merges, and all."""
        steps = [0, *(1000 << power for power in range(20) if 1000 << power < self.merges), self.merges]
        return [(256 + merges, self.tokens(merges)) for merges in steps]

    def size_for(self, tokens: float) -> int | None:
        """The smallest size with at most so many tokens; None where all merges are not enough.

        More merges never give more tokens, so it is found by halving.
        """
        low, high = 0, self.merges
        if self.tokens(high) > tokens:
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.tokens(middle) <= tokens else (middle + 1, high)
        return 256 + low
