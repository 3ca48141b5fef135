"""Classes of characters as tiktoken's regular expressions see them, asked from tiktoken itself.

Versions of Unicode differ in what is a letter, so a table of our own would split some texts differently.
"""

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import tiktoken

OTHER, LOWER, UPPER, LETTER, MARK, NUMBER, SPACE = range(7)
"""None of the rest; `Ll`; `Lu` or `Lt`; `Lm` or `Lo`; `M`; `N`; `\\s`. `\\p{L}` is the union of 1, 2 and 3."""

_PATTERNS = {LOWER: r"\p{Ll}", UPPER: r"[\p{Lu}\p{Lt}]", LETTER: r"[\p{Lm}\p{Lo}]", MARK: r"\p{M}", NUMBER: r"\p{N}",
             SPACE: r"\s"}  # fmt: skip
_CODE_POINTS = 0x110000
_SURROGATES = range(0xD800, 0xE000)


@lru_cache(maxsize=1)
def class_table() -> npt.NDArray[np.uint8]:
    """The class of every code point, `uint8[0x110000]`, read-only. Surrogates, which no text holds, are `OTHER`.

    Takes 0.2 s the first time in a process.
    """
    points = "".join(chr(point) for point in range(_CODE_POINTS) if point not in _SURROGATES)
    table = np.full(_CODE_POINTS, OTHER, np.uint8)
    for kind, pattern in _PATTERNS.items():
        found = _matches(pattern, points)
        assert not table[found].any(), f"{pattern} overlaps another class"
        table[found] = kind
    table.flags.writeable = False
    return table


def class_table_digest() -> str:
    """Hex SHA-256 of the table: what a vocabulary's ids depend on beside the vocabulary itself."""
    return hashlib.sha256(class_table().tobytes()).hexdigest()


def _matches(pattern: str, text: str) -> npt.NDArray[np.uint32]:
    """Code points that the pattern, of one character, finds: tiktoken leaves out what its pattern does not match."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    probe = tiktoken.Encoding("probe", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    found = bytes(probe.encode_ordinary(text)).decode()
    return np.frombuffer(found.encode("utf-32-le"), np.uint32)
