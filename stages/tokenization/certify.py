"""Proof by sample that the fast engine gives the reference's ids: at the start, and in every shard."""

import numpy as np
import numpy.typing as npt

from pipeline.errors import GristmillError
from stages.tokenization.engines import Engine, Ids, Offsets, Reference

_MAX_BYTES = 65_536
"""A longer text is certified by its first part of this size, so that certifying takes bounded time."""

_HARD = (
    "", " ", "\n", "\r\n\r\n", " \t \n  x", "a" * 300, "  " * 100, "\n\n\n" * 50, "don't I'LL we'Ve 'ſ", "1234567 12",
    "<|endoftext|><|fim_prefix|><s></s>[INST]", "漢字かな交じり文 ", "e\u0301\u200d\U0001f468\u200d\U0001f469",
    "\x00\x01\x7f\ufffd\ufeff", "\u0661\u0662\u0663 ½ Ⅷ", "HTTPServer camelCase snake_case __init__",
    "x = {'a': [1, 2]}  # !!\n\treturn\n", "\u3000\u2028\x85\xa0y", "Straße ÅÄÖ ǅ ʰ ª", "/* --- */ // /\n/\n",
    "١٢٣٤٥ हिन्दी ไทย 한국어 עברית",
)  # fmt: skip


class EncoderMismatchError(GristmillError):
    """The fast encoder gave other ids than the reference: the vocabulary cannot be used with it."""


def certify_engine(engine: Engine, reference: Reference, name: str) -> None:
    """Encode hard texts with both. Raises `EncoderMismatchError` where they differ."""
    for text in _HARD:
        _compare(name, text.encode(), _encode_one(engine, text.encode()), reference)


def certify_rows(
    offsets: npt.NDArray[np.int32],
    data: npt.NDArray[np.uint8],
    encoded: tuple[Offsets, Ids],
    engine: Engine,
    reference: Reference,
    *,
    rows: int,
    name: str,
) -> None:
    """Encode up to `rows` texts, chosen by their content, with the reference. Raises `EncoderMismatchError`."""
    starts, ids = encoded
    for row in choose_rows(offsets, data, rows):
        text = data[offsets[row] : offsets[row + 1]].tobytes()
        part = text[:_MAX_BYTES].decode(errors="ignore").encode()
        whole = len(part) == len(text)
        _compare(name, part, ids[starts[row] : starts[row + 1]] if whole else _encode_one(engine, part), reference)


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


def _compare(name: str, text: bytes, ids: Ids, reference: Reference) -> None:
    expected = reference.encode_text(text.decode())
    if ids.tolist() == expected:
        return
    pairs = zip(ids.tolist(), expected, strict=False)
    at = next((index for index, (got, wanted) in enumerate(pairs) if got != wanted), min(len(ids), len(expected)))
    raise EncoderMismatchError(
        f"vocabulary {name}: token {at} of {text[:200]!r} ({len(text)} bytes) is {ids[at : at + 5].tolist()}..., "
        f"the reference gives {expected[at : at + 5]}...; use engine='reference' for this vocabulary"
    )
