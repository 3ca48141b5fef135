"""The benches of tokenization: exactness, views, training, packing, each with its bars, from the programs beside it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.material import ROOT
from tests.bench.packing import SHUFFLE_BAR, UTILISATION_BAR, measure_shuffle, measure_utilisation
from tests.bench.report import Figure
from tests.bench.training import DEFAULT_SPLIT, MB, count_all, learn

_VOCABULARIES = ("cl100k_base", "o200k_base", "tekken_240911", "qwen")
_TRAINED_TOKENS = 32_000


def bench_exactness(scratch: Path, *, quick: bool) -> Iterator[Figure]:
    """Texts and adversarial strings that an engine encodes otherwise than the reference, the array program too."""
    trained = scratch / "tokenizer.json"
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        counts, _ = count_all(Path(folder), (5 if quick else 100) * MB, DEFAULT_SPLIT)
    trained.write_bytes(learn(counts, _TRAINED_TOKENS, DEFAULT_SPLIT)[0])
    limit = ["--limit-mb", "1", "--strings", "2000"] if quick else ["--strings", "50000"]
    for engine in ("gigatoken", "torch"):
        for vocabulary in (*_VOCABULARIES, str(trained)):
            found = _run("tests.bench.exactness", "--vocabulary", vocabulary, "--engine", engine, *limit)
            name = f"trained, {_TRAINED_TOKENS:,}" if vocabulary == str(trained) else vocabulary
            note = f"{found['texts']:,} texts, {found['bytes'] / 1e6:,.0f} MB, {found['tokens'] / 1e6:,.0f} M tokens"
            different = (float(found["mismatches"]),)
            title = f"other ids: {name}, {engine}"
            yield Figure(bench="exactness", name=title, unit="texts", runs=different, target=0, note=note)


def bench_views(repeat: int, *, quick: bool) -> Iterator[Figure]:
    """Alignment with trees and the views over tokens, on one language."""
    runs = [
        _run("tests.bench.views", "--limit-mb", "1" if quick else "8", "--grammar", "python")[0] for _ in range(repeat)
    ]
    for step in runs[0]["mb_per_cpu_s"]:
        rates = tuple(run["mb_per_cpu_s"][step] for run in runs)
        yield Figure(bench="views", name=step, unit="MB/CPU-s", runs=rates, better="more")


def bench_training(repeat: int, *, quick: bool) -> Iterator[Figure]:
    """Counting, learning, and the peer's trainer on the same text."""
    mb, peer_mb = (40, 10) if quick else (500, 50)
    command = ("tests.bench.training", "train", "--mb", str(mb), "--peer-mb", str(peer_mb))
    runs = [_run(*command) for _ in range(repeat)]
    size = f"{mb} MB of code and prose"

    def figure(name: str, unit: str, values: list[float], **more: Any) -> Figure:
        return Figure(bench="training", name=name, unit=unit, runs=tuple(values), **more)

    rates = [run["counting"]["mb_per_cpu_s"] for run in runs]
    yield figure("counting pretokens", "MB/CPU-s", rates, target=20, better="more", note=size)
    seconds = [run["seconds"] for run in runs]
    yield figure("counting and learning 32,000 tokens", "s", seconds, target=300, note=size)
    yield figure("learning", "CPU-s", [run["learning"]["cpu_s"] for run in runs])
    yield figure("peak memory", "MB", [run["peak_mb"] for run in runs])
    same = [100 * (run["same_text"]["ours_over_theirs"] - 1) for run in runs]
    note = f"against the trainer of tokenizers, {peer_mb} MB, held-out text"
    yield figure("bytes per token", "%", same, target=-1, better="more", note=note)


def bench_packing(scratch: Path, repeat: int, *, has_corpus: bool, quick: bool) -> Iterator[Figure]:
    """Packing of the code corpus, and a shuffle that is ten times larger than the worker's memory above its base."""
    if has_corpus:
        runs = [measure_utilisation() for _ in range(repeat)]
        packed = [run["best-fit-2048"] for run in runs]
        note = f"{runs[0]['documents']:,} documents, {runs[0]['tokens'] / 1e6:.0f} M tokens"
        full, bar = [100 * p["utilisation"] for p in packed], 100 * UTILISATION_BAR
        yield _packing("rows full, best-fit at 2,048", "%", full, target=bar, better="more", note=note)
        yield _packing("documents cut", "%", [100 * p["documents_cut"] for p in packed])
        yield _packing("best-fit", "Mtokens/CPU-s", [p["mtokens_per_cpu_s"] for p in packed], better="more")
        read = [run["read"]["mtokens_per_cpu_s"] for run in runs]
        yield _packing("reading sequences", "Mtokens/CPU-s", read, better="more")
    tokens = 20_000_000 if quick else 500_000_000
    shuffled = measure_shuffle(tokens, 2_000_000, scratch)
    target = None if quick else SHUFFLE_BAR
    name = "corpus against memory of the shuffle"
    yield _packing(name, "x", [shuffled["times_larger"]], target=target, better="more")
    yield _packing("shuffle", "Mtokens/CPU-s", [shuffled["mtokens_per_cpu_s"]], better="more")


def _packing(name: str, unit: str, values: list[float], **more: Any) -> Figure:
    return Figure(bench="packing", name=name, unit=unit, runs=tuple(values), **more)


def _run(module: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)
