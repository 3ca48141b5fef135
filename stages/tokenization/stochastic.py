"""Other ways to write the same text: StochasTok and BPE-dropout as views over stored tokens, another one each epoch.

A view takes tokens and document ids, no text, and depends on (seed, epoch, document id) alone: batches, workers and
order change nothing. The bytes that the tokens spell stay the same. Tokens without bytes, such as the one that ends a
document, and ids outside the vocabulary stay where they are.
"""

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.tokenization.draws import document_keys
from stages.tokenization.lists import fixed, is_null, list_array, list_views, row_ranges
from stages.tokenization.merging import Merger
from stages.tokenization.merging_tables import build_pieces, count_slots
from stages.tokenization.pieces import Pieces, merges_of, pieces_of
from stages.tokenization.scanner import SPLIT_RULES, pretoken_starts
from stages.tokenization.splits import split_of
from stages.tokenization.stochastic_kernels import (
    count_texts,
    find_splits,
    join_texts,
    key_pieces,
    spell_texts,
    split_documents,
)
from stages.tokenization.vocabulary import Vocabulary

TokenLists: TypeAlias = "pa.ListArray[Any]"

_STOCHASTOK, _DROPOUT = 0x57, 0xD0
"""Keep the draws of the two apart from each other and from others of the same seed."""

_BATCH_TOKENS = 4_000_000
"""Tokens taken at once: bounds what a view needs beside its input and output to about 150 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StochasTokConfig:
    """How much is split."""

    rate: float = 0.1
    """Attempts by tokens of a document, rounded down. An attempt on a token that cannot be split is lost."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 10:
            raise ValueError(f"rate must be from 0 to 10 attempts per token, got {self.rate}")


class StochasTok:
    """Splits tokens into two of the vocabulary at random places (2506.01687).

    The paper draws a position in the list as it is by then for every attempt, and replaces that token by one of its
    pairs. Here tokens are numbered in the order in which they came to be: a pair's left half takes the number of the
    token that it replaces, its right half the next free one. A uniform number is a uniform position, for numbers and
    positions are in bijection whatever happened before, so the chances are those of the paper; and a list linked in
    order of text makes each attempt take constant time.
    """

    def __init__(self, pieces: Pieces, config: StochasTokConfig) -> None:
        """Tokens of which others can be made are those with bytes."""
        offsets, data = fixed(pieces.offsets, np.int64), fixed(pieces.data, np.uint8)
        taken = np.diff(offsets) > 0
        table = build_pieces(offsets, data, taken, count_slots(int(taken.sum())))
        self._splits = find_splits(offsets, data, table)
        self._config = config

    def pairs(self, token: int) -> list[tuple[int, int]]:
        """All pairs of tokens that spell this one."""
        offsets, left, right = self._splits
        part = slice(offsets[token], offsets[token + 1])
        return list(zip(left[part].tolist(), right[part].tolist(), strict=True))

    def view(self, tokens: TokenLists, document_ids: pa.FixedSizeBinaryArray, *, epoch: int) -> TokenLists:
        """The tokens of each document as this epoch sees them; null where they are null.

        Raises ValueError where tokens and ids differ in number.
        """
        keys = _keys(tokens, document_ids, self._config.seed, epoch, _STOCHASTOK)
        parts = [
            self._split(tokens.slice(*part), keys[slice(part[0], sum(part))])
            for part in row_ranges(list_views(tokens)[0], _BATCH_TOKENS)
        ]
        return pa.concat_arrays([tokens.slice(0, 0), *parts])

    def _split(self, tokens: TokenLists, keys: npt.NDArray[np.uint64]) -> TokenLists:
        nulls = is_null(tokens)
        offsets, ids = list_views(tokens)
        lengths = np.where(nulls, 0, np.diff(offsets)).astype(np.int64)
        attempts = np.floor(self._config.rate * lengths).astype(np.int64)
        out, borders = np.empty(int((lengths + attempts).sum()), np.int32), np.zeros(len(tokens) + 1, np.int64)
        split_documents(fixed(offsets, np.int32), ids, lengths, attempts, keys, *self._splits, borders, out)
        return list_array(borders, out, tokens.type, nulls)


@dataclass(frozen=True, kw_only=True, slots=True)
class DropoutConfig:
    """How much is dropped."""

    rate: float = 0.1
    """Probability that a possible merge is left out at a step."""
    seed: int = 0
    split: str = ""
    """How text is cut before merging; empty takes what the vocabulary says, anything else must be that."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must be a probability from 0 to 1, got {self.rate}")
        if self.split and self.split not in SPLIT_RULES:
            raise ValueError(f"split={self.split!r} must be one of {', '.join(SPLIT_RULES)}")


class BpeDropout:
    """Merges the bytes of the tokens again, leaving out merges at random (Provilkov et al. 2020); see `Merger`.

    At rate 0 the tokens of the vocabulary's own encoder stay as they are. Added tokens, which are found in text before
    it is cut, stay at any rate.
    """

    def __init__(self, vocabulary: Vocabulary, config: DropoutConfig) -> None:
        """Raises ValueError for a vocabulary that is no byte-level BPE, or that does not cut text by a known split."""
        self._config = config
        pieces, is_whole = _merged_pieces(vocabulary)
        self._split = _checked_split(vocabulary, config.split)
        byte_ids = np.full(256, -1, np.int32)
        single = np.flatnonzero(pieces.lengths == 1)[::-1]
        byte_ids[pieces.data[pieces.offsets[single]]] = single
        try:
            self._merger = Merger(merges_of(vocabulary), byte_ids, is_whole, pieces=pieces)
        except ValueError as error:
            raise ValueError(f"vocabulary {vocabulary.name} is no byte-level BPE: {error}") from error
        self._pieces = fixed(pieces.offsets, np.int64), fixed(pieces.data, np.uint8)

    def view(self, tokens: TokenLists, document_ids: pa.FixedSizeBinaryArray, *, epoch: int) -> TokenLists:
        """The tokens of each document as this epoch sees them; null where they are null.

        Raises ValueError where tokens and ids differ in number.
        """
        keys = _keys(tokens, document_ids, self._config.seed, epoch, _DROPOUT)
        parts = [
            self._merge(tokens.slice(*part), keys[slice(part[0], sum(part))])
            for part in row_ranges(list_views(tokens)[0], _BATCH_TOKENS)
        ]
        return pa.concat_arrays([tokens.slice(0, 0), *parts])

    def _merge(self, tokens: TokenLists, keys: npt.NDArray[np.uint64]) -> TokenLists:
        nulls = is_null(tokens)
        offsets, ids = list_views(tokens)
        offsets = fixed(offsets, np.int32)
        num_texts, num_bytes = count_texts(offsets, ids, nulls, self._pieces[0])
        texts, kept = np.zeros(num_texts + 1, np.int64), np.zeros(num_texts, np.int64)
        data, first_text = np.empty(num_bytes, np.uint8), np.zeros(len(tokens) + 1, np.int64)
        spell_texts(offsets, ids, nulls, *self._pieces, texts, kept, data, first_text)
        starts, first = pretoken_starts(texts, data, self._split)
        piece_keys = key_pieces(keys, first_text, first)
        piece_starts, merged = self._merger.encode_dropout(
            np.append(starts, num_bytes), data, piece_keys, self._config.rate
        )
        out, borders = np.empty(len(merged) + num_texts, np.int32), np.zeros(len(tokens) + 1, np.int64)
        join_texts(first_text, kept, texts, first, piece_starts, fixed(merged, np.int32), borders, out)
        return list_array(borders, out, tokens.type, nulls)


def _merged_pieces(vocabulary: Vocabulary) -> tuple[Pieces, bool]:
    """Bytes of the tokens that merging makes, and whether a pretoken that is a token is that token without merges."""
    pieces = pieces_of(vocabulary)
    if vocabulary.kind == "ranks":
        return pieces, True
    config = json.loads(vocabulary.tokenizer_json())
    added = [int(token["id"]) for token in config.get("added_tokens") or []]
    lengths = pieces.lengths.astype(np.int64)
    kept = np.ones(len(lengths), np.bool_)
    kept[added] = False
    data = pieces.data[np.repeat(kept, lengths)]
    offsets = np.concatenate([[0], np.cumsum(np.where(kept, lengths, 0))])
    return Pieces(offsets=offsets, data=data), bool(config["model"].get("ignore_merges"))


def _checked_split(vocabulary: Vocabulary, wanted: str) -> str:
    """The split of the vocabulary. Raises ValueError where it is none of the known or not the one wanted."""
    split = split_of(vocabulary)
    if not split:
        raise ValueError(
            f"vocabulary {vocabulary.name} cuts text in none of the known ways ({', '.join(SPLIT_RULES)}), so its "
            "merges cannot be made again; use StochasTok"
        )
    if wanted and wanted != split:
        raise ValueError(f"vocabulary {vocabulary.name} cuts text by {split}, not by {wanted}; leave split empty")
    return split


def _keys(
    tokens: TokenLists, document_ids: pa.FixedSizeBinaryArray, seed: int, epoch: int, method: int
) -> npt.NDArray[np.uint64]:
    if len(tokens) != len(document_ids):
        raise ValueError(f"{len(tokens)} rows of tokens and {len(document_ids)} document ids; pass one id per row")
    return document_keys(document_ids, seed, epoch, method)
