"""What token ids stand for: the bytes of every id, and the merges that make them, of any byte-exact vocabulary."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.tokenization.vocabulary import Vocabulary

_SPACE = "\u2581"
"""How SentencePiece writes a space."""


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
    by_id = [b""] * (max([*tokens.values(), *vocabulary.special_tokens.values()], default=-1) + 1)
    for piece, token in tokens.items():
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
    if vocabulary.split:
        ranks = vocabulary.ranks()
        found = ((*_halves(piece, ranks), token) for piece, token in sorted(ranks.items(), key=lambda item: item[1]))
        rows = [(ranks[left], ranks[right], token) for left, right, token in found if right]
    else:
        rows = _listed_merges(vocabulary)
    return np.array(rows, np.int32).reshape(-1, 3)


def _halves(piece: bytes, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """The two pieces whose merge makes the token; empty where there is no such merge."""
    parts = [piece[at : at + 1] for at in range(len(piece))]
    scores = [ranks.get(a + b) for a, b in pairwise(parts)]
    while len(parts) > 2:
        known = [(score, at) for at, score in enumerate(scores) if score is not None]
        if not known:
            return b"", b""
        at = min(known)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        del scores[at]
        if at:
            scores[at - 1] = ranks.get(parts[at - 1] + parts[at])
        if at < len(scores):
            scores[at] = ranks.get(parts[at] + parts[at + 1])
    return (parts[0], parts[1]) if len(parts) == 2 else (b"", b"")


def _listed_merges(vocabulary: Vocabulary) -> list[tuple[int, int, int]]:
    model = json.loads(vocabulary.content)["model"]
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


def _tokens(vocabulary: Vocabulary) -> dict[bytes, int]:
    if vocabulary.split:
        return vocabulary.ranks()
    config = json.loads(vocabulary.content)
    found = config["model"].get("vocab")
    special = set(vocabulary.special_tokens)
    names = {name: token for name, token in found.items() if name not in special} if isinstance(found, dict) else {}
    added = {token["content"].encode(): int(token["id"]) for token in config.get("added_tokens") or []}
    plain = {piece: token for piece, token in added.items() if piece.decode() not in special}
    if "ByteLevel" in _kinds(config):
        alphabet = byte_alphabet()
        try:
            own = {bytes(alphabet[c] for c in name): t for name, t in names.items() if name.encode() not in plain}
        except KeyError as error:
            raise ValueError(f"vocabulary {vocabulary.name}: {error} is not in the alphabet of bytes") from error
        return own | plain
    if config["model"].get("byte_fallback"):
        return {_fallback(name): token for name, token in names.items()} | plain
    raise ValueError(
        f"vocabulary {vocabulary.name} is neither byte-level nor with byte fallback: its tokens are no bytes"
    )


def _fallback(name: str) -> bytes:
    """Bytes of a piece of SentencePiece: `<0x0A>` is a byte, U+2581 a space."""
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        return bytes.fromhex(name[3:5])
    return name.replace(_SPACE, " ").encode()


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
