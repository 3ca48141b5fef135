"""`python -m tests.bench.views [--limit-mb MB]`: what stands beside tokens and what is made from them, as JSON.

MB of text per CPU-second of one process for each step, after one run that compiles and loads; and how tokens fit trees.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.parse.parse import parse_source, parsed_batch
from stages.text_views import text_views
from stages.tokenization import align, byte_words, dynamic, encode, lexemes, words
from stages.tokenization.align_kernels import COUNTS
from stages.tokenization.engines import Gigatoken
from stages.tokenization.merging import Merger
from stages.tokenization.pieces import Pieces, merges_of, pieces_of
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.stochastic import BpeDropout, DropoutConfig, StochasTok, StochasTokConfig
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary
from tests.bench.material import CORPUS

Result = TypeVar("Result")

_MERGES = 1_000


def measure(grammar: str, limit_bytes: int, name: str = "cl100k_base") -> dict[str, object]:
    """All steps on the first files of a language."""
    vocabulary = load_vocabulary(name)
    table = _material(grammar, limit_bytes, name)
    mb = pc.sum(pc.binary_length(table["text"])).as_py() / 1e6
    rates: dict[str, float] = {}

    def rate(step: str, work: Callable[[], Result]) -> Result:
        work()
        started = time.process_time()
        result = work()
        rates[step] = round(mb / (time.process_time() - started), 1)
        return result

    aligner = align.STAGE.open(align.AlignConfig(vocabulary=name))
    laid = rate("align", lambda: aligner(table))
    by_lexeme = lexemes.STAGE.open(lexemes.LexemesConfig(encode=encode.EncodeConfig(vocabulary=name)))
    cut = rate("encode_lexemes", lambda: by_lexeme(table))
    marker = words.STAGE.open(words.WordsConfig(split=vocabulary.split))
    rate("words", lambda: marker(table))
    bytewise = byte_words.STAGE.open(words.WordsConfig(split=vocabulary.split))
    rate("encode_bytes", lambda: bytewise(table))
    _measure_views(table, vocabulary, pieces_of(vocabulary), rate)
    _measure_merging(table, vocabulary, rate)
    tokens, lexeme_tokens = (pc.sum(t["num_tokens"]).as_py() for t in (table, cut))
    sums = {field: pc.sum(laid[field]).as_py() for field in COUNTS}
    return {
        "grammar": grammar,
        "mb": round(mb, 2),
        "mb_per_cpu_s": rates,
        "aligned_share": sums["aligned_tokens"] / tokens,
        "whole_leaves_share": sums["whole_leaves"] / sums["leaves"],
        "more_tokens_by_lexeme": lexeme_tokens / tokens - 1,
    }


def _material(grammar: str, limit_bytes: int, vocabulary: str) -> pa.Table:
    """Text, tokens and trees."""
    sources = list(_sources(grammar, limit_bytes))
    trees = pa.Table.from_batches([parsed_batch([parse_source(source, grammar) for source in sources])])
    text = pa.array([source.decode() for source in sources], pa.string())
    tokens = encode.STAGE.open(encode.EncodeConfig(vocabulary=vocabulary))(pa.table({"text": text}))
    columns = {name: trees[name] for name in align.NODE_COLUMNS}
    return pa.table({"text": text, "tokens": tokens["tokens"], "num_tokens": tokens["num_tokens"]} | columns)


def _sources(grammar: str, limit_bytes: int) -> Iterator[bytes]:
    size = 0
    for path in sorted(p for p in CORPUS.glob("*.parquet") if p.stem.partition("-")[0] == grammar):
        for text in pq.read_table(path, columns=["content"])["content"]:
            source = text.as_buffer().to_pybytes()
            size += len(source)
            if size > limit_bytes:
                return
            yield source


def _measure_views(
    table: pa.Table, vocabulary: Vocabulary, pieces: Pieces, rate: Callable[[str, Callable[[], Any]], Any]
) -> None:
    tokens = table["tokens"].combine_chunks()
    digests = [hashlib.blake2b(b"%d" % row, digest_size=16).digest() for row in range(len(tokens))]
    ids = pa.array(digests, pa.binary(16))
    splitter, merger = StochasTok(pieces, StochasTokConfig()), BpeDropout(vocabulary, DropoutConfig())
    rate("stochastok", lambda: splitter.view(tokens, ids, epoch=0))
    rate("bpe_dropout", lambda: merger.view(tokens, ids, epoch=0))
    begins = rate("begin_words", lambda: dynamic.begin_words(tokens, pieces, vocabulary.split))
    rate("merge_batch", lambda: dynamic.merge_batch(tokens, begins, merges=_MERGES, base=len(pieces)))


def _measure_merging(table: pa.Table, vocabulary: Vocabulary, rate: Callable[[str, Callable[[], Any]], Any]) -> None:
    """Every pretoken anew, and whether the ids are those of the encoder."""
    offsets, data = text_views(table["text"].combine_chunks())
    starts, _ = pretoken_starts(offsets, data, vocabulary.split)
    ranks = vocabulary.ranks()
    byte_ids = np.array([ranks[bytes([byte])] for byte in range(256)], np.int32)
    merger = Merger(merges_of(vocabulary), byte_ids, True, pieces=pieces_of(vocabulary))
    _, ids = rate("merging", lambda: merger.encode(np.append(starts, offsets[-1]), data))
    assert np.array_equal(ids, Gigatoken(vocabulary).encode(offsets, data)[1])


def main() -> None:
    """Print one JSON list."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.views", description=__doc__)
    parser.add_argument("--limit-mb", type=float, default=8, help="of every language")
    parser.add_argument("--grammar", action="append", help="repeatable; python and go without it")
    values = parser.parse_args()
    grammars = values.grammar or ["python", "go"]
    print(json.dumps([measure(grammar, int(values.limit_mb * 1e6)) for grammar in grammars], indent=1))


if __name__ == "__main__":
    main()
