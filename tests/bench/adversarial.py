"""Strings that break encoders: mixed scripts, runs, contractions, digits, marks, emoji, special tokens, any character.

Each string depends on the seed and its own number alone, so that any part of them can be made again.
"""

import random
from collections.abc import Callable

from stages.tokenization.disputed import RANGES

_SPACES = (
    " ",
    " ",
    " ",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\x0b",
    "\x0c",
    "\x85",
    "\xa0",
    "\u2028",
    "\u2029",
    "\u3000",
    "\u200b",
)
_SUFFIXES = ("s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "Ve", "M", "lL", "D", "ſ", "ſt", "x", "")
_WORDS = (
    "def", "HTTPServer", "camelCase", "straße", "ÅÄÖ", "ǅungla", "ﬁne", "İstanbul", "K", "naïve", "ʰª", "x_y", "Ὅ",
    "हिन्दी", "ไทย", "한국어", "עברית", "漢字かな", "العربية", "ελληνικά", "кириллица", "Ⅷ", "ՀԱՅԵՐԵՆ",
)  # fmt: skip
_DIGITS = ("0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９", "½¼²³", "ⅠⅡⅢ", "〇一", "𝟎𝟏𝟐", "𑁦𑁧")
_MARKS = ("\u0301", "\u0308", "\u200d", "\ufe0f", "\u0489", "\u20e3", "\u0e31", "\U000e0101", "\u093f", "\u1dc0")
_EMOJI = ("👨\u200d👩\u200d👧", "👍🏽", "🇩🇪", "❤\ufe0f", "1\ufe0f\u20e3", "🏴\U000e0067\U000e0062\U000e007f", "😀")
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<s>", "</s>", "[INST]", "<|fim_prefix|>", "<0x0A>", "<unk>", "▁", "<pad>")
_SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»…—·¿€＄∑≠→\x00\x01\x7f\ufeff\ufffd\u00ad\ue000"
_PLANES = (
    (0x00, 0x80), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000), (0x1F000, 0x1FB00),
    (0x20000, 0x34000), (0xE0000, 0xE0200), (0xF0000, 0x110000),
)  # fmt: skip


def _any_character(rng: random.Random) -> str:
    return chr(rng.randrange(*rng.choice(_PLANES)))


def _run(rng: random.Random) -> str:
    """One character or pair over and over: up to 3,000 times, seldom."""
    unit = rng.choice(
        (_any_character(rng), rng.choice(_SPACES), rng.choice(_SIGNS), rng.choice("aA0é漢"), " \n", "aA", "/*")
    )
    return unit * (rng.randrange(200, 3_000) if rng.random() < 0.05 else rng.randrange(2, 12))


_PARTS: tuple[Callable[[random.Random], str], ...] = (
    _any_character,
    _run,
    lambda rng: rng.choice(_WORDS) + rng.choice(("'", "’", "''", " '")) + rng.choice(_SUFFIXES),
    lambda rng: rng.choice(_WORDS),
    lambda rng: "".join(rng.choices(rng.choice(_DIGITS), k=rng.randrange(1, 9))),
    lambda rng: "".join(rng.choices(_SPACES, k=rng.randrange(1, 5))),
    lambda rng: "".join(rng.choices(_SIGNS, k=rng.randrange(1, 5))),
    lambda rng: rng.choice(_WORDS) + "".join(rng.choices(_MARKS, k=rng.randrange(1, 4))),
    lambda rng: rng.choice(_EMOJI),
    lambda rng: rng.choice(_SPECIAL),
    lambda rng: "".join(rng.choices("etaoinshrdluETAOINSHRDLU '", k=rng.randrange(1, 30))),
    lambda rng: chr(rng.randint(*rng.choice(RANGES))) if rng.random() < 0.1 else rng.choice(_SPACES),
)


def adversarial_text(number: int, seed: int = 20261124) -> str:
    """String `number` of the seed."""
    rng = random.Random(f"{seed}/{number}")
    chosen = rng.sample(_PARTS, k=rng.randrange(1, 5))
    return "".join(rng.choice(chosen)(rng) for _ in range(rng.randrange(0, 25)))
