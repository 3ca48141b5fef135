"""LiB: the kernel against a slow reader, bounds, and the same ids from Hugging Face tokenizers and from our engine."""

import json
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from stages.tokenization.training.less_is_better import GreedyEngine, LibConfig, count_units, train_lib
from stages.tokenization.training.less_is_better_kernels import draw_units, move_tokens, read_units
from stages.tokenization.training.methods import LIB, SUPERBPE
from stages.tokenization.training.superwords import SuperwordConfig
from stages.tokenization.training.trie import build_trie
from stages.tokenization.vocabulary import Vocabulary
from tests.stages.tokenization.training.samples import CODE, END, PROSE, TEXT

TEXTS = pa.array(
    [
        PROSE * 3,
        CODE * 3,
        "Über 12345 Wörter, 漢字 and the rest of the words are in the list of the words\r\n" * 3,
        "",
    ]
)
IDS = pa.array([bytes(16)] * len(TEXTS), pa.binary(16))
CONFIG = LibConfig(vocabulary_size=400, batches=40, batch_bytes=2000, passes=100, max_token_chars=10, max_unit_chars=32)


@lru_cache
def trained():
    content = LIB.train(LIB.count(TEXTS, IDS, CONFIG.cuts), CONFIG, [END])
    return Vocabulary(name="lib", content=content, split="", special_tokens={})


@lru_cache
def hugging_face():
    tokenizer = tokenizers.Tokenizer.from_str(trained().content.decode())
    tokenizer.encode_special_tokens = True
    return tokenizer


@lru_cache
def engine():
    return GreedyEngine(trained())


def encode(texts):
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in encoded)]).astype(np.int32)
    starts, ids = engine().encode(offsets, np.frombuffer(b"".join(encoded), np.uint8))
    assert (starts.dtype, ids.dtype) == (np.int64, np.int32)
    return [ids[a:b].tolist() for a, b in pairwise(starts)]


@given(st.lists(TEXT, max_size=3))
def test_engine_gives_the_ids_of_hugging_face_and_they_give_the_text(texts):
    tokenizer = hugging_face()
    rows = encode(texts)
    assert rows == [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert [tokenizer.decode(row, skip_special_tokens=False) for row in rows] == texts


@pytest.mark.parametrize("text", ["the end of " * 3000, "\n" * 20_000, "漢" * 5000, "😀" * 64, "\u0085" * 500 + "\n"])
def test_no_unit_is_too_long_for_hugging_face(text):
    [row] = encode([text])
    assert row == hugging_face().encode(text).ids
    assert hugging_face().decode(row) == text


def test_tokens_keep_to_their_bounds():
    tokens = train_lib(count_units(TEXTS, CONFIG.cuts), CONFIG)
    assert len(tokens) == len(set(tokens)) == CONFIG.vocabulary_size
    assert {bytes([byte]) for byte in range(256)} == set(tokens[:256])
    assert max(len(token.decode(errors="ignore")) for token in tokens) == CONFIG.max_token_chars
    assert any(token.strip().count(b" ") for token in tokens)
    assert not [token for token in tokens if b"\n" in token.rstrip(b"\r\n")]


def test_reading_gets_shorter():
    [short] = encode(["Most of the time the end of the line is the end of the word."])
    assert len(short) < 25


def test_the_same_file_from_the_same_counts_and_another_from_another_seed():
    counts = LIB.count(TEXTS, IDS, CONFIG.cuts)
    assert LIB.train(counts, CONFIG, [END]) == trained().content
    assert LIB.train(counts, replace(CONFIG, seed=1), [END]) != trained().content


def test_little_text_is_read_a_few_times_only():
    counts = LIB.count(TEXTS, IDS, CONFIG.cuts)
    size = sum(len(text.as_py().encode()) for text in TEXTS)
    assert 800 < size < 1000  # so 2000 bytes of a batch are two passes and some
    few = replace(CONFIG, passes=2)
    assert LIB.train(counts, few, [END]) == LIB.train(counts, replace(CONFIG, batches=1), [END])
    assert LIB.train(counts, replace(CONFIG, passes=5), [END]) != LIB.train(counts, few, [END])


def test_no_text_gives_the_bytes():
    assert len(train_lib(count_units(pa.array(["", ""]), CONFIG.cuts), CONFIG)) == 256


def greedy(lexicon, text, at):
    """Numbers of the two longest tokens, -1 for none; a byte's number is itself."""
    tokens = [bytes([text[at]]), *lexicon]
    fitting = sorted((token for token in tokens if text[at:].startswith(token)), key=len, reverse=True)
    return [(256 + lexicon.index(t) if t in lexicon else t[0], len(t)) for t in fitting[:2]]


def read_on(lexicon, text, at, length, meet):
    """Where each token ends when the first has this length, and the tokens' places, as far as `meet` says."""
    path = [(at + length, 0)]
    while not meet(path[-1][0]):
        token, size = greedy(lexicon, text, path[-1][0])[0]
        path.append((path[-1][0] + size, max(token - 255, 0)))
    return path


def slow_scores(lexicon, text):
    """Rewards less punishments of one unit, from the definition: full readings up to the first common end."""
    scores, at = [0] * len(lexicon), 0
    while at < len(text):
        (first, length), *rest = greedy(lexicon, text, at)
        if first > 255:
            second, short = rest[0]
            whole = [read_on(lexicon, text, at, n, lambda end: end == len(text)) for n in (length, short)]
            common = min({end for end, _ in whole[0]} & {end for end, _ in whole[1]})
            long_path, short_path = ([place for end, place in path if end <= common] for path in whole)
            places = (sum(long_path) + first - 255, sum(short_path) + max(second - 255, 0))
            won = (len(long_path), places[0]) <= (len(short_path), places[1])
            scores[first - 256] += 1 if won else -1
            if not won and second > 255:
                scores[second - 256] += 1
        at += length
    return scores


LETTERS = st.lists(st.sampled_from([97, 98, 99]), min_size=1, max_size=14).map(bytes)


@given(st.lists(LETTERS.filter(lambda t: 2 <= len(t) <= 4), max_size=8, unique=True), LETTERS)
def test_scores_are_those_of_a_slow_reader(lexicon, text):
    trie = build_trie([bytes([byte]) for byte in range(256)] + lexicon)
    scores, pairs = np.zeros(len(lexicon), np.int64), np.empty((len(text), 2), np.int64)
    total = read_units(
        trie.keys, trie.children, trie.values, np.array([0, len(text)]), np.frombuffer(text, np.uint8),
        np.zeros(1, np.int64), np.uint64(0), 1.0, 4, scores, pairs,
    )  # fmt: skip
    assert scores.tolist() == slow_scores(lexicon, text)
    joined = [text[start:end] for start, end in pairs[:total].tolist()]
    assert all(len(pair) <= 4 and pair not in lexicon for pair in joined)


def test_rewards_move_to_the_front_and_punishments_back():
    scores = np.array([0, 0, 0, -1, 0, 0, 0, 0, 1, 40])
    order = np.argsort(move_tokens(scores, 20), kind="stable").tolist()
    assert order == [0, 9, 1, 2, 4, 3, 5, 8, 6, 7]


def test_units_are_drawn_by_their_counts():
    chosen = np.empty(6000, np.int64)
    draw_units(np.uint64(1), np.cumsum([1000, 0, 2000, 3000]), chosen)
    assert (np.abs(np.bincount(chosen, minlength=4) - [1000, 0, 2000, 3000]) < 150).all()


def test_other_vocabularies_are_errors():
    config = SuperwordConfig(vocabulary_size=300)
    content = SUPERBPE.train(SUPERBPE.count(TEXTS, IDS, config.cuts), config, [])
    assert json.loads(content)["model"]["type"] == "BPE"
    with pytest.raises(ValueError, match="vocabulary x is a BPE model"):
        GreedyEngine(Vocabulary(name="x", content=content, split="", special_tokens={}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batches": 0}, "batches must be at least 1"),
        ({"vocabulary_size": 256}, "must be above the 256 bytes"),
        ({"candidate_share": 0.0}, "must be more than 0 and at most 1"),
        ({"move_percent": 101}, "must be at most 100"),
    ],
)
def test_bad_values_are_errors(values, message):
    with pytest.raises(ValueError, match=message):
        LibConfig(**values)
