"""The tasks of a search: propose mixtures, train and measure one proxy, choose, conclude."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.mixtures.measuring import Samples, measure_mixture
from jobs.mixtures.method import Choice
from jobs.mixtures.results import Evidence, Searched, Settings, conclude
from jobs.mixtures.runs import mixture_id
from jobs.mixtures.search_config import SearchConfig
from jobs.mixtures.space import Floats
from pipeline.fingerprint import canonical
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record
from schemas.mixtures import MIXTURE_RESULT, MIXTURE_RUNS, MIXTURES

Make = Callable[[SearchConfig, Searched, Evidence], pa.Table]
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
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        tables = [MIXTURE_RUNS.empty_table(), *(store.read(shard) for shard in self.inputs)]
        evidence = evidence_from(pa.concat_tables(tables), self.searched, self.rounds)
        return [store.commit(self.output, self.make(self.config, self.searched, evidence), self.made)]


def evidence_from(table: pa.Table, searched: Searched, rounds: tuple[int, ...]) -> Evidence:
    """Rows of `MIXTURE_RUNS`. Raises ValueError where an id is not of its weights."""
    mixtures = _flat(table["weights"]).reshape(table.num_rows, len(searched.space.domains))
    for row, found in zip(mixtures, table["mixture_id"].to_pylist(), strict=True):
        if mixture_id(row) != found:
            raise ValueError(f"run {found.hex()} holds the weights of mixture {mixture_id(row).hex()}")
    measured = _flat(table["bits_per_byte"]).reshape(table.num_rows, len(searched.objective.sets))
    return Evidence(mixtures=mixtures, bits_per_byte=measured, rounds=rounds)


def _flat(column: pa.ChunkedArray) -> Floats:
    values: Floats = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values


def _generator(config: SearchConfig, number: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, number])


def propose(number: int, count: int, config: SearchConfig, searched: Searched, evidence: Evidence) -> pa.Table:
    runs, generator = searched.runs(evidence), _generator(config, number)
    return _mixtures(config.chosen.propose(searched.space, runs, number, count, generator))


def _chosen(config: SearchConfig, searched: Searched, evidence: Evidence) -> Choice:
    generator = _generator(config, len(config.chosen.rounds))
    return config.chosen.choose(searched.space, searched.runs(evidence), generator)


def choose(config: SearchConfig, searched: Searched, evidence: Evidence) -> pa.Table:
    return _mixtures(_chosen(config, searched, evidence).weights[None])


def conclude_search(corpus: str, config: SearchConfig, searched: Searched, evidence: Evidence) -> pa.Table:
    """The choice is made again, from the same runs with the same draws; the last run is its own."""
    before = Evidence(
        mixtures=evidence.mixtures[:-1], bits_per_byte=evidence.bits_per_byte[:-1], rounds=evidence.rounds[:-1]
    )
    settings = Settings(
        corpus=corpus,
        method=config.method,
        proxy=canonical(config.proxy),
        vocabulary=config.text.vocabulary,
        seed=config.seed,
    )
    result = conclude(settings, searched, evidence, _chosen(config, searched, before))
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
