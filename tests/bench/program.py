"""One measured process: `python -m tests.bench.program WORK ...` does a piece of work and says what it took.

Everything is opened on a few trivial shards first, so that starting (Ray, imports, vocabularies) and working are told
apart within one process. Writes a JSON object to `--out`.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.deduplicate import deduplicate_exact
from jobs.sources import parse_source
from pipeline.annotate import annotate
from pipeline.cluster import cluster
from pipeline.dataset import Dataset, topological
from pipeline.execute import Executor
from pipeline.execute_ray import RayExecutor
from pipeline.ingest import ingest
from pipeline.plan import Plan
from pipeline.run import Run
from pipeline.site_file import ExecutionSite, Site, StoreSite
from pipeline.stage import configured
from pipeline.storage import open_storage
from pipeline.store import Store
from stages.ingest.document import chain
from stages.tokenization import encode
from tests.bench import chain as fixed
from tests.bench.material import ROOT, SyntheticConfig, code_documents, synthetic
from tests.bench.usage import tree_cpu_s

_WARM = SyntheticConfig(shards=8, shard_bytes=20_000)
_KEPT = ("synthetic", "code")


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What is timed, what comes before it to open everything, and the documents that count."""

    target: Dataset
    warm: Dataset
    documents: Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What a process says of itself."""

    work_cpu_s: float
    work_wall_s: float
    bytes: int
    """Content."""
    documents: int
    shards: int
    largest_shard_bytes: int
    """Content of the largest shard."""
    open_cpu_s: float = 0.0
    """CPU seconds that one worker needs to open the stages, imports left out; 0 for a job."""


def works(size: SyntheticConfig, store: Path) -> dict[str, Callable[[], Work]]:
    """Every piece of work by name."""
    tokens = (configured(encode.STAGE, encode.EncodeConfig()),)
    sized, warm, code = synthetic(size), synthetic(_WARM), code_documents()

    def over(make: Callable[[Dataset], Dataset], documents: Dataset) -> Callable[[], Work]:
        return lambda: Work(target=make(documents), warm=make(warm), documents=documents)

    return {
        "generate": lambda: Work(target=sized, warm=warm, documents=sized),
        "start": lambda: Work(target=fixed.fixed_chain(warm), warm=fixed.fixed_chain(warm), documents=warm),
        "chain": over(fixed.fixed_chain, sized),
        "hash": over(lambda d: annotate("hash", d, stages=fixed.STAGES[:1]), code),
        "ingest": lambda: Work(target=code, warm=_tiny_ingest(store), documents=code),
        "tokens": over(lambda d: annotate("tokens", d, stages=tokens), code),
        "duplicates": over(deduplicate_exact, code),
    }


def _tiny_ingest(store: Path) -> Dataset:
    """Eight files of one document each."""
    folder = store / "warm"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(8):
        pq.write_table(pa.table({"text": [f"def f{number}():\n    return {number}\n"]}), folder / f"{number}.parquet")
    return ingest(parse_source(f"parquet:{folder}"), stages=chain(), name="warm")


def run_engine(work: Work, store: Path, workers: int, *, keep: bool) -> Timing:
    """The work on Ray, its outputs made anew unless they are kept."""
    if not keep:
        discard(store, work)
    site = Site(store=StoreSite(path=str(store)), execution=ExecutionSite(workers=workers))
    with _executor(site) as executor:
        _run(_plan(work.warm, site), executor)
        plan = _plan(work.target, site)
        plan.grow()
        cpu, wall = tree_cpu_s(), time.monotonic()
        _run(plan, executor)
        cpu, wall = tree_cpu_s() - cpu, time.monotonic() - wall
    return replace(_timing(plan, work.documents, cpu, wall), open_cpu_s=_open_cpu_s(work.target))


def _open_cpu_s(target: Dataset) -> float:
    start = time.process_time()
    for stage in target.details.get("stages", ()):
        stage.open()
    return time.process_time() - start


@contextmanager
def _executor(site: Site) -> Iterator[Executor]:
    code = (str(ROOT),)
    with cluster(site, code) as cpus:
        executor = RayExecutor(site, cpus, code)
        try:
            yield executor
        finally:
            executor.close()


def _plan(target: Dataset, site: Site) -> Plan:
    return Plan(targets=(target,), store=Store(open_storage(site.store)), scratch=Path(site.store.path) / "scratch")


def _run(plan: Plan, executor: Executor) -> None:
    Run(plan=plan, executor=executor, retries=0, listener=lambda event: None).execute()


def _timing(plan: Plan, documents: Dataset, cpu_s: float, wall_s: float) -> Timing:
    records = plan.records(documents)
    sizes = [record.counters["bytes"] for record in records]
    return Timing(
        work_cpu_s=cpu_s,
        work_wall_s=wall_s,
        bytes=sum(sizes),
        documents=sum(record.rows for record in records),
        shards=len(records),
        largest_shard_bytes=max(sizes),
    )


def discard(store: Path, work: Work) -> None:
    """Forget what earlier runs made, but for the documents that the work reads."""
    for dataset in topological(work.target, work.warm):
        if dataset.name in _KEPT and dataset is not work.target:
            continue
        for kind in ("records", "shards"):
            shutil.rmtree(store / kind / dataset.folder, ignore_errors=True)


def run_loop(size: SyntheticConfig, store: Path, half: int) -> Timing:
    """Every second shard of the chain in this process, without an engine."""
    pa.set_cpu_count(1)
    site = Site(store=StoreSite(path=str(store)))
    documents, warm = synthetic(size), synthetic(_WARM)
    out = store / f"loop-{half}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    transforms = fixed.open_stages()
    fixed.loop(transforms, _files(_plan(warm, site), warm, store), out)
    plan = _plan(documents, site)
    mine = _files(plan, documents, store)[half::2]
    cpu, wall = tree_cpu_s(), time.monotonic()
    fixed.loop(transforms, mine, out)
    cpu, wall = tree_cpu_s() - cpu, time.monotonic() - wall
    return _timing(plan, documents, cpu, wall)


def _files(plan: Plan, documents: Dataset, store: Path) -> list[Path]:
    plan.grow()
    return [store / record.file for record in plan.records(documents)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, work, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--shard-bytes", type=int, default=8_000_000)
    parser.add_argument("--half", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="make only what is missing")
    args = parser.parse_args(arguments)
    size = SyntheticConfig(shards=args.shards, shard_bytes=args.shard_bytes)
    if args.work == "loop":
        timing = run_loop(size, args.store, args.half)
    else:
        timing = run_engine(works(size, args.store)[args.work](), args.store, args.workers, keep=args.keep)
    args.out.write_text(json.dumps(asdict(timing)))


if __name__ == "__main__":
    main()
