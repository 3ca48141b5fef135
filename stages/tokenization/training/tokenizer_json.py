"""A trained vocabulary as a `tokenizer.json`, which Hugging Face tokenizers, gigatoken and the array program load."""

import json
from collections.abc import Mapping, Sequence

from stages.tokenization.pieces import byte_alphabet
from stages.tokenization.training.bpe import Trained
from stages.tokenization.training.policies import pattern_of


def tokenizer_json(
    trained: Trained, split: str, special_tokens: Sequence[str] = (), *, added_tokens: Sequence[str] = ()
) -> bytes:
    """The file: byte-level BPE inside the pieces of a split. See `bpe_json`."""
    return bpe_json(trained, pattern_of(split), special_tokens, added_tokens)


def bpe_json(trained: Trained, pattern: str, special_tokens: Sequence[str], added_tokens: Sequence[str] = ()) -> bytes:
    """The file: byte-level BPE inside the pieces of a pattern.

    Special tokens take the ids after the vocabulary, added tokens those after. An added token is found in text before
    the split, whatever stands around it. Raises ValueError for names that are empty, repeated, or tokens already.
    """
    letters = {byte: character for character, byte in byte_alphabet().items()}
    spelt = ["".join(letters[byte] for byte in piece) for piece in trained.tokens]
    extra = [*special_tokens, *added_tokens]
    _check_names(extra, set(trained.tokens), spelt)
    specials = len(special_tokens)
    added = [added_token(len(spelt) + number, name, special=number < specials) for number, name in enumerate(extra)]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {name: token for token, name in enumerate(spelt)},
        "merges": [[spelt[left], spelt[right]] for left, right, _ in trained.merges.tolist()],
    }
    return tokenizer_file(model, pattern, added)


def tokenizer_file(model: Mapping[str, object], pattern: str, added_tokens: Sequence[Mapping[str, object]]) -> bytes:
    """A `tokenizer.json` of a model over the alphabet of bytes, inside the pieces that the pattern cuts."""
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens,
        "normalizer": None,
        "pre_tokenizer": byte_pre_tokenizer(pattern),
        "post_processor": None,
        "decoder": _BYTES,
        "model": model,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def byte_pre_tokenizer(pattern: str) -> dict[str, object]:
    """Pieces of a pattern in the alphabet of bytes."""
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, _BYTES]}


def added_token(token: int, content: str, *, special: bool) -> dict[str, object]:
    """A token that is found in text before it is cut."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}
    return {"id": token, "content": content, **flags}


def _check_names(names: list[str], tokens: set[bytes], spelt: list[str]) -> None:
    written = set(spelt)
    for number, name in enumerate(names):
        if not name or name in names[:number]:
            raise ValueError(f"special and added tokens must be distinct and not empty, got {name!r} again or empty")
        if name in written or name.encode() in tokens:
            raise ValueError(f"{name!r} is a token of the vocabulary; leave it out of special and added tokens")
