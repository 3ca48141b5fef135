"""The stage contract: a row-local pure function over Arrow tables with typed config and declared columns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa

Config = TypeVar("Config")

Transform = Callable[[pa.Table], pa.Table]
Counts = Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What one worker of a stage needs."""

    cpus: float = 1
    gpus: float = 0
    memory_bytes: int = 0
    """Peak resident bytes of one worker; 0 leaves it to the executor."""

    def __post_init__(self) -> None:
        if self.cpus < 0 or self.gpus < 0 or self.memory_bytes < 0:
            raise ValueError(f"resources must not be negative: {self}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage(Generic[Config]):
    """A row-local step: `open(config)` gives `pa.Table -> pa.Table`, one output row per input row, in order.

    The function receives a table that has at least the columns of `reads` and returns exactly the columns of `writes`.
    Laws (tested by `tests.contract`): row-local, deterministic, empty in gives empty out, inputs untouched.
    """

    name: str
    version: int
    """Bump when the same input and config would give other output."""
    reads: pa.Schema
    """Columns needed, by name and type, from the documents, sidecars or earlier stages of the chain."""
    writes: pa.Schema
    open: Callable[[Config], Transform]
    """Called once per worker: loads models, compiles grammars."""
    resources: Resources = Resources()
    stateful: bool = False
    """True: workers are Ray actors, because opening is slow or holds a device."""
    exact: bool = True
    """False: floating-point model output, equal only within a tolerance between device classes."""
    libraries: tuple[str, ...] = ()
    """Distributions whose version is part of identity, e.g. `tree-sitter-python`."""
    count: Callable[[pa.Table], Counts] | None = None
    """Counters of a shard for the funnel, from a table with the columns of `reads` and `writes`: `out_rows` and
    `out_bytes` (documents that pass), `reason:NAME` (documents that do not)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Configured(Generic[Config]):
    """A stage with its config: the unit that chains are made of."""

    stage: Stage[Config]
    config: Config

    def open(self) -> Transform:
        """The stage's function, checked after each call against what the stage declares."""
        transform, stage = self.stage.open(self.config), self.stage

        def checked(table: pa.Table) -> pa.Table:
            out = transform(table.select(stage.reads.names))
            if out.num_rows != table.num_rows or not out.schema.equals(stage.writes):
                raise TypeError(
                    f"stage {stage.name} must write {table.num_rows} rows of {stage.writes.names}; "
                    f"it wrote {out.num_rows} rows of:\n{out.schema}\nexpected:\n{stage.writes}"
                )
            return out

        return checked


def configured(stage: Stage[Config], config: Config) -> Configured[Config]:
    """Bind a stage to its config."""
    return Configured(stage=stage, config=config)


_OPENED: dict[tuple[object, ...], Transform] = {}


def open_stages(stages: Sequence[Configured[Any]]) -> list[Transform]:
    """The stages' functions, each opened once per process."""
    opened = []
    for chosen in stages:
        key = (chosen.stage.name, chosen.stage.version, repr(chosen.config))
        if key not in _OPENED:
            _OPENED[key] = chosen.open()
        opened.append(_OPENED[key])
    return opened
