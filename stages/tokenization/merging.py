"""Exact byte-pair encoding of many pieces of text at once, with BPE-dropout as an option.

A piece is what merges stay inside: a word, a lexeme, whatever a split made. The pair that is listed first is merged
first, and of equal pairs the leftmost, as Hugging Face tokenizers and tiktoken do.
"""

import numpy as np
import numpy.typing as npt

from stages.tokenization.draws import Keys
from stages.tokenization.lists import fixed
from stages.tokenization.merging_kernels import encode_pieces
from stages.tokenization.merging_tables import NEVER, Ids, Longs, build_pairs, build_pieces, count_slots, find_last
from stages.tokenization.pieces import Pieces

Shortcuts = tuple[Ids, Ids, Longs, npt.NDArray[np.uint8], int]
"""Hash table of tokens, the merge that each token needs last, offsets and bytes of the tokens, the longest in bytes."""

_NONE: Shortcuts = (
    np.full(1, -1, np.int32), np.zeros(0, np.int32),
    fixed(np.zeros(1), np.int64), fixed(np.zeros(0), np.uint8), 0,
)  # fmt: skip

_MAX_SPELT = 1024
"""Bytes of a token above which it is only made by merging."""


class Merger:
    """A byte-level BPE in memory. Equal pieces are merged anew each time: pass distinct ones where text repeats."""

    def __init__(self, merges: Ids, byte_ids: Ids, whole: bool, *, pieces: Pieces | None = None) -> None:
        """`merges` are rows (left id, right id, new id), the first to be applied first; `byte_ids` the id of each byte.

        `whole`: a piece that is a token becomes that token even where merges do not lead there (`ignore_merges`;
        tiktoken always). Which tokens there are say `pieces`; without them, those that the merges spell.
        Raises ValueError where a merge names an id that is no byte's and that no merge makes.
        """
        self._merges = np.ascontiguousarray(merges, np.int32).reshape(-1, 3)
        self._bytes = np.ascontiguousarray(byte_ids, np.int32)
        if self._bytes.shape != (256,) or (self._bytes < 0).any():
            raise ValueError(
                "byte_ids must give each of the 256 bytes an id; this vocabulary has no token for some byte"
            )
        _check(self._merges, self._bytes)
        self._pairs = build_pairs(self._merges, self._bytes, count_slots(len(self._merges)))
        self._shortcuts, self._unmade = self._prove(
            _spell(self._merges, self._bytes) if pieces is None else pieces, whole
        )

    def encode(
        self, offsets: Longs, data: npt.NDArray[np.uint8], limit: int | None = None
    ) -> tuple[npt.NDArray[np.int32], Ids]:
        """Ids of all pieces end to end, and where each piece's begin: one more offset than pieces, from 0.

        `limit` applies only the first so many merges, and takes no token whole that needs a later one. Time grows with
        n log n for a piece of n bytes; memory is 4 bytes per byte of all pieces and 36 per byte of the longest.
        Raises ValueError for 2^31 bytes or more.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"limit must not be negative, got {limit}")
        limit = NEVER if limit is None or limit >= len(self._merges) else limit
        return self._encode(offsets, data, limit, np.zeros(0, np.uint64), 0.0, self._shortcuts)

    def encode_dropout(
        self, offsets: Longs, data: npt.NDArray[np.uint8], keys: Keys, dropout: float
    ) -> tuple[npt.NDArray[np.int32], Ids]:
        """As `encode`, but every possible merge is left out with this probability at every step (BPE-dropout).

        Provilkov et al. 2020, algorithm 1: each step drops every possible merge with probability p, applies the first
        of those left, and ends when none is. Here merges are drawn in their order until one stays, and those dropped
        come back after it: a step asks only for the first that stays, so the chances are the same and a step costs
        1 / (1 - p) draws instead of one per byte. `keys` has one stream per piece. With `whole`, a piece that is a
        token which merges do not lead to stays that token; no other is taken whole.
        """
        if len(keys) != len(offsets) - 1:
            raise ValueError(f"{len(keys)} keys for {len(offsets) - 1} pieces; give each piece its own")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be a probability from 0 to 1, got {dropout}")
        return self._encode(offsets, data, NEVER, keys, dropout, self._unmade)

    def _encode(
        self,
        offsets: Longs,
        data: npt.NDArray[np.uint8],
        limit: int,
        keys: Keys,
        dropout: float,
        shortcuts: Shortcuts,
    ) -> tuple[npt.NDArray[np.int32], Ids]:
        size = int(offsets[-1] - offsets[0])
        if size >= 1 << 31:
            raise ValueError(f"{size} bytes of pieces do not fit 32-bit offsets; encode them in several calls")
        starts, ids = np.zeros(len(offsets), np.int32), np.empty(size, np.int32)
        table, needed, piece_offsets, pieces, longest = shortcuts
        total = encode_pieces(
            fixed(offsets, np.int64), fixed(data, np.uint8), self._bytes, *self._pairs,
            table, needed, piece_offsets, pieces, longest, limit, fixed(keys, np.uint64), float(dropout), starts, ids,
        )  # fmt: skip
        return starts, ids[:total].copy() if 2 * total < size else ids[:total]

    def _prove(self, pieces: Pieces, whole: bool) -> tuple[Shortcuts, Shortcuts]:
        """The tables of tokens that a piece with their bytes becomes at once: proved by merging them, or `whole`.

        The second is of those alone that are not proved.
        """
        offsets, data = fixed(pieces.offsets, np.int64), fixed(pieces.data, np.uint8)
        starts, ids = self._encode(offsets, data, NEVER, np.zeros(0, np.uint64), 0.0, _NONE)
        is_alone = np.diff(starts) == 1
        is_itself = np.zeros(len(pieces), np.bool_)
        is_itself[is_alone] = ids[starts[:-1][is_alone]] == np.flatnonzero(is_alone)
        needed = np.where(is_itself, _last_merges(self._merges, self._bytes, len(pieces)), NEVER - 1).astype(np.int32)
        taken = np.diff(offsets) > 0
        return (
            _shortcuts(offsets, data, needed, taken & (is_itself | whole)),
            _shortcuts(offsets, data, needed, taken & ~is_itself & whole),
        )


def _shortcuts(offsets: Longs, data: npt.NDArray[np.uint8], needed: Ids, taken: npt.NDArray[np.bool_]) -> Shortcuts:
    table = build_pieces(offsets, data, taken, count_slots(int(taken.sum())))
    return table, needed, offsets, data, int(np.diff(offsets)[taken].max(initial=0))


def _check(merges: Ids, byte_ids: Ids) -> None:
    made = np.concatenate([byte_ids, merges[:, 2]])
    strange = merges[~np.isin(merges[:, :2], made).all(axis=1) | (merges < 0).any(axis=1)]
    if len(strange):
        raise ValueError(f"merge {strange[0].tolist()} joins an id that is no byte's and that no merge makes")


def _spell(merges: Ids, byte_ids: Ids) -> Pieces:
    """The bytes of every id that earlier merges lead to, up to a length: merges can double it each time."""
    known = [b""] * (max(int(merges.max(initial=0)), int(byte_ids.max())) + 1)
    for byte, token in enumerate(byte_ids.tolist()):
        known[token] = bytes([byte])
    for left, right, new in merges.tolist():
        if known[left] and known[right] and not known[new] and len(known[left]) + len(known[right]) <= _MAX_SPELT:
            known[new] = known[left] + known[right]
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in known])]).astype(np.int64)
    return Pieces(offsets=offsets, data=np.frombuffer(b"".join(known), np.uint8))


def _last_merges(merges: Ids, byte_ids: Ids, size: int) -> Longs:
    """For every id the last of the merges that make it, or `NEVER` - 1 where that is not known: never too low."""
    made = np.concatenate([byte_ids, merges[:, 2]])
    makers = np.bincount(made, minlength=size)
    last = np.full(len(makers), NEVER - 1, np.int64)
    last[byte_ids[makers[byte_ids] == 1]] = -1
    find_last(merges, makers, last)
    return last[:size]
