"""Hard texts, and how they are laid end to end."""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]

HARD = [
    "", "a", "'", "\u0301", " ", "\n", "don't I'LL we'Ve x'ſ y'ſt", "a's's'S'll's b'sU c'S\u0301d", "!\n//x !\n/\u0301",
    "!!\u0301\n\n//\u0301\n//\u0301\n//\u0301/ y", "\n/b !\n/b \n!/\r\n/*", "1234567 12\u0663\u0664 \u2163x",
    " \t \n  x \n ", "\n\n\n", "!\n\n \n", "HTTPServer camelCase ABC漢DEF ABC漢DEf \u0301AA\u0301BB", "漢字かな文 ǅaʰB",
    "\x00\x01\x7f\ufffd\ufeff", "\u3000\u2028\x85\xa0y", "e\u0301\u200d\U0001f468\u200d\U0001f469", "<|endoftext|></s>",
    "def f(x):\n\treturn {'a': [1, 2]}  # !!\n\n\n    pass\n", "x" * 300, "ab" * 400, "q" * 17 + " " + "q" * 17,
    "  " * 50 + "!",
]  # fmt: skip

_ALPHABET = [
    *"''''''sdtmlrev/!.-ABbaſS漢字ʰ\u0301\u03011\u0663\u2028ǅéÉ\x00\U0001f600",
    "\n", "\r", "/", "//", " ", "  ", "\t", "foo", "Bar", "\r\n",
]  # fmt: skip

ADVERSARIAL = st.text(
    st.one_of(st.sampled_from("".join(_ALPHABET)), st.characters(exclude_categories=["Cs"])), max_size=40
)


def adversarial(count: int, seed: int, longest: int = 16) -> list[str]:
    """Texts of characters that splits care about, and a few of any."""
    rng = random.Random(seed)
    texts = ["".join(rng.choices(_ALPHABET, k=rng.randint(0, longest))) for _ in range(count)]
    for row in range(0, count, 10):
        texts[row] += "".join(_any_character(rng) for _ in range(rng.randint(0, 8)))
    return texts


def _any_character(rng: random.Random) -> str:
    point = rng.randrange(0x110000 - 0x800)
    return chr(point if point < 0xD800 else point + 0x800)


def flat(texts: Sequence[str | bytes]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Offsets and bytes of texts end to end."""
    encoded = [text.encode() if isinstance(text, str) else text for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in encoded])]).astype(np.int32)
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)
