import hashlib
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.text_views import text_views
from stages.tokenization import disputed, engines
from stages.tokenization.certify import EncoderMismatchError, certify_engine
from stages.tokenization.disputed import RANGES, disputed_rows
from stages.tokenization.engines import Gigatoken, Reference
from stages.tokenization.vocabulary import SPLITS, load_vocabulary
from tests.bench import exactness
from tests.bench.adversarial import adversarial_text
from tests.stages.tokenization.test_encode import save_trained
from tests.stages.tokenization.test_vocabulary import needs, sentencepiece_file

NAMES = ("cl100k_base", "o200k_base", "tekken_240911", "qwen", "mistral_v3")
LONG = 1_000_000


def one(text):
    return text_views(pa.array([text], pa.string()))


def trained(folder):
    config = save_trained(folder / "tokenizer.json")
    return load_vocabulary(config.vocabulary, sha256=config.vocabulary_sha256)


@pytest.mark.parametrize("name", needs(*NAMES))
def test_gigatoken_equals_the_reference_on_adversarial_strings(name):
    found = exactness.compare(exactness.Work(vocabulary=name, engine="gigatoken", first=0, stop=600))
    assert found.texts == 600
    assert found.disputed > 0
    assert found.mismatches == 0, found.examples


def test_gigatoken_equals_hugging_face_on_adversarial_strings(tmp_path):
    vocabulary = trained(tmp_path)
    work = exactness.Work(vocabulary=vocabulary.name, engine="gigatoken", first=600, stop=1_200)
    assert exactness.compare(work).mismatches == 0


KEEPS = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}


@pytest.mark.parametrize("options", [{}, {"add_dummy_prefix": False}, {"user_defined_symbols": ["<sep>"]}])
def test_gigatoken_equals_sentencepiece_where_the_model_keeps_all_characters(tmp_path, options):
    file = sentencepiece_file(tmp_path / "t.model", **KEEPS | options)
    vocabulary = load_vocabulary(**file)
    certify_engine(Gigatoken(vocabulary), Reference(vocabulary), vocabulary)
    work = exactness.Work(vocabulary=file["name"], engine="gigatoken", first=1_200, stop=1_500)
    found = exactness.compare(work)
    assert found.mismatches == 0, found.examples


@pytest.mark.parametrize(
    "options", [{}, KEEPS | {"remove_extra_whitespaces": True}, KEEPS | {"user_defined_symbols": ["x = "]}]
)
def test_gigatoken_that_differs_from_sentencepiece_is_refused(tmp_path, options):
    vocabulary = load_vocabulary(**sentencepiece_file(tmp_path / "t.model", **options))
    with pytest.raises(EncoderMismatchError, match="use engine='reference'"):
        certify_engine(Gigatoken(vocabulary), Reference(vocabulary), vocabulary)


@pytest.mark.slow
@pytest.mark.skipif(not exactness.CORPORA.is_dir(), reason="the shared corpora are not here")
@pytest.mark.parametrize("name", needs(*NAMES))
def test_gigatoken_equals_the_reference_on_a_share_of_the_corpora(name):
    for work in exactness.plan(name, "gigatoken", limit_bytes=200_000, strings=5_000):
        found = exactness.compare(work)
        assert found.mismatches == 0, found.examples


def test_comparing_finds_what_differs(monkeypatch):
    monkeypatch.setattr(engines, "disputed_rows", lambda offsets, data: np.zeros(0, np.int64))
    exactness._open.cache_clear()
    found = exactness.compare(exactness.Work(vocabulary="cl100k_base", engine="gigatoken", first=0, stop=600))
    exactness._open.cache_clear()
    assert found.mismatches > 0
    assert found.examples[0].startswith("token ")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("aé漢😀\u088e\u088f\u0890\u0c5c\ua7d3\ua7d4\U000323b0\U000323af\U00033479\U0003347a"))
    )
)
def test_disputed_rows_are_those_with_a_disputed_character(texts):
    expected = [
        row for row, text in enumerate(texts) if any(first <= ord(c) <= last for c in text for first, last in RANGES)
    ]
    assert disputed_rows(*text_views(pa.array(texts, pa.string()))).tolist() == expected


def test_disputed_rows_are_found_anywhere_in_long_texts_and_in_slices():
    texts = ["x" * pad + "\U000323b0" + "y" * 500 if pad % 3 else "z" * pad for pad in range(300)]
    column = pa.array(texts, pa.string())
    assert disputed_rows(*text_views(column)).tolist() == [pad for pad in range(300) if pad % 3]
    assert disputed_rows(*text_views(column.slice(2, 3))).tolist() == [0, 2]
    assert disputed_rows(np.array([0], np.int32), np.zeros(0, np.uint8)).tolist() == []


def test_damaged_utf8_is_read_within_its_bounds():
    for data in (b"\xf0\xb2\x8e", b"\xff\xff\xff\xff", b"\xe0", b"\xef\xbf\xf7\xbf\xbf\xbf"):
        disputed_rows(np.array([0, len(data)], np.int32), np.frombuffer(data, np.uint8))
    assert len(disputed._DISPUTED) > 0x1FFFFF


@pytest.mark.slow
@pytest.mark.parametrize("split", sorted(SPLITS))
def test_disputed_characters_are_all_that_gigatoken_and_tiktoken_class_differently(split):
    name = {"o200k": "o200k_base", "tekken": "tekken_240911", "qwen": "qwen"}.get(split, "cl100k_base")
    vocabulary = load_vocabulary(name)
    if split == "r50k":  # any ranks do
        vocabulary = engines.Vocabulary(name=name, content=vocabulary.content, split=split, special_tokens={})
    engine, reference = Gigatoken(vocabulary), Reference(vocabulary)
    found = set()
    for start in range(0, 0x110000, 0x10000):
        codes = [code for code in range(start, start + 0x10000) if not 0xD800 <= code < 0xE000]
        texts = [f"x{c}/d 4{c}5 ({c}a aB{c}cD{c}'s {c}A  {c}\n" for c in map(chr, codes)]
        offsets, data = text_views(pa.array(texts, pa.string()))
        starts, ids = engine.encode_raw(offsets, data)
        rows = (ids[starts[row] : starts[row + 1]].tolist() for row in range(len(texts)))
        found |= {
            code for code, row, text in zip(codes, rows, texts, strict=True) if row != reference.encode_text(text)
        }
    listed = {code for first, last in RANGES for code in range(first, last + 1)}
    marks = {
        *range(0x1ACF, 0x1AEC),
        0x10EFA,
        0x10EFB,
        *range(0x11B60, 0x11B68),
        0x1E6E3,
        0x1E6E6,
        0x1E6EE,
        0x1E6EF,
        0x1E6F5,
    }
    assert found == (listed if split in ("o200k", "tekken") else listed - marks)


@pytest.mark.parametrize(
    "text",
    [
        "a" * LONG,
        " " * LONG,
        "\n" * LONG,
        " \n" * (LONG // 2),
        "é" * LONG,
        "😀" * (LONG // 4),
        "\u0301" * LONG,
        "7" * LONG,
    ],
    ids=["letter", "spaces", "lines", "spaces and lines", "two bytes", "emoji", "marks", "digits"],
)
def test_gigatoken_takes_a_megabyte_of_one_character(text):
    engine, reference = exactness._open("o200k_base", "gigatoken")
    starts, ids = engine.encode(*one(text))
    assert starts.tolist() == [0, len(ids)]
    assert engine.encode(*one(text[:20_000]))[1].tolist() == reference.encode_text(text[:20_000])


def test_tiktoken_that_overflows_says_so():
    with pytest.raises(ValueError, match="tiktoken cannot split a text of 1000001 characters"):
        Reference(load_vocabulary("cl100k_base")).encode_text(" " * LONG + "x")


def test_replaced_rows_leave_the_others_as_they_are():
    starts, ids = np.array([0, 2, 2, 5, 6]), np.arange(6, dtype=np.int32)
    new = [np.array([70, 71, 72], np.int32), np.zeros(0, np.int32)]
    got_starts, got = engines._replace(starts, ids, np.array([1, 2]), new)
    assert got_starts.tolist() == [0, 2, 5, 5, 6]
    assert got.tolist() == [0, 1, 70, 71, 72, 5]
    assert got.dtype == np.int32
    assert got_starts.dtype == np.int64


def test_adversarial_strings_do_not_depend_on_their_neighbours():
    text = "".join(adversarial_text(number) for number in range(100))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "9f878914714532fb"


def test_torch_that_is_missing_says_what_to_install(monkeypatch):
    for module in [name for name in sys.modules if name.startswith("stages.tokenization.program")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    vocabulary, reference = load_vocabulary("cl100k_base"), None
    with pytest.raises(ValueError, match=r"needs torch; run `pip install 'gristmill\[train\]'`"):
        engines.open_engine("torch", vocabulary, reference, "auto")
