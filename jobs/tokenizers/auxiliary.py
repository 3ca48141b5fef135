"""Embeddings of short texts by another model, to say which tokens mean alike."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from jobs.tokenizers.tensor_file import open_tensors
from pipeline.errors import RecipeError

Floats = npt.NDArray[np.float32]

_TABLE = "wordllama/weights/l2_supercat_256.safetensors"
_TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
_MAX_CHARS = 256
"""Of a longer text no more is looked at."""


def open_auxiliary(name: str) -> Callable[[Sequence[str]], Floats] | None:
    """What embeds texts: None for `none`, the static table of `wordllama`, or a model of sentence-transformers.

    The rows are of unit length; an empty text has zeros. Raises RecipeError where a package is not installed or a model
    cannot be loaded.
    """
    if name == "none":
        return None
    return _wordllama() if name == "wordllama" else _sentence_transformers(name)


def _wordllama() -> Callable[[Sequence[str]], Floats]:
    """Means over the table's rows; the package is not imported, only its data is used."""
    try:
        package = distribution("wordllama")
    except PackageNotFoundError as error:
        raise RecipeError(
            "auxiliary wordllama is not installed: pip install --no-deps wordllama, or --auxiliary none"
        ) from error
    return static_table(Path(str(package.locate_file(_TABLE))), Path(str(package.locate_file(_TOKENIZER))))


def static_table(weights: Path, tokenizer: Path) -> Callable[[Sequence[str]], Floats]:
    """Means over the rows of the one matrix in a safetensors file, by a tokenizer.json."""
    file = open_tensors(weights)
    (matrix,) = (file.matrix(name) for name in file.tensors)
    table = matrix.rows(np.arange(len(matrix.raw)))
    loaded = tokenizers.Tokenizer.from_file(str(tokenizer))
    loaded.no_padding()
    loaded.no_truncation()

    def embed(texts: Sequence[str]) -> Floats:
        encoded = loaded.encode_batch([text[:_MAX_CHARS] for text in texts], add_special_tokens=False)
        rows = [table[entry.ids].mean(axis=0) if entry.ids else table[0] * 0 for entry in encoded]
        return _unit(np.array(rows, np.float32).reshape(-1, table.shape[1]))

    return embed


def _sentence_transformers(name: str) -> Callable[[Sequence[str]], Floats]:
    try:
        package = import_module("sentence_transformers")
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"auxiliary {name!r} needs sentence-transformers, which is not installed; use wordllama or none"
        ) from error
    try:
        model = package.SentenceTransformer(name)
    except (OSError, ValueError) as error:  # no such model, no connection, files that hold none
        reason = str(error).partition("\n")[0]
        raise RecipeError(
            f"auxiliary {name!r} cannot be loaded by sentence-transformers ({reason}); give the folder of a model or "
            "its name on the Hugging Face Hub, or use wordllama or none"
        ) from error

    def embed(texts: Sequence[str]) -> Floats:
        found = model.encode([text[:_MAX_CHARS] for text in texts], show_progress_bar=False)
        rows = np.asarray(found, np.float32)
        rows[[not text for text in texts]] = 0
        return _unit(rows)

    return embed


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return scaled
