import base64
import hashlib
import json

import pytest
import tiktoken_ext.openai_public

from stages.tokenization.vocabulary import SHIPPED, SPLITS, load_vocabulary


@pytest.mark.parametrize("name", sorted(SHIPPED))
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


def test_digests_of_vocabularies_are_pinned():
    assert {name: load_vocabulary(name).digest for name in SHIPPED} == {
        "cl100k_base": "cafe6b10756f29e2b17ccef2a11d9a71940dd0a2961c66e51d7a5d3c8566a657",
        "o200k_base": "51f2ac8c2d01af8690d30a83c4ca7c06eae079a1bff588ad9b9b51800d9bcc97",
    }


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
    with pytest.raises(ValueError, match=r"no special token '<\|endoftext\|>'; it has: </s>"):
        vocabulary.special_token()
