"""Embeddings by WordLlama's static table: the mean of its rows over the first tokens of a text.

Reads `text` (or another string column). Writes `embedding`: null for a text that is null or has no token. The package
is not imported, only its table and its tokenizer.json are used; its own `embed()` pads to the longest text.
About 10 MB of text per second and core, of which tokenization is all but a tenth.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import RecipeError
from pipeline.stage import Configured, Resources, Stage, Transform, configured
from schemas.columns import columns
from schemas.embeddings import STORAGES, embeddings
from stages.embed.vectors import Bools, Floats, store_vectors
from stages.text_views import string_chunks, text_views
from stages.tokenization.engines import Gigatoken
from stages.tokenization.vocabulary import load_vocabulary

_TABLE = "wordllama/weights/l2_supercat_256.safetensors"
_TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
_DIMENSIONS = 256
_BATCH_ROWS = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class StaticTableConfig:
    """What of a text is embedded, and how it is stored."""

    column: str = "text"
    """String column that is embedded."""
    max_tokens: int = 512
    """Tokens of a text that count, from its beginning."""
    max_chars: int = 4096
    """Characters of a text that are tokenized; bounds the time for one."""
    storage: str = "float16"
    """`float16` or `int8`: 2 bytes or 1 per dimension."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.max_chars < 1:
            raise ValueError(f"max_tokens={self.max_tokens} and max_chars={self.max_chars} must be at least 1")
        if self.storage not in STORAGES:
            raise ValueError(f"storage={self.storage!r} must be one of {', '.join(STORAGES)}")


def static_table_stage(config: StaticTableConfig | None = None) -> Configured[StaticTableConfig]:
    """The stage for a config. Raises RecipeError where the package `wordllama` is not installed."""
    config = config or StaticTableConfig()
    model = {
        "model": "wordllama",
        "revision": _sha256(_file(_TABLE)),
        "tokenizer": _sha256(_file(_TOKENIZER)),
        "column": config.column,
        "max_tokens": config.max_tokens,
        "max_chars": config.max_chars,
    }
    stage = Stage(
        name="embed-static-table",
        version=1,
        reads=columns(pa.field(config.column, pa.string())),
        writes=embeddings(_DIMENSIONS, config.storage, json.dumps(model, sort_keys=True).encode()),
        open=_open,
        resources=Resources(memory_bytes=900_000_000),
        libraries=("gigatoken", "wordllama"),
    )
    return configured(stage, config)


def _file(name: str) -> Path:
    try:
        return Path(str(distribution("wordllama").locate_file(name)))
    except PackageNotFoundError as error:
        raise RecipeError("the static table is in the package wordllama; run `pip install wordllama`") from error


@lru_cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(config: StaticTableConfig) -> Transform:
    table, path = read_table(_file(_TABLE)), _file(_TOKENIZER)
    writes = static_table_stage(config).stage.writes
    kind = writes.field("embedding").type
    engine = Gigatoken(load_vocabulary(str(path), sha256=_sha256(path)))

    def embed(batch: pa.Table) -> pa.Table:
        arrays = [pa.array([], kind)]
        for chunk in string_chunks(batch[config.column]):
            for start in range(0, len(chunk), _BATCH_ROWS):
                texts = pc.utf8_slice_codeunits(chunk.slice(start, _BATCH_ROWS).fill_null(""), 0, config.max_chars)
                starts, ids = engine.encode(*text_views(texts))
                rows, is_there = pool(starts, ids, table, config.max_tokens)
                arrays.append(store_vectors(rows, is_there, config.storage))
        return pa.table([pa.chunked_array(arrays, kind)], schema=writes)

    return embed


def read_table(path: Path) -> Floats:
    """float32[V, d]: the one float16 matrix of a safetensors file."""
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        (entry,) = (value for name, value in header.items() if name != "__metadata__")
        assert entry["dtype"] == "F16", entry
        numbers = np.frombuffer(file.read(), "<f2")
    return numbers.reshape(entry["shape"]).astype(np.float32)


def pool(
    starts: npt.NDArray[np.int64], ids: npt.NDArray[np.int32], table: Floats, max_tokens: int
) -> tuple[Floats, Bools]:
    """Means of the rows of a table float32[V, d] over the first tokens of each text, and which texts have any.

    The tokens of text i are ids[starts[i]:starts[i + 1]]. Sums are taken in the order of the tokens, in float32.
    """
    out = np.zeros((len(starts) - 1, table.shape[1]), np.float32)
    _pool(starts, ids, table, max_tokens, out)
    return out, np.diff(starts) > 0


def _pool_rows(
    starts: npt.NDArray[np.int64], ids: npt.NDArray[np.int32], table: Floats, max_tokens: int, out: Floats
) -> None:
    for row in range(len(out)):
        first, end = starts[row], min(starts[row + 1], starts[row] + max_tokens)
        for at in range(first, end):
            token = ids[at]
            for i in range(table.shape[1]):
                out[row, i] += table[token, i]
        for i in range(table.shape[1] if end > first else 0):
            out[row, i] /= np.float32(end - first)


_pool = numba.njit(cache=True)(_pool_rows)
