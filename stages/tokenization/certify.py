"""Proof by sample that the fast engine gives the reference's ids: at the start, and in every shard."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import GristmillError
from stages.text_views import text_views
from stages.tokenization.disputed import RANGES
from stages.tokenization.engines import Engine, Ids, Offsets, Reference, advised_engine, open_engine
from stages.tokenization.pieces import pieces_of
from stages.tokenization.vocabulary import Vocabulary

_MAX_BYTES = 65_536
"""A longer text is certified by its first part of this size, so that certifying takes bounded time."""

_HARD = (
    "", " ", "\n", "\r\n\r\n", " \t \n  x", "a" * 300, "  " * 100, "\n\n\n" * 50, "don't I'LL we'Ve 'ſ", "1234567 12",
    "<|endoftext|><|fim_prefix|><s></s>[INST]", "漢字かな交じり文 ", "e\u0301\u200d\U0001f468\u200d\U0001f469",
    "\x00\x01\x7f\ufffd\ufeff", "\u0661\u0662\u0663 ½ Ⅷ", "HTTPServer camelCase snake_case __init__",
    "x = {'a': [1, 2]}  # !!\n\treturn\n", "\u3000\u2028\x85\xa0y", "Straße ÅÄÖ ǅ ʰ ª", "/* --- */ // /\n/\n",
    "١٢٣٤٥ हिन्दी ไทย 한국어 עברית", "x\U000323b0/d \u088fa", "<0x0A>\u2581\u2581x", "\t" * 3000 + "x", "-" * 3000,
)  # fmt: skip


_PROBED = (*range(0x80, 0x40000, 16), *(code for first, last in RANGES for code in (first - 1, last + 1)))
_PROBES = 64
"""Characters in one probing text."""


class EncoderMismatchError(GristmillError):
    """The fast encoder gave other ids than the reference: the vocabulary cannot be used with it."""


def certify_engine(engine: Engine, reference: Reference, vocabulary: Vocabulary) -> None:
    """Encode hard texts and every 16th character with both. Raises `EncoderMismatchError` where they differ."""
    texts = [*_HARD, *_probes()]
    starts, ids = engine.encode(*text_views(pa.array(texts, pa.string())))
    for row, text in enumerate(texts):
        _compare(vocabulary, text.encode(), ids[starts[row] : starts[row + 1]], engine, reference)


def choose_engine(vocabulary: Vocabulary, reference: Reference) -> tuple[str, Engine]:
    """The fastest engine on a CPU that is certified for the vocabulary: its name, and it."""
    for name in ("gigatoken", "units"):
        try:
            engine = open_engine(name, vocabulary, reference, "auto")
            certify_engine(engine, reference, vocabulary)
        except (ValueError, EncoderMismatchError):
            continue
        return name, engine
    return "reference", reference


def _probes() -> Iterator[str]:
    """Texts whose tokens tell classes of characters apart: Unicode adds characters by columns of 16.

    Disputed ones are left out, as a text with one of them is not the engine's.
    """
    disputed = {code for first, last in RANGES for code in range(first, last + 1)}
    codes = [code for code in _PROBED if code not in disputed and not 0xD800 <= code < 0xE000]
    for start in range(0, len(codes), _PROBES):
        yield "".join(f"x{chr(code)}/d4{chr(code)}5" for code in codes[start : start + _PROBES])


def certify_rows(
    offsets: npt.NDArray[np.int32],
    data: npt.NDArray[np.uint8],
    encoded: tuple[Offsets, Ids],
    engine: Engine,
    reference: Reference,
    *,
    rows: int,
    vocabulary: Vocabulary,
) -> None:
    """Encode up to `rows` texts, chosen by their content, with the reference. Raises `EncoderMismatchError`."""
    starts, ids = encoded
    for row in choose_rows(offsets, data, rows):
        start, end = int(offsets[row]), int(offsets[row + 1])
        part = data[start : min(end, start + _MAX_BYTES)].tobytes().decode(errors="ignore").encode()
        whole = len(part) == end - start
        found = ids[starts[row] : starts[row + 1]] if whole else _encode_one(engine, part)
        _compare(vocabulary, part, found, engine, reference)


def choose_rows(offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8], rows: int) -> npt.NDArray[np.int64]:
    """The rows whose length and 16 bytes, evenly spaced, hash lowest; empty texts left out."""
    starts, lengths = offsets[:-1].astype(np.int64), np.diff(offsets).astype(np.uint64)
    filled = np.flatnonzero(lengths)
    starts, lengths = starts[filled], lengths[filled]
    keys = lengths.copy()
    for step in range(16):
        positions = starts + (lengths * np.uint64(step) // np.uint64(16)).astype(np.int64)
        keys = (keys ^ data[positions]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return np.sort(filled[np.argsort(keys, kind="stable")[:rows]])


def _encode_one(engine: Engine, text: bytes) -> Ids:
    offsets = np.array([0, len(text)], np.int32)
    return engine.encode(offsets, np.frombuffer(text, np.uint8))[1]


def _compare(vocabulary: Vocabulary, text: bytes, ids: Ids, engine: Engine, reference: Reference) -> None:
    expected = reference.encode_text(text.decode())
    if ids.tolist() == expected:
        return
    pairs = zip(ids.tolist(), expected, strict=False)
    at = next((index for index, (got, wanted) in enumerate(pairs) if got != wanted), min(len(ids), len(expected)))
    place = _position(vocabulary, expected[:at])
    before, here = text[max(0, place - 60) : place], text[place : place + 60]
    raise EncoderMismatchError(
        f"vocabulary {vocabulary.name}: token {at} of a text of {len(text)} bytes, at {here!r} after {before!r}, is "
        f"{ids[at : at + 5].tolist()}..., the reference gives {expected[at : at + 5]}...; use "
        f"engine={advised_engine(vocabulary, engine)!r} for this vocabulary"
    )


def _position(vocabulary: Vocabulary, ids: list[int]) -> int:
    """Byte of the text where the token after these begins; 0 where tokens do not say."""
    try:
        return int(pieces_of(vocabulary).lengths[ids].sum())
    except (ValueError, IndexError):
        return 0
