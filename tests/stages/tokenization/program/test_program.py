"""The program's ids against tiktoken's and Hugging Face tokenizers'."""

import hashlib
import json
import re
from copy import copy
from functools import lru_cache

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.tokenization.engines import Reference
from stages.tokenization.program import uniques
from stages.tokenization.program.program import Program
from stages.tokenization.training.policies import PATTERNS
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary
from tests.stages.tokenization.program.material import ADVERSARIAL, DEVICES, HARD, adversarial, flat

SAMPLE = [
    "def add(a, b):\n    return a + b\n" * 3, "import numpy as np\nclass HTTPServer:\n\t'''It's a server'''\n",
    "for (int i = 0; i < 1000; ++i) { total += values[i]; }\n", "漢字かな交じり文 don't won't we'll 12345\n",
] * 10  # fmt: skip


def both(name, device="cpu"):
    return load(name, device)


@lru_cache(maxsize=4)
def load(name, device):
    vocabulary = load_vocabulary(name)
    return Program(vocabulary, device), Reference(vocabulary)


def check(program, reference, texts):
    starts, ids = program.encode(*flat(texts))
    assert (starts.dtype, ids.dtype, len(starts)) == (np.int64, np.int32, len(texts) + 1)
    wanted = [reference.encode_text(text) for text in texts]
    found = [ids[starts[row] : starts[row + 1]].tolist() for row in range(len(texts))]
    wrong = [(text[:99], got, want) for text, got, want in zip(texts, found, wanted, strict=True) if got != want]
    assert wrong[:3] == []


def in_batches(program, batch_bytes):
    """The same program with other batches, without loading the vocabulary again."""
    other = copy(program)
    other._batch_bytes = batch_bytes
    return other


def trained(tmp_path, *, pattern="", longest=None, edit=None):
    """A small `tokenizer.json`, trained here; by default split as GPT-2 does."""
    parts = tokenizers.pre_tokenizers
    alphabet = parts.ByteLevel(add_prefix_space=False, use_regex=not pattern)
    cut = [parts.Split(tokenizers.Regex(pattern), "isolated")] if pattern else []
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = parts.Sequence([*cut, alphabet]) if cut else alphabet
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<s>"],
        initial_alphabet=parts.ByteLevel.alphabet(),
        max_token_length=longest,
        show_progress=False,
    )
    tokenizer.train_from_iterator(SAMPLE, trainer)
    config = json.loads(tokenizer.to_str())
    if edit:
        edit(config)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(config))
    return load_vocabulary(str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_ids_are_tiktokens(name, device):
    check(*both(name, device), [*HARD, *SAMPLE, *adversarial(5_000, seed=3), *adversarial(200, seed=4, longest=200)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base", "tekken_240718", "qwen"])
def test_ids_of_fifty_thousand_texts_are_tiktokens(name):
    for seed in range(10):
        check(*both(name), adversarial(5_000, seed=200 + seed, longest=4 + 6 * seed))


@given(st.lists(ADVERSARIAL, max_size=4), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_batches_of_any_size_give_the_same_ids(texts, batch_bytes):
    program, reference = both("cl100k_base")
    small = in_batches(program, batch_bytes)
    check(small, reference, texts)


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_a_text_longer_than_a_batch_is_cut_where_no_token_reaches_across(name):
    program, reference = both(name)
    small = in_batches(program, 200)
    texts = ["".join(adversarial(100, seed=5, longest=60)), "".join(SAMPLE), "漢" * 500 + "1" * 500, "x" * 999]
    check(small, reference, texts)


@pytest.mark.parametrize("device", DEVICES)
def test_long_runs_take_few_rounds(device):
    program, reference = both("cl100k_base", device)
    letters = np.random.default_rng(1).integers(97, 123, 30_000, np.uint8).tobytes().decode()
    check(program, reference, ["a" * 100_000, letters, "ab" * 5_000, "=" * 3_000 + "\n" * 3_000, " " * 3_000])


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["", "a", ""], ["\n"]])
def test_empty_texts_have_no_ids(texts):
    check(*both("cl100k_base"), texts)


@pytest.mark.parametrize("pattern", ["", *PATTERNS.values()], ids=["bytes", *PATTERNS])
def test_ids_of_a_trained_tokenizer_are_those_of_hugging_face(tmp_path, pattern):
    vocabulary = trained(tmp_path, pattern=pattern)
    check(Program(vocabulary, "cpu"), Reference(vocabulary), [*HARD, *SAMPLE, *adversarial(500, seed=6)])


def test_a_token_that_merges_do_not_lead_to_is_made_only_if_the_vocabulary_says_so(tmp_path):
    for ignore_merges in (False, True):

        def edit(config, ignore_merges=ignore_merges):
            config["model"]["vocab"]["zqzq"] = 700
            config["model"]["vocab"]["Ġabcdefghijklmnopqrst"] = 701
            config["model"]["ignore_merges"] = ignore_merges

        vocabulary = trained(tmp_path, edit=edit)
        texts = ["zqzq", "a zqzq", " abcdefghijklmnopqrst", " abcdefghijklmnopqrsu", " return"]
        check(Program(vocabulary, "cpu"), Reference(vocabulary), texts)


def test_long_pretokens_of_one_hash_are_told_apart(tmp_path, monkeypatch):
    """All stretches of more than 15 bytes collide, with each other and with the one such token."""

    def edit(config):
        config["model"]["vocab"]["Ġabcdefghijklmnopqrst"] = 700
        config["model"]["ignore_merges"] = True

    monkeypatch.setattr(uniques, "_hashes", lambda data, begin, length: (torch.zeros_like(begin),) * 2)
    vocabulary = trained(tmp_path, longest=15, edit=edit)
    texts = [" abcdefghijklmnopqrst", " abcdefghijklmnopqrsu", "x" * 20, "x" * 21, "return" * 5, "x" * 20, "returm" * 5]
    check(Program(vocabulary, "cpu"), Reference(vocabulary), texts)


def test_tensors_stay_on_the_device():
    program, _ = both("cl100k_base")
    offsets, data = flat(SAMPLE)
    starts, ids = program.encode_tensors(torch.from_numpy(offsets.copy()), torch.from_numpy(data.copy()))
    assert (starts.dtype, ids.dtype, ids.device) == (torch.int64, torch.int32, program.device)
    wanted = program.encode(offsets, data)
    assert np.array_equal(starts.cpu().numpy(), wanted[0])
    assert np.array_equal(ids.cpu().numpy(), wanted[1])


@pytest.mark.parametrize(
    ("offsets", "data", "reason"),
    [
        ([0, 2], torch.zeros(2, dtype=torch.int64), r"one row of uint8, got torch\.int64 of shape \(2,\)"),
        ([0, 2], torch.zeros((1, 2), dtype=torch.uint8), r"shape \(1, 2\)"),
        ([], torch.zeros(2, dtype=torch.uint8), r"at least one, got shape \(0,\)"),
        ([0, 3], torch.zeros(2, dtype=torch.uint8), "at most 2, the bytes of data"),
        ([-1, 2], torch.zeros(2, dtype=torch.uint8), "from 0 or more"),
        ([0, 2, 1], torch.zeros(2, dtype=torch.uint8), "must ascend"),
    ],
)
def test_tensors_that_are_no_texts_are_refused(offsets, data, reason):
    with pytest.raises(ValueError, match=reason):
        both("cl100k_base")[0].encode_tensors(torch.tensor(offsets, dtype=torch.int64), data)


def test_texts_need_not_begin_where_the_buffer_does():
    program, _ = both("cl100k_base")
    offsets, data = flat([b"\xff\xfe", *SAMPLE, b"\xff"])
    starts, ids = program.encode(offsets[1:-1], data)
    wanted = program.encode(*flat(SAMPLE))
    assert np.array_equal(starts, wanted[0])
    assert np.array_equal(ids, wanted[1])


@pytest.mark.parametrize("bad", [b"ab\xff", b"ab\xc3", b"ab\xed\xa0\x80", b"ab\xe2\x82x"])
@pytest.mark.parametrize("batch_bytes", [4, 1_000])
def test_bytes_that_are_not_utf8_are_named(bad, batch_bytes):
    program, _ = both("cl100k_base")
    small = in_batches(program, batch_bytes)
    with pytest.raises(ValueError, match="text 2 is not UTF-8 at its byte 2"):
        small.encode(*flat([b"fine", b"", bad, b"fine"]))


def test_a_character_cut_by_an_offset_is_no_text():
    with pytest.raises(ValueError, match="text 1 is not UTF-8 at its byte 0"):
        both("cl100k_base")[0].encode(*flat(["é".encode()[:1], "é".encode()[1:]]))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("normalizer",), {"type": "NFC"}, "normalizes text by NFC"),
        (("model", "dropout"), 0.1, "dropout=0.1"),
        (("model", "end_of_word_suffix"), "</w>", "end_of_word_suffix='</w>'"),
        (("pre_tokenizer", "add_prefix_space"), True, "none of the known splits"),
        (("pre_tokenizer",), {"type": "Whitespace"}, "none of the known splits"),
        (("pre_tokenizer",), None, "none of the known splits"),
        (("added_tokens", 0, "special"), False, "added tokens that are not special, such as '<s>'"),
        (("model", "merges", 0), ["a", "b"], "joins|names"),
    ],
)
def test_what_the_program_cannot_encode_is_refused(tmp_path, path, value, reason):
    def edit(config):
        part = config
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value

    with pytest.raises(ValueError, match=reason):
        Program(trained(tmp_path, edit=edit), "cpu")


@pytest.mark.parametrize("name", ["return", "|||", "123"])
def test_a_special_token_that_text_can_spell_is_refused_where_merges_are_ignored(tmp_path, name):
    def edit(config):
        config["model"]["ignore_merges"] = True
        config["model"]["vocab"][name] = 700
        config["added_tokens"].append(config["added_tokens"][0] | {"id": 700, "content": name})

    with pytest.raises(ValueError, match=f"the special token {re.escape(repr(name))} is a word that text can hold"):
        Program(trained(tmp_path, edit=edit), "cpu")


def test_merges_to_a_special_token_are_refused(tmp_path):
    def edit(config):
        name = "".join(config["model"]["merges"][0])
        config["added_tokens"].append(
            config["added_tokens"][0] | {"id": config["model"]["vocab"][name], "content": name}
        )

    with pytest.raises(ValueError, match="is of or to a special token, which has no bytes"):
        Program(trained(tmp_path, edit=edit), "cpu")


def test_merges_that_make_a_pair_of_an_earlier_merge_are_refused(tmp_path):
    def edit(config):
        config["model"]["merges"] = [["ab", "c"], ["a", "b"]]
        config["model"]["vocab"] |= {"ab": 700, "abc": 701}

    with pytest.raises(ValueError, match=r"merge 0, of b'ab' and b'c' to token 701, comes before"):
        Program(trained(tmp_path, edit=edit), "cpu")


def test_a_missing_byte_and_a_bad_setting_are_refused(tmp_path):
    vocabulary = trained(tmp_path, edit=lambda config: config["model"]["vocab"].pop("!"))
    with pytest.raises(ValueError, match=r"no token for the bytes \[33\]"):
        Program(vocabulary, "cpu")
    with pytest.raises(ValueError, match="batch_bytes must be at least 1, got 0"):
        Program(vocabulary, "cpu", batch_bytes=0)


@pytest.mark.parametrize("device", ["cuda:99", "tpu"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ValueError, match=rf"torch has no device '{device}' here \(.+\); use device='cpu' or 'auto'"):
        Program(load_vocabulary("cl100k_base"), device)


def test_a_sentencepiece_model_is_refused():
    vocabulary = Vocabulary(name="m", content=b"", split="", special_tokens={}, is_model=True)
    with pytest.raises(ValueError, match="m is a SentencePiece model"):
        Program(vocabulary, "cpu")
