"""Bytes and merges of ids against the encoders themselves."""

import base64
import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.tokenization.engines import Reference
from stages.tokenization.pieces import byte_alphabet, merges_of, pieces_of
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary
from tests.stages.tokenization.test_vocabulary import sentencepiece_file

TEXT = "def añadir(x):\n\treturn x + 'ñandú' # 漢字\r\n" * 3


def trained(folder) -> Vocabulary:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.add_tokens(["plainly"])
    return saved(folder, tokenizer)


def saved(folder, tokenizer) -> Vocabulary:
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return load_vocabulary(str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_alphabet_of_bytes_is_that_of_hugging_face():
    assert sorted(byte_alphabet()) == sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet().values()) == list(range(256))


def test_pieces_of_a_shipped_vocabulary_spell_the_text():
    vocabulary = load_vocabulary("cl100k_base")
    pieces = pieces_of(vocabulary)
    ids = Reference(vocabulary).encode_text(TEXT)
    assert pieces.decode(np.array(ids)) == TEXT.encode()
    assert pieces.lengths[ids].sum() == len(TEXT.encode())
    assert pieces[vocabulary.special_token()] == b""
    with pytest.raises(IndexError, match="outside 0 to 100276"):
        pieces[100277]


def test_pieces_and_merges_of_a_tokenizer_json(tmp_path):
    vocabulary = trained(tmp_path)
    model = json.loads(vocabulary.content)["model"]
    pieces, merges = pieces_of(vocabulary), merges_of(vocabulary)
    ids = Reference(vocabulary).encode_text(TEXT + " plainly")
    assert pieces.decode(np.array(ids)) == (TEXT + " plainly").encode()
    assert pieces[0] == b""
    assert len(merges) == len(model["merges"]) > 20
    assert all(pieces[left] + pieces[right] == pieces[new] for left, right, new in merges.tolist())


def halves_slowly(piece: bytes, ranks: dict[bytes, int]) -> tuple[bytes, ...]:
    """The slow obvious twin: merge the first-ranked pair, the leftmost of equals, until two parts are left."""
    parts = [piece[at : at + 1] for at in range(len(piece))]
    while len(parts) > 2:
        known = [(ranks[a + b], at) for at, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
        if not known:
            return ()
        at = min(known)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return tuple(parts) if len(parts) == 2 else ()


def test_merges_of_ranks_make_every_token_from_earlier_ones():
    vocabulary = load_vocabulary("cl100k_base")
    pieces, merges = pieces_of(vocabulary), merges_of(vocabulary)
    assert len(merges) == 100_000
    assert (np.diff(merges[:, 2]) > 0).all()
    assert (merges[:, :2].max(axis=1) < merges[:, 2]).all()
    ranks = vocabulary.ranks()
    for left, right, new in merges[::97].tolist():
        assert (pieces[left], pieces[right]) == halves_slowly(pieces[new], ranks)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abc", min_size=2, max_size=9), max_size=12, unique=True), st.integers(0, 3))
def test_merges_of_ranks_in_any_order_equal_the_slow_twin(words, offset):
    tokens = [*(bytes([byte]) for byte in range(256)), *(word.encode() for word in words)]
    vocabulary = ranked(tokens, offset=offset)
    ranks = vocabulary.ranks()
    made = [(halves_slowly(piece, ranks), token) for piece, token in ranks.items()]
    assert merges_of(vocabulary).tolist() == [[*(ranks[part] for part in parts), new] for parts, new in made if parts]


def ranked(tokens: Sequence[bytes], *, offset: int = 0) -> Vocabulary:
    content = b"\n".join(base64.b64encode(piece) + b" %d" % rank for rank, piece in enumerate(tokens))
    return Vocabulary(name="hand", content=content, split="r50k", special_tokens={}, offset=offset)


def test_a_rank_without_a_merge_is_left_out():
    vocabulary = ranked([*(bytes([byte]) for byte in range(256)), b"ab", b"xyz", b"abc"])
    assert merges_of(vocabulary).tolist() == [[97, 98, 256], [256, 99, 258]]


def test_pieces_and_merges_of_a_sentencepiece_model(tmp_path):
    options = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    vocabulary = load_vocabulary(**sentencepiece_file(tmp_path / "tokenizer.model", **options))
    pieces, merges = pieces_of(vocabulary), merges_of(vocabulary)
    assert pieces.decode(np.array(Reference(vocabulary).encode_text(TEXT))) == b" " + TEXT.encode()
    assert [pieces[token] for token in vocabulary.special_tokens.values()] == [b""] * 3
    assert len({pieces[token] for token in range(3, len(pieces))} - {b""}) == int((pieces.lengths > 0).sum())
    assert len(merges) > 20
    assert all(pieces[left] + pieces[right] == pieces[new] for left, right, new in merges.tolist())


def test_vocabularies_of_words_have_neither(tmp_path):
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    vocabulary = saved(tmp_path, words)
    with pytest.raises(ValueError, match="neither byte-level nor with byte fallback"):
        pieces_of(vocabulary)
    with pytest.raises(ValueError, match="only BPE has merges"):
        merges_of(vocabulary)
