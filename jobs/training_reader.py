"""A PyTorch dataset over the sequences of a packing: split over ranks and workers, stopped and resumed to the row.

Reads a published version as it lies, without an export. Needs the extra `train`. Memory per worker: one data file (4
bytes per token) per domain where domains are mixed, else one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.utils.data import IterableDataset, get_worker_info

from jobs.packing.rows import Documents, Index, gather
from jobs.packing.sequences import Version
from jobs.placement import mix
from schemas.manifest import Packing, PackingFile

Sample = dict[str, torch.Tensor]
"""`tokens` and `position_ids` int64, `segment_ids` int32, `loss_mask` bool: one value per token of a sequence."""

_BATCH_TOKENS = 1 << 18


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderConfig:
    """Which sequences, in which order, for whom."""

    packing: str
    domains: tuple[str, ...] = ()
    """Empty: all."""
    rank: int = 0
    """Of this process among those that train."""
    world_size: int = 1
    is_mixed: bool = True
    """Take from every domain in proportion to its sequences; else domain after domain."""
    seed: int = 0
    """Of the order of the sequences in all epochs but the first, which has that of the packing."""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(
                f"rank = {self.rank}: expected 0 to {self.world_size - 1}, as world_size is {self.world_size}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Share:
    """What one consumer reads of a file: every `step`-th sequence."""

    file: PackingFile
    first: int
    step: int

    @property
    def rows(self) -> int:
        return max(0, -(-(self.file.rows - self.first) // self.step))


class SequenceDataset(IterableDataset[Sample]):
    """Every sequence once per epoch, over all ranks and workers together.

    `state_dict` and `load_state_dict` as `StatefulDataLoader` calls them: the position is exact, and a state goes on
    with the same packing, domains, seed, rank, number of ranks and of workers. `set_epoch` before an epoch gives it its
    own order.
    """

    def __init__(self, version: Version, config: ReaderConfig) -> None:
        super().__init__()
        self._version, self._config = version, config
        self._packing = version.packing(config.packing)
        files = version.files(config.packing, config.domains or None)
        domains = sorted({_domain(file) for file in files})
        self._domains = [[name] for name in domains] if config.is_mixed else [domains]
        """Of each stream."""
        self._streams = [[file for file in files if _domain(file) in names] for names in self._domains]
        self._epoch = 0
        self._taken = [0] * len(self._streams)
        self._resumed: dict[str, Any] | None = None

    def set_epoch(self, epoch: int) -> None:
        """The order of the next pass. A loaded state brings its own."""
        self._epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """Where this process stands: what it has given of each stream."""
        if self._resumed is not None:
            return dict(self._resumed)
        consumer, consumers = self._place()
        return {
            **self._order(),
            "consumer": consumer,
            "consumers": consumers,
            "epoch": self._epoch,
            "taken": list(self._taken),
        }

    def _order(self) -> dict[str, Any]:
        """What decides which sequences come when, beside the reader's place and the epoch."""
        return {"packing": self._packing.identity, "domains": self._domains, "seed": self._config.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there with the next iterator. Raises ValueError for another packing, seed or other domains."""
        for name, own in self._order().items():
            if state.get(name) != own:
                raise ValueError(
                    f"the state is of {name} {state.get(name)}, this reader's is {own}; open the version and the "
                    "reader that it was saved with"
                )
        self._resumed = state

    def __iter__(self) -> Iterator[Sample]:
        place = self._place()
        state, self._resumed = self._resumed, None
        self._taken = [0] * len(self._streams)
        if state is not None:
            if (state["consumer"], state["consumers"]) != place:
                raise ValueError(
                    f"the state is of reader {state['consumer']} of {state['consumers']}, this is {place[0]} of "
                    f"{place[1]}; resume with the ranks and workers that it was saved with"
                )
            self._epoch, self._taken = state["epoch"], list(state["taken"])
        shares = [_shares(files, *place) for files in self._streams]
        totals = [sum(share.rows for share in own) for own in shares]
        rows = [self._rows(own, taken) for own, taken in zip(shares, self._taken, strict=True)]
        for stream in _schedule(totals, self._taken):
            sample = next(rows[stream])
            self._taken[stream] += 1  # before the sample is out: a state taken now is behind it
            yield sample

    def _place(self) -> tuple[int, int]:
        """Number of this reader among all workers of all ranks."""
        worker = get_worker_info()
        own, count = (worker.id, worker.num_workers) if worker else (0, 1)
        return self._config.rank * count + own, self._config.world_size * count

    def _rows(self, shares: Sequence[_Share], taken: int) -> Iterator[Sample]:
        """Samples of one stream, without the first `taken`."""
        for share in shares:
            if taken >= share.rows:
                taken -= share.rows
                continue
            index, documents = self._open(share)
            per_row = self._packing.sequence_length or max(1, share.file.tokens // max(1, share.file.rows))
            step = max(1, _BATCH_TOKENS // per_row)
            for first in range(taken, share.rows, step):
                end = min(share.rows, first + step)
                yield from _samples(_gather(index, documents, first, end, self._packing))
            taken = 0

    def _open(self, share: _Share) -> tuple[Index, Documents]:
        """The rows of a share in the order of the epoch, and the documents that they are of."""
        index, documents = self._version.read_index(share.file), self._version.read_documents(share.file.data)
        index.check(documents, self._packing.sequence_length, self._version.url(share.file.path))
        rows = _shuffle(len(index), self._config.seed, self._epoch)
        return _take(index, rows[share.first :: share.step]), documents


def _domain(file: PackingFile) -> str:
    return file.data.split("/")[1]


def _shuffle(rows: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Rows of a file: as they are in the first epoch, by a hash of (seed, epoch, row) in the others."""
    if not epoch:
        return np.arange(rows)
    with np.errstate(over="ignore"):
        key = mix(mix(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch))
        hashes = mix(mix(np.arange(rows, dtype=np.uint64) + np.uint64(1)) ^ key)
    return np.argsort(hashes, kind="stable")


def _shares(files: Sequence[PackingFile], consumer: int, consumers: int) -> list[_Share]:
    """Whole files as far as their number divides that of the readers, then every n-th sequence of them."""
    groups = gcd(len(files), consumers) if files else 1
    first, step = consumer // groups, consumers // groups
    return [_Share(file=file, first=first, step=step) for file in files[consumer % groups :: groups]]


def _schedule(totals: Sequence[int], taken: Sequence[int]) -> Iterator[int]:
    """Which stream gives the next row, so that all streams come to their end together. A function of what is taken."""
    given = list(taken)
    while left := [n for n, total in enumerate(totals) if given[n] < total]:
        stream = min(left, key=lambda n: ((2 * given[n] + 1) / totals[n], n))
        given[stream] += 1
        yield stream


def _take(index: Index, rows: npt.NDArray[np.int64]) -> Index:
    """Some rows of an index."""
    sizes = np.diff(index.borders)[rows]
    borders = np.concatenate([[0], np.cumsum(sizes)])
    pieces = np.arange(borders[-1]) + np.repeat(index.borders[rows] - borders[:-1], sizes)
    return Index(
        borders=borders, document=index.document[pieces], start=index.start[pieces], length=index.length[pieces]
    )


def _gather(index: Index, documents: Documents, first: int, end: int, packing: Packing) -> pa.Table:
    return gather(index, documents, first, end, sequence_length=packing.sequence_length, padding=packing.padding)


def _samples(table: pa.Table) -> Iterator[Sample]:
    """Rows of `SEQUENCES` as tensors; padding is a segment of its own."""
    lists = {name: table[name].combine_chunks() for name in ("tokens", "loss_mask", "cu_seqlens")}
    offsets = lists["tokens"].offsets.to_numpy().astype(np.int64)
    borders = lists["cu_seqlens"].values.to_numpy().astype(np.int64)
    firsts = lists["cu_seqlens"].offsets.to_numpy()
    lengths = np.diff(borders)
    is_inside = np.ones(len(lengths), bool)
    is_inside[firsts[1:-1] - 1] = False  # from the end of a row to the start of the next
    counts = np.diff(firsts) - 1
    numbers = np.arange(len(lengths))[is_inside] - np.repeat(firsts[:-1], counts)
    starts = np.repeat(offsets[:-1], counts) + borders[:-1][is_inside]
    lengths = lengths[is_inside]
    values = {
        "tokens": torch.from_numpy(lists["tokens"].values.to_numpy().astype(np.int64)),
        "loss_mask": torch.from_numpy(lists["loss_mask"].values.to_numpy(zero_copy_only=False)),
        "position_ids": torch.from_numpy(np.arange(offsets[-1]) - np.repeat(starts, lengths)),
        "segment_ids": torch.from_numpy(np.repeat(numbers, lengths).astype(np.int32)),
    }
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        yield {name: tensor[start:end] for name, tensor in values.items()}
