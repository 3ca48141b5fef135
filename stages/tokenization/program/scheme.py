"""What of a vocabulary the array program needs, read from ranks or from a byte-level `tokenizer.json`."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stages.tokenization.classes import class_table
from stages.tokenization.engines import advised_engine
from stages.tokenization.pieces import Pieces, byte_alphabet, merges_of, pieces_of
from stages.tokenization.program.cased import pretoken_starts
from stages.tokenization.program.characters import NotUtf8Error, read_characters
from stages.tokenization.program.merge_table import check_order, effective_merges
from stages.tokenization.scanner import SPLIT_RULES
from stages.tokenization.splits import split_of_json
from stages.tokenization.vocabulary import Vocabulary

_FOREIGN = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
"""Settings of a BPE model that change what it does in ways that the program does not follow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """A byte-level BPE with a known split."""

    split: str
    """Key of `scanner.SPLIT_RULES`."""
    pieces: Pieces
    merges: npt.NDArray[np.int32]
    """Rows (left id, right id, new id) in order, each pair once."""
    byte_ids: npt.NDArray[np.int32]
    """The id of each byte."""
    whole: bool
    """A pretoken that is a token is that token even where merges do not lead there."""


def read_scheme(vocabulary: Vocabulary) -> Scheme:
    """The scheme of a vocabulary. Raises ValueError for one that the program cannot encode exactly as its reference."""
    if vocabulary.kind == "sentencepiece":
        raise ValueError(f"vocabulary {vocabulary.name} is a SentencePiece model; engine='torch' needs byte-level BPE")
    split, whole = (vocabulary.split, True) if vocabulary.split else _read_json(vocabulary)
    pieces = pieces_of(vocabulary)
    byte_ids = _byte_ids(vocabulary, pieces)
    merges = effective_merges(merges_of(vocabulary))
    check_order(merges, byte_ids, pieces, vocabulary.name)
    blank = merges[(pieces.lengths[merges] == 0).any(axis=1)]
    if len(blank):
        raise ValueError(
            f"vocabulary {vocabulary.name}: merge {blank[0].tolist()} is of or to a special token, which has no "
            "bytes; use engine='reference'"
        )
    return Scheme(split=split, pieces=pieces, merges=merges, byte_ids=byte_ids, whole=whole)


def _byte_ids(vocabulary: Vocabulary, pieces: Pieces) -> npt.NDArray[np.int32]:
    ids = np.full(256, -1, np.int32)
    single = np.flatnonzero(pieces.lengths == 1)
    ids[pieces.data[pieces.offsets[single]]] = single
    if (ids < 0).any():
        raise ValueError(f"vocabulary {vocabulary.name} has no token for the bytes {np.flatnonzero(ids < 0).tolist()}")
    return ids


def _read_json(vocabulary: Vocabulary) -> tuple[str, bool]:
    """The split of a `tokenizer.json`, and whether a pretoken that is a token is left whole."""
    config = json.loads(vocabulary.tokenizer_json())
    model = config["model"]
    reason = _foreign(config, model)
    split = "" if reason else split_of_json(config.get("pre_tokenizer"))
    if not (split or reason):
        reason = f"it splits by {json.dumps(config.get('pre_tokenizer'))[:300]}, none of the known splits"
    if split and model.get("ignore_merges") and (name := _made_by_text(config, split)):
        reason = f"the special token {name!r} is a word that text can hold, and ignore_merges would make it"
    if reason:
        raise ValueError(
            f"vocabulary {vocabulary.name}: {reason}; engine='torch' cannot encode it, "
            f"use engine={advised_engine(vocabulary)!r}"
        )
    return split, bool(model.get("ignore_merges"))


def _foreign(config: dict[str, Any], model: dict[str, Any]) -> str:
    """Why the program does not know what this tokenizer does; empty if it does."""
    if model.get("type", "BPE") != "BPE":
        return f"it is a {model['type']} model"
    if config.get("normalizer"):
        return f"it normalizes text by {config['normalizer'].get('type')}"
    odd = [setting for setting in _FOREIGN if model.get(setting)]
    if odd:
        return f"its model sets {odd[0]}={model[odd[0]]!r}"
    plain = [token["content"] for token in config.get("added_tokens") or [] if not token["special"]]
    if plain:
        return f"it has added tokens that are not special, such as {plain[0]!r}"
    return ""


def _made_by_text(config: dict[str, Any], split: str) -> str:
    """A special token that is a pretoken of text, which `ignore_merges` makes of it; empty if there is none."""
    alphabet, classes = byte_alphabet(), torch.from_numpy(class_table().copy())
    special: set[str] = {token["content"] for token in config.get("added_tokens") or []} & set(config["model"]["vocab"])
    for name in sorted(name for name in special if set(name) <= set(alphabet)):
        data = torch.tensor([alphabet[character] for character in name], dtype=torch.uint8)
        try:
            characters = read_characters(torch.tensor([0, len(data)]), data, classes)
        except NotUtf8Error:
            continue
        if pretoken_starts(characters, SPLIT_RULES[split]).sum() == 1:
            return name
    return ""
