"""Lazy handles and tasks: what a recipe composes and what a run executes.

A `Dataset` is a step of the plan. It expands into `Task`s, each of which commits one or more shards. Recipes only build
handles; expanding reads listings and commit records, never data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from pipeline.fingerprint import digest, library_versions
from pipeline.stage import Resources
from pipeline.store import Shard, Store
from schemas.manifest import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One unit of work on one worker: `call(store)` commits every shard of `outputs` and gives the new records."""

    label: str
    """For people: which piece of the input this is."""
    outputs: tuple[Shard, ...]
    call: Callable[[Store], list[Record]]
    """Picklable. May find some outputs committed already and must not make them again."""
    inputs: tuple[Shard, ...] = ()
    """Shards that must be committed before."""
    barriers: tuple["Dataset", ...] = ()
    """Datasets that must be complete before."""
    resources: Resources = Resources()


class Expansion(Protocol):
    """What a step may look at while it expands."""

    @property
    def store(self) -> Store:
        """The store; for listings only."""

    @property
    def scratch(self) -> Path:
        """A local folder for the driver's caches and downloads."""

    def shards(self, dataset: "Dataset") -> tuple[Shard, ...]:
        """All shards of an input, in order."""

    def records(self, dataset: "Dataset") -> list[Record]:
        """Commit records of an input listed in `counts_of`, in the order of its shards."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A step of a plan, and the dataset that it makes. Handles are compared as objects, shards by their keys."""

    name: str
    version: int
    config: object
    inputs: tuple["Dataset", ...] = ()
    schema: pa.Schema
    expand: Callable[["Dataset", Expansion], list[Task]]
    libraries: tuple[str, ...] = ()
    exact: bool = True
    counts_of: tuple["Dataset", ...] = ()
    """Inputs whose commit records `expand` needs; until they are complete its tasks are unknown."""
    temporary: bool = False
    """Spills: deleted once everything that reads them is committed."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """For the driver alone; not part of identity."""

    @cached_property
    def versions(self) -> dict[str, str]:
        """Versions of the declared libraries, which are part of identity."""
        return library_versions(self.libraries)

    @cached_property
    def identity(self) -> str:
        """Digest of (name, version, config, libraries, identities of the inputs)."""
        return digest(self.name, self.version, self.config, self.versions, [i.identity for i in self.inputs])

    @cached_property
    def folder(self) -> str:
        """Where its shards and records lie in the store."""
        return f"{self.name}-{self.identity[:12]}"

    def shard(self, *inputs: str, base: str | None = None, rows: int | None = None, size: int | None = None) -> Shard:
        """The shard of this step that is made from these input keys."""
        key = digest(self.identity, list(inputs))
        return Shard(step=self.folder, key=key, base=base or key, rows=rows, bytes=size)


def topological(*targets: Dataset) -> list[Dataset]:
    """The targets and everything that they need, inputs first, in a fixed order."""
    order: dict[Dataset, None] = {}

    def visit(dataset: Dataset) -> None:
        if dataset in order:
            return
        for needed in (*dataset.inputs, *dataset.counts_of):
            visit(needed)
        order[dataset] = None

    for target in targets:
        visit(target)
    return list(order)
