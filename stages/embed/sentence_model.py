"""Embeddings by any sentence-transformers model: a folder, data of an installed package, or a model of the Hub.

Reads `text` (or another string column). Writes `embedding`: null for a text that is null or blank, or of which the
model makes NaN or infinity. Texts of like length share a batch, of a size that follows from the shard's rows alone.
Code that comes with a model is never run.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import RecipeError
from pipeline.fingerprint import Movable
from pipeline.stage import Configured, Resources, Stage, Transform, configured
from schemas.columns import columns
from schemas.embeddings import STORAGES, embeddings
from stages.embed.vectors import store_vectors

DTYPES = ("float32", "float16", "bfloat16")
DEVICES = ("cpu", "cuda")
_PACKAGE = "package:"
_COMMIT_CHARS, _DIGEST_CHARS = 40, 64


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceModelConfig(Movable):
    """Which model, and what it is given."""

    model: str
    """A folder that every worker can read, `package:MODULE/FOLDER` of an installed package, or a name of the Hub."""
    dimensions: int
    """Of its vectors."""
    revision: str = ""
    """Of a model of the Hub, the commit: 40 hex digits. Of a folder, what `folder_digest` gives; filled in when the
    stage is made, if it is empty."""
    column: str = "text"
    """String column that is embedded."""
    prompt: str = ""
    """Put before each text, as some models want it."""
    max_tokens: int = 512
    """Tokens of a text that count, from its beginning; no more than the model takes."""
    max_chars: int = 4096
    """Characters of a text that are tokenized."""
    batch_chars: int = 65_536
    """Characters of a batch, counting each text as long as the longest."""
    dtype: str = "float32"
    """Of the model's weights: `float32`, `float16` or `bfloat16`."""
    device: str = "cpu"
    """`cpu` or `cuda`."""
    storage: str = "float16"
    """`float16` or `int8`: 2 bytes or 1 per dimension."""

    @property
    def locations(self) -> tuple[str, ...]:
        """The folder of a model that is known by the digest of its content."""
        return ("model",) if len(self.revision) == _DIGEST_CHARS else ()

    def __post_init__(self) -> None:
        if min(self.dimensions, self.max_tokens, self.max_chars, self.batch_chars) < 1:
            raise ValueError(f"dimensions, max_tokens, max_chars and batch_chars must be at least 1: {self}")
        if self.storage not in STORAGES or self.dtype not in DTYPES or self.device not in DEVICES:
            raise ValueError(
                f"storage={self.storage!r}, dtype={self.dtype!r}, device={self.device!r} must be of {tuple(STORAGES)}, "
                f"{DTYPES}, {DEVICES}"
            )


def sentence_model_stage(config: SentenceModelConfig) -> Configured[SentenceModelConfig]:
    """The stage for a model. Raises RecipeError for a folder with other content than `revision` says, or for a model of
    the Hub without a commit."""
    config = replace(config, revision=_revision(config))
    # a folder may lie elsewhere on another machine: its content says which model it is
    is_hub = _folder(config.model) is None
    stage = Stage(
        name="embed-sentence-model",
        version=2,
        reads=columns(pa.field(config.column, pa.string())),
        writes=embeddings(config.dimensions, config.storage, _identity(config, is_hub=is_hub)),
        open=_open,
        resources=Resources(gpus=1 if config.device == "cuda" else 0, memory_bytes=4_000_000_000),
        stateful=True,
        exact=False,
        libraries=("sentence-transformers", "tokenizers", "torch", "transformers"),
    )
    return configured(stage, config)


def _identity(config: SentenceModelConfig, *, is_hub: bool) -> bytes:
    """What two vectors must have in common to be compared."""
    asked = ("revision", "dimensions", "column", "prompt", "max_tokens", "max_chars")
    parts = {"model": config.model if is_hub else "folder"} | {name: getattr(config, name) for name in asked}
    return json.dumps(parts, sort_keys=True).encode()


def _folder(model: str) -> Path | None:
    """Where the model lies on this machine; None for one of the Hub."""
    if not model.startswith(_PACKAGE):
        return Path(model) if Path(model).is_dir() else None
    module, _, folder = model.removeprefix(_PACKAGE).partition("/")
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise RecipeError(f"model {model!r}: no package {module!r} is installed here")
    return Path(spec.submodule_search_locations[0]) / folder


def _revision(config: SentenceModelConfig) -> str:
    folder = _folder(config.model)
    if folder is None:
        if len(config.revision) != _COMMIT_CHARS or set(config.revision) - set("0123456789abcdef"):
            raise RecipeError(
                f"model {config.model!r} is no folder; a model of the Hub needs its commit as revision, 40 hex digits"
            )
        return config.revision
    found = folder_digest(folder)
    if config.revision not in ("", found):
        raise RecipeError(f"the model in {folder} has digest {found}, not {config.revision}; it is another model")
    return found


@lru_cache
def folder_digest(folder: Path) -> str:
    """Hex SHA-256 of the names and contents of all files of a folder, in the order of their names."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(json.dumps([path.relative_to(folder).as_posix(), content]).encode())
    return whole.hexdigest()


def _load(config: SentenceModelConfig) -> Any:
    try:
        package = import_module("sentence_transformers")
    except ModuleNotFoundError as error:
        raise RecipeError("sentence models need an extra: pip install 'gristmill[embed]'") from error
    folder = _folder(config.model)
    model = package.SentenceTransformer(
        config.model if folder is None else str(folder),
        revision=config.revision if folder is None else None,
        device=config.device,
        trust_remote_code=False,
        model_kwargs={"dtype": config.dtype},
    )
    model.max_seq_length = min(config.max_tokens, model.max_seq_length or config.max_tokens)
    model.eval()
    return model


def _open(config: SentenceModelConfig) -> Transform:
    assert _revision(config) == config.revision, config.model
    model, writes = _load(config), sentence_model_stage(config).stage.writes

    def embed(table: pa.Table) -> pa.Table:
        texts = pc.utf8_slice_codeunits(pc.fill_null(table[config.column], ""), 0, config.max_chars)
        lengths = pc.utf8_length(pc.utf8_trim_whitespace(texts)).to_numpy()
        rows = np.zeros((len(texts), config.dimensions), np.float32)
        for batch in batches_by_length(lengths, config.batch_chars):
            given = [config.prompt + text for text in texts.take(batch).to_pylist()]
            found = model.encode(given, batch_size=len(given), show_progress_bar=False, convert_to_numpy=True)
            if found.shape[1] != config.dimensions:
                raise ValueError(f"{config.model} gives {found.shape[1]} dimensions; set dimensions={found.shape[1]}")
            rows[batch] = found
        return pa.table([store_vectors(rows, lengths > 0, config.storage)], schema=writes)

    return embed


def batches_by_length(lengths: npt.NDArray[np.int32], batch_chars: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of length above 0, longest first, in batches whose rows times longest is at most `batch_chars`, or one row.

    int[n] lengths. Of equal lengths the first row comes first.
    """
    order = np.argsort(-lengths, kind="stable")
    end = int((lengths > 0).sum())
    start = 0
    while start < end:
        count = max(1, batch_chars // int(lengths[order[start]]))
        yield order[start : min(start + count, end)]
        start += count
