"""How a trained tokenizer cuts text: each split as the pattern that goes into its `tokenizer.json`.

A split stands for its policies: how long a piece of a number may be (digits: r50k whole, cl100k, llama3 and o200k 3,
qwen and tekken 1), and whether line breaks part whitespace (all but r50k).
"""

from stages.tokenization.scanner import SPLIT_RULES

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_BREAKS = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
_CAPITALS, _SMALLS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_PREFIX = r"[^\r\n\p{L}\p{N}]?"
_SIGNS_AND_SLASHES = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*"

PATTERNS = {
    "r50k": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s"
    ),
    "llama3": rf"{_CONTRACTIONS}|{_PREFIX}\p{{L}}+|\p{{N}}{{1,3}}{_SIGNS}{_BREAKS}",
    "qwen": rf"{_CONTRACTIONS}|{_PREFIX}\p{{L}}+|\p{{N}}{_SIGNS}{_BREAKS}",
    "o200k": (
        rf"{_PREFIX}{_CAPITALS}*{_SMALLS}+{_CONTRACTIONS}?|{_PREFIX}{_CAPITALS}+{_SMALLS}*{_CONTRACTIONS}?"
        rf"|\p{{N}}{{1,3}}{_SIGNS_AND_SLASHES}{_BREAKS}"
    ),
    "tekken": rf"{_PREFIX}{_CAPITALS}*{_SMALLS}+|{_PREFIX}{_CAPITALS}+{_SMALLS}*|\p{{N}}{_SIGNS_AND_SLASHES}{_BREAKS}",
}
"""Patterns that Hugging Face tokenizers reads as the scanner does, written as gigatoken knows them, but for cl100k's
(`stages.tokenization.engines`)."""

DEFAULT_SPLIT = "llama3"

assert PATTERNS.keys() == SPLIT_RULES.keys()


def pattern_of(split: str) -> str:
    """The pattern of a split. Raises ValueError for an unknown one."""
    if split not in PATTERNS:
        raise ValueError(f"split={split!r} must be one of {', '.join(PATTERNS)}")
    return PATTERNS[split]
