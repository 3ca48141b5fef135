"""Encodes each text as its bytes, with word borders, so that a model that reads bytes (H-Net, MrT5, HAT) gets shards.

Reads `text`; writes `tokens` and `num_tokens`, null where `text` is. A token is a byte of the text's UTF-8, plus 256
where a word begins: all that works on tokens (packing, exports, reading for training) works on these.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Stage, Transform
from schemas.tokens import TOKENS
from stages.text_views import text_views
from stages.tokenization.lists import is_null, list_array, text_parts
from stages.tokenization.pieces import Pieces
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.words import WordsConfig

BORDER = 256
"""Added to the byte with which a word begins."""

END_OF_DOCUMENT = 512
"""The first free id: what may end a document. A model needs 513 ids, or 257 once `split_ids` took the border away."""

VOCABULARY = "bytes"
"""What a version of such tokens calls its vocabulary, which is no file."""

_BATCH_BYTES = 16_000_000
"""Text encoded in one call."""


def _open(config: WordsConfig) -> Transform:
    def encode_bytes(table: pa.Table) -> pa.Table:
        parts = [_encode(part["text"], config.split) for part in text_parts(table, _BATCH_BYTES)]
        return pa.Table.from_batches(parts, schema=TOKENS)

    return encode_bytes


def _encode(text: pa.StringArray, split: str) -> pa.RecordBatch:
    nulls = is_null(text)
    filled = text.fill_null("") if nulls.any() else text
    assert isinstance(filled, pa.StringArray)
    offsets, data = text_views(filled)
    starts, _ = pretoken_starts(offsets, data, split)
    ids = data[offsets[0] : offsets[-1]].astype(np.int32)
    ids[starts - offsets[0]] += BORDER
    tokens = list_array((offsets - offsets[0]).astype(np.int64), ids, TOKENS.field("tokens").type, nulls)
    return pa.record_batch([tokens, pc.list_value_length(tokens)], schema=TOKENS)


def split_ids(ids: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """What such tokens say, for arrays of any shape: each byte, and whether a word begins there.

    Ids from `END_OF_DOCUMENT` on become 256 and so on: the first that are no bytes. They begin no word.
    """
    is_byte = ids < END_OF_DOCUMENT
    return np.where(is_byte, ids % BORDER, ids - BORDER), is_byte & (ids >= BORDER)


def byte_pieces() -> Pieces:
    """The byte of every id below `END_OF_DOCUMENT`."""
    data = np.tile(np.arange(BORDER, dtype=np.uint8), 2)
    return Pieces(offsets=np.arange(len(data) + 1, dtype=np.int64), data=data)


STAGE: Stage[WordsConfig] = Stage(
    name="encode_bytes",
    version=1,
    reads=pa.schema([("text", pa.string())]),
    writes=TOKENS,
    open=_open,
    libraries=("tiktoken",),
)
