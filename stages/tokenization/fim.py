"""Encodes each text, a share of them rearranged for fill-in-the-middle: prefix, suffix and middle apart (2207.14255).

Reads `document_id` and `text`, for nodes also the tree of `schemas.ast`; writes `schemas.fim.FIM`. Prefix, middle and
suffix are encoded each by itself, so no token spans a cut.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Configured, Stage, Transform, configured
from schemas.ast import AST, CONCEPTS
from schemas.columns import columns
from schemas.documents import ID
from schemas.fim import FIM, FIM_MODES
from stages.text_views import text_views
from stages.tokenization.certify import certify_engine, certify_rows
from stages.tokenization.draws import document_keys
from stages.tokenization.encode import EncodeConfig, encode_stage, tokenizer_metadata
from stages.tokenization.engines import Engine, Reference, open_engine
from stages.tokenization.fim_cuts import PLAIN, choose_modes, cut_documents, cut_nodes, cut_spans, order_tokens
from stages.tokenization.lists import text_parts
from stages.tokenization.pieces import Pieces, pieces_of
from stages.tokenization.segments import check_separable
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary

LEVELS = ("document", "span", "node")
NODE_COLUMNS = ("node_start", "node_length", "node_concept")

_STREAM = 0xF111
"""Keeps these draws apart from others of the same seed."""
_BATCH_BYTES = 32_000_000
"""Text encoded in one call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FimConfig:
    """Which ids, which documents and which middles."""

    encode: EncodeConfig = field(default_factory=EncodeConfig)
    """Vocabulary and engine."""
    prefix: str | int = "<|fim_prefix|>"
    """Sentinel before the prefix: a special token of the vocabulary by name, or an id that no text encodes to."""
    middle: str | int = "<|fim_middle|>"
    suffix: str | int = "<|fim_suffix|>"
    rate: float = 0.5
    """Share of the documents that are rearranged."""
    spm_rate: float = 0.5
    """Share of those that are in suffix-prefix-middle order."""
    level: str = "document"
    """`document`: two cuts anywhere; `span`: whole lines or a few characters; `node`: one node of the syntax tree."""
    max_span_lines: int = 16
    """Longest middle of level `span` in lines."""
    max_span_chars: int = 80
    """Longest middle of level `span` in characters, where it is not of lines."""
    concepts: tuple[str, ...] = (
        "declaration.function",
        "declaration.parameters",
        "statement.block",
        "statement.conditional",
        "statement.loop",
        "statement.return",
        "expression.arguments",
        "expression.call",
        "expression.binary",
    )
    """What a middle of level `node` can be: names of `schemas.ast.CONCEPTS`."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rate", "spm_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.level not in LEVELS:
            raise ValueError(f"level={self.level!r} must be one of {', '.join(LEVELS)}")
        if self.max_span_lines < 1 or self.max_span_chars < 1:
            raise ValueError(
                f"max_span_lines={self.max_span_lines} and max_span_chars={self.max_span_chars} must be at least 1"
            )
        if unknown := [name for name in self.concepts if name not in CONCEPTS]:
            raise ValueError(f"concepts {unknown} are unknown; choose among: {', '.join(CONCEPTS)}")
        if not self.concepts:
            raise ValueError("concepts must not be empty")


def fim_stage(config: FimConfig) -> Configured[FimConfig]:
    """The stage at the config's level; level `node` reads the tree too."""
    tree = [AST.field(name) for name in NODE_COLUMNS] if config.level == "node" else []
    encoding = encode_stage(config.encode).stage
    stage = Stage(
        name="encode_fim",
        version=2,
        reads=columns(pa.field("document_id", ID), pa.field("text", pa.string()), *tree),
        writes=FIM,
        open=_open,
        resources=encoding.resources,
        stateful=encoding.stateful,
        libraries=encoding.libraries,
    )
    return configured(stage, config)


def sentinels_of(config: FimConfig, vocabulary: Vocabulary, pieces: Pieces) -> npt.NDArray[np.int32]:
    """Ids of the prefix, middle and suffix sentinels. Raises ValueError for names and ids that cannot be ones."""
    lengths = pieces.lengths
    ids = []
    for name in ("prefix", "middle", "suffix"):
        given = getattr(config, name)
        if isinstance(given, str) and given not in vocabulary.special_tokens:
            known = ", ".join(sorted(vocabulary.special_tokens)) or "none"
            raise ValueError(
                f"vocabulary {vocabulary.name} has no special token {given!r}; set {name} of the FIM config to one of "
                f"its special tokens ({known}) or to an id that it does not use, such as {len(lengths)}"
            )
        ids.append(vocabulary.special_tokens[given] if isinstance(given, str) else given)
        if not 0 <= ids[-1] < 1 << 31 or (ids[-1] < len(lengths) and lengths[ids[-1]]):
            raise ValueError(f"{name}={given!r} must be an id that no text encodes to, from {len(lengths)} on")
    if len(set(ids)) < len(ids):
        raise ValueError(f"prefix, middle and suffix must be three different tokens, got {ids}")
    return np.array(ids, np.int32)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Encoder:
    """What one worker holds."""

    config: FimConfig
    vocabulary: Vocabulary
    engine: Engine
    reference: Reference
    sentinels: npt.NDArray[np.int32]
    allowed: npt.NDArray[np.uint8]
    """1 for the numbers of `config.concepts`."""


def _open(config: FimConfig) -> Transform:
    chosen = config.encode
    vocabulary = load_vocabulary(chosen.vocabulary, sha256=chosen.vocabulary_sha256, split=chosen.split)
    pieces, reference = pieces_of(vocabulary), Reference(vocabulary)
    sentinels = sentinels_of(config, vocabulary, pieces)
    engine = open_engine(chosen.engine, vocabulary, reference, chosen.device)
    if engine is not reference:
        certify_engine(engine, reference, vocabulary)
    check_separable(vocabulary, pieces, reference, "fill-in-the-middle examples")
    allowed = np.zeros(256, np.uint8)
    allowed[[number for number, name in enumerate(CONCEPTS) if name in config.concepts]] = 1
    encoder = _Encoder(
        config=config,
        vocabulary=vocabulary,
        engine=engine,
        reference=reference,
        sentinels=sentinels,
        allowed=allowed,
    )
    metadata = tokenizer_metadata(vocabulary, chosen)

    def rearrange(table: pa.Table) -> pa.Table:
        parts = [_encode(part, encoder) for part in text_parts(table, _BATCH_BYTES)]
        return pa.Table.from_batches(parts, schema=FIM).replace_schema_metadata(metadata)

    return rearrange


def _encode(batch: pa.RecordBatch, encoder: _Encoder) -> pa.RecordBatch:
    text = batch["text"]
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    offsets, data = text_views(text if valid.all() else text.fill_null(""))
    modes, cuts = _plan(batch, offsets, data, valid, encoder)
    is_cut = modes != PLAIN
    segments = np.sort(np.concatenate([offsets, cuts[is_cut].ravel().astype(np.int32)]), kind="stable")
    starts, ids = encoded = encoder.engine.encode(segments, data)
    if encoder.engine is not encoder.reference:
        rows, vocabulary = encoder.config.encode.certify_rows, encoder.vocabulary
        certify_rows(segments, data, encoded, encoder.engine, encoder.reference, rows=rows, vocabulary=vocabulary)
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.where(is_cut, 3, 1), dtype=np.int64)])
    sizes = np.diff(starts[first]) + np.where(is_cut, 3, 0)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    if ends[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{ends[-1]} tokens in {len(text)} texts do not fit 32-bit offsets; split the texts")
    flat = order_tokens(modes, first, starts, ids, encoder.sentinels, ends.astype(np.int32))
    tokens = pa.ListArray.from_arrays(
        pa.array(ends.astype(np.int32)), pa.array(flat, pa.int32()), mask=pa.array(~valid)
    )
    middles = [pa.array((cuts[:, side] - offsets[:-1]).astype(np.int32), mask=~is_cut) for side in range(2)]
    names = pa.array(FIM_MODES).take(pa.array(modes, mask=~valid))
    return pa.record_batch([tokens, pc.list_value_length(tokens), names, *middles], schema=FIM)


def _plan(
    batch: pa.RecordBatch,
    offsets: npt.NDArray[np.int32],
    data: npt.NDArray[np.uint8],
    valid: npt.NDArray[np.bool_],
    encoder: _Encoder,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Mode and cuts of every row."""
    config = encoder.config
    keys = document_keys(batch["document_id"], config.seed, _STREAM)
    modes = choose_modes(keys, offsets, valid, float(config.rate), float(config.spm_rate))
    if config.level == "document":
        return modes, cut_documents(keys, offsets, data, modes)
    if config.level == "span":
        return modes, cut_spans(keys, offsets, data, modes, config.max_span_lines, config.max_span_chars)
    first, (starts, lengths, concepts) = _flatten(batch)
    return modes, cut_nodes(keys, offsets, data, modes, first, starts, lengths, concepts, encoder.allowed)


def _flatten(batch: pa.RecordBatch) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[Any]]]:
    """Where each document's nodes begin, and their columns end to end. Raises ValueError where columns differ."""
    sizes = [pc.fill_null(pc.list_value_length(batch[name]), 0).to_numpy() for name in NODE_COLUMNS]
    if any((sizes[0] != other).any() for other in sizes[1:]):
        raise ValueError(f"{', '.join(NODE_COLUMNS)} must have the same number of nodes in every row; parse again")
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes[0], dtype=np.int64)])
    return first, [batch[name].flatten().to_numpy() for name in NODE_COLUMNS]
