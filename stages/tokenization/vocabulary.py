"""Vocabularies: what maps text to token ids, loaded from a package or a file and pinned by digest.

A vocabulary is ranks (a tiktoken file, which says nothing about how text is split, so the split is named beside it; or
a `tekken.json`, which does), a Hugging Face `tokenizer.json`, a SentencePiece model or a hybrid of
`stages.tokenization.training.hybrid`, which say everything.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from stages.tokenization.shipped import SHIPPED
from stages.tokenization.spm import as_tokenizer_json, control_tokens, load_model
from stages.tokenization.tekken import is_tekken, read_tekken

SPLITS = {
    "r50k": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s"
    ),
    "o200k": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "tekken": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "qwen": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    ),
}
"""Regular expressions that cut text into the pieces that merges stay inside, as their makers define them."""

END_OF_TEXT = "<|endoftext|>"
END_TOKENS = (END_OF_TEXT, "</s>", "<|end_of_text|>", "<eos>", "[EOS]")
"""What ends a document in known vocabularies, the most telling first."""

HYBRID_FORMAT = "gristmill-hybrid-1"
"""What a hybrid's file says under `format`."""

Kind = Literal["ranks", "tokenizer.json", "sentencepiece", "hybrid"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """A vocabulary in memory."""

    name: str
    content: bytes = field(repr=False)
    """A rank file, a `tokenizer.json`, a SentencePiece model or a hybrid, as `kind` says."""
    split: str
    """Key of `SPLITS`; empty where there are no ranks."""
    special_tokens: Mapping[str, int] = field(repr=False)
    """Tokens that no text encodes to."""
    offset: int = 0
    """Id of rank 0."""
    is_model: bool = False
    """The content is a SentencePiece model."""
    is_hybrid: bool = False
    """The content is a hybrid."""

    @property
    def kind(self) -> Kind:
        """What the content is."""
        if self.split:
            return "ranks"
        if self.is_hybrid:
            return "hybrid"
        return "sentencepiece" if self.is_model else "tokenizer.json"

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all that decides ids: the content, the split, the offset and the special tokens."""
        content = hashlib.sha256(self.content).hexdigest()
        parts = [
            content,
            SPLITS.get(self.split, ""),
            dict(self.special_tokens),
            *([self.offset] if self.offset else []),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def special_token(self, text: str = "") -> int:
        """Id of a special token; without a text, of the one that ends a document."""
        found = next((token for token in ((text,) if text else END_TOKENS) if token in self.special_tokens), None)
        if found is None:
            names = sorted(self.special_tokens, key=lambda name: self.special_tokens[name])
            known = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "none"
            wanted = repr(text) if text else f"that ends a document ({', '.join(END_TOKENS)})"
            raise ValueError(f"vocabulary {self.name} has no special token {wanted}; it has: {known}")
        return self.special_tokens[found]

    def ranks(self) -> dict[bytes, int]:
        """Bytes of each token to its id; the ids are in order of merge rank. Only for ranks."""
        assert self.split, f"{self.name} is a {self.kind}"
        return {token: rank + self.offset for token, rank in _parse_ranks(self.name, self.content).items()}

    def tokenizer_json(self) -> bytes:
        """The vocabulary as Hugging Face tokenizers writes it. Not for ranks.

        Raises ValueError for a SentencePiece model that is not BPE with byte fallback, and for a hybrid.
        """
        assert not self.split, f"{self.name} is ranks"
        if self.is_hybrid:
            raise ValueError(f"vocabulary {self.name} is a hybrid, no tokenizer.json: only engine='units' knows it")
        if not self.is_model:
            return self.content
        try:
            return as_tokenizer_json(self.content)
        except ValueError as error:
            raise ValueError(f"vocabulary {self.name}: {error}") from error


def load_vocabulary(name: str, *, sha256: str = "", split: str = "") -> Vocabulary:
    """A shipped vocabulary by name, or one from a file, which must have this SHA-256.

    `split` names the split of a rank file. Files with the suffix `.json` (`tokenizer.json`, `tekken.json`) or with
    `.model` in their last suffixes (SentencePiece) need none. `ValueError` if the content is not what the digest says
    or cannot be parsed.
    """
    if name in SHIPPED:
        shipped = SHIPPED[name]
        content = _checked(name, shipped.content(name), shipped.sha256)
        return _parse(name, shipped.path, content, shipped.split, shipped.special_tokens)
    path = vocabulary_file(name)
    return _parse(name, path.name, _checked(name, path.read_bytes(), sha256), split, {})


def vocabulary_file(name: str) -> Path:
    """The file of a vocabulary that is not shipped. `ValueError` where there is none."""
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"vocabulary {name!r} is no file and none of {', '.join(SHIPPED)}; give the path of a file")
    return path


def _parse(name: str, file: str, content: bytes, split: str, special_tokens: Mapping[str, int]) -> Vocabulary:
    if split in SPLITS:
        _parse_ranks(name, content)
        return Vocabulary(name=name, content=content, split=split, special_tokens=special_tokens)
    if file.endswith(".json"):
        return _parse_json(name, content)
    if re.search(r"\.model(\.\w+)?$", file):
        special = control_tokens(load_model(name, content))
        return Vocabulary(name=name, content=content, split="", special_tokens=special, is_model=True)
    raise ValueError(f"vocabulary {name} holds ranks; split={split!r} must be one of {', '.join(SPLITS)}")


def _parse_json(name: str, content: bytes) -> Vocabulary:
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise ValueError(f"vocabulary {name} is not a tokenizer.json: {error}") from error
    if isinstance(parsed, dict) and parsed.get("format") == HYBRID_FORMAT:
        special = parsed.get("special_tokens")
        if not isinstance(special, dict) or not all(isinstance(token, int) for token in special.values()):
            raise ValueError(f"vocabulary {name} is a hybrid whose special_tokens are not names with ids")
        return Vocabulary(name=name, content=content, split="", special_tokens=special, is_hybrid=True)
    if not is_tekken(parsed):
        return Vocabulary(name=name, content=content, split="", special_tokens=_special_tokens(name, parsed))
    tekken = read_tekken(name, parsed)
    split = next((known for known, pattern in SPLITS.items() if pattern == tekken.pattern), "")
    if not split:
        raise ValueError(f"vocabulary {name} splits by {tekken.pattern!r}, which is none of {', '.join(SPLITS)}")
    _parse_ranks(name, tekken.rank_file)
    return Vocabulary(
        name=name,
        content=tekken.rank_file,
        split=split,
        special_tokens=tekken.special_tokens,
        offset=tekken.offset,
    )


def _checked(name: str, content: bytes, sha256: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"vocabulary {name} has SHA-256 {found}, expected {sha256 or 'none was given'}; check the file"
        )
    return content


@lru_cache(maxsize=2)
def _parse_ranks(name: str, content: bytes) -> Mapping[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError as error:
            raise ValueError(f"vocabulary {name}, line {number}: {line[:80]!r} is not `base64 rank`") from error
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing or len(set(ranks.values())) != len(ranks):
        raise ValueError(f"vocabulary {name} must give each token its own rank and hold every byte; missing: {missing}")
    return ranks


def _special_tokens(name: str, content: Any) -> dict[str, int]:
    try:
        added = content.get("added_tokens") or []
        return {token["content"]: int(token["id"]) for token in added if token["special"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"vocabulary {name} is not a tokenizer.json of Hugging Face tokenizers: {error!r}") from error
