"""What token ids stand for: the bytes of every id, and the merges that make them, of any byte-exact vocabulary."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.tokenization.lists import fixed
from stages.tokenization.merging_tables import build_pieces, count_slots
from stages.tokenization.pieces_kernels import find_halves
from stages.tokenization.vocabulary import Vocabulary

_SPACE = "\u2581"
"""How SentencePiece writes a space."""

_BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """Bytes of every token id, end to end."""

    offsets: npt.NDArray[np.int64]
    """One more than ids; id i is `data[offsets[i]:offsets[i + 1]]`, empty for special and unused ids."""
    data: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, token: int) -> bytes:
        if not 0 <= token < len(self):
            raise IndexError(f"token {token} is outside 0 to {len(self) - 1}")
        return self.data[self.offsets[token] : self.offsets[token + 1]].tobytes()

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Bytes of each id."""
        return np.diff(self.offsets).astype(np.int32)

    def decode(self, ids: npt.NDArray[np.integer[Any]]) -> bytes:
        """The bytes of these ids, end to end."""
        return b"".join(self[int(token)] for token in ids)


def pieces_of(vocabulary: Vocabulary) -> Pieces:
    """The bytes of every id. Raises ValueError where tokens of the vocabulary do not stand for bytes of their own."""
    tokens = _tokens(vocabulary)
    by_id = [b""] * (max([*tokens, *vocabulary.special_tokens.values()], default=-1) + 1)
    for token, piece in tokens.items():
        by_id[token] = piece
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in by_id])]).astype(np.int64)
    return Pieces(offsets=offsets, data=np.frombuffer(b"".join(by_id), np.uint8))


def merges_of(vocabulary: Vocabulary) -> npt.NDArray[np.int32]:
    """Rows (left id, right id, new id) of every merge, the first to be applied first.

    Rank files do not hold them: the merge of a token is the last one that encoding its own bytes makes. It is the only
    pair of pieces that can ever become this token, because whatever stands around a stretch of bytes that ends as one
    token never takes part in its merges. A token that its own bytes do not encode to has no merge and is never made.
    Raises ValueError for a vocabulary that is no byte-pair encoding.
    """
    if not vocabulary.split:
        return np.array(_listed_merges(vocabulary), np.int32).reshape(-1, 3)
    pieces = pieces_of(vocabulary)
    offsets, data = fixed(pieces.offsets, np.int64), fixed(pieces.data, np.uint8)
    taken = np.diff(offsets) > 0
    halves = find_halves(offsets, data, build_pieces(offsets, data, taken, count_slots(int(taken.sum()))))
    made = np.flatnonzero(halves[:, 0] >= 0).astype(np.int32)
    return np.column_stack([halves[made], made])


def _listed_merges(vocabulary: Vocabulary) -> list[tuple[int, int, int]]:
    model = json.loads(vocabulary.tokenizer_json())["model"]
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise ValueError(f"vocabulary {vocabulary.name} is a {model.get('type')} model; only BPE has merges")
    ids = model["vocab"]
    rows = []
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        try:
            rows.append((ids[left], ids[right], ids[left + right]))
        except KeyError as error:
            raise ValueError(f"vocabulary {vocabulary.name}: merge {merge!r} names {error}, no token of it") from error
    return rows


def _tokens(vocabulary: Vocabulary) -> dict[int, bytes]:
    """Every id that text encodes to, and its bytes."""
    if vocabulary.split:
        return {token: piece for piece, token in vocabulary.ranks().items()}
    config = json.loads(vocabulary.tokenizer_json())
    found = config["model"].get("vocab")
    special = {*vocabulary.special_tokens}
    added = {int(token["id"]): token["content"] for token in config.get("added_tokens") or []}
    plain = {token: name.encode() for token, name in added.items() if name not in special}
    names = {token: name for name, token in found.items() if name not in special} if isinstance(found, dict) else {}
    if "ByteLevel" in _kinds(config):
        alphabet = byte_alphabet()
        try:
            own = {token: bytes(alphabet[c] for c in name) for token, name in names.items() if token not in plain}
        except KeyError as error:
            raise ValueError(f"vocabulary {vocabulary.name}: {error} is not in the alphabet of bytes") from error
        return own | plain
    if config["model"].get("byte_fallback"):
        return _with_fallback(names) | plain
    raise ValueError(
        f"vocabulary {vocabulary.name} is neither byte-level nor with byte fallback: its tokens are no bytes"
    )


def _with_fallback(names: Mapping[int, str]) -> dict[int, bytes]:
    """Bytes of SentencePiece's pieces: `<0x0A>` is a byte, U+2581 a space.

    The byte of a character that is a piece, such as `<0x41>` beside `A`, is an id that no text encodes to.
    """
    bare = {token: name for token, name in names.items() if not _BYTE.fullmatch(name)}
    pieces = {token: name.replace(_SPACE, " ").encode() for token, name in bare.items()}
    spelt = {*pieces.values()}
    single = {token: bytes.fromhex(name[3:5]) for token, name in names.items() if token not in bare}
    return pieces | {token: byte for token, byte in single.items() if byte not in spelt}


def _kinds(config: Mapping[str, Any]) -> set[str]:
    """Types of all pre-tokenizers and decoders of a tokenizer.json."""
    pending, kinds = [config.get("pre_tokenizer"), config.get("decoder")], set()
    while pending:
        part = pending.pop()
        if not part:
            continue
        kinds.add(part.get("type"))
        pending += [*part.get("pretokenizers", ()), *part.get("decoders", ())]
    return kinds


@lru_cache(maxsize=1)
def byte_alphabet() -> dict[str, int]:
    """The character by which byte-level vocabularies write each byte (GPT-2), and the byte."""
    printable: Iterable[int] = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(rest)}
