"""Byte-pair encoding learnt from counted pretokens: exact, deterministic, bounded by the distinct text.

Each step merges the pair with the highest count; of equal counts the one with the lower left id, then the lower right
id, as Hugging Face tokenizers does. Ids 0 to 255 are the bytes in the order of the characters that byte-level
vocabularies write them as (`byte_order`), so that equal counts give the merges that its trainer gives. One rule is our
own: a pair that would spell a token that is there already is passed over, so that every token has one merge.

Memory: 16 bytes per byte of distinct pretokens and 40 bytes per distinct pair.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.tokenization.merging import Merger
from stages.tokenization.pieces import byte_alphabet
from stages.tokenization.training.alphabet import Pair, character_merges, count_characters, join_pieces
from stages.tokenization.training.bpe_kernels import (
    Sizes,
    Text,
    empty_pairs,
    link_before,
    merge_everywhere,
    move_pairs,
    place_tokens,
)
from stages.tokenization.training.bpe_queue import Queue, empty_queue, pop_best, push_all

Merges = npt.NDArray[np.int32]
Allow = Callable[[bytes], bool]

_NEVER = 1 << 30
"""Units of a token that takes part in no merge: a byte of a character that is no token."""
_MAX_BYTES = (1 << 31) - 16
_SLOTS = 1 << 18


@dataclass(frozen=True, kw_only=True, slots=True)
class BpeConfig:
    """What a vocabulary may hold."""

    vocabulary_size: int = 32_000
    """Tokens in all: the 256 bytes and forced tokens included, special and added tokens not. Fewer where text ends."""
    min_count: int = 2
    """A pair that is rarer is not merged."""
    max_token_length: int = 128
    """Longest merged token, in units; 0 for no bound. Forced tokens may be longer. The default is the length of
    cl100k's longest; without a bound, two copies of a megabyte of one letter become a token of that size."""
    unit: Literal["bytes", "characters"] = "bytes"
    """`characters`: characters of the alphabet are tokens, and no token holds a part of one beside other text."""
    alphabet_size: int = 1000
    """For characters: how many characters beyond ASCII are tokens, the most frequent first; the rest stay bytes."""
    forced_tokens: tuple[bytes, ...] = ()
    """Pretokens that must encode to one token, whatever their counts; each must be one pretoken of the split."""

    def __post_init__(self) -> None:
        if self.vocabulary_size < 257:
            raise ValueError(f"vocabulary_size must be above the 256 bytes, got {self.vocabulary_size}")
        if self.min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {self.min_count}")
        if self.max_token_length < 0 or self.max_token_length == 1:
            raise ValueError(f"max_token_length must be 0 (no bound) or at least 2, got {self.max_token_length}")
        if self.alphabet_size < 0:
            raise ValueError(f"alphabet_size must not be negative, got {self.alphabet_size}")
        if self.unit not in ("bytes", "characters"):
            raise ValueError(f"unit={self.unit!r} must be bytes or characters")
        if any(len(token) < 2 for token in self.forced_tokens):
            raise ValueError("forced_tokens must have at least two bytes each; single bytes are tokens already")
        if (forced := len(set(self.forced_tokens))) > self.vocabulary_size - 256:
            raise ValueError(f"{forced} forced tokens do not fit a vocabulary of {self.vocabulary_size} with 256 bytes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A vocabulary as training leaves it."""

    tokens: tuple[bytes, ...] = field(repr=False)
    """Bytes of each id; the first 256 are `byte_order()`. No two are equal."""
    merges: Merges = field(repr=False)
    """Rows (left id, right id, new id), the first to be applied first. New ids count up from 256 without a gap."""

    def merger(self) -> Merger:
        """What encodes pretokens with it."""
        ids = np.empty(256, np.int32)
        ids[byte_order()] = np.arange(256, dtype=np.int32)
        return Merger(self.merges, ids, whole=False)


def byte_order() -> list[int]:
    """The byte of each of the ids 0 to 255."""
    return [byte for _, byte in sorted(byte_alphabet().items())]


def no_merges() -> Trained:
    """The vocabulary of the bytes alone."""
    return Trained(tokens=tuple(bytes([byte]) for byte in byte_order()), merges=np.empty((0, 3), np.int32))


def train_bpe(
    pretokens: "pa.BinaryArray[pa.BinaryScalar]",
    counts: npt.NDArray[np.int64],
    config: BpeConfig,
    *,
    start: Trained | None = None,
    allow: Allow | None = None,
) -> Trained:
    """The vocabulary of these pretokens, each with its count. The order of the pretokens does not matter.

    `start` is a vocabulary to go on from: its merges are applied first and stay first. `allow` says whether a merged
    token may be made; it is asked at most once for each pair. Raises ValueError for counts that are no counts, more
    text than 2 GB, and an alphabet or forced tokens that do not fit.
    """
    offsets, data = binary_views(pretokens)
    counts = np.ascontiguousarray(counts, np.int64)
    if len(counts) != len(pretokens) or (len(counts) and int(counts.min()) < 0):
        raise ValueError(f"{len(pretokens)} pretokens need a count each that is not negative, got {len(counts)} counts")
    if int(offsets[-1] - offsets[0]) + len(offsets) > _MAX_BYTES:
        raise ValueError(f"{offsets[-1] - offsets[0]} bytes of distinct pretokens are too many; raise their min count")
    if start is None:
        start = no_merges()
        if config.unit == "characters":
            characters = count_characters(offsets, data, counts)
            start = _extended(start, character_merges(characters, config.alphabet_size, config.min_count))
    if len(start.tokens) > config.vocabulary_size:
        raise ValueError(f"{len(start.tokens)} tokens to begin with exceed vocabulary_size={config.vocabulary_size}")
    learner = _Learner(offsets, data, counts, config, start)
    trained = learner.learn(allow)
    return _force(trained, len(start.tokens), config) if config.forced_tokens else trained


def binary_views(
    values: "pa.BinaryArray[pa.BinaryScalar]",
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Offsets (one more than values) and bytes."""
    _, offsets, data = values.buffers()
    if len(values) == 0 or offsets is None:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    starts = np.frombuffer(memoryview(offsets), np.int32)[values.offset : values.offset + len(values) + 1]
    return starts.astype(np.int64), np.zeros(0, np.uint8) if data is None else np.frombuffer(memoryview(data), np.uint8)


class _Learner:
    """Tokens and merges as they grow, and the text that they are learnt from."""

    def __init__(
        self,
        offsets: npt.NDArray[np.int64],
        data: npt.NDArray[np.uint8],
        counts: npt.NDArray[np.int64],
        config: BpeConfig,
        start: Trained,
    ) -> None:
        self.config = config
        self.tokens, self.merges = list(start.tokens), start.merges.tolist()
        room = config.vocabulary_size
        limit = np.array([config.max_token_length or _NEVER - 1], np.int64)
        self.sizes = Sizes(np.zeros(room, np.int32), np.zeros(room, np.int32), limit)
        for token, piece in enumerate(self.tokens):
            self._measure(token, piece)
        self.text = _placed(offsets, data, counts, start, self.sizes)
        self.pairs = empty_pairs(_SLOTS)
        at = len(self.text.symbols)
        while at := int(link_before(self.text, self.sizes, self.pairs, at)):
            self._reserve(int(self.pairs.used[0]))
        self.queue = self._push(np.sort(self.pairs.keys[self.pairs.keys >= 0]), empty_queue(1 << 16))

    def learn(self, allow: Allow | None) -> Trained:
        known = set(self.tokens)
        made = np.empty(2 * self.config.vocabulary_size + 3, np.int64)
        while len(self.tokens) < self.config.vocabulary_size:
            key = int(pop_best(self.queue, self.pairs, self.config.min_count))
            if key < 0:
                break
            left, right = key >> 32, key & 0xFFFFFFFF
            piece = self.tokens[left] + self.tokens[right]
            if piece in known or (allow is not None and not allow(piece)):
                continue
            token = len(self.tokens)
            self._measure(token, piece)
            known.add(piece)
            self.tokens.append(piece)
            self.merges.append((left, right, token))
            self._reserve(2 * token + 2)
            new = merge_everywhere(self.text, self.sizes, self.pairs, left, right, token, made)
            self.queue = self._push(new, self.queue)
        return Trained(tokens=tuple(self.tokens), merges=np.array(self.merges, np.int32).reshape(-1, 3))

    def _measure(self, token: int, piece: bytes) -> None:
        self.sizes.bytes[token] = len(piece)
        self.sizes.units[token] = len(piece) if self.config.unit == "bytes" else _characters(piece)

    def _reserve(self, more: int) -> None:
        """Make room for new pairs in the table; those that stand nowhere any more are dropped."""
        slots = len(self.pairs.keys)
        if int(self.pairs.used[0]) + more <= slots // 2:
            return
        alive = int(np.count_nonzero(self.pairs.heads >= 0))
        while 4 * alive + 2 * more > slots:
            slots *= 2
        larger = empty_pairs(slots)
        move_pairs(self.pairs, larger)
        self.pairs = larger

    def _push(self, keys: npt.NDArray[np.int64], queue: Queue) -> Queue:
        grown: Queue = push_all(queue, self.pairs, keys, self.config.min_count)
        return grown


def _characters(piece: bytes) -> int:
    try:
        return len(piece.decode())
    except UnicodeDecodeError:
        return _NEVER


def _placed(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    counts: npt.NDArray[np.int64],
    start: Trained,
    sizes: Sizes,
) -> Text:
    """The pretokens as tokens of the vocabulary to go on from."""
    borders, ids = start.merger().encode(offsets, data)
    places = int(offsets[-1] - offsets[0]) + len(offsets)
    symbols, pretoken, after, before = (np.full(places, -1, np.int32) for _ in range(4))
    text = Text(symbols, pretoken, after, before, counts)
    place_tokens(text, sizes, len(counts), borders, ids)
    return text


def _force(trained: Trained, base: int, config: BpeConfig) -> Trained:
    """The vocabulary with the forced tokens that it lacks in place of its last ones.

    Their merges come last, so that no other pretoken is cut in another way than before.
    """
    keep = len(trained.tokens)
    while True:
        forced = _with_tokens(_first_tokens(trained, keep), config.forced_tokens)
        surplus = len(forced.tokens) - config.vocabulary_size
        if surplus <= 0:
            return forced
        if keep - surplus < base:
            raise ValueError(
                f"{len(config.forced_tokens)} forced tokens do not fit a vocabulary of {config.vocabulary_size}"
            )
        keep -= surplus


def _first_tokens(trained: Trained, keep: int) -> Trained:
    return Trained(tokens=trained.tokens[:keep], merges=trained.merges[: keep - 256])


def _with_tokens(trained: Trained, wanted: tuple[bytes, ...]) -> Trained:
    """The vocabulary with merges that make these pretokens whole, after its own."""
    pieces = sorted(set(wanted), key=lambda piece: (len(piece), piece))
    offsets = np.cumsum([0, *map(len, pieces)])
    borders, ids = trained.merger().encode(offsets, np.frombuffer(b"".join(pieces), np.uint8))
    known = {token: number for number, token in enumerate(trained.tokens)}
    pairs: list[Pair] = []
    for number in range(len(pieces)):
        parts = [trained.tokens[token] for token in ids[borders[number] : borders[number + 1]]]
        for pair in pairs:  # no merge before them joins what they make
            parts = _merged(parts, pair)
        for pair in join_pieces(parts, known):
            known[b"".join(pair)] = len(known)
            pairs.append(pair)
    return _extended(trained, pairs)


def _merged(parts: list[bytes], pair: Pair) -> list[bytes]:
    merged: list[bytes] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def _extended(trained: Trained, pairs: list[Pair]) -> Trained:
    """The vocabulary with these merges after its own."""
    tokens = list(trained.tokens)
    known = {piece: token for token, piece in enumerate(tokens)}
    rows = []
    for left, right in pairs:
        rows.append((known[left], known[right], len(tokens)))
        known[left + right] = len(tokens)
        tokens.append(left + right)
    merges = np.concatenate([trained.merges, np.array(rows, np.int32).reshape(-1, 3)])
    return Trained(tokens=tuple(tokens), merges=merges)
