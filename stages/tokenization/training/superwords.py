"""Vocabularies whose tokens may span several words: SuperBPE (2503.13423) and supertokens (TokenAdapt, 2505.09738).

Both read counts and give a byte-level BPE whose merges stay inside the units of `units.unit_pattern`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.text_views import text_views
from stages.tokenization.draws import document_keys
from stages.tokenization.engines import Ids, Offsets
from stages.tokenization.merging import Merger
from stages.tokenization.pieces import byte_alphabet, merges_of
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.training.bpe import BpeConfig, Trained, train_bpe
from stages.tokenization.training.policies import DEFAULT_SPLIT
from stages.tokenization.training.tokenizer_json import bpe_json, byte_pre_tokenizer
from stages.tokenization.training.units import (
    Counts,
    Cuts,
    bound_counts,
    chunk_starts,
    count_pieces,
    unit_pattern,
    unit_starts,
)
from stages.tokenization.vocabulary import Vocabulary

_WORD = re.compile(rb"[0-9A-Za-z_\x80-\xff]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperwordConfig:
    """What both methods share."""

    vocabulary_size: int = 32_000
    """Tokens in all, the 256 bytes included, special tokens not."""
    split: str = DEFAULT_SPLIT
    """How text is cut into words: for the first stage of SuperBPE, and for the chunks of supertokens."""
    max_words: int = 4
    """Most words of a token, and of a chunk of supertokens. A word is a run of letters, digits and `_`."""
    max_token_bytes: int = 64
    """Longest token."""
    max_unit_chars: int = 1024
    """Longest unit: no token reaches over the end of one, and encoding takes memory for the longest."""
    min_count: int = 2
    """A pair that is rarer is not merged."""
    max_training_bytes: int = 500_000_000
    """Distinct units that are learnt from, chosen by content; training takes 16 bytes for each of these bytes."""
    subword_share: float = 0.8
    """SuperBPE: share of the vocabulary that is learnt inside words, before superwords."""
    seed: int = 0
    """Supertokens: of the sizes of chunks, together with each document's id."""

    def __post_init__(self) -> None:
        for name, least in (("max_words", 1), ("max_token_bytes", 2), ("max_unit_chars", 1), ("min_count", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.vocabulary_size < 257:
            raise ValueError(f"vocabulary_size must be above the 256 bytes, got {self.vocabulary_size}")
        if not 0 <= self.subword_share <= 1:
            raise ValueError(f"subword_share={self.subword_share} must be a share from 0 to 1")
        if self.max_unit_chars > 10_000:
            raise ValueError(f"max_unit_chars={self.max_unit_chars} must be at most 10000: a pattern repeats it")

    @property
    def cuts(self) -> Cuts:
        """What counting depends on."""
        return Cuts(split=self.split, max_unit_chars=self.max_unit_chars, max_words=self.max_words, seed=self.seed)

    @property
    def transition(self) -> int:
        """Tokens that SuperBPE learns inside words."""
        return max(257, int(self.vocabulary_size * self.subword_share))

    def _bpe(self, vocabulary_size: int) -> BpeConfig:
        return BpeConfig(
            vocabulary_size=vocabulary_size, min_count=self.min_count, max_token_length=self.max_token_bytes
        )


def train_superbpe(words: Counts, units: Counts, config: SuperwordConfig) -> Trained:
    """First merges inside words, then, going on from them, merges inside units: superwords.

    `words` are counts of pretokens of `config.split`, `units` of units of `config.max_unit_chars` (`count_superwords`).
    """
    subwords = train_bpe(*words, config._bpe(config.transition))
    return _train_units(units, config, subwords)


def train_supertokens(chunks: Counts, config: SuperwordConfig) -> Trained:
    """Merges inside chunks of a random number of words (`count_chunks`), which encoding does not cut into."""
    return _train_units(chunks, config, None)


def _train_units(units: Counts, config: SuperwordConfig, start: Trained | None) -> Trained:
    allow = partial(_is_short, max_words=config.max_words)
    bounded = bound_counts(*units, config.max_training_bytes)
    return train_bpe(*bounded, config._bpe(config.vocabulary_size), start=start, allow=allow)


def _is_short(token: bytes, max_words: int) -> bool:
    return len(_WORD.findall(token)) <= max_words


def count_superwords(text: pa.StringArray, cuts: Cuts) -> tuple[Counts, Counts]:
    """What `train_superbpe` learns from: counts of the words and of the units of these texts."""
    offsets, data = text_views(text)
    words, _ = pretoken_starts(offsets, data, cuts.split)
    units, _ = unit_starts(offsets, data, cuts.max_unit_chars)
    end = int(offsets[-1])
    return count_pieces(words, data, end), count_pieces(units, data, end)


def count_chunks(text: pa.StringArray, document_ids: pa.FixedSizeBinaryArray, cuts: Cuts) -> Counts:
    """What `train_supertokens` learns from: counts of chunks, whose sizes are drawn by seed and document id."""
    offsets, data = text_views(text)
    units = unit_starts(offsets, data, cuts.max_unit_chars)
    words = pretoken_starts(offsets, data, cuts.split)
    starts, _ = chunk_starts(units, words, document_keys(document_ids, cuts.seed), cuts.max_words)
    return count_pieces(starts, data, int(offsets[-1]))


def superword_json(trained: Trained, config: SuperwordConfig, special_tokens: Sequence[str]) -> bytes:
    """The `tokenizer.json`: as of a BPE inside words, but cut into units."""
    return bpe_json(trained, unit_pattern(config.max_unit_chars), special_tokens)


def max_unit_chars(vocabulary: Vocabulary) -> int:
    """The longest unit of a tokenizer.json that cuts text into units. Raises ValueError for any other vocabulary."""
    content = json.loads(vocabulary.content) if vocabulary.kind == "tokenizer.json" else {}
    written = content.get("pre_tokenizer") or {}
    found = re.search(r"\{1,(\d+)\}\(", json.dumps(written.get("pretokenizers", [])))
    limit = int(found[1]) if found else 0
    if not limit or written != byte_pre_tokenizer(unit_pattern(limit)):
        raise ValueError(f"vocabulary {vocabulary.name} does not cut text into units; use engine='gigatoken'")
    return limit


class UnitEngine:
    """Encodes with a superword vocabulary: gigatoken knows only the usual splits."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._max_chars = max_unit_chars(vocabulary)
        ids = json.loads(vocabulary.content)["model"]["vocab"]
        by_byte = sorted((byte, ids.get(character, -1)) for character, byte in byte_alphabet().items())
        self._merger = Merger(merges_of(vocabulary), np.array([token for _, token in by_byte], np.int32), False)

    def encode(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """See `Engine`."""
        starts, first = unit_starts(offsets, data, self._max_chars)
        ends, ids = self._merger.encode(np.append(starts, np.int64(offsets[-1])), data)
        return ends[first].astype(np.int64), ids
