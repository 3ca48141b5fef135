"""The class table against Hugging Face tokenizers, whose regular expressions are another library's."""

import numpy as np
import pytest
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from stages.tokenization.classes import (
    LETTER,
    LOWER,
    MARK,
    NUMBER,
    OTHER,
    SPACE,
    UPPER,
    class_table,
    class_table_digest,
)

POINTS = [*range(0xD800), *range(0xE000, 0x34000), *range(0xE0000, 0xE0200)]
"""All that Unicode has given to characters, and more; beyond are only planes that are empty or for private use."""
TEXT = "".join(map(chr, POINTS))


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        (LOWER, r"\p{Ll}"),
        (UPPER, r"[\p{Lu}\p{Lt}]"),
        (LETTER, r"[\p{Lm}\p{Lo}]"),
        (MARK, r"\p{M}"),
        (NUMBER, r"\p{N}"),
        (SPACE, r"\s"),
        (OTHER, r"[^\s\p{L}\p{M}\p{N}]"),
    ],
)
def test_tiktoken_and_tokenizers_know_the_same_classes(kind, pattern):
    found = Split(Regex(pattern + "+"), "removed", invert=True).pre_tokenize_str(TEXT)
    points = [ord(character) for part, _ in found for character in part]
    assert points == [point for point in POINTS if class_table()[point] == kind]


def test_the_table_holds_every_code_point_and_cannot_be_changed():
    table = class_table()
    assert table.dtype == np.uint8
    assert len(table) == 0x110000
    assert [table[ord(character)] for character in "aAǅʰ漢\u0301½\u3000\x85\x1c'ſ"] == [
        LOWER, UPPER, UPPER, LETTER, LETTER, MARK, NUMBER, SPACE, SPACE, OTHER, OTHER, LOWER,
    ]  # fmt: skip
    assert not np.delete(table, POINTS).any()
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


def test_the_digest_changes_only_with_the_version_of_unicode_that_tiktoken_knows():
    """If this fails after an update of tiktoken, it splits texts with rare characters in other ways than before."""
    assert class_table_digest() == "2620932e6f5f7ab6807f17a1d59f038fb4288d3bfdedd9151d771b81aee08570"
