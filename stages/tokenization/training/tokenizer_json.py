"""A trained vocabulary as a `tokenizer.json`, which Hugging Face tokenizers, gigatoken and the array program load."""

import json
from collections.abc import Sequence

from stages.tokenization.pieces import byte_alphabet
from stages.tokenization.training.bpe import Trained
from stages.tokenization.training.policies import pattern_of


def tokenizer_json(
    trained: Trained, split: str, special_tokens: Sequence[str] = (), *, added_tokens: Sequence[str] = ()
) -> bytes:
    """The file: byte-level BPE with the pattern of the split.

    Special tokens take the ids after the vocabulary, added tokens those after. An added token is found in text before
    the split, whatever stands around it. Raises ValueError for names that are empty, repeated, or tokens already.
    """
    letters = {byte: character for character, byte in byte_alphabet().items()}
    spelt = ["".join(letters[byte] for byte in piece) for piece in trained.tokens]
    extra = [*special_tokens, *added_tokens]
    _check_names(extra, set(trained.tokens), spelt)
    added = [_added(len(spelt) + number, name, number < len(special_tokens)) for number, name in enumerate(extra)]
    pattern = {"Regex": pattern_of(split)}
    cut = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
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
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, _BYTES]},
        "post_processor": None,
        "decoder": _BYTES,
        "model": model,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def _added(token: int, content: str, special: bool) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}
    return {"id": token, "content": content, **flags}


def _check_names(names: list[str], tokens: set[bytes], spelt: list[str]) -> None:
    written = set(spelt)
    for number, name in enumerate(names):
        if not name or name in names[:number]:
            raise ValueError(f"special and added tokens must be distinct and not empty, got {name!r} again or empty")
        if name in written or name.encode() in tokens:
            raise ValueError(f"{name!r} is a token of the vocabulary; leave it out of special and added tokens")
