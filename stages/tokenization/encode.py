"""Encodes each text into the token ids of a vocabulary, exactly as the vocabulary's reference encoder does.

Reads `text`; writes `tokens` and `num_tokens`, null where `text` is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Resources, Stage, Transform
from schemas.tokens import TOKENS
from stages.text_views import string_chunks, text_views
from stages.tokenization.certify import certify_engine, certify_rows
from stages.tokenization.engines import Engine, Gigatoken, Ids, Offsets, Reference
from stages.tokenization.vocabulary import SHIPPED, SPLITS, load_vocabulary

TokenArray: TypeAlias = "pa.ListArray[Any]"

ENGINES = ("gigatoken", "reference")

_BATCH_BYTES = 32_000_000
"""Text encoded in one call: bounds how far an engine's memory can grow between two looks at it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeConfig:
    """Which ids, and how they are proved."""

    vocabulary: str = "cl100k_base"
    """A shipped vocabulary, or the path of a `tokenizer.json` or of a tiktoken rank file, readable by every worker."""
    vocabulary_sha256: str = ""
    """Hex digest of the file; required for a path, so that the content of a path is part of identity."""
    split: str = ""
    """How text is cut into pieces: required for a rank file, empty otherwise."""
    engine: str = "gigatoken"
    """`gigatoken`, or `reference`: tiktoken or Hugging Face tokenizers, ten times slower and the same ids."""
    certify_rows: int = 8
    """Texts of every 32 MB that the reference encodes too, chosen by content."""

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"engine={self.engine!r} must be one of {', '.join(ENGINES)}")
        if self.certify_rows < 0:
            raise ValueError(f"certify_rows must not be negative, got {self.certify_rows}")
        if self.split and self.split not in SPLITS:
            raise ValueError(f"split={self.split!r} must be one of {', '.join(SPLITS)}, or empty for tokenizer.json")
        if self.vocabulary in SHIPPED and (self.split or self.vocabulary_sha256):
            raise ValueError(f"{self.vocabulary} is shipped with its split and digest; leave both empty")
        if self.vocabulary not in SHIPPED and not self.vocabulary_sha256:
            raise ValueError(f"set vocabulary_sha256 to what `sha256sum {self.vocabulary}` prints")


def _open(config: EncodeConfig) -> Transform:
    vocabulary = load_vocabulary(config.vocabulary, sha256=config.vocabulary_sha256, split=config.split)
    reference = Reference(vocabulary)
    engine: Engine = reference
    if config.engine == "gigatoken":
        engine = Gigatoken(vocabulary)
        certify_engine(engine, reference, vocabulary.name)

    def encode(table: pa.Table) -> pa.Table:
        batches = (batch for chunk in string_chunks(table["text"]) for batch in _batches(chunk))
        arrays = [_encode_batch(batch, engine, reference, config) for batch in batches]
        tokens = pa.chunked_array(arrays, TOKENS.field("tokens").type)
        return pa.table([tokens, pc.list_value_length(tokens)], schema=TOKENS)

    return encode


def _batches(text: pa.StringArray) -> Iterator[pa.StringArray]:
    """Slices of about `_BATCH_BYTES`, at least one row each."""
    offsets, _ = text_views(text)
    start = 0
    while start < len(text):
        end = int(np.searchsorted(offsets, int(offsets[start]) + _BATCH_BYTES, side="right")) - 1
        end = max(end, start + 1)
        yield text.slice(start, end - start)
        start = end


def _encode_batch(text: pa.StringArray, engine: Engine, reference: Reference, config: EncodeConfig) -> TokenArray:
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    offsets, data = text_views(text if valid.all() else _without_nulls(text))
    starts, ids = encoded = engine.encode(offsets, data)
    if engine is not reference:
        certify_rows(offsets, data, encoded, engine, reference, rows=config.certify_rows, name=config.vocabulary)
    return _token_array(starts, ids, ~valid)


def _without_nulls(text: pa.StringArray) -> pa.StringArray:
    filled = text.fill_null("")
    assert isinstance(filled, pa.StringArray)
    return filled


def _token_array(starts: Offsets, ids: Ids, nulls: npt.NDArray[np.bool_]) -> TokenArray:
    if starts[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{starts[-1]} tokens in {len(starts) - 1} texts do not fit 32-bit offsets; split the texts")
    offsets = pa.array(starts.astype(np.int32), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(ids, pa.int32()), mask=pa.array(nulls))


STAGE: Stage[EncodeConfig] = Stage(
    name="encode",
    version=1,
    reads=pa.schema([("text", pa.string())]),
    writes=TOKENS,
    open=_open,
    resources=Resources(memory_bytes=2_500_000_000),
    libraries=("gigatoken", "tiktoken", "tokenizers"),
)
