"""Which of the known splits the file of a vocabulary cuts text by: a `tokenizer.json` writes a pattern, not a name."""

import json
from collections.abc import Mapping
from typing import Any

from stages.tokenization.training.policies import PATTERNS
from stages.tokenization.vocabulary import SPLITS, Vocabulary

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

_PATTERNS = {pattern: split for split, pattern in PATTERNS.items()} | {_GPT2: "r50k"}
_PATTERNS |= {SPLITS[split]: split for split in ("r50k", "qwen", "o200k", "tekken")}
"""Splits of `scanner.SPLIT_RULES` by the pattern that a `tokenizer.json` writes. cl100k as tiktoken writes it is not
among them: Hugging Face tokenizers reads it otherwise."""


def split_of(vocabulary: Vocabulary) -> str:
    """Key of `scanner.SPLIT_RULES` of ranks or a `tokenizer.json`; empty for any other way to cut text."""
    if vocabulary.kind == "tokenizer.json":
        return split_of_json(json.loads(vocabulary.content).get("pre_tokenizer"))
    return vocabulary.split


def split_of_json(pre_tokenizer: Mapping[str, Any] | None) -> str:
    """The split of these pre-tokenizers of a `tokenizer.json`; empty if it is none of the known."""
    parts = [pre_tokenizer] if pre_tokenizer else []
    if parts and parts[0]["type"] == "Sequence":
        parts = parts[0]["pretokenizers"]
    if not parts or parts[-1]["type"] != "ByteLevel" or parts[-1].get("add_prefix_space", True):
        return ""
    if len(parts) == 1:
        return "r50k" if parts[0].get("use_regex", True) else ""
    if len(parts) > 2 or parts[0]["type"] != "Split" or parts[-1].get("use_regex", True):
        return ""
    isolated = parts[0]["behavior"] == "Isolated" and not parts[0]["invert"]
    matches = parts[0]["behavior"] == "Removed" and parts[0]["invert"]
    return _PATTERNS.get(parts[0]["pattern"].get("Regex", ""), "") if isolated or matches else ""
