"""The maps and reduces that make a mixture: which documents are drawn once more, and every copy to its file.

A document is part of a unit: itself, or the documents of its group, which stay together. Every unit has a stream of
keys, a function of the seed and its first document's id: number 0 decides whether it is drawn, number k + 1 where its
k-th copy stands. So no copy's place says anything of another's, or of the draw.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.mixtures.realisation_plan import TOLERANCE, DomainPlan, RealiseConfig
from jobs.packing.files import SHUFFLED, arrange, file_numbers
from jobs.placement import mix, shuffle_keys
from pipeline.exchange import PARTITION, Place, Reduced
from schemas.columns import columns

BUCKET_BITS = 12
"""Units are first counted by this many high bits of their keys, so that only one bucket of a domain is sorted."""

BUCKETS = columns(pa.field("bucket", pa.int32()), pa.field("tokens", pa.int64()))
"""Tokens of a domain's units by the high bits of the key that draws them."""

UNITS = columns(pa.field("key", pa.uint64()), pa.field("tokens", pa.int64()))
"""Units of one bucket: the key that draws them, and their tokens."""

DRAW_COLUMNS = ("document_id", "num_tokens", "group")

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """Which units of a domain are drawn: those with keys below `end`."""

    end: int
    cut: int
    """Tokens of the unit whose key is `end` that are drawn too; 0 for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """The settings of all steps, filled in as their counts are known."""

    config: RealiseConfig
    runs: tuple[tuple[str, int], ...] = ()
    """(domain, number of its files), in the order of the source's files."""
    plans: tuple[DomainPlan, ...] = ()
    reads_all: bool = False
    """Every pass reads all files of the source; else only those of the domains that it needs."""
    buckets: tuple[tuple[int, int], ...] = ()
    """Of each plan: the bucket in which the draw ends, and the tokens of the buckets below it."""
    thresholds: tuple[Threshold, ...] = ()
    """Of each plan."""

    def number_of(self, file: int, needs: Callable[[DomainPlan], bool]) -> int:
        """Number of the plan that a file of a pass belongs to."""
        numbers = {plan.domain: number for number, plan in enumerate(self.plans)}
        for domain, files in self.runs:
            if self.reads_all or needs(self.plans[numbers[domain]]):
                if file < files:
                    return numbers[domain]
                file -= files
        raise AssertionError(f"file {file} is behind the last one")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Units:
    """The units of a file: keys before they are made a stream, tokens, and the unit of each row."""

    base: UInt64s
    tokens: Int64s
    of_row: Int64s
    starts: Int64s

    def keys(self, number: int) -> UInt64s:
        """Number of the stream: SplitMix64's output, whose state is the unit's base."""
        with np.errstate(over="ignore"):
            return mix(self.base + np.uint64(number + 1) * _STEP)


def has_rest(plan: DomainPlan) -> bool:
    """Whether some of the domain's documents stand in the mixture once more than others."""
    return plan.rest > 0


def count_tokens(draw: Draw, place: Place, table: pa.Table) -> pa.Table:
    """Tokens of a file's units by bucket."""
    number = draw.number_of(place.index, has_rest)
    if not draw.plans[number].rest:
        return _partitioned(BUCKETS.empty_table(), number)
    units = _units(table, draw.config.seed)
    buckets = (units.keys(0) >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
    tokens = np.bincount(buckets, units.tokens, 1 << BUCKET_BITS).astype(np.int64)  # exact below 2**53
    used = np.flatnonzero(tokens)
    counted = pa.table([pa.array(used.astype(np.int32)), pa.array(tokens[used])], schema=BUCKETS)
    return _partitioned(counted, number)


def find_bucket(draw: Draw, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    """The bucket of a domain in which the rest of its plan is reached."""
    rest = draw.plans[place.index].rest
    tokens = np.zeros(1 << BUCKET_BITS, np.int64)
    np.add.at(tokens, rows["bucket"].to_numpy(), rows["tokens"].to_numpy())
    ends = np.cumsum(tokens)
    bucket = int(np.searchsorted(ends, rest, side="right")) if rest else 0
    assert bucket < len(ends), "the rest is less than the tokens of the domain"
    below = int(ends[bucket] - tokens[bucket])
    return Reduced(table=BUCKETS.empty_table(), counters={"bucket": bucket, "below": below})


def list_bucket(draw: Draw, place: Place, table: pa.Table) -> pa.Table:
    """The units of a file that are in the bucket where the draw ends."""
    number = draw.number_of(place.index, has_rest)
    if not draw.plans[number].rest:
        return _partitioned(UNITS.empty_table(), number)
    units = _units(table, draw.config.seed)
    keys = units.keys(0)
    inside = (keys >> np.uint64(64 - BUCKET_BITS)) == np.uint64(draw.buckets[number][0])
    return _partitioned(pa.table([pa.array(keys[inside]), pa.array(units.tokens[inside])], schema=UNITS), number)


def find_threshold(draw: Draw, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    """Where the draw of a domain ends: at the unit nearest to the rest, or inside one where that is not near enough."""
    plan, (_, below) = draw.plans[place.index], draw.buckets[place.index]
    if not plan.rest:
        return Reduced(table=UNITS.empty_table(), counters={"end": 0, "cut": 0})
    ordered = rows.sort_by([("key", "ascending"), ("tokens", "ascending")])
    keys, ends = ordered["key"].to_numpy(), below + np.cumsum(ordered["tokens"].to_numpy())
    crossing = int(np.searchsorted(ends, plan.rest, side="right"))
    lower = int(ends[crossing - 1]) if crossing else below
    short, over = plan.rest - lower, int(ends[crossing]) - plan.rest
    end, cut = int(keys[crossing]), 0
    if min(short, over) > TOLERANCE * plan.planned:
        cut = short
    elif over < short:
        end += 1
    return Reduced(table=UNITS.empty_table(), counters={"end": end, "cut": cut})


@dataclass(frozen=True, slots=True)
class Copies:
    """The map of one pass over the files: a copy of what stands in the mixture more than `epoch` times."""

    epoch: int

    @property
    def __name__(self) -> str:  # a pass is a step of its own
        return f"copies-{self.epoch}"

    def needs(self, plan: DomainPlan) -> bool:
        """Whether a domain has documents in this pass."""
        return plan.passes > self.epoch

    def __call__(self, draw: Draw, place: Place, table: pa.Table) -> pa.Table:
        """`SHUFFLED` rows with the file that each copy's key chooses."""
        number = draw.number_of(place.index, self.needs)
        if not self.needs(draw.plans[number]):
            return _partitioned(SHUFFLED.empty_table(), 0)
        units = _units(table, draw.config.seed)
        lengths = self._lengths(draw, number, table["num_tokens"].to_numpy().astype(np.int64), units)
        kept = np.flatnonzero(lengths > 0)
        unit = units.of_row[kept]
        keys = units.keys(self.epoch + 1)[unit]
        is_single = np.bincount(units.of_row, minlength=len(units.starts))[unit] == 1
        values = {
            "document_id": table["document_id"].take(pa.array(kept)),
            "shuffle_key": pa.array(keys),
            "shuffle_rank": pa.array((kept - units.starts[unit]).astype(np.int32), mask=is_single),
            "tokens": _without_ends(table["tokens"], lengths),
        }
        files = file_numbers(keys, np.uint64(draw.config.num_files)).astype(np.int32)
        return pa.table(values).append_column(PARTITION, pa.array(files))

    def _lengths(self, draw: Draw, number: int, num_tokens: Int64s, units: _Units) -> Int64s:
        """Tokens of each row's copy with the one that ends it; 0 for a row that has none in this pass."""
        if self.epoch < draw.plans[number].full:
            return num_tokens
        end, cut = draw.thresholds[number].end, draw.thresholds[number].cut
        keys = units.keys(0)
        is_drawn = keys < np.uint64(end) if end < 1 << 64 else np.ones(len(keys), bool)
        room = np.where(is_drawn, units.tokens, 0)
        if cut:
            room[keys == np.uint64(end)] = cut
        ends = np.cumsum(num_tokens)
        before = ends - num_tokens
        before -= before[units.starts][units.of_row]
        kept: Int64s = np.clip(room[units.of_row] - before, 0, num_tokens)
        return kept


def write_file(draw: Draw, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    """A file of the mixture."""
    return arrange(rows, draw.config.files.end_of_document)


def _units(table: pa.Table, seed: int) -> _Units:
    group = table["group"].to_numpy()
    is_first = np.ones(len(group), bool)
    is_first[1:] = group[1:] != group[:-1]
    starts, of_row = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    ids = pa.concat_arrays(table["document_id"].take(pa.array(starts)).chunks) if len(starts) else None
    return _Units(
        base=np.empty(0, np.uint64) if ids is None else shuffle_keys(ids, seed),
        tokens=np.bincount(of_row, table["num_tokens"].to_numpy(), len(starts)).astype(np.int64),
        of_row=of_row,
        starts=starts,
    )


def _without_ends(lists: pa.ChunkedArray, lengths: Int64s) -> pa.ChunkedArray:
    """The first `lengths` - 1 tokens of each list; nothing for a length of 0. One chunk of the lists at a time."""
    made, row = [], 0
    for chunk in lists.chunks:
        own = lengths[row : row + len(chunk)]
        row += len(chunk)
        rows = np.flatnonzero(own)
        borders = np.concatenate([[0], np.cumsum(own[rows] - 1)])
        tokens = np.empty(borders[-1], np.int32)
        _take(chunk.offsets.to_numpy(), chunk.values.to_numpy(), rows, borders, tokens)
        made.append(pa.ListArray.from_arrays(pa.array(borders.astype(np.int32)), pa.array(tokens)))
    return pa.chunked_array(made, SHUFFLED.field("tokens").type)


def _take_tokens(offsets: Int32s, values: Int32s, rows: Int64s, borders: Int64s, tokens: Int32s) -> None:
    for number in range(len(rows)):
        at = offsets[rows[number]] - borders[number]
        for position in range(borders[number], borders[number + 1]):
            tokens[position] = values[at + position]


_take = numba.njit(cache=True)(_take_tokens)


def _partitioned(rows: pa.Table, number: int) -> pa.Table:
    return rows.append_column(PARTITION, pa.array(np.full(rows.num_rows, number, np.int32)))
