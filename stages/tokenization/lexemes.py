"""Encodes each text so that no token spans two lexemes: every leaf of the syntax tree is encoded by itself.

Reads `text` and the tree of `schemas.ast.AST`; writes `tokens` and `num_tokens`, null where `text` is. The gap before a
leaf belongs to it, so a word keeps its leading space. A document without a tree is encoded as a whole.
"""

from dataclasses import dataclass, field, replace

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Configured, Stage, Transform, configured
from schemas.ast import AST
from schemas.columns import columns
from schemas.tokens import TOKENS
from stages.text_views import text_views
from stages.tokenization import encode
from stages.tokenization.certify import certify_engine, certify_rows, choose_rows
from stages.tokenization.encode import EncodeConfig, tokenizer_metadata
from stages.tokenization.engines import Engine, Reference, open_engine
from stages.tokenization.lists import fixed, is_null, list_array, list_views, text_parts
from stages.tokenization.pieces import pieces_of
from stages.tokenization.segments import check_separable
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary

NODE_COLUMNS = ("node_to_parent", "node_start", "node_length")

_BATCH_BYTES = 32_000_000
"""Text encoded in one call."""

_CERTIFIED_LEXEMES = 2_000
"""Of a document that is chosen for certification, so that it takes bounded time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LexemesConfig:
    """Which ids, and how they are proved."""

    encode: EncodeConfig = field(default_factory=EncodeConfig)
    """Vocabulary and engine; `certify_rows` counts documents, of which the first 2,000 lexemes are certified."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Encoder:
    """What one worker holds."""

    config: EncodeConfig
    vocabulary: Vocabulary
    engine: Engine
    reference: Reference


def _open(config: LexemesConfig) -> Transform:
    chosen = config.encode
    vocabulary = load_vocabulary(chosen.vocabulary, sha256=chosen.vocabulary_sha256, split=chosen.split)
    reference = Reference(vocabulary)
    check_separable(vocabulary, pieces_of(vocabulary), reference, "lexemes")
    engine = open_engine(chosen.engine, vocabulary, reference, chosen.device)
    if engine is not reference:
        certify_engine(engine, reference, vocabulary)
    encoder = _Encoder(config=chosen, vocabulary=vocabulary, engine=engine, reference=reference)
    metadata = tokenizer_metadata(vocabulary, chosen)

    def encode_lexemes(table: pa.Table) -> pa.Table:
        parts = [_encode(part, encoder) for part in text_parts(table, _BATCH_BYTES)]
        return pa.Table.from_batches(parts, schema=TOKENS).replace_schema_metadata(metadata)

    return encode_lexemes


def _encode(batch: pa.RecordBatch, encoder: _Encoder) -> pa.RecordBatch:
    nulls = is_null(batch["text"])
    offsets, data = text_views(batch["text"].fill_null("") if nulls.any() else batch["text"])
    cuts, first = cut_lexemes(batch, offsets, data)
    starts, ids = encoder.engine.encode(cuts, data)
    if encoder.engine is not encoder.reference:
        for row in choose_rows(offsets, data, encoder.config.certify_rows):
            part = slice(first[row], min(first[row + 1], first[row] + _CERTIFIED_LEXEMES) + 1)
            _certify(cuts[part], data, starts[part], ids, encoder)
    tokens = list_array(starts[first], ids, TOKENS.field("tokens").type, nulls)
    return pa.record_batch([tokens, pc.list_value_length(tokens)], schema=TOKENS)


def _certify(
    cuts: npt.NDArray[np.int32],
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int32],
    encoder: _Encoder,
) -> None:
    rows, vocabulary = len(cuts) - 1, encoder.vocabulary
    certify_rows(cuts, data, (starts, ids), encoder.engine, encoder.reference, rows=rows, vocabulary=vocabulary)


def cut_lexemes(
    batch: pa.RecordBatch, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Bytes between which the lexemes of all rows stand, and which of these intervals is each row's first.

    Raises ValueError where the columns of a tree disagree.
    """
    sizes = [pc.fill_null(pc.list_value_length(batch[name]), 0) for name in NODE_COLUMNS]
    if any(not size.equals(sizes[0]) for size in sizes):
        raise ValueError(f"{', '.join(NODE_COLUMNS)} must have one element per node; their lengths differ")
    views = [list_views(batch[name]) for name in NODE_COLUMNS]
    num_nodes = sizes[0].to_numpy()
    borders = np.stack([view[0][:-1] for view in views])
    cuts = np.empty(int(num_nodes.sum()) + batch.num_rows + 1, np.int32)
    first = np.zeros(batch.num_rows + 1, np.int64)
    text, (to_parent, start, length) = (fixed(offsets, np.int32), fixed(data, np.uint8)), (view[1] for view in views)
    total = _find_cuts(*text, fixed(num_nodes, np.int32), borders, to_parent, start, length, cuts, first)
    return cuts[: total + 1], first


def _cut_rows(
    offsets: npt.NDArray[np.int32],
    data: npt.NDArray[np.uint8],
    num_nodes: npt.NDArray[np.int32],
    borders: npt.NDArray[np.int32],
    to_parent: npt.NDArray[np.int32],
    start: npt.NDArray[np.int32],
    length: npt.NDArray[np.int32],
    cuts: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
) -> int:
    """Fill `cuts` and `first`; gives how many lexemes there are.

    A leaf that ends before another has ended, outside the text or inside a character makes no cut.
    """
    total = 0
    cuts[0] = offsets[0]
    for row in range(len(offsets) - 1):
        end = offsets[row + 1]
        for node in range(num_nodes[row]):
            if node + 1 < num_nodes[row] and to_parent[borders[0, row] + node + 1] == 1:
                continue
            size = length[borders[2, row] + node]
            cut = np.int64(offsets[row]) + start[borders[1, row] + node] + size
            if size > 0 and cuts[total] < cut < end and data[cut] & 0xC0 != 0x80:
                total += 1
                cuts[total] = cut
        if cuts[total] < end or first[row] == total:
            total += 1
            cuts[total] = end
        first[row + 1] = total
    return total


_find_cuts = numba.njit(cache=True)(_cut_rows)


STAGE: Stage[LexemesConfig] = Stage(
    name="encode_lexemes",
    version=2,
    reads=columns(pa.field("text", pa.string()), *(AST.field(name) for name in NODE_COLUMNS)),
    writes=TOKENS,
    open=_open,
    resources=encode.STAGE.resources,
    libraries=encode.STAGE.libraries,
)


def lexemes_stage(config: LexemesConfig) -> Configured[LexemesConfig]:
    """The stage with the resources and libraries that its engine needs."""
    engine = encode.encode_stage(config.encode).stage
    stage = replace(STAGE, resources=engine.resources, stateful=engine.stateful, libraries=engine.libraries)
    return configured(stage, config)
