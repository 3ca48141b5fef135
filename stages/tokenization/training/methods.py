"""Ways to train a tokenizer beside BPE inside words: what each counts in text, and how counts become its file.

Counts are pure and add up (`units.add_counts`), so a whole-corpus job can make them shard by shard, in any order.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pyarrow as pa

from stages.text_views import text_views
from stages.tokenization.engines import Engine
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.training.hybrid import HybridConfig, read_hybrid, with_special_tokens
from stages.tokenization.training.hybrid_engine import HybridEngine
from stages.tokenization.training.hybrid_training import train_hybrid
from stages.tokenization.training.less_is_better import GreedyEngine, LibConfig, count_units, lib_json, train_lib
from stages.tokenization.training.superwords import (
    SuperwordConfig,
    UnitEngine,
    count_chunks,
    count_superwords,
    superword_json,
    train_superbpe,
    train_supertokens,
)
from stages.tokenization.training.units import Counts, Cuts, count_pieces
from stages.tokenization.vocabulary import Vocabulary

Config = TypeVar("Config")
Count = Callable[[pa.StringArray, pa.FixedSizeBinaryArray, Cuts], tuple[Counts, ...]]
Train = Callable[[Sequence[Counts], Config, Sequence[str]], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Method(Generic[Config]):
    """One way to train."""

    name: str
    kinds: int
    """How many kinds of pieces are counted."""
    count: Count
    """From texts and their document ids the counts of each kind that training needs, sorted by piece."""
    train: Train[Config]
    """From the counts of each kind and the names of special tokens the content of the tokenizer's file."""


def _count_superbpe(text: pa.StringArray, document_ids: pa.FixedSizeBinaryArray, cuts: Cuts) -> tuple[Counts, ...]:
    return count_superwords(text, cuts)


def _train_superbpe(counts: Sequence[Counts], config: SuperwordConfig, special_tokens: Sequence[str]) -> bytes:
    words, units = counts
    return superword_json(train_superbpe(words, units, config), config, special_tokens)


SUPERBPE: Method[SuperwordConfig] = Method(name="superbpe", kinds=2, count=_count_superbpe, train=_train_superbpe)


def _count_supertokens(text: pa.StringArray, document_ids: pa.FixedSizeBinaryArray, cuts: Cuts) -> tuple[Counts, ...]:
    return (count_chunks(text, document_ids, cuts),)


def _train_supertokens(counts: Sequence[Counts], config: SuperwordConfig, special_tokens: Sequence[str]) -> bytes:
    (chunks,) = counts
    return superword_json(train_supertokens(chunks, config), config, special_tokens)


SUPERTOKENS: Method[SuperwordConfig] = Method(
    name="supertokens", kinds=1, count=_count_supertokens, train=_train_supertokens
)


def _count_lib(text: pa.StringArray, document_ids: pa.FixedSizeBinaryArray, cuts: Cuts) -> tuple[Counts, ...]:
    return (count_units(text, cuts),)


def _train_lib(counts: Sequence[Counts], config: LibConfig, special_tokens: Sequence[str]) -> bytes:
    (units,) = counts
    return lib_json(train_lib(units, config), config, special_tokens)


LIB: Method[LibConfig] = Method(name="lib", kinds=1, count=_count_lib, train=_train_lib)


def _count_hybrid(text: pa.StringArray, document_ids: pa.FixedSizeBinaryArray, cuts: Cuts) -> tuple[Counts, ...]:
    offsets, data = text_views(text)
    starts, _ = pretoken_starts(offsets, data, cuts.split)
    return (count_pieces(starts, data, int(offsets[-1])),)


def _train_hybrid(counts: Sequence[Counts], config: HybridConfig, special_tokens: Sequence[str]) -> bytes:
    (words,) = counts
    return with_special_tokens(train_hybrid(words, config), special_tokens).to_json()


HYBRID: Method[HybridConfig] = Method(name="hybrid", kinds=1, count=_count_hybrid, train=_train_hybrid)
"""Its file is no `tokenizer.json`, but a vocabulary of kind `hybrid`."""


def open_unit_engine(vocabulary: Vocabulary) -> Engine:
    """The engine of a hybrid or of a `tokenizer.json` that cuts text into units.

    Raises ValueError for any other vocabulary.
    """
    if vocabulary.kind == "hybrid":
        return HybridEngine(read_hybrid(vocabulary.content))
    is_file = vocabulary.kind == "tokenizer.json"
    is_greedy = is_file and json.loads(vocabulary.content)["model"].get("type") == "WordPiece"
    return GreedyEngine(vocabulary) if is_greedy else UnitEngine(vocabulary)
