"""Borders of pretokens: what tiktoken and Hugging Face tokenizers cut with the same patterns."""

import random
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from stages.tokenization.scanner import SPLIT_RULES, pretoken_starts
from stages.tokenization.training.policies import PATTERNS
from stages.tokenization.vocabulary import SPLITS

CORPORA = Path(__file__).parents[4] / "shared" / "corpora"
HARD = (
    *"   \n\n\r\t''sStTdDlLrReEvVmM0199aAzZZ!//.,-_#é", "\u017f", "\u0301", "\u0300", "Ǆ", "ǅ", "ʰ", "ª", "漢", "字",
    "が", "٣", "½", "Ⅷ", "\u3000", "\u2028", "\x85", "\xa0", "\u200d", "😀", "\u212a", "ß", "Σ", "\u0345", "\x1c",
    "\x00", "ñ", "É", "'ll", "'RE", "'ve", "\r\n", "/\n", "ไทย", "\u0e31",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(HARD) | st.characters(exclude_categories=["Cs"]), max_size=30).map("".join)
PATTERNS_OF_TIKTOKEN = {"llama3": PATTERNS["llama3"]} | SPLITS


def cut(texts: Sequence[str], split: str) -> list[list[bytes]]:
    """Pretokens of each text, found in one call."""
    spelt = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, spelt)])
    starts, first = pretoken_starts(offsets, np.frombuffer(b"".join(spelt), np.uint8), split)
    assert first[0] == 0
    assert first[-1] == len(starts)
    whole = b"".join(spelt)
    return [
        [whole[a:b] for a, b in pairwise([*starts[first[row] : first[row + 1]].tolist(), int(offsets[row + 1])])]
        if spelt[row]
        else []
        for row in range(len(texts))
    ]


def adversarial(number: int, seed: int) -> list[str]:
    """Short strings in which neighbouring characters are of all classes, with runs."""
    random_ = random.Random(seed)
    texts = []
    for _ in range(number):
        parts = []
        for _ in range(random_.choice((0, 1, 2, 3, 5, 8, 13, 30))):
            code = random_.choice((random_.randrange(0xD800), random_.randrange(0xE000, 0x110000)))
            parts.append(random_.choice(HARD) if random_.random() < 0.95 else chr(code))
            parts[-1] *= 1 if random_.random() < 0.7 else random_.randrange(1, 6)
        texts.append("".join(parts))
    return texts


def check_against_tiktoken(split: str, texts: Sequence[str]) -> None:
    """tiktoken takes a piece that is a token whole, so with all of our pieces as tokens it gives them back.

    Two and three neighbouring pieces are tokens too: if tiktoken does not cut where we do, one of those comes out.
    """
    ours = cut(texts, split)
    tokens = {bytes([byte]): byte for byte in range(256)}
    for pieces in ours:
        for size in (1, 2, 3):
            for at in range(len(pieces) - size + 1):
                tokens.setdefault(b"".join(pieces[at : at + size]), len(tokens))
    encoding = tiktoken.Encoding(split, pat_str=PATTERNS_OF_TIKTOKEN[split], mergeable_ranks=tokens, special_tokens={})
    for text, pieces in zip(texts, ours, strict=True):
        assert encoding.decode_tokens_bytes(encoding.encode_ordinary(text)) == pieces, (split, text)


@pytest.mark.parametrize("split", PATTERNS_OF_TIKTOKEN)
def test_adversarial_strings_are_cut_as_tiktoken_cuts_them(split: str) -> None:
    check_against_tiktoken(split, adversarial(1_500, seed=4))


@pytest.mark.slow
@pytest.mark.parametrize("split", PATTERNS_OF_TIKTOKEN)
def test_fifty_thousand_adversarial_strings(split: str) -> None:
    for seed in range(50):
        check_against_tiktoken(split, adversarial(1_000, seed))


@pytest.mark.slow
@pytest.mark.skipif(not CORPORA.is_dir(), reason="no corpora beside the repository")
@pytest.mark.parametrize("split", PATTERNS_OF_TIKTOKEN)
def test_real_files_of_every_language(split: str) -> None:
    for path in sorted((CORPORA / "code").glob("*.parquet")):
        texts = next(pq.ParquetFile(path).iter_batches(150, columns=["content"])).column(0)
        check_against_tiktoken(split, texts.cast(pa.string()).to_pylist())


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_patterns_of_trained_tokenizers_cut_alike_in_hugging_face(text: str) -> None:
    for split, cutter in CUTTERS.items():
        expected = [piece.encode() for piece, _ in cutter.pre_tokenize_str(text)]
        assert cut([text], split) == [expected], split


CUTTERS = {split: pre_tokenizers.Split(Regex(pattern), "isolated") for split, pattern in PATTERNS.items()}


@given(st.lists(TEXTS, max_size=5))
@settings(max_examples=100, deadline=None)
def test_texts_do_not_touch_each_other(texts: list[str]) -> None:
    for split in SPLIT_RULES:
        together = cut(texts, split)
        assert together == [cut([text], split)[0] for text in texts]
        assert [b"".join(pieces).decode() for pieces in together] == texts


@given(st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_text_stay_inside_their_bounds(data: bytes) -> None:
    padded = np.frombuffer(b"\xff" + data + b"\xf4\x8f\xbf\xbf", np.uint8)
    for split in SPLIT_RULES:
        starts, _ = pretoken_starts(np.array([1, 1 + len(data)]), padded, split)
        assert starts.tolist() == sorted(set(starts.tolist()))
        assert (starts.tolist() or [1])[0] == 1
        assert all(1 <= at <= len(data) for at in starts)


@pytest.mark.parametrize("run", [" ", "\n", "a", "A", "É", "\u0301", "!", "7", "A\u0301", " \n", "'s", "Aa", "字A"])
def test_time_is_linear_in_runs(run: str) -> None:
    for split in SPLIT_RULES:
        cut([run], split)
        started = time.process_time()
        cut([run * (400_000 // len(run.encode()))], split)
        assert time.process_time() - started < 2


def test_offsets_may_begin_inside_the_data_and_arrays_may_be_read_only() -> None:
    data = np.frombuffer(b"skipped|one two", np.uint8)
    starts, first = pretoken_starts(np.array([8, 15], np.int32), data, "cl100k")
    assert starts.tolist() == [8, 11]
    assert first.tolist() == [0, 2]


def test_no_texts_and_unknown_splits() -> None:
    starts, first = pretoken_starts(np.zeros(1, np.int64), np.zeros(0, np.uint8), "o200k")
    assert (len(starts), first.tolist()) == (0, [0])
    with pytest.raises(ValueError, match="split='gpt2' must be one of r50k, cl100k"):
        pretoken_starts(np.zeros(1, np.int64), np.zeros(0, np.uint8), "gpt2")
