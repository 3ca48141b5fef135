"""The methods on the corpora beside the repository: shorter than words, and the ids of Hugging Face tokenizers."""

from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers

from stages.text_views import text_views
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.training.bpe import BpeConfig, train_bpe
from stages.tokenization.training.hybrid import Dictionary, HybridConfig, read_hybrid
from stages.tokenization.training.hybrid_engine import HybridEngine
from stages.tokenization.training.less_is_better import GreedyEngine, LibConfig
from stages.tokenization.training.methods import HYBRID, LIB, SUPERBPE, SUPERTOKENS
from stages.tokenization.training.superwords import SuperwordConfig, UnitEngine, count_superwords
from stages.tokenization.vocabulary import Vocabulary

CORPORA = Path(__file__).parents[5] / "shared" / "corpora"
SIZE = 4000

pytestmark = [
    pytest.mark.skipif(not CORPORA.is_dir(), reason="no corpora beside the repository"),
    pytest.mark.slow,
]


@lru_cache
def texts() -> tuple[pa.StringArray, pa.StringArray]:
    """Texts to learn from, and others."""
    files = sorted((CORPORA / "code").glob("*.parquet"))
    parts = [pq.read_table(file, columns=["content"])["content"].chunk(0)[:60].cast(pa.string()) for file in files]
    column = pa.concat_arrays(parts)
    mask = np.arange(len(column)) % 5 == 0
    return column.filter(pa.array(~mask)), column.filter(pa.array(mask))


def document_ids(text: pa.StringArray) -> pa.FixedSizeBinaryArray:
    return pa.array([number.to_bytes(16, "big") for number in range(len(text))], pa.binary(16))


@lru_cache
def num_word_tokens() -> int:
    learnt, others = texts()
    trained = train_bpe(*count_superwords(learnt, SuperwordConfig().cuts)[0], BpeConfig(vocabulary_size=SIZE))
    offsets, data = text_views(others)
    starts, _ = pretoken_starts(offsets, data, "llama3")
    return len(trained.merger().encode(np.append(starts, np.int64(offsets[-1])), data)[1])


@pytest.mark.parametrize(
    ("method", "config", "engine", "share"),
    [
        (SUPERBPE, SuperwordConfig(vocabulary_size=SIZE), UnitEngine, 0.98),
        (SUPERTOKENS, SuperwordConfig(vocabulary_size=SIZE), UnitEngine, 0.98),
        (LIB, LibConfig(vocabulary_size=SIZE, batches=200), GreedyEngine, 1.0),
    ],
    ids=["superbpe", "supertokens", "lib"],
)
def test_shorter_than_words_and_the_ids_of_hugging_face(method, config, engine, share) -> None:
    learnt, others = texts()
    content = method.train(method.count(learnt, document_ids(learnt), config.cuts), config, ["<|endoftext|>"])
    offsets, data = text_views(others)
    starts, ids = engine(Vocabulary(name="made", content=content, split="", special_tokens={})).encode(offsets, data)
    assert len(ids) < share * num_word_tokens()
    tokenizer = tokenizers.Tokenizer.from_str(content.decode())
    tokenizer.encode_special_tokens = True
    for row, text in enumerate(others.to_pylist()):
        assert ids[starts[row] : starts[row + 1]].tolist() == tokenizer.encode(text).ids, row


def test_hybrid_gives_every_text_back() -> None:
    learnt, others = texts()
    words = Counter(word for text in learnt.to_pylist() for word in text.split() if word.isalpha() and word.islower())
    roots = tuple(sorted({word.encode() for word, _ in words.most_common(2000) if len(word.encode()) <= 64}))
    config = HybridConfig(dictionary=Dictionary(roots=roots, affixes=(b"ed", b"ing", b"s")), vocabulary_size=SIZE)
    counts = HYBRID.count(learnt, document_ids(learnt), config.cuts)
    engine = HybridEngine(read_hybrid(HYBRID.train(counts, config, [])))
    offsets, data = text_views(others)
    starts, ids = engine.encode(offsets, data)
    for row, text in enumerate(others.to_pylist()):
        assert engine.decode(ids[starts[row] : starts[row + 1]]).decode() == text
    assert engine.fallbacks < len(others) / 100
