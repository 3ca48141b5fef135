"""The benches: what each runs, and the figures with their bars."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipeline.execute import THREAD_VARIABLES
from tests.bench import clusters, encoding, mixtures, proxies, tokenization
from tests.bench.material import CORPUS, ROOT
from tests.bench.peers import DUPLICATES, PARSE, TOKENIZE, Peer, is_installed, time_peer, why_skipped
from tests.bench.program import Timing
from tests.bench.report import Figure
from tests.bench.usage import Usage, measure

MB = 1e6
_QUIET_CPUS = 0.1
"""As much other work as leaves wall times sound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much a bench reads."""

    shards: int
    shard_bytes: int
    quick: bool


FULL = Sizes(shards=64, shard_bytes=64_000_000, quick=False)
QUICK = Sizes(shards=8, shard_bytes=8_000_000, quick=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a process said of itself, and what it and its descendants took."""

    timing: Timing
    usage: Usage

    @property
    def start_cpu_s(self) -> float:
        """Everything but the work: interpreters, imports, Ray's start and end, opening the stages."""
        return self.usage.cpu_s - self.timing.work_cpu_s

    @property
    def mb_per_cpu_s(self) -> float:
        """MB of content per CPU-second of work."""
        return self.timing.bytes / MB / self.timing.work_cpu_s

    @property
    def peak_bytes(self) -> int:
        """Peak resident bytes of the largest worker."""
        return max(self.usage.worker_peak_bytes.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Where and how often."""

    store: Path
    sizes: Sizes
    repeat: int
    skipped: list[str]

    def work(self, name: str, *, workers: int = 2, keep: bool = False) -> Measured:
        """One piece of work on Ray."""
        options = ["--workers", str(workers), *(["--keep"] if keep else [])]
        return self._programs(name, [options])[0]

    def loops(self) -> list[Measured]:
        """Two plain processes, half of the shards each; the usage is of both."""
        halves = [["--half", str(half)] for half in range(2)]
        return self._programs("loop", halves, environment=THREAD_VARIABLES)

    def _programs(
        self, name: str, variants: list[list[str]], environment: Mapping[str, str] | None = None
    ) -> list[Measured]:
        outs = [self.store / f"timing-{number}.json" for number in range(len(variants))]
        common = ["--store", str(self.store), "--shards", str(self.sizes.shards)]
        head = [sys.executable, "-m", "tests.bench.program", name, *common]
        size = ["--shard-bytes", str(self.sizes.shard_bytes)]
        commands = [[*head, *size, "--out", str(out), *more] for out, more in zip(outs, variants, strict=True)]
        usage = measure(*commands, environment=environment, cwd=ROOT)
        return [Measured(timing=Timing(**json.loads(out.read_text())), usage=usage) for out in outs]

    def peers(self, name: str, peers: tuple[Peer, ...]) -> Iterator[Figure]:
        """The peers of an operator, where they are installed."""
        reason = why_skipped()
        if reason is not None:
            self.skipped.append(reason)
            return
        for peer in peers:
            if is_installed(peer):
                yield time_peer(name, peer, self.repeat, quick=self.sizes.quick)
            else:
                self.skipped.append(f"peer {peer.name}: no environment in PEER_VENVS")


def bench_chain(bench: Bench) -> Iterator[Figure]:
    """The engine against a plain loop; memory of a worker."""
    bench.work("generate", keep=True)
    overheads, gross, starts, idle, multiples, peaks, rates = ([] for _ in range(7))
    for _ in range(bench.repeat):
        loops, two, start = bench.loops(), bench.work("chain"), bench.work("start")
        loop_cpu_s = sum(loop.timing.work_cpu_s for loop in loops)
        overheads.append(100 * (two.timing.work_cpu_s / loop_cpu_s - 1))
        gross.append(two.usage.cpu_s - loops[0].usage.cpu_s)
        starts.append(start.usage.cpu_s)
        idle.append(start.peak_bytes / MB)
        peaks.append(two.peak_bytes / MB)
        multiples.append((two.peak_bytes - start.peak_bytes) / two.timing.largest_shard_bytes)
        rates.append(two.mb_per_cpu_s)
    size = f"{bench.sizes.shards} shards of {bench.sizes.shard_bytes / MB:g} MB"
    yield figure("chain", "engine overhead", "%", overheads, target=15, note=f"CPU over two plain loops; {size}")
    yield figure("chain", "Ray start, all included", "CPU-s", starts, target=10, note="a whole run of trivial shards")
    yield figure("chain", "CPU above the loops, all included", "CPU-s", gross, note="imports, Ray's start and end too")
    yield figure("chain", "throughput", "MB/CPU-s", rates, better="more")
    yield figure("chain", "worker peak above base", "x shard", multiples, target=6, note="decoded bytes of a shard")
    yield figure("chain", "base: idle worker with imports", "MB", idle)
    yield figure("chain", "worker peak", "MB", peaks)


def bench_scaling(bench: Bench) -> Iterator[Figure]:
    """Two workers against one, on the fixed chain."""
    bench.work("generate", keep=True)
    runs = [(bench.work("chain", workers=1), bench.work("chain")) for _ in range(bench.repeat)]
    speedups = [one.timing.work_wall_s / two.timing.work_wall_s for one, two in runs]
    others = [max(run.usage.other_cpus for run in pair) for pair in runs]
    note, sound = "wall time, start excluded", median(others) <= _QUIET_CPUS
    yield figure("scaling", "2 workers against 1", "x", speedups, target=1.7, better="more", note=note, sound=sound)
    yield figure("scaling", "CPUs busy with anything else", "CPUs", others, note="wall times are sound near 0")


def bench_ingest(bench: Bench) -> Iterator[Figure]:
    """Parquet files of code to documents."""
    yield from _corpus_bench(bench, "ingest", None, ())


def bench_tokens(bench: Bench) -> Iterator[Figure]:
    """Documents to token shards."""
    yield from _corpus_bench(bench, "tokens", 40, TOKENIZE)


def bench_duplicates(bench: Bench) -> Iterator[Figure]:
    """Exact duplicates: both exchanges, reading and marks."""
    yield from _corpus_bench(bench, "duplicates", 300, DUPLICATES)
    if CORPUS.is_dir():
        runs = [bench.work("duplicates").timing for _ in range(bench.repeat)]
        hashed = [bench.work("hash").timing for _ in range(bench.repeat)]
        together = [
            job.bytes / MB / (job.work_cpu_s + texts.work_cpu_s) for job, texts in zip(runs, hashed, strict=True)
        ]
        note = "with reading the texts and SHA-256, which ingest does"
        yield figure("duplicates", "throughput with hashing", "MB/CPU-s", together, better="more", note=note)


def _corpus_bench(bench: Bench, name: str, target: float | None, peers: tuple[Peer, ...]) -> Iterator[Figure]:
    if not CORPUS.is_dir():
        bench.skipped.append(f"{name}: no code corpus beside the repository")
        return
    bench.work("ingest", keep=True)
    runs = [bench.work(name) for _ in range(bench.repeat)]
    first = runs[0].timing
    what = f"{first.bytes / MB:.0f} MB, {first.documents} documents, {first.shards} shards"
    rates = [run.mb_per_cpu_s for run in runs]
    yield figure(name, "throughput", "MB/CPU-s", rates, target=target, better="more", note=what)
    if name == "tokens":
        opened = [t.bytes / MB / (t.work_cpu_s + 2 * t.open_cpu_s) for t in (run.timing for run in runs)]
        note = "on both workers"
        yield figure(name, "throughput with loading the vocabulary", "MB/CPU-s", opened, better="more", note=note)
    yield figure(name, "worker peak", "MB", [run.peak_bytes / MB for run in runs])
    yield from bench.peers(name, peers)


def bench_syntax(bench: Bench) -> Iterator[Figure]:
    """Texts in memory to trees, units and the proof that nothing is lost, against parsing alone."""
    if not CORPUS.is_dir():
        bench.skipped.append("syntax: no code corpus beside the repository")
        return
    command = [sys.executable, "-m", "tests.bench.syntax", *(["--limit-mb", "1"] if bench.sizes.quick else [])]
    runs: list[Counter[str]] = []
    for _ in range(bench.repeat):
        done = subprocess.run(command, cwd=ROOT, env=os.environ | THREAD_VARIABLES, capture_output=True, check=True)
        languages = json.loads(done.stdout)
        total: Counter[str] = Counter()
        for language in languages:
            total.update({name: value for name, value in language.items() if name != "grammar"})
        runs.append(total)
    what = f"{runs[0]['bytes'] / MB:.0f} MB, {runs[0]['files']:.0f} files, {runs[0]['nodes'] / MB:.0f} M nodes"
    ratios = [run["full_cpu_s"] / run["parse_cpu_s"] for run in runs]
    yield figure("syntax", "CPU against parsing alone", "x", ratios, target=2.4, note=what)
    for language in languages:
        ratio = language["full_cpu_s"] / language["parse_cpu_s"]
        yield figure("syntax", f"the same, {language['grammar']}, last run", "x", [ratio])
    rates = [run["bytes"] / MB / run["full_cpu_s"] for run in runs]
    yield figure("syntax", "throughput", "MB/CPU-s", rates, better="more")
    sizes = [run["stored_bytes"] / run["bytes"] for run in runs]
    yield figure("syntax", "Parquet against source", "x", sizes, target=0.6, note="zstd level 1, units included")
    lossless = [100 * run["lossless"] / run["files"] for run in runs]
    yield figure("syntax", "files rebuilt", "%", lossless, target=100, better="more")
    yield figure("syntax", "peak memory", "MB", [run["peak_bytes"] / MB for run in runs])
    yield from bench.peers("syntax", PARSE)


def bench_exactness(bench: Bench) -> Iterator[Figure]:
    """Ids against the references', over all corpora beside the repository."""
    if not CORPUS.is_dir():
        bench.skipped.append("exactness: no code corpus beside the repository")
        return
    yield from tokenization.bench_exactness(bench.store, quick=bench.sizes.quick)


def bench_encoding(bench: Bench) -> Iterator[Figure]:
    """Documents to token shards against the bound; memory over 10 GB."""
    yield from encoding.bench_encoding(bench.repeat, quick=bench.sizes.quick)


def bench_views(bench: Bench) -> Iterator[Figure]:
    """Tokens beside trees, stochastic and dynamic views."""
    if not CORPUS.is_dir():
        bench.skipped.append("views: no code corpus beside the repository")
        return
    yield from tokenization.bench_views(bench.repeat, quick=bench.sizes.quick)


def bench_training(bench: Bench) -> Iterator[Figure]:
    """Learning a tokenizer, beside the trainer of tokenizers."""
    if not CORPUS.is_dir():
        bench.skipped.append("training: no code corpus beside the repository")
        return
    yield from tokenization.bench_training(bench.repeat, quick=bench.sizes.quick)


def bench_packing(bench: Bench) -> Iterator[Figure]:
    """Best-fit packing and the global shuffle."""
    has_corpus = CORPUS.is_dir()
    if not has_corpus:
        bench.skipped.append("packing: no code corpus beside the repository; the shuffle alone is measured")
    yield from tokenization.bench_packing(bench.store, bench.repeat, has_corpus=has_corpus, quick=bench.sizes.quick)


def bench_clusters(bench: Bench) -> Iterator[Figure]:
    """Embedding, k-means and assignment, beside scikit-learn."""
    if not CORPUS.is_dir():
        bench.skipped.append("clusters: no labelled texts beside the repository")
        return
    yield from clusters.bench_clusters(bench.repeat, quick=bench.sizes.quick)


def bench_mixtures(bench: Bench) -> Iterator[Figure]:
    """The search for a mixture against known answers: real runs (T0) and worlds with a known optimum (T1)."""
    yield from mixtures.bench_mixtures(bench.skipped, quick=bench.sizes.quick)


def bench_proxies(bench: Bench) -> Iterator[Figure]:
    """The speed of n-gram proxies. Searches with real ones (T2) take an hour: `python -m tests.bench.proxies`."""
    if not CORPUS.is_dir():
        bench.skipped.append("proxies: no domains beside the repository")
        return
    rates = [proxies.speed(CORPUS.parent) for _ in range(bench.repeat)]
    for name in rates[0]:
        yield figure("proxies", f"n-gram proxy: {name}", "M bytes/CPU-s", [rate[name] for rate in rates])


def bench_tiny(bench: Bench) -> Iterator[Figure]:
    """The recipe `tiny` from the command line into an empty store."""
    runs = [_tiny(bench) for _ in range(bench.repeat)]
    what = "the folder stages" if bench.sizes.quick else "the installed environment"
    firsts = [run.first_task_s for run in runs if run.first_task_s is not None]
    note = "command to the first shard at work, Ray's start included"
    others = [run.other_cpus for run in runs]
    yield figure("tiny", "first shard", "s", firsts, target=15, note=note)
    yield figure("tiny", "end to end", "s", [run.wall_s for run in runs], target=120, note=what)
    yield figure("tiny", "CPUs busy with anything else", "CPUs", others, note="wall times are sound near 0")
    yield figure("tiny", "end to end", "CPU-s", [run.cpu_s for run in runs])
    yield figure("tiny", "worker peak", "MB", [max(run.worker_peak_bytes.values()) / MB for run in runs])


def _tiny(bench: Bench) -> Usage:
    store = Path(tempfile.mkdtemp(prefix="tiny-", dir=bench.store))
    command = [str(Path(sys.executable).parent / "gristmill"), "run", "tiny", "--store", str(store), "--json"]
    try:
        return measure([*command, "--source", "folder:stages"] if bench.sizes.quick else command, cwd=ROOT)
    finally:
        shutil.rmtree(store)


def figure(bench: str, name: str, unit: str, runs: list[float], **more: object) -> Figure:
    """A figure of these runs."""
    return Figure(bench=bench, name=name, unit=unit, runs=tuple(runs), **more)  # type: ignore[arg-type]


BENCHES: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "chain": bench_chain,
    "scaling": bench_scaling,
    "ingest": bench_ingest,
    "tokens": bench_tokens,
    "duplicates": bench_duplicates,
    "syntax": bench_syntax,
    "exactness": bench_exactness,
    "encoding": bench_encoding,
    "views": bench_views,
    "training": bench_training,
    "packing": bench_packing,
    "clusters": bench_clusters,
    "mixtures": bench_mixtures,
    "proxies": bench_proxies,
    "tiny": bench_tiny,
}
