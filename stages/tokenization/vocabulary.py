"""Vocabularies: what maps text to token ids, loaded from a package or a file and pinned by digest.

A vocabulary is either ranks (a tiktoken file, which says nothing about how text is split, so the split is named beside
it) or a Hugging Face `tokenizer.json`, which says everything.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

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
}
"""Regular expressions that cut text into the pieces that merges stay inside, as tiktoken defines them."""

END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shipped:
    split: str
    sha256: str
    special_tokens: Mapping[str, int]


SHIPPED = {
    "cl100k_base": _Shipped(
        split="cl100k",
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        special_tokens={
            END_OF_TEXT: 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": _Shipped(
        split="o200k",
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        special_tokens={END_OF_TEXT: 199999, "<|endofprompt|>": 200018},
    ),
}
"""Vocabularies inside the package `bpe-openai`; the digests are those that tiktoken pins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """A vocabulary in memory."""

    name: str
    content: bytes = field(repr=False)
    """A rank file, or a `tokenizer.json` where `split` is empty."""
    split: str
    """Key of `SPLITS`."""
    special_tokens: Mapping[str, int]
    """Tokens that no text encodes to."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all that decides ids: the content, the split and the special tokens."""
        parts = [hashlib.sha256(self.content).hexdigest(), SPLITS.get(self.split, ""), dict(self.special_tokens)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def special_token(self, text: str = END_OF_TEXT) -> int:
        """Id of a special token; the default ends a document."""
        if text not in self.special_tokens:
            known = ", ".join(sorted(self.special_tokens)) or "none"
            raise ValueError(f"vocabulary {self.name} has no special token {text!r}; it has: {known}")
        return self.special_tokens[text]

    def ranks(self) -> dict[bytes, int]:
        """Bytes of each token to its id, which is its merge rank too. Only for rank files."""
        assert self.split, f"{self.name} is a tokenizer.json"
        return _parse_ranks(self.name, self.content)


def load_vocabulary(name: str, *, sha256: str = "", split: str = "") -> Vocabulary:
    """A shipped vocabulary by name, or one from a file, which must have this SHA-256.

    `split` names the split of a rank file; a file with the suffix `.json` needs none. `ValueError` if the content is
    not what the digest says or cannot be parsed.
    """
    if name in SHIPPED:
        shipped = SHIPPED[name]
        content = _checked(name, _shipped_content(name), shipped.sha256)
        return Vocabulary(name=name, content=content, split=shipped.split, special_tokens=shipped.special_tokens)
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"vocabulary {name!r} is no file and none of {', '.join(SHIPPED)}; give the path of a file")
    content = _checked(name, path.read_bytes(), sha256)
    if path.suffix == ".json":
        return Vocabulary(name=name, content=content, split="", special_tokens=_special_tokens(name, content))
    if split not in SPLITS:
        raise ValueError(f"vocabulary {name} holds ranks; split={split!r} must be one of {', '.join(SPLITS)}")
    _parse_ranks(name, content)
    return Vocabulary(name=name, content=content, split=split, special_tokens={})


def _shipped_content(name: str) -> bytes:
    """The package's data file, found without importing the package, which parses every vocabulary that it has."""
    packed = Path(str(distribution("bpe-openai").locate_file(f"bpe_openai/data/{name}.tiktoken.gz")))
    return gzip.decompress(packed.read_bytes())


def _checked(name: str, content: bytes, sha256: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"vocabulary {name} has SHA-256 {found}, expected {sha256 or 'none was given'}; check the file"
        )
    return content


def _parse_ranks(name: str, content: bytes) -> dict[bytes, int]:
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


def _special_tokens(name: str, content: bytes) -> dict[str, int]:
    try:
        added = json.loads(content).get("added_tokens") or []
        return {token["content"]: int(token["id"]) for token in added if token["special"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"vocabulary {name} is not a tokenizer.json of Hugging Face tokenizers: {error!r}") from error
