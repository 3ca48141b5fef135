"""The file that training writes: every engine encodes with it alike."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from stages.tokenization.engines import Gigatoken, Reference
from stages.tokenization.pieces import merges_of, pieces_of
from stages.tokenization.scanner import SPLIT_RULES, pretoken_starts
from stages.tokenization.scanner_counts import count_pretokens
from stages.tokenization.training.bpe import BpeConfig, Trained, train_bpe
from stages.tokenization.training.policies import PATTERNS, pattern_of
from stages.tokenization.training.tokenizer_json import tokenizer_json
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary
from tests.stages.tokenization.test_scanner import adversarial
from tests.stages.tokenization.training.test_bpe import TEXT

TEXTS = [*adversarial(700, seed=9), TEXT, "", " ", "don't 1234567 <|endoftext|>  \n\n  "]


def trained_on(text: str, split: str, **config: object) -> Trained:
    spelt = text.encode()
    counted = count_pretokens(np.array([0, len(spelt)]), np.frombuffer(spelt, np.uint8), np.array([0]), split)
    return train_bpe(counted.pretokens, counted.counts, BpeConfig(vocabulary_size=600, min_count=1, **config))  # type: ignore[arg-type]


def load(content: bytes, folder: Path) -> Vocabulary:
    path = folder / "tokenizer.json"
    path.write_bytes(content)
    return load_vocabulary(str(path), sha256=hashlib.sha256(content).hexdigest())


def views(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    spelt = [text.encode() for text in texts]
    return np.cumsum([0, *map(len, spelt)]).astype(np.int32), np.frombuffer(b"".join(spelt), np.uint8)


@pytest.mark.parametrize("split", SPLIT_RULES)
@pytest.mark.parametrize("unit", ["bytes", "characters"])
def test_all_engines_encode_alike(split: str, unit: str, tmp_path: Path) -> None:
    learnt = "".join(adversarial(300, seed=1)) + TEXT
    trained = trained_on(learnt, split, unit=unit, alphabet_size=40, max_token_length=6, forced_tokens=(b"return",))
    vocabulary = load(tokenizer_json(trained, split, ["<|endoftext|>"]), tmp_path)
    offsets, data = views(TEXTS)
    expected_starts, expected = Reference(vocabulary).encode(offsets, data)

    starts, first = pretoken_starts(offsets, data, split)
    borders, ids = trained.merger().encode(np.append(starts, np.int64(len(data))), data)
    assert ids.tolist() == expected.tolist()
    assert borders[first].tolist() == expected_starts.tolist()
    offsets_of_gigatoken, ids_of_gigatoken = Gigatoken(vocabulary).encode(offsets, data)
    assert ids_of_gigatoken.tolist() == expected.tolist()
    assert offsets_of_gigatoken.tolist() == expected_starts.tolist()


@pytest.mark.parametrize("split", SPLIT_RULES)
@pytest.mark.parametrize("unit", ["bytes", "characters"])
def test_the_array_program_encodes_alike(split: str, unit: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from stages.tokenization.program.program import Program

    trained = trained_on(TEXT + "naïve ñ 漢字 " * 9, split, unit=unit, alphabet_size=40, forced_tokens=(b"return",))
    vocabulary = load(tokenizer_json(trained, split, ["<|endoftext|>"]), tmp_path)
    texts = views([*TEXTS[::5], TEXT])
    starts, ids = Program(vocabulary, "cpu").encode(*texts)
    expected_starts, expected = Reference(vocabulary).encode(*texts)
    assert ids.tolist() == expected.tolist()
    assert starts.tolist() == expected_starts.tolist()


@pytest.mark.parametrize(
    ("unit", "golden"),
    [
        ("bytes", "757321f3ebdd5b93864027c81c961db63c3b74303fe7a63977cb310251c2b3f5"),
        ("characters", "c16bd1c8f6ea9f2b9e307ce60ee62ccd7c5424ed14710d3707aed37ec92d099e"),
    ],
)
def test_golden_files(unit: str, golden: str) -> None:
    trained = trained_on(TEXT + "naïve ñ 漢字 " * 9, "llama3", unit=unit, forced_tokens=(b"return",))
    content = tokenizer_json(trained, "llama3", ["<|endoftext|>"])
    assert hashlib.sha256(content).hexdigest() == golden, "raise the version of the step `tokenizer` if this is meant"


def test_what_the_file_says(tmp_path: Path) -> None:
    trained = trained_on(TEXT, "llama3")
    content = tokenizer_json(trained, "llama3", ["<|endoftext|>", "<|pad|>"], added_tokens=["<div>"])
    assert content == tokenizer_json(trained, "llama3", ["<|endoftext|>", "<|pad|>"], added_tokens=["<div>"])
    vocabulary = load(content, tmp_path)
    size = len(trained.tokens)
    assert vocabulary.special_tokens == {"<|endoftext|>": size, "<|pad|>": size + 1}
    assert vocabulary.special_token() == size
    pieces = pieces_of(vocabulary)
    assert [pieces[token] for token in range(size)] == list(trained.tokens)
    assert pieces[size + 2] == b"<div>"
    assert merges_of(vocabulary).tolist() == trained.merges.tolist()
    tokenizer = Tokenizer.from_str(content.decode())
    assert tokenizer.get_vocab_size() == size + 3
    encoded = tokenizer.encode("the<div>grist ñ")
    assert size + 2 in encoded.ids
    assert tokenizer.decode(encoded.ids) == "the<div>grist ñ"
    for engine in (Reference(vocabulary), Gigatoken(vocabulary)):
        ids = engine.encode(*views(["the<div>grist ñ"]))[1]
        assert ids.tolist() == encoded.ids


@pytest.mark.parametrize("name", ["", "a", "<|pad|>"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(ValueError, match=r"leave it out|distinct and not empty"):
        tokenizer_json(trained_on(TEXT, "r50k"), "r50k", ["<|pad|>", name])


def test_unknown_splits() -> None:
    assert set(PATTERNS) == set(SPLIT_RULES)
    with pytest.raises(ValueError, match="split='words' must be one of r50k"):
        pattern_of("words")


def test_no_pretokens_give_a_vocabulary_of_bytes() -> None:
    trained = train_bpe(pa.array([], pa.binary()), np.zeros(0, np.int64), BpeConfig())
    assert len(json.loads(tokenizer_json(trained, "o200k"))["model"]["vocab"]) == 256
