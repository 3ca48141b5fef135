"""Encoders of one vocabulary: gigatoken, fast, and the reference that certifies it and every other engine.

All encode ordinarily: text that spells a special token is encoded as text.
"""

import ctypes
import json
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import awkward as ak
import numpy as np
import numpy.typing as npt
import psutil
import tiktoken
import tokenizers
from gigatoken.gigatoken_rs import BPETokenizer, SentencePieceTokenizer, load_hf_json

from stages.tokenization.disputed import disputed_rows
from stages.tokenization.spm import load_model
from stages.tokenization.training.policies import PATTERNS
from stages.tokenization.vocabulary import SPLITS, Vocabulary

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]

_CACHE_BYTES = 1 << 29
"""Growth of this process after which gigatoken is loaded again. It remembers each distinct piece that it has seen and
has no bound of its own: text that never repeats costs about a byte of memory per byte."""

_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s+"
)
"""How gigatoken spells the pattern of cl100k; Hugging Face tokenizers takes `{1,3}+` for a repetition."""

_SCHEMES = {"tekken": "nemotron", "qwen": "qwen2"}
"""What gigatoken calls our splits, where it does not call them the same."""


class Engine(Protocol):
    """Encodes texts that lie end to end in one buffer."""

    def encode(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """Ids of all texts end to end, and where each text's begin: one more offset than texts, from 0."""


class Gigatoken:
    """gigatoken on the calling thread, with bounded memory; the reference encodes texts that it would get wrong."""

    def __init__(self, vocabulary: Vocabulary, reference: "Reference | None" = None) -> None:
        self._vocabulary = vocabulary
        self._reference = reference or Reference(vocabulary)
        self._process = psutil.Process()
        self._load()

    def _load(self) -> None:
        self._tokenizer = _gigatoken(self._vocabulary)
        _release_memory()
        self._loaded_bytes = self._process.memory_info().rss

    def encode(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """See `Engine`. No copy on the way in or out, but for the offsets, unless a text is left to the reference."""
        if self._process.memory_info().rss - self._loaded_bytes > _CACHE_BYTES:
            self._load()
        starts, ids = self.encode_raw(offsets, data)
        rows = disputed_rows(offsets, data) if self._vocabulary.kind != "sentencepiece" else np.zeros(0, np.int64)
        if not len(rows):
            return starts, ids
        texts = (data[offsets[row] : offsets[row + 1]].tobytes().decode() for row in rows)
        return _replace(starts, ids, rows, [np.array(self._reference.encode_text(text), np.int32) for text in texts])

    def encode_raw(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """What gigatoken itself says."""
        content = ak.contents.NumpyArray(data, parameters={"__array__": "byte"})
        index = ak.index.Index64(offsets.astype(np.int64))
        texts = ak.contents.ListOffsetArray(index, content, parameters={"__array__": "bytestring"})
        encoded = self._tokenizer.encode_batch(ak.Array(texts), parallel=False).layout
        ids: Ids = encoded.content.data.view(np.int32)
        if self._vocabulary.offset:
            ids += np.int32(self._vocabulary.offset)
        return encoded.offsets.data, ids


def _release_memory() -> None:
    """Hands free memory back to the system; without it the heap stays as large as it ever was."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc
    if trim is not None:
        trim(0)


def _replace(starts: Offsets, ids: Ids, rows: npt.NDArray[np.int64], found: Sequence[Ids]) -> tuple[Offsets, Ids]:
    """The same ids, but those found for these rows, which ascend."""
    lengths, pieces, end = np.diff(starts), [], 0
    for row, new in zip(rows.tolist(), found, strict=True):
        pieces += [ids[end : starts[row]], new]
        end, lengths[row] = starts[row + 1], len(new)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), np.concatenate([*pieces, ids[end:]])


def open_engine(name: str, vocabulary: Vocabulary, reference: "Reference", device: str) -> Engine:
    """The engine of this name; `device` is for the torch program."""
    if name == "reference":
        return reference
    if name == "gigatoken":
        return Gigatoken(vocabulary, reference)
    if name == "units":
        from stages.tokenization.training.methods import open_unit_engine  # it imports this module

        return open_unit_engine(vocabulary)
    try:
        from stages.tokenization.program.program import Program  # torch is an extra and slow to import
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError("engine='torch' needs torch; run `pip install 'gristmill[train]'`") from error
    return Program(vocabulary, device=device)


def advised_engine(vocabulary: Vocabulary, failed: Engine | None = None) -> str:
    """The engine for a vocabulary that another one cannot encode: `units` where it can and is not what failed."""
    from stages.tokenization.training.methods import open_unit_engine  # it imports this module

    try:
        found = open_unit_engine(vocabulary)
    except ValueError:
        return "reference"
    return "reference" if type(found) is type(failed) else "units"


class Reference:
    """What ids are measured by: tiktoken for ranks, Hugging Face tokenizers for a `tokenizer.json`, SentencePiece.

    A hybrid is its own reference: each text encoded alone, and its ids decoded again.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        open_reference = {
            "ranks": _tiktoken,
            "tokenizer.json": _hugging_face,
            "sentencepiece": _sentencepiece,
            "hybrid": _hybrid,
        }
        self._encode = open_reference[vocabulary.kind](vocabulary)

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
    encoding = tiktoken.Encoding(vocabulary.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})

    def encode(text: str) -> list[int]:
        try:
            return encoding.encode_ordinary(text)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of pyo3, which exports no class to name
                raise
            raise ValueError(
                f"tiktoken cannot split a text of {len(text)} characters that begins {text[:60]!r}: a run of about a "
                "million spaces overflows its regular expressions; use engine='gigatoken', or leave the text out"
            ) from error

    return encode


def _sentencepiece(vocabulary: Vocabulary) -> Callable[[str], list[int]]:
    model = load_model(vocabulary.name, vocabulary.content)
    encode: Callable[[str], list[int]] = model.EncodeAsIds
    return encode


def _hugging_face(vocabulary: Vocabulary) -> Callable[[str], list[int]]:
    try:
        tokenizer = tokenizers.Tokenizer.from_str(vocabulary.content.decode())
    except Exception as error:  # tokenizers raises no narrower class
        raise ValueError(f"Hugging Face tokenizers cannot load vocabulary {vocabulary.name}: {error}") from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def _hybrid(vocabulary: Vocabulary) -> Callable[[str], list[int]]:
    from stages.tokenization.training.hybrid import read_hybrid  # these import this module
    from stages.tokenization.training.hybrid_engine import HybridEngine

    engine = HybridEngine(read_hybrid(vocabulary.content))

    def encode(text: str) -> list[int]:
        content = text.encode()
        _, ids = engine.encode(np.array([0, len(content)], np.int32), np.frombuffer(content, np.uint8))
        if engine.decode(ids) != content:
            raise ValueError(f"vocabulary {vocabulary.name} does not give back a text that begins {text[:60]!r}")
        return [int(token) for token in ids]

    return encode


def _gigatoken(vocabulary: Vocabulary) -> BPETokenizer | SentencePieceTokenizer:
    try:
        if not vocabulary.split:
            return load_hf_json(_for_gigatoken(vocabulary.tokenizer_json()))
        with tempfile.NamedTemporaryFile(suffix=".tiktoken") as file:
            file.write(vocabulary.content)
            file.flush()
            return BPETokenizer.from_tiktoken(file.name, _SCHEMES.get(vocabulary.split, vocabulary.split))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"gigatoken cannot load vocabulary {vocabulary.name}; set engine={advised_engine(vocabulary)!r}. "
            f"It says: {error}"
        ) from error


def _for_gigatoken(content: bytes) -> bytes:
    """The same tokenizer, blind to special tokens in text, for which gigatoken has no switch, and with the pattern of
    cl100k as gigatoken writes it."""
    config = json.loads(content)
    config["added_tokens"] = [token for token in config.get("added_tokens") or [] if not token["special"]]
    return json.dumps(config).replace(json.dumps(PATTERNS["cl100k"]), json.dumps(_CL100K)).encode()
