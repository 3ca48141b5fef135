"""The tasks of a search: propose mixtures, train and measure one proxy, choose, conclude."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.mixtures.basis import read_basis
from jobs.mixtures.earlier import EarlierSearch, informed
from jobs.mixtures.measuring import Samples, measure_mixture
from jobs.mixtures.method import Choice, Method
from jobs.mixtures.results import Measurements, Searched, Settings, conclude
from jobs.mixtures.runs import mixture_id
from jobs.mixtures.search_config import SearchConfig
from jobs.mixtures.space import Floats
from pipeline.fingerprint import canonical
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record
from schemas.mixture_result import MixtureBasis
from schemas.mixtures import MIXTURE_RESULT, MIXTURE_RUNS, MIXTURES


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a step of one task works with, beside the runs."""

    config: SearchConfig
    searched: Searched
    method: Method
    """Of the config; with evidence, the one that has learned from it."""
    basis: MixtureBasis | None
    """None where a step needs none."""
    earlier: tuple[EarlierSearch, ...]


Make = Callable[[Asked, Measurements], pa.Table]
"""From all runs so far to the table of a step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SingleCall:
    """One proposal, choice or result."""

    config: SearchConfig
    searched: Searched
    make: Make
    inputs: tuple[Shard, ...]
    rounds: tuple[int, ...]
    """Round of each input."""
    basis: Shard | None
    """`MIXTURE_BASIS`, for a step that needs it."""
    earlier: tuple[EarlierSearch, ...]
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        tables = [MIXTURE_RUNS.empty_table(), *(store.read(shard) for shard in self.inputs)]
        found = measurements_from(pa.concat_tables(tables), self.searched, self.rounds)
        return [store.commit(self.output, self.make(self._asked(store), found), self.made)]

    def _asked(self, store: Store) -> Asked:
        basis = None if self.basis is None else read_basis(store.read(self.basis))
        method = self.config.chosen
        if basis is not None and self.earlier:
            method = informed(self.config, self.earlier, basis, self.searched)
        return Asked(config=self.config, searched=self.searched, method=method, basis=basis, earlier=self.earlier)


def measurements_from(table: pa.Table, searched: Searched, rounds: tuple[int, ...]) -> Measurements:
    """Rows of `MIXTURE_RUNS`. Raises ValueError where an id is not of its weights."""
    mixtures = _flat(table["weights"]).reshape(table.num_rows, len(searched.space.domains))
    for row, found in zip(mixtures, table["mixture_id"].to_pylist(), strict=True):
        if mixture_id(row) != found:
            raise ValueError(f"run {found.hex()} holds the weights of mixture {mixture_id(row).hex()}")
    measured = _flat(table["bits_per_byte"]).reshape(table.num_rows, len(searched.objective.sets))
    return Measurements(mixtures=mixtures, bits_per_byte=measured, rounds=rounds)


def _flat(column: pa.ChunkedArray) -> Floats:
    values: Floats = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values


def _generator(config: SearchConfig, number: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, number])


def propose(number: int, count: int, asked: Asked, found: Measurements) -> pa.Table:
    searched, generator = asked.searched, _generator(asked.config, number)
    return _mixtures(asked.method.propose(searched.space, searched.runs(found), number, count, generator))


def _chosen(asked: Asked, found: Measurements) -> Choice:
    generator = _generator(asked.config, len(asked.method.rounds))
    return asked.method.choose(asked.searched.space, asked.searched.runs(found), generator)


def choose(asked: Asked, found: Measurements) -> pa.Table:
    return _mixtures(_chosen(asked, found).weights[None])


def conclude_search(corpus: str, asked: Asked, found: Measurements) -> pa.Table:
    """The choice is made again, from the same runs with the same draws; the last run is its own."""
    before = Measurements(
        mixtures=found.mixtures[:-1], bits_per_byte=found.bits_per_byte[:-1], rounds=found.rounds[:-1]
    )
    assert asked.basis is not None
    config = asked.config
    settings = Settings(
        corpus=corpus,
        method=config.method,
        proxy=canonical(config.proxy),
        vocabulary=config.text.vocabulary,
        seed=config.seed,
        basis=asked.basis,
        evidence=tuple(search.entry for search in asked.earlier),
    )
    result = conclude(settings, asked.searched, found, _chosen(asked, before))
    content = result.model_dump_json(indent=1).encode() + b"\n"
    return pa.table({"result": pa.array([content], pa.binary())}, schema=MIXTURE_RESULT)


def _mixtures(weights: Floats) -> pa.Table:
    rows = np.ascontiguousarray(weights, np.float64)
    offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1])
    columns = {
        "mixture_id": pa.array([mixture_id(row) for row in rows], pa.binary(16)),
        "weights": pa.ListArray.from_arrays(offsets, pa.array(rows.ravel())),
    }
    return pa.table(columns, schema=MIXTURES)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCall:
    """One proxy: trained on a mixture, measured on every validation set."""

    config: SearchConfig
    searched: Searched
    number: int
    """Row of the mixture."""
    mixtures: Shard
    samples: Samples
    device: str
    """Where a proxy of torch runs; not part of the key."""
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        weights = store.read(self.mixtures)["weights"][self.number].values.to_numpy()
        config, space = self.config, self.searched.space
        key, device = self.output.key, self.device
        measured = measure_mixture(
            store, config.proxy, config.text, space, weights, self.samples, key=key, device=device
        )
        columns = {
            "mixture_id": pa.array([mixture_id(weights)], pa.binary(16)),
            "weights": pa.array([weights.tolist()], pa.list_(pa.float64())),
            "bits_per_byte": pa.array([measured.tolist()], pa.list_(pa.float64())),
        }
        return [store.commit(self.output, pa.table(columns, schema=MIXTURE_RUNS), self.made)]
