"""Encoders of one vocabulary: gigatoken, fast, and the reference that certifies it.

Both encode ordinarily: text that spells a special token is encoded as text.
"""

import json
import tempfile
from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import awkward as ak
import numpy as np
import numpy.typing as npt
import psutil
import tiktoken
import tokenizers
from gigatoken.gigatoken_rs import BPETokenizer, SentencePieceTokenizer, load_hf_json

from stages.tokenization.vocabulary import SPLITS, Vocabulary

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]

_CACHE_BYTES = 1 << 30
"""Growth of this process after which gigatoken is loaded again. It remembers each distinct piece that it has seen: it
takes about 10 bytes per byte of text that never repeats and has no bound of its own."""


class Engine(Protocol):
    """Encodes texts that lie end to end in one buffer."""

    def encode(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """Ids of all texts end to end, and where each text's begin: one more offset than texts, from 0."""


class Gigatoken:
    """gigatoken on the calling thread, with bounded memory."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._process = psutil.Process()
        self._load()

    def _load(self) -> None:
        self._tokenizer = _gigatoken(self._vocabulary)
        self._loaded_bytes = self._process.memory_info().rss

    def encode(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """See `Engine`. No copy on the way in or out, but for the offsets."""
        if self._process.memory_info().rss - self._loaded_bytes > _CACHE_BYTES:
            self._load()
        content = ak.contents.NumpyArray(data, parameters={"__array__": "byte"})
        index = ak.index.Index64(offsets.astype(np.int64))
        texts = ak.contents.ListOffsetArray(index, content, parameters={"__array__": "bytestring"})
        encoded = self._tokenizer.encode_batch(ak.Array(texts), parallel=False).layout
        return encoded.offsets.data, encoded.content.data.view(np.int32)


class Reference:
    """What ids are measured by: tiktoken for rank files, Hugging Face tokenizers for a `tokenizer.json`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._encode = _tiktoken(vocabulary) if vocabulary.split else _hugging_face(vocabulary)

    def encode_text(self, text: str) -> list[int]:
        """Ids of one text."""
        return self._encode(text)

    def encode(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """See `Engine`."""
        texts = [data[start:end].tobytes().decode() for start, end in pairwise(offsets.tolist())]
        rows = [np.array(self._encode(text), np.int32) for text in texts]
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        return np.concatenate([np.zeros(1, np.int64), ends]), np.concatenate([np.zeros(0, np.int32), *rows])


def _tiktoken(vocabulary: Vocabulary) -> Callable[[str], list[int]]:
    pattern, ranks = SPLITS[vocabulary.split], vocabulary.ranks()
    return tiktoken.Encoding(vocabulary.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={}).encode_ordinary


def _hugging_face(vocabulary: Vocabulary) -> Callable[[str], list[int]]:
    try:
        tokenizer = tokenizers.Tokenizer.from_str(vocabulary.content.decode())
    except Exception as error:  # tokenizers raises no narrower class
        raise ValueError(f"Hugging Face tokenizers cannot load vocabulary {vocabulary.name}: {error}") from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def _gigatoken(vocabulary: Vocabulary) -> BPETokenizer | SentencePieceTokenizer:
    try:
        if not vocabulary.split:
            return load_hf_json(_without_special_tokens(vocabulary.content))
        with tempfile.NamedTemporaryFile(suffix=".tiktoken") as file:
            file.write(vocabulary.content)
            file.flush()
            return BPETokenizer.from_tiktoken(file.name, vocabulary.split)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"gigatoken cannot load vocabulary {vocabulary.name}; set engine='reference'. It says: {error}"
        ) from error


def _without_special_tokens(content: bytes) -> bytes:
    """The same tokenizer, blind to special tokens in text: gigatoken has no switch for that."""
    config = json.loads(content)
    config["added_tokens"] = [token for token in config.get("added_tokens") or [] if not token["special"]]
    return json.dumps(config).encode()
