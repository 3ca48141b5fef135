"""Encodes each text into the token ids of a vocabulary, exactly as the vocabulary's reference encoder does.

Reads `text`; writes `tokens` and `num_tokens`, null where `text` is.
"""

import json
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Configured, Resources, Stage, Transform
from schemas.tokens import TOKENIZER_KEY, TOKENS
from stages.text_views import text_views
from stages.tokenization.certify import certify_engine, certify_rows
from stages.tokenization.classes import class_table_digest
from stages.tokenization.engines import Reference, open_engine
from stages.tokenization.lists import list_array, text_parts
from stages.tokenization.shipped import SHIPPED
from stages.tokenization.vocabulary import SPLITS, Vocabulary, load_vocabulary, vocabulary_file

_TOKENS = TOKENS.field("tokens").type

ENGINES = ("gigatoken", "reference", "torch", "units")
DEVICES = ("auto", "cpu", "cuda")

_LIBRARIES = ("gigatoken", "sentencepiece", "tiktoken", "tokenizers")

BATCH_BYTES = 32_000_000
"""Text encoded in one call: bounds how far an engine's memory can grow between two looks at it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeConfig:
    """Which ids, and how they are proved."""

    vocabulary: str = "cl100k_base"
    """A shipped vocabulary, or the path of a `tokenizer.json`, a `tekken.json`, a SentencePiece model or a tiktoken
    rank file, readable by every worker."""
    vocabulary_sha256: str = ""
    """Hex digest of the file; required for a path, so that the content of a path is part of identity."""
    split: str = ""
    """How text is cut into pieces: required for a rank file, empty otherwise."""
    engine: str = "gigatoken"
    """`gigatoken`; `torch`, the array program, for devices; `units`, for superwords, LiB and hybrids, which those two
    do not know; or `reference`: tiktoken, Hugging Face tokenizers or SentencePiece, ten times slower. All give the
    same ids."""
    device: str = "auto"
    """Of the engine `torch`: `cpu`, `cuda`, or `auto`, CUDA where it is there."""
    certify_rows: int = 8
    """Texts of every 32 MB that the reference encodes too, chosen by content."""

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"engine={self.engine!r} must be one of {', '.join(ENGINES)}")
        if self.device not in DEVICES or (self.device != "auto" and self.engine != "torch"):
            raise ValueError(f"device={self.device!r} must be auto, or with engine='torch' one of {', '.join(DEVICES)}")
        if self.certify_rows < 0:
            raise ValueError(f"certify_rows must not be negative, got {self.certify_rows}")
        if self.split and self.split not in SPLITS:
            raise ValueError(f"split={self.split!r} must be one of {', '.join(SPLITS)}, or empty for tokenizer.json")
        if self.vocabulary in SHIPPED and (self.split or self.vocabulary_sha256):
            raise ValueError(f"{self.vocabulary} is shipped with its split and digest; leave both empty")
        if self.vocabulary not in SHIPPED and not self.vocabulary_sha256:
            vocabulary_file(self.vocabulary)
            raise ValueError(f"set vocabulary_sha256 to what `sha256sum {self.vocabulary}` prints")


def _open(config: EncodeConfig) -> Transform:
    vocabulary = load_vocabulary(config.vocabulary, sha256=config.vocabulary_sha256, split=config.split)
    reference = Reference(vocabulary)
    engine = open_engine(config.engine, vocabulary, reference, config.device)
    if engine is not reference:
        certify_engine(engine, reference, vocabulary)
    metadata = tokenizer_metadata(vocabulary, config)

    def encode(table: pa.Table) -> pa.Table:
        arrays = []
        for part in text_parts(table, BATCH_BYTES):
            offsets, data, valid = _views(part["text"])
            starts, ids = encoded = engine.encode(offsets, data)
            if engine is not reference:
                rows = config.certify_rows
                certify_rows(offsets, data, encoded, engine, reference, rows=rows, vocabulary=vocabulary)
            arrays.append(list_array(starts, ids, _TOKENS, ~valid))
        tokens = pa.chunked_array(arrays, _TOKENS)
        return pa.table([tokens, pc.list_value_length(tokens)], schema=TOKENS.with_metadata(metadata))

    return encode


def tokenizer_metadata(vocabulary: Vocabulary, config: EncodeConfig) -> dict[bytes, bytes]:
    """What the ids depend on, as each shard's schema says it: nothing that differs between machines."""
    libraries = [*_LIBRARIES, *(["torch"] if config.engine == "torch" else [])]
    parts = {
        "vocabulary": vocabulary.digest,
        "kind": vocabulary.kind,
        "split": vocabulary.split,
        "character_classes": None if vocabulary.kind == "sentencepiece" else class_table_digest(),
        "engine": config.engine,
        "libraries": {library: version(library) for library in libraries},
    }
    return {TOKENIZER_KEY: json.dumps(parts, sort_keys=True).encode()}


def _views(text: pa.StringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Offsets and bytes of the texts, empty where there is none, and where there is one."""
    if not text.null_count:
        return *text_views(text), np.ones(len(text), np.bool_)
    filled = text.fill_null("")
    assert isinstance(filled, pa.StringArray)
    return *text_views(filled), text.is_valid().to_numpy(zero_copy_only=False)


STAGE: Stage[EncodeConfig] = Stage(
    name="encode",
    version=3,
    reads=pa.schema([("text", pa.string())]),
    writes=TOKENS,
    open=_open,
    resources=Resources(memory_bytes=2_500_000_000),
    libraries=_LIBRARIES,
)


def encode_stage(config: EncodeConfig) -> Configured[EncodeConfig]:
    """The stage with the resources that its engine needs."""
    stage = STAGE
    if config.engine == "torch":
        stage = replace(stage, libraries=(*_LIBRARIES, "torch"))
    if config.device == "cuda":
        stage = replace(stage, resources=replace(stage.resources, gpus=1), stateful=True)
    return Configured(stage=stage, config=config)
