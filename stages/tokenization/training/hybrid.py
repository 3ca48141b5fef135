"""Dictionary-first vocabularies ("Tokens with Meaning", 2508.14292): roots and affixes, then byte-pair encoding.

Reads dictionaries and counts of pretokens; writes a JSON file of its own, because no `tokenizer.json` can say it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.tokenization.pieces import byte_alphabet
from stages.tokenization.training.policies import DEFAULT_SPLIT
from stages.tokenization.training.units import Cuts
from stages.tokenization.vocabulary import HYBRID_FORMAT

_MAX_BYTES = 64
TITLE, UPPER = "<|title|>", "<|upper|>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dictionary:
    """Roots and affixes, in small letters."""

    roots: tuple[bytes, ...]
    affixes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        for piece in (*self.roots, *self.affixes):
            if not 1 <= len(piece) <= _MAX_BYTES or not all(0x61 <= byte <= 0x7A or byte >= 0x80 for byte in piece):
                raise ValueError(
                    f"{piece[:80]!r} in the dictionary must be 1 to {_MAX_BYTES} bytes of letters, the ASCII ones small"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class HybridConfig:
    """How much of the vocabulary the dictionary may take."""

    dictionary: Dictionary
    """Roots and affixes; the text itself, so that it is part of identity."""
    vocabulary_size: int = 32_000
    """Tokens in all: bytes, dictionary, the two case marks and merged tokens; special tokens not."""
    max_roots: int = 16_000
    """Forms of roots that get an id, the most frequent first: a root and the same after a space are two forms."""
    min_count: int = 2
    """Rarer forms of roots get no id, rarer pairs are not merged."""
    min_root_bytes: int = 3
    """Shorter roots are not looked for."""
    max_token_bytes: int = 64
    """Longest merged token."""
    split: str = DEFAULT_SPLIT
    """How text is cut into words."""

    def __post_init__(self) -> None:
        for name in ("max_roots", "min_count", "min_root_bytes", "max_token_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.vocabulary_size < 258:
            raise ValueError(f"vocabulary_size={self.vocabulary_size} must hold the 256 bytes and two case marks")

    @property
    def cuts(self) -> Cuts:
        """What counting depends on."""
        return Cuts(split=self.split)


def load_dictionary(paths: Iterable[Path]) -> Dictionary:
    """Roots and affixes of all these files, sorted, each once.

    A `.json` file is `{"roots": [...], "affixes": [...]}`; any other has lines `root<TAB>text` or `affix<TAB>text`.
    """
    found: dict[str, set[bytes]] = {"root": set(), "affix": set()}
    for path in paths:
        entries = _json_entries(path) if path.suffix == ".json" else _line_entries(path)
        for kind, piece in entries:
            found[kind].add(piece)
    return Dictionary(roots=tuple(sorted(found["root"])), affixes=tuple(sorted(found["affix"])))


def _json_entries(path: Path) -> list[tuple[str, bytes]]:
    try:
        content = json.loads(path.read_bytes())
        roots, affixes = content.get("roots", []), content.get("affixes", [])
        return [("root", piece.encode()) for piece in roots] + [("affix", piece.encode()) for piece in affixes]
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f'{path} must be {{"roots": [text, ...], "affixes": [text, ...]}}: {error}') from error


def _line_entries(path: Path) -> list[tuple[str, bytes]]:
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        kind, tab, piece = line.partition(b"\t")
        if not line:
            continue
        if not tab or kind not in (b"root", b"affix"):
            raise ValueError(f"{path}, line {number}: {line[:80]!r} must be `root` or `affix`, a tab and the text")
        entries.append((kind.decode(), piece))
    return entries


@dataclass(frozen=True, kw_only=True, slots=True)
class HybridVocabulary:
    """A dictionary and merges over one range of ids."""

    split: str
    min_root_bytes: int
    tokens: tuple[bytes, ...] = field(repr=False)
    """Bytes of each id; empty for the case marks and special tokens."""
    merges: npt.NDArray[np.int32] = field(repr=False)
    """Rows (left id, right id, new id), the first to be applied first."""
    roots: tuple[int, ...] = field(repr=False)
    """Ids of roots, with or without a space before."""
    affixes: tuple[int, ...] = field(repr=False)
    special_tokens: dict[str, int]
    """Names of the tokens without bytes, the case marks included."""

    @property
    def title(self) -> int:
        """Id of the mark that raises the first letter of the next token."""
        return self.special_tokens[TITLE]

    @property
    def upper(self) -> int:
        """Id of the mark that raises all letters of the next token and of the affixes after it."""
        return self.special_tokens[UPPER]

    def byte_ids(self) -> npt.NDArray[np.int32]:
        """The id of each byte."""
        ids = {token: number for number, token in reversed(list(enumerate(self.tokens)))}
        return np.array([ids[bytes([byte])] for byte in range(256)], np.int32)

    def to_json(self) -> bytes:
        """The file's content."""
        spelt = {byte: character for character, byte in byte_alphabet().items()}
        content = {
            "format": HYBRID_FORMAT,
            "split": self.split,
            "min_root_bytes": self.min_root_bytes,
            "tokens": ["".join(spelt[byte] for byte in token) for token in self.tokens],
            "merges": self.merges.tolist(),
            "roots": self.roots,
            "affixes": self.affixes,
            "special_tokens": self.special_tokens,
        }
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def read_hybrid(content: bytes) -> HybridVocabulary:
    """The vocabulary that `to_json` wrote. Raises ValueError for anything else."""
    try:
        parts = json.loads(content)
        alphabet = byte_alphabet()
        tokens = tuple(bytes(alphabet[character] for character in name) for name in parts["tokens"])
        vocabulary = HybridVocabulary(
            split=str(parts["split"]),
            min_root_bytes=int(parts["min_root_bytes"]),
            tokens=tokens,
            merges=np.array(parts["merges"], np.int32).reshape(-1, 3),
            roots=tuple(int(token) for token in parts["roots"]),
            affixes=tuple(int(token) for token in parts["affixes"]),
            special_tokens={str(name): int(token) for name, token in parts["special_tokens"].items()},
        )
        _check_ids(vocabulary, parts["format"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no hybrid vocabulary of format {HYBRID_FORMAT}: {error!r}") from error
    return vocabulary


def _check_ids(vocabulary: HybridVocabulary, written: str) -> None:
    if written != HYBRID_FORMAT:
        raise ValueError(f"its format is {written!r}")
    size = len(vocabulary.tokens)
    named = [*vocabulary.roots, *vocabulary.affixes, *vocabulary.special_tokens.values(), vocabulary.title]
    ids = np.concatenate([np.array([*named, vocabulary.upper], np.int64), vocabulary.merges.ravel()])
    if len(ids) and not 0 <= ids.min() <= ids.max() < size:
        raise ValueError(f"ids must be from 0 to {size - 1}, got {ids.min()} and {ids.max()}")
    empty = [token for token in (*vocabulary.roots, *vocabulary.affixes) if not vocabulary.tokens[token]]
    if empty:
        raise ValueError(f"token {empty[0]} of the dictionary has no bytes")
    vocabulary.byte_ids()


def with_special_tokens(vocabulary: HybridVocabulary, names: Sequence[str]) -> HybridVocabulary:
    """The same with special tokens after all others. Raises ValueError for names that are there already."""
    taken = [name for name in names if name in vocabulary.special_tokens]
    if taken or len(set(names)) != len(names):
        raise ValueError(f"special tokens {list(names)} must be distinct and none of {[*vocabulary.special_tokens]}")
    size = len(vocabulary.tokens)
    added = {name: size + number for number, name in enumerate(names)}
    return HybridVocabulary(
        split=vocabulary.split,
        min_root_bytes=vocabulary.min_root_bytes,
        tokens=(*vocabulary.tokens, *(b"" for _ in names)),
        merges=vocabulary.merges,
        roots=vocabulary.roots,
        affixes=vocabulary.affixes,
        special_tokens=vocabulary.special_tokens | added,
    )
