"""Where pretokens begin: the splits of tokenizers as kernels over UTF-8 bytes, exactly as their patterns say.

Reads offsets and bytes of texts, writes positions of bytes. Time is linear in the text for every input.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.tokenization.classes import class_table
from stages.tokenization.scanner_kernels import CASED, CODE, WORDS, scan_texts

_TABLE_SIZE = 1 << 21
"""All values that four bytes of UTF-8 can spell, beyond Unicode too, so that no text reads outside the table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What tells the splits of one family apart."""

    family: int
    digits: int = 3
    """Most characters of a number; 0 for any."""
    contractions: bool = True
    """`'s`, `'ll` and so on end a word (o200k)."""
    tail: bool = False
    """Whitespace at the end of a text is one piece, line breaks or not (cl100k)."""

    @property
    def values(self) -> tuple[int, int, bool, bool]:
        """For kernels."""
        return self.family, self.digits, self.contractions, self.tail


SPLIT_RULES = {
    "r50k": Rules(family=WORDS, digits=0, tail=True),
    "cl100k": Rules(family=CODE, tail=True),
    "llama3": Rules(family=CODE),
    "qwen": Rules(family=CODE, digits=1),
    "o200k": Rules(family=CASED),
    "tekken": Rules(family=CASED, digits=1, contractions=False),
}
"""Splits by name. `llama3` is cl100k but for whitespace that ends a text, as most files of Hugging Face write it."""


def pretoken_starts(
    offsets: npt.NDArray[np.integer[Any]], data: npt.NDArray[np.uint8], split: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions in `data` where pretokens begin, and for each text the first of them: one more than texts.

    `offsets` (one more than texts) are where texts begin in `data`. An empty text has no pretoken. Takes 8 bytes per
    pretoken. Raises ValueError for an unknown split.
    """
    positions = np.ascontiguousarray(offsets, np.int64)
    first = np.empty(len(positions), np.int64)
    room = np.empty(int(positions[-1] - positions[0]) // 4 + 16, np.int64)
    data = data.view()
    data.flags.writeable = False  # one compiled kernel for arrays of Arrow and of numpy
    starts = scan_texts(positions, data, scanner_classes(), rules_of(split), first, room)
    return starts, first


def rules_of(split: str) -> tuple[int, int, bool, bool]:
    """Rules of a split for kernels. Raises ValueError for an unknown one."""
    if split not in SPLIT_RULES:
        raise ValueError(f"split={split!r} must be one of {', '.join(SPLIT_RULES)}")
    return SPLIT_RULES[split].values


@lru_cache(maxsize=1)
def scanner_classes() -> npt.NDArray[np.uint8]:
    """The class table, padded so that kernels need no check of bounds."""
    table = np.zeros(_TABLE_SIZE, np.uint8)
    known = class_table()
    table[: len(known)] = known
    return table
