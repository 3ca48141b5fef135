"""Boundaries against the regular expressions themselves, as Hugging Face tokenizers runs them."""

from functools import lru_cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from stages.tokenization.classes import class_table
from stages.tokenization.program.cased import alternate, pretoken_starts
from stages.tokenization.program.characters import NotUtf8Error, read_characters
from stages.tokenization.scanner import SPLIT_RULES
from stages.tokenization.vocabulary import SPLITS
from tests.stages.tokenization.program.material import ADVERSARIAL, DEVICES, HARD, adversarial, flat

TABLE = torch.from_numpy(class_table().copy())
LLAMA3 = SPLITS["qwen"].replace(r"\p{N}|", r"\p{N}{1,3}|")


@lru_cache
def twin(split):
    """The pattern in the dialect of Oniguruma, where `$` is the end of a line and `{1,3}+` is not possessive."""
    pattern = SPLITS.get(split, LLAMA3).replace("$", r"\z").replace("{1,3}+", "{1,3}")
    return Split(Regex(pattern), "isolated")


def expected(split, texts):
    return [[piece for piece, _ in twin(split).pre_tokenize_str(text)] for text in texts]


def found(split, texts, device="cpu"):
    offsets, data = (torch.from_numpy(array.copy()).to(device) for array in flat(texts))
    characters = read_characters(offsets.long(), data, TABLE.to(device))
    starts = pretoken_starts(characters, SPLIT_RULES[split])
    at = sorted({*characters.position[starts].tolist(), *offsets.tolist()})
    pieces = [data[begin:end].cpu().numpy().tobytes().decode() for begin, end in pairwise(at)]
    out, rest = [], iter(pieces)
    for text in texts:
        row, size = [], 0
        while size < len(text):
            row.append(next(rest))
            size += len(row[-1])
        out.append(row)
    return out


def check(split, texts, device="cpu"):
    pairs = zip(texts, found(split, texts, device), expected(split, texts), strict=True)
    assert [(text, got, wanted) for text, got, wanted in pairs if got != wanted][:3] == []


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("split", SPLIT_RULES)
def test_pretokens_are_those_of_the_pattern(split, device):
    count = 5_000 if split in ("cl100k", "o200k") else 1_000
    check(split, [*HARD, *adversarial(count, seed=1), *adversarial(50, seed=2, longest=120)], device)


@given(st.lists(ADVERSARIAL, max_size=4), st.sampled_from(sorted(SPLIT_RULES)))
@settings(max_examples=60, deadline=None)
def test_pretokens_of_any_texts_are_those_of_the_pattern(texts, split):
    check(split, texts)


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLIT_RULES)
def test_pretokens_of_many_texts_are_those_of_the_pattern(split):
    for seed in range(10):
        check(split, adversarial(10_000, seed=100 + seed, longest=6 + 4 * seed))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
@settings(deadline=None)
def test_alternation_counts_from_the_last_decided(links):
    links = [(decided or number == 0, value) for number, (decided, value) in enumerate(links)]
    wanted: list[bool] = []
    for decided, value in links:
        wanted.append(value if decided else not wanted[-1])
    decided, value = torch.tensor(links, dtype=torch.bool).reshape(-1, 2).T
    assert alternate(decided, value).tolist() == wanted


BROKEN = [
    b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xf0\x80\x80\x80",
    b"\x80", b"\xef\xbf\xbd", b"\xed\x9f\xbf", b"\xc3", b"\xe2\x82", b"\xf8\x88\x80\x80\x80", b"\xf5\x80\x80\x80",
]  # fmt: skip
ANY = st.one_of(st.binary(max_size=4), st.text(max_size=3).map(str.encode), st.sampled_from(BROKEN))


@given(st.lists(ANY, max_size=5))
@settings(max_examples=200, deadline=None)
def test_bytes_are_read_if_and_only_if_they_are_utf8(texts):
    offsets, data = (torch.from_numpy(array.copy()) for array in flat(texts))
    try:
        wanted = [character for text in texts for character in text.decode()]
    except UnicodeDecodeError:
        with pytest.raises(NotUtf8Error):
            read_characters(offsets.long(), data, TABLE)
        return
    characters = read_characters(offsets.long(), data, TABLE)
    assert characters.kind.tolist() == [int(TABLE[ord(character)]) for character in wanted]
    assert characters.first.sum() == sum(len(text) > 0 for text in texts)
