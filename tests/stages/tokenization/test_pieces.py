"""Bytes and merges of ids against the encoders themselves."""

import base64
import hashlib
import json

import numpy as np
import pytest
import tokenizers

from stages.tokenization.engines import Reference
from stages.tokenization.pieces import byte_alphabet, merges_of, pieces_of
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary

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


def test_merges_of_ranks_make_every_token_from_earlier_ones():
    vocabulary = load_vocabulary("cl100k_base")
    pieces, merges = pieces_of(vocabulary), merges_of(vocabulary)
    assert len(merges) == 100_000
    assert (np.diff(merges[:, 2]) > 0).all()
    assert (merges[:, :2].max(axis=1) < merges[:, 2]).all()
    sample = merges[::997].tolist()
    assert all(pieces[left] + pieces[right] == pieces[new] for left, right, new in sample)


def test_a_rank_without_a_merge_is_left_out():
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"ab": 256, b"xyz": 257, b"abc": 258}
    content = b"\n".join(base64.b64encode(piece) + b" %d" % rank for piece, rank in ranks.items())
    vocabulary = Vocabulary(name="hand", content=content, split="r50k", special_tokens={})
    assert merges_of(vocabulary).tolist() == [[97, 98, 256], [256, 99, 258]]


def test_vocabularies_of_words_have_neither(tmp_path):
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    vocabulary = saved(tmp_path, words)
    with pytest.raises(ValueError, match="neither byte-level nor with byte fallback"):
        pieces_of(vocabulary)
    with pytest.raises(ValueError, match="only BPE has merges"):
        merges_of(vocabulary)
