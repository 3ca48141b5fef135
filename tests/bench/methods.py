"""Bytes per token of the ways to train a tokenizer, on texts that were not learnt from: one JSON line per method.

`python -m tests.bench.methods text|code [--size 32000] [--batches 1000]` reads ../shared/corpora.
"""

import argparse
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.text_views import text_views
from stages.tokenization.engines import Engine
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.training.bpe import BpeConfig, train_bpe
from stages.tokenization.training.hybrid import Dictionary, HybridConfig, read_hybrid
from stages.tokenization.training.hybrid_engine import HybridEngine
from stages.tokenization.training.less_is_better import LibConfig
from stages.tokenization.training.methods import HYBRID, LIB, SUPERBPE, SUPERTOKENS, open_unit_engine
from stages.tokenization.training.superwords import SuperwordConfig, count_superwords
from stages.tokenization.training.units import Counts
from stages.tokenization.vocabulary import Vocabulary

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
SUFFIXES = (b"able", b"al", b"d", b"ed", b"er", b"ers", b"es", b"ing", b"ion", b"ly", b"ment", b"ness", b"s")


def read_texts(kind: str) -> Iterator[str]:
    if kind == "text":
        with pa.input_stream(CORPORA / "text" / "text.jsonl.zst", compression="zstd") as file:
            yield from (json.loads(line)["text"] for line in file.read().splitlines())
        return
    for path in sorted((CORPORA / "code").glob("*.parquet")):
        size = 0
        for text in pq.read_table(path, columns=["content"])["content"].to_pylist()[::5]:
            if len(text) <= 200_000 and size <= 3_000_000:
                size += len(text)
                yield text


def split_texts(kind: str) -> tuple[pa.StringArray, pa.StringArray]:
    """Texts to learn from, and 3 % others, by content."""
    learnt: list[str] = []
    others: list[str] = []
    for text in read_texts(kind):
        (others if hashlib.blake2b(text.encode(), digest_size=2).digest()[0] < 8 else learnt).append(text)
    return pa.array(learnt), pa.array(others)


def words_of(text: pa.StringArray) -> Dictionary:
    """The most frequent words, for want of a lexicon."""
    counts: Counter[str] = Counter()
    for value in text.to_pylist():
        counts.update(re.findall(r"[a-z]{3,20}", value.lower()))
    return Dictionary(roots=tuple(sorted(word.encode() for word, _ in counts.most_common(20_000))), affixes=SUFFIXES)


def unit_engine(content: bytes) -> Engine:
    return open_unit_engine(Vocabulary(name="made", content=content, split="", special_tokens={}))


def measure(name: str, make: Callable[[], Engine], others: pa.StringArray) -> None:
    started = time.process_time()
    engine = make()
    trained = time.process_time()
    offsets, data = text_views(others)
    engine.encode(*text_views(others[:2]))
    warm = time.process_time()
    _, ids = engine.encode(offsets, data)
    row = {"method": name, "bytes_per_token": round(int(offsets[-1]) / len(ids), 3), "train_s": trained - started}
    print(json.dumps(row | {"encode_mb_per_s": offsets[-1] / 1e6 / (time.process_time() - warm)}), flush=True)


def _superbpe(counts: tuple[Counts, Counts], config: SuperwordConfig) -> Engine:
    return unit_engine(SUPERBPE.train(counts, config, []))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["text", "code"])
    parser.add_argument("--size", type=int, default=32_000)
    parser.add_argument("--batches", type=int, default=1000)
    options = parser.parse_args()
    learnt, others = split_texts(options.kind)
    ids = pa.array([number.to_bytes(16, "big") for number in range(len(learnt))], pa.binary(16))
    config = SuperwordConfig(vocabulary_size=options.size)
    words, units = count_superwords(learnt, config.cuts)
    trained = train_bpe(*words, BpeConfig(vocabulary_size=options.size))
    offsets, data = text_views(others)
    starts, _ = pretoken_starts(offsets, data, config.split)
    tokens = len(trained.merger().encode(np.append(starts, np.int64(offsets[-1])), data)[1])
    print(json.dumps({"method": "bpe", "bytes_per_token": round(int(offsets[-1]) / tokens, 3)}), flush=True)
    for share in (0.5, 0.8, 0.9):
        chosen = SuperwordConfig(vocabulary_size=options.size, subword_share=share)
        measure(f"superbpe {share}", partial(_superbpe, (words, units), chosen), others)
    chunks = SUPERTOKENS.count(learnt, ids, config.cuts)
    measure("supertokens", lambda: unit_engine(SUPERTOKENS.train(chunks, config, [])), others)
    hybrid = HybridConfig(vocabulary_size=options.size, dictionary=words_of(learnt))
    measure("hybrid", lambda: HybridEngine(read_hybrid(HYBRID.train((words,), hybrid, []))), others)
    lib = LibConfig(vocabulary_size=options.size, batches=options.batches)
    counts = LIB.count(learnt, ids, lib.cuts)
    measure(f"lib {options.batches}", lambda: unit_engine(LIB.train(counts, lib, [])), others)


if __name__ == "__main__":
    main()
