"""What a search's runs can be compared by with those of another: what its domains hold, what it is measured on.

Reads the cluster, the domain and the tokens of every document, where a version has clusters, else only the records of
its files; and the validation sets. Writes one row of JSON (`MIXTURE_BASIS`). Memory: of a map three columns of a shard;
of a reduce about 30 bytes for each shard, domain and cluster that have a document in common, and the clusters are split
so that there are no more of these than in 512 shards; of the last task one validation set and the centroids.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.clusters.job import read_codebook
from jobs.mixtures.domains import Clustered, Domain, Domains
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.exchange import PARTITION, Exchange, Feed, Place, Reduced, exchange
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record
from schemas.mixture_result import Composition, MixtureBasis
from schemas.mixtures import DOMAIN_CELLS, MIXTURE_BASIS

BASIS_STEP = "mixture-basis"

OWN_CELLS = "domains"
"""The codebook of versions without clusters."""

_SHARDS = 512
"""Documents' shards for each partition of the cells."""


def basis_of(domains: Domains, judges: Domains, validation: Dataset) -> Dataset:
    """The basis of searches over `domains`, measured on the samples `validation` of `judges`."""
    clustered = domains.clustered
    held = (domains.files,) if clustered is None else (count_cells(clustered), clustered.clusters)
    return Dataset(
        name=BASIS_STEP,
        version=1,
        config=None,
        inputs=(*held, validation),
        schema=MIXTURE_BASIS,
        expand=partial(_expand, domains, judges),
        libraries=("numpy",),
        counts_of=tuple(dict.fromkeys((*domains.counts_of, *judges.counts_of))),
    )


def read_basis(table: pa.Table) -> MixtureBasis:
    """The basis in a shard."""
    return MixtureBasis.model_validate_json(table["basis"][0].as_py())


def count_cells(clustered: Clustered) -> Dataset:
    """`DOMAIN_CELLS` of documents, one shard per partition of the clusters."""
    feed = Feed(
        map=count_shard,
        datasets=(clustered.assignment, clustered.placement, clustered.tokens),
        columns=(("cluster",), ("domain",), ("num_tokens",)),
    )
    functions = Exchange(name="domain-cells", version=1, spills=DOMAIN_CELLS, writes=DOMAIN_CELLS, reduce=sum_partition)
    return exchange(functions, None, [feed], partitions=lambda shards, _: max(1, ceil(len(shards) / _SHARDS)))


def count_shard(_: None, place: Place, table: pa.Table) -> pa.Table:
    """Columns `cluster`, `domain` and `num_tokens` of a shard to its `DOMAIN_CELLS`, by partition of the cluster."""
    placed = table.filter(pc.is_valid(table["domain"]))
    cell = pc.fill_null(placed["cluster"], -1)
    tokens = pc.add(placed["num_tokens"].cast(pa.int64()), 1)
    rows = _total(pa.table([placed["domain"], cell, tokens], schema=DOMAIN_CELLS))
    target = np.mod(rows["cell"].to_numpy(), place.partitions).astype(np.int32)
    return rows.append_column(PARTITION, pa.array(target))


def sum_partition(_: None, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    """The cells of some shards, added up."""
    return Reduced(table=_total(rows))


def _total(rows: pa.Table) -> pa.Table:
    summed = rows.group_by(["domain", "cell"], use_threads=False).aggregate([("tokens", "sum")])
    ordered = summed.sort_by([("domain", "ascending"), ("cell", "ascending")])
    return pa.table([ordered[name] for name in ("domain", "cell", "tokens_sum")], schema=DOMAIN_CELLS)


def _expand(domains: Domains, judges: Domains, dataset: Dataset, expansion: Expansion) -> list[Task]:
    held, *clusters = (expansion.shards(d) for d in dataset.inputs[:-1])
    validation = expansion.shards(dataset.inputs[-1])
    inputs = tuple(dict.fromkeys((*held, *(shard for shards in clusters for shard in shards), *validation)))
    found = domains.find(expansion)
    sets = tuple(domain.name for domain in judges.find(expansion))
    output = dataset.shard(*(shard.key for shard in inputs), *(domain.name for domain in found), *sets)
    call = BasisCall(
        domains=found,
        held=held,
        clusters=clusters[0][0] if clusters else None,
        validation=dict(zip(sets, validation, strict=True)),
        output=output,
        made=Made(libraries=dataset.versions, counters={}),
    )
    return [Task(label="1/1", outputs=(output,), call=call, inputs=inputs)]


@dataclass(frozen=True, kw_only=True, slots=True)
class BasisCall:
    """The basis of one search."""

    domains: tuple[Domain, ...]
    held: tuple[Shard, ...]
    """`DOMAIN_CELLS`, or the files of a version without clusters."""
    clusters: Shard | None
    validation: Mapping[str, Shard]
    """`DOMAIN_SAMPLE` of each set."""
    output: Shard
    made: Made

    def __call__(self, store: Store) -> list[Record]:
        basis = MixtureBasis(
            composition=self._whole(store) if self.clusters is None else self._of_clusters(store, self.clusters),
            validation={name: _held_out(store, shard) for name, shard in self.validation.items()},
        )
        content = basis.model_dump_json().encode()
        return [store.commit(self.output, pa.table({"basis": [content]}, schema=MIXTURE_BASIS), self.made)]

    def _of_clusters(self, store: Store, clusters: Shard) -> Composition:
        codebook = read_codebook(store.read(clusters))
        tokens: dict[str, dict[str, int]] = {domain.name: {} for domain in self.domains}
        rows = pa.concat_tables(store.read(shard) for shard in self.held)
        for name, cell, count in zip(*(rows[column].to_pylist() for column in rows.column_names), strict=True):
            if name in tokens:
                tokens[name][str(cell)] = count
        shape = str(codebook.centroids.shape).encode()
        return Composition(codebook=_hash(codebook.model, shape, codebook.centroids), tokens=tokens)

    def _whole(self, store: Store) -> Composition:
        """Every domain as its own cell, which is the same in another version if the bytes of its files are."""
        tokens = {}
        for domain in self.domains:
            files = [store.record(self.held[number]).sha256.encode() for number in domain.files]
            tokens[domain.name] = {f"{domain.name}/{_hash(*files)}": domain.tokens}
        return Composition(codebook=OWN_CELLS, tokens=tokens)


def _held_out(store: Store, sample: Shard) -> str:
    """Digest of what is held out of a sample: the tokens of its documents, in order."""
    table = store.read(sample, ["is_validation", "tokens"])
    tokens = table.filter(table["is_validation"])["tokens"]
    parts: Sequence[np.ndarray] = [chunk.flatten().to_numpy().astype("<i4") for chunk in tokens.chunks]
    lengths = pc.list_value_length(tokens).to_numpy().astype("<i4")
    return _hash(lengths, *parts)


def _hash(*parts: bytes | np.ndarray) -> str:
    """Hex blake2b-128 of bytes one after another."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()
