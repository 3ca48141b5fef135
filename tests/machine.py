"""The machine in small, for tests: datasets of given tables, runs in this process, the command as a process."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.dataset import Dataset, Expansion, Task
from pipeline.execute import Executor
from pipeline.execute_local import LocalExecutor
from pipeline.plan import Plan
from pipeline.run import Event, Run
from pipeline.site_file import ExecutionSite, Site, StoreSite
from pipeline.storage import open_storage
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record
from tests.golden import digest

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Give:
    """A task that commits one given table."""

    table: pa.Table
    output: Shard

    def __call__(self, store: Store) -> list[Record]:
        return [store.commit(self.output, self.table, Made(libraries={}, counters={}))]


def given(name: str, *tables: pa.Table, beside: Dataset | None = None) -> Dataset:
    """A dataset whose shards hold these tables; a sidecar of `beside`, if that is given."""

    def expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
        bases = [shard.base for shard in expansion.shards(beside)] if beside else [None] * len(tables)
        tasks = []
        for number, (base, table) in enumerate(zip(bases, tables, strict=True)):
            output = dataset.shard(str(number), base=base, rows=table.num_rows, size=table.nbytes)
            tasks.append(Task(label=str(number), outputs=(output,), call=Give(table, output)))
        return tasks

    config, inputs = [digest(t) for t in tables], (beside,) if beside else ()
    return Dataset(name=name, version=1, config=config, inputs=inputs, schema=tables[0].schema, expand=expand)


def site_of(folder: Path, **execution: Any) -> Site:
    """A site whose store is a folder."""
    return Site(store=StoreSite(path=str(folder)), execution=ExecutionSite(**execution))


def plan_of(site: Site, *targets: Dataset) -> Plan:
    """A plan for these datasets, on the site's store."""
    scratch = Path(site.store.path) / "scratch"
    return Plan(targets=targets, store=Store(open_storage(site.store), site.llm), scratch=scratch)


@dataclass
class Ran:
    """What a run did."""

    plan: Plan
    made: list[str] = field(default_factory=list)
    """Name of the step for every task that ended well, in that order."""

    def tables(self, dataset: Dataset) -> list[pa.Table]:
        return [self.plan.store.read(shard) for shard in self.plan.shards(dataset)]


def run(site: Site, *targets: Dataset, executor: Executor | None = None) -> Ran:
    """Make the datasets, by default in this process."""
    ran = Ran(plan_of(site, *targets))

    def listen(event: Event) -> None:
        if event.kind == "finished" and event.dataset is not None:
            ran.made.append(event.dataset.name)

    Run(plan=ran.plan, executor=executor or LocalExecutor(site), retries=0, listener=listen).execute()
    return ran


def write_sources(folder: Path, order: Callable[[list[int]], list[int]] = list) -> Path:
    """Twelve small programs, one of them twice, written in a chosen order."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [f"def f{n}(x):\n    return x + {n}\n" * (80 + 20 * n) for n in range(11)]
    for number in order(list(range(12))):
        (folder / f"m{number:02d}.py").write_text(texts[number % 11])
    return folder


def command(*arguments: object, cwd: Path = ROOT, **variables: str) -> "subprocess.Popen[str]":
    """The `gristmill` command, started, with more environment variables; standard output and error are piped."""
    line = [sys.executable, "-m", "jobs.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    pipe = subprocess.PIPE
    return subprocess.Popen(line, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def finish(process: "subprocess.Popen[str]", timeout_s: float = 90) -> Ended:
    """Wait for a command."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, out, err)


def gristmill(*arguments: object, cwd: Path = ROOT, **variables: str) -> Ended:
    """Run the `gristmill` command to its end."""
    return finish(command(*arguments, cwd=cwd, **variables))


def digests(folder: Path, skip: Sequence[str] = ()) -> dict[str, str]:
    """SHA-256 of every file under a folder by its path, but for paths with one of the words of `skip`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(word in name for word in skip):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def made_of(store: Path) -> Mapping[str, str]:
    """Everything of a store that must not depend on how or where it was made: shards and published files."""
    return {name: value for name, value in digests(store).items() if name.startswith(("shards/", "corpora/"))}
