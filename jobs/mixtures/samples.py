"""What proxies see of every domain: some documents to train on and some that are held out.

Reads the published files of a domain in order, until there is enough. Writes one shard of `DOMAIN_SAMPLE` per domain.
Memory: one published file and the sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.mixtures.domains import Domain, Domains
from jobs.placement import shuffle_keys
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record
from schemas.mixtures import DOMAIN_SAMPLE

_LEAST_HELD_OUT = 2
"""Tokens: the end of a document alone has no text to judge by."""

Bools = npt.NDArray[np.bool_]
Needs = Callable[[tuple[Domain, ...]], npt.NDArray[np.int64]]
"""Tokens to train on that are wanted of each domain: int64[K]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """How much is taken."""

    validation_share: float = 0.05
    """Share of the documents that is held out; 1 takes every document for validation and none for training."""
    max_validation_tokens: int = 200_000
    """Tokens held out of one domain: the last document is cut, those beyond are left out of training too."""
    seed: int = 0
    """Of the choice of documents to hold out."""

    def __post_init__(self) -> None:
        if not 0 < self.validation_share <= 1:
            raise ValueError(f"validation_share must be above 0 and at most 1, got {self.validation_share}")
        if self.max_validation_tokens < 1:
            raise ValueError(f"max_validation_tokens must be at least 1, got {self.max_validation_tokens}")


def sample_domains(domains: Domains, config: SampleConfig, needs: Needs, needs_config: object) -> Dataset:
    """A sample of every domain, in their order. `needs_config` is what `needs` depends on, for the key."""
    return Dataset(
        name="domain-samples",
        version=2,
        config=[config, needs_config],
        inputs=(domains.files,),
        schema=DOMAIN_SAMPLE,
        expand=partial(_expand, domains, config, needs),
        counts_of=domains.counts_of,
    )


def _expand(domains: Domains, config: SampleConfig, needs: Needs, dataset: Dataset, expansion: Expansion) -> list[Task]:
    found = domains.find(expansion)
    shards = expansion.shards(domains.files)
    tasks = []
    for domain, wanted in zip(found, needs(found).tolist(), strict=True):
        inputs = tuple(shards[number] for number in domain.files)
        output = dataset.shard(*(shard.key for shard in inputs), domain.name, str(wanted))
        call = SampleCall(config=config, wanted=wanted, inputs=inputs, output=output)
        tasks.append(Task(label=domain.name, outputs=(output,), call=call, inputs=inputs))
    return tasks


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleCall:
    """The sample of one domain."""

    config: SampleConfig
    wanted: int
    """Tokens to train on."""
    inputs: tuple[Shard, ...]
    output: Shard

    def __call__(self, store: Store) -> list[Record]:
        room, held, parts = self.wanted, self.config.max_validation_tokens, [DOMAIN_SAMPLE.empty_table()]
        for shard in self.inputs:
            table = store.read(shard, ["document_id", "tokens", "num_tokens"])
            taken, is_validation = take_documents(table, self.config, room, held)
            parts.append(_sampled(table, taken, is_validation))
            lengths = table["num_tokens"].to_numpy()
            room -= int(lengths[taken & ~is_validation].sum())
            held -= int(lengths[taken & is_validation].sum())
            if room <= 0 and held <= 0:
                break
        sample = _cut_validation(_divided(pa.concat_tables(parts), self.config), self.config.max_validation_tokens)
        counters = {"tokens": sum(len(chunk.flatten()) for chunk in sample["tokens"].chunks)}
        return [store.commit(self.output, sample, Made(libraries={}, counters=counters))]


def take_documents(table: pa.Table, config: SampleConfig, room: int, held: int) -> tuple[Bools, Bools]:
    """Which rows are taken, and which of all rows are held out: bool[N] each.

    Of either kind the first ones are taken, until `room` tokens to train on and `held` tokens for validation are
    reached. Where the hash holds none of several documents out, the one with the smallest hash is.
    """
    lengths = table["num_tokens"].to_numpy().astype(np.int64)
    keys = shuffle_keys(pa.concat_arrays(table["document_id"].chunks), config.seed)
    is_validation = keys <= np.uint64(min(int(config.validation_share * 2.0**64), 2**64 - 1))
    if len(keys) > 1 and not is_validation.any():
        is_validation[np.argmin(keys)] = True
    if config.validation_share < 1 and len(keys) and is_validation.all():
        is_validation[np.argmax(keys)] = False
    taken = np.zeros(len(keys), bool)
    for kind, limit in ((False, room), (True, held)):
        rows = np.flatnonzero(is_validation == kind)
        before = np.cumsum(lengths[rows]) - lengths[rows]
        taken[rows[before < limit]] = True
    return taken, is_validation


def _divided(sample: pa.Table, config: SampleConfig) -> pa.Table:
    """With the end of the last document held out where no document is: a domain of one document can be judged too."""
    last = sample.num_rows - 1
    length = len(sample["tokens"][last]) if sample.num_rows else 0
    if length < 2 * _LEAST_HELD_OUT or pc.any(sample["is_validation"]).as_py():
        return sample
    held = max(_LEAST_HELD_OUT, int(length * config.validation_share))
    pieces = [_piece(sample, last, 0, length - held, False), _piece(sample, last, length - held, length, True)]
    return pa.concat_tables([sample.slice(0, last), *pieces])


def _cut_validation(sample: pa.Table, most: int) -> pa.Table:
    """With at most so many tokens held out: the document that goes beyond is cut."""
    rows = np.flatnonzero(sample["is_validation"].to_numpy())
    lengths = pc.list_value_length(sample["tokens"]).to_numpy()[rows]
    excess = int(lengths.sum()) - most
    if excess <= 0:
        return sample
    row = int(rows[-1])
    piece = _piece(sample, row, 0, int(lengths[-1]) - excess, True)
    return pa.concat_tables([sample.slice(0, row), piece, sample.slice(row + 1)])


def _piece(sample: pa.Table, row: int, begin: int, end: int, is_validation: bool) -> pa.Table:
    """One row: tokens `begin` to `end` of a document."""
    tokens = sample["tokens"][row].values[begin:end]
    values = {"is_validation": [is_validation], "document_id": [sample["document_id"][row].as_py()]}
    offsets = pa.array([0, end - begin], pa.int32())
    return pa.table(values | {"tokens": pa.ListArray.from_arrays(offsets, tokens)}, schema=DOMAIN_SAMPLE)


def _sampled(table: pa.Table, taken: Bools, is_validation: Bools) -> pa.Table:
    rows = pa.array(np.flatnonzero(taken))
    columns = {
        "is_validation": pa.array(is_validation[taken]),
        "document_id": table["document_id"].take(rows),
        "tokens": table["tokens"].take(rows),
    }
    return pa.table(columns, schema=DOMAIN_SAMPLE)
