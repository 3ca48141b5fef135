"""The split that a `tokenizer.json` writes is recognised, and nothing else is taken for one."""

import pytest

from stages.tokenization.splits import split_of, split_of_json
from stages.tokenization.training.policies import PATTERNS
from stages.tokenization.training.tokenizer_json import byte_pre_tokenizer
from stages.tokenization.training.units import unit_pattern
from stages.tokenization.vocabulary import SPLITS, Vocabulary, load_vocabulary

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
CUT = {"type": "Split", "pattern": {"Regex": PATTERNS["qwen"]}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(("split", "pattern"), PATTERNS.items())
def test_patterns_of_splits_are_recognised(split, pattern):
    assert split_of_json(byte_pre_tokenizer(pattern)) == split


@pytest.mark.parametrize(
    ("parts", "split"),
    [
        ([BYTES], "r50k"),
        ([BYTES | {"use_regex": False}], ""),
        ([BYTES | {"add_prefix_space": True}], ""),
        ([CUT, BYTES | {"use_regex": False}], "qwen"),
        ([CUT, BYTES], ""),
        ([CUT | {"behavior": "Removed", "invert": True}, BYTES | {"use_regex": False}], "qwen"),
        ([CUT | {"behavior": "Removed"}, BYTES | {"use_regex": False}], ""),
        ([CUT | {"invert": True}, BYTES | {"use_regex": False}], ""),
        ([CUT, CUT, BYTES | {"use_regex": False}], ""),
        ([CUT | {"pattern": {"String": " "}}, BYTES | {"use_regex": False}], ""),
        ([CUT | {"pattern": {"Regex": SPLITS["cl100k"]}}, BYTES | {"use_regex": False}], ""),
        ([CUT | {"pattern": {"Regex": unit_pattern(128)}}, BYTES | {"use_regex": False}], ""),
        ([{"type": "Whitespace"}], ""),
        ([], ""),
    ],
)
def test_a_split_is_all_of_its_pre_tokenizers(parts, split):
    assert split_of_json({"type": "Sequence", "pretokenizers": parts}) == split
    if len(parts) == 1:
        assert split_of_json(parts[0]) == split


def test_vocabularies_without_a_known_split_have_none():
    assert split_of(load_vocabulary("o200k_base")) == "o200k"
    for flags in ({"is_model": True}, {"is_hybrid": True}):
        assert split_of(Vocabulary(name="v", content=b"\x00", split="", special_tokens={}, **flags)) == ""
    assert split_of(Vocabulary(name="v", content=b'{"pre_tokenizer": null}', split="", special_tokens={})) == ""
