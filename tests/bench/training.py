"""How fast pretokens are counted and a vocabulary is learnt, and how short its texts get beside a peer's.

    python -m tests.bench.training count [--mb 500]
    python -m tests.bench.training train [--mb 500] [--peer-mb 50] [--vocabulary-size 32000]

Prints JSON. Reads the code and text corpora beside the repository; where they are not enough, their documents again
with letters exchanged, so that no text repeats. Every fiftieth document is held out: bytes per token are measured on
those.
"""

import argparse
import io
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from hashlib import blake2b, sha256
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from jobs.stored import stored
from jobs.tokenizers.pretoken_counts import PretokenConfig, merge_counts, pretoken_counts
from pipeline.dataset import Dataset
from pipeline.execute_local import LocalExecutor
from pipeline.plan import Plan
from pipeline.run import Run
from pipeline.site_file import Site, StoreSite
from pipeline.storage import open_storage
from pipeline.store import Made, Shard, Store
from schemas.documents import DOCUMENT
from schemas.manifest import StepEntry
from stages.text_views import text_views
from stages.tokenization.engines import Gigatoken
from stages.tokenization.training.bpe import BpeConfig, train_bpe
from stages.tokenization.training.policies import DEFAULT_SPLIT, pattern_of
from stages.tokenization.training.tokenizer_json import tokenizer_json
from stages.tokenization.vocabulary import Vocabulary
from tests.bench.material import CORPUS

MB = 1_000_000
HELD_OUT = 50
SHARD_BYTES = 64 * MB
_SMALL = b"etaoinshrdlucmfwypvbgkjqxz"

Texts = list[tuple[str, bytes]]


def documents(mutation: int) -> Iterator[tuple[str, bytes]]:
    """(language, text) of every document; with small letters exchanged unless `mutation` is 0."""
    turn = mutation * 5 % len(_SMALL)
    table = bytes.maketrans(_SMALL, _SMALL[turn:] + _SMALL[:turn])
    for language, text in chain(_code(), _prose()):
        yield language, text.translate(table) if mutation else text


def _code() -> Iterator[tuple[str, bytes]]:
    """Files of all languages in turn, so that any first part is a mix."""
    files = [
        pq.ParquetFile(path).iter_batches(50, columns=["language", "content"])
        for path in sorted(CORPUS.glob("*.parquet"))
    ]
    while files:
        for file in [*files]:
            batch = next(file, None)
            if batch is None:
                files.remove(file)
                continue
            texts = batch.column(1).cast(pa.binary()).to_pylist()
            yield from zip(batch.column(0).to_pylist(), texts, strict=True)


def _prose() -> Iterator[tuple[str, bytes]]:
    for path in sorted((CORPUS.parent / "text").glob("*.zst")):
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            yield from (("Text", json.loads(line)["text"].encode()) for line in io.TextIOWrapper(stream))


def learning_texts(size: int) -> Iterator[tuple[str, bytes]]:
    """Documents of `size` bytes in all, none of them held out."""
    for mutation in count():
        for number, (language, text) in enumerate(documents(mutation)):
            if mutation or number % HELD_OUT:
                yield language, text
                size -= len(text)
                if size <= 0:
                    return


def held_out() -> pa.StringArray:
    """What no vocabulary is learnt from."""
    return pa.array([text.decode() for _, text in islice(documents(0), 0, None, HELD_OUT)], pa.string())


def stored_documents(store: Store, size: int) -> tuple[Dataset, int]:
    """The texts as committed shards, and their bytes."""
    keys: list[str] = []
    total, part, part_bytes = 0, Texts(), 0
    for language, text in learning_texts(size):
        part.append((language, text))
        total, part_bytes = total + len(text), part_bytes + len(text)
        if part_bytes >= SHARD_BYTES:
            keys.append(_commit(store, part, len(keys)))
            part, part_bytes = [], 0
    if part:
        keys.append(_commit(store, part, len(keys)))
    entry = StepEntry(
        name="documents", folder="bench", role="documents", version=1, config=None, libraries={}, inputs=[], keys=keys
    )
    return stored(entry, DOCUMENT), total


def _commit(store: Store, part: Texts, number: int) -> str:
    ids = [blake2b(text, digest_size=16).digest() for _, text in part]
    known = {
        "document_id": pa.array(ids, DOCUMENT.field("document_id").type),
        "language": pa.array([language for language, _ in part]),
        "text": pa.array([text.decode() for _, text in part], pa.string()),
        "size": pa.array([len(text) for _, text in part], pa.int64()),
        "origin": pa.repeat("bench", len(part)),
        "revision": pa.repeat("1", len(part)),
        "path": pa.array([f"{number}/{row}" for row in range(len(part))]),
    }
    table = pa.table({f.name: known.get(f.name, pa.nulls(len(part), f.type)) for f in DOCUMENT}, schema=DOCUMENT)
    shard = Shard(step="bench", key=f"documents-{number}", base=f"documents-{number}")
    store.commit(shard, table, Made(libraries={}, counters={"bytes": sum(len(text) for _, text in part)}))
    return shard.key


def count_all(folder: Path, size: int, split: str) -> tuple[pa.Table, dict[str, Any]]:
    """Counts of so much text by the job: reading shards, counting, spilling, adding, writing."""
    site = Site(store=StoreSite(path=str(folder)))
    store = Store(open_storage(site.store))
    source, total = stored_documents(store, size)
    counts = pretoken_counts(source, config=PretokenConfig(split=split))
    _warm(folder / "warm", split)
    cpu, wall = time.process_time(), time.perf_counter()
    plan = Plan(targets=(counts,), store=store, scratch=folder / "scratch")
    Run(plan=plan, executor=LocalExecutor(site), retries=0, listener=lambda event: None).execute()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    table = merge_counts([store.read(shard) for shard in plan.shards(counts)])
    return table, {
        "mb": round(total / MB, 1),
        "distinct": table.num_rows,
        "cpu_s": round(cpu, 2),
        "wall_s": round(wall, 2),
        "mb_per_cpu_s": round(total / MB / cpu, 1),
    }


def _warm(folder: Path, split: str) -> None:
    """Compile the kernels."""
    site = Site(store=StoreSite(path=str(folder)))
    store = Store(open_storage(site.store))
    counts = pretoken_counts(stored_documents(store, 1000)[0], config=PretokenConfig(split=split))
    plan = Plan(targets=(counts,), store=store, scratch=folder / "scratch")
    Run(plan=plan, executor=LocalExecutor(site), retries=0, listener=lambda event: None).execute()
    train_bpe(pa.array([b"ab"], pa.binary()), np.array([2]), BpeConfig())


def learn(counts: pa.Table, vocabulary_size: int, split: str) -> tuple[bytes, dict[str, Any]]:
    """The tokenizer of these counts."""
    cpu, wall = time.process_time(), time.perf_counter()
    added = counts.group_by("pretoken", use_threads=False).aggregate([("count", "sum")])
    pretokens = pa.concat_arrays(added["pretoken"].chunks)
    trained = train_bpe(pretokens, added["count_sum"].to_numpy(), BpeConfig(vocabulary_size=vocabulary_size))
    content = tokenizer_json(trained, split, ["<|endoftext|>"])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    figures = {"tokens": len(trained.tokens), "cpu_s": round(cpu, 2), "wall_s": round(wall, 2)}
    return content, figures | {"distinct_mb": round(pretokens.nbytes / MB, 1)}


def learn_as_peer(size: int, vocabulary_size: int, split: str) -> tuple[bytes, dict[str, Any]]:
    """The tokenizer that the trainer of Hugging Face tokenizers learns from the same first part of the text."""
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(pattern_of(split)), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    cpu, wall = time.process_time(), time.perf_counter()
    tokenizer.train_from_iterator((text.decode() for _, text in learning_texts(size)), trainer)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return tokenizer.to_str().encode(), {"mb": size / MB, "cpu_s": round(cpu, 2), "wall_s": round(wall, 2)}


def bytes_per_token(content: bytes, texts: pa.StringArray) -> float:
    """Over all the texts."""
    vocabulary = Vocabulary(name=sha256(content).hexdigest()[:8], content=content, split="", special_tokens={})
    offsets, data = text_views(texts)
    ids = Gigatoken(vocabulary).encode(offsets, data)[1]
    return round(int(offsets[-1] - offsets[0]) / len(ids), 4)


def bench_training(mb: int, peer_mb: int, vocabulary_size: int, split: str = DEFAULT_SPLIT) -> dict[str, Any]:
    """Counting and learning from `mb`; and from `peer_mb`, beside the peer."""
    texts = held_out()
    with tempfile.TemporaryDirectory() as folder:
        counts, counting = count_all(Path(folder), mb * MB, split)
    content, learning = learn(counts, vocabulary_size, split)
    result = {
        "counting": counting,
        "learning": learning | {"bytes_per_token": bytes_per_token(content, texts)},
        "seconds": round(counting["wall_s"] + learning["wall_s"], 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
    }
    if not peer_mb:
        return result
    with tempfile.TemporaryDirectory() as folder:
        counts, counting = count_all(Path(folder), peer_mb * MB, split)
    content, learning = learn(counts, vocabulary_size, split)
    peer_content, peer = learn_as_peer(peer_mb * MB, vocabulary_size, split)
    ours, theirs = bytes_per_token(content, texts), bytes_per_token(peer_content, texts)
    return result | {
        "same_text": {
            "ours": counting | {"learn_cpu_s": learning["cpu_s"], "bytes_per_token": ours},
            "tokenizers": peer | {"bytes_per_token": theirs},
            "ours_over_theirs": round(ours / theirs, 5),
        }
    }


def main() -> None:
    """Parse and print."""
    parser = argparse.ArgumentParser(description="Figures of tokenizer training, as JSON.")
    parser.add_argument("what", choices=["count", "train"])
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--peer-mb", type=int, default=50)
    parser.add_argument("--vocabulary-size", type=int, default=32_000)
    parser.add_argument("--split", default=DEFAULT_SPLIT)
    given = parser.parse_args()
    if given.what == "count":
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(count_all(Path(folder), given.mb * MB, given.split)[1], indent=2))
        return
    print(json.dumps(bench_training(given.mb, given.peer_mb, given.vocabulary_size, given.split), indent=2))


if __name__ == "__main__":
    main()
