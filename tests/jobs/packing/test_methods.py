"""Packings against their laws, and best-fit decreasing against a slow obvious twin."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.packing.methods import fit, pack_rows
from jobs.packing.packings import METHODS, PackingConfig
from schemas.corpus import PACKING
from tests.golden import digest

documents = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2)), max_size=30)
lengths = st.sampled_from([2, 3, 7, 16, 64])


def packed(sizes: list[int], groups: list[int], method: str, length: int, key: int = 0) -> pa.Table:
    table = pack_rows(
        np.array(sizes, np.int32), np.array(groups, np.int32), method=method, sequence_length=length, key=key
    )
    assert table.schema.equals(PACKING)
    return table


def rows_of(table: pa.Table) -> list[list[tuple[int, int, int]]]:
    lists = (table[name].to_pylist() for name in ("document", "start", "length"))
    return [list(zip(*row, strict=True)) for row in zip(*lists, strict=True)]


def slow_best_fit(sizes: list[int], capacity: int) -> list[int]:
    """Longest item first, into the bin with the least room that holds it; of equal ones the last that was filled."""
    room: list[int] = []
    filled: list[int] = []
    bins = [0] * len(sizes)
    for time, item in enumerate(sorted(range(len(sizes)), key=lambda n: -sizes[n])):
        fitting = [b for b in range(len(room)) if room[b] >= sizes[item]]
        if not fitting:
            fitting = [len(room)]
            room.append(capacity)
            filled.append(0)
        best = min(fitting, key=lambda b: (room[b], -filled[b]))
        room[best] -= sizes[item]
        filled[best] = time
        bins[item] = best
    return bins


@given(st.integers(1, 70).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=80))))
def test_best_fit_does_what_its_slow_twin_does(case: tuple[int, list[int]]) -> None:
    capacity, sizes = case
    assert fit(np.array(sizes, np.int32), capacity).tolist() == slow_best_fit(sizes, capacity)


@given(documents, lengths, st.sampled_from(METHODS))
def test_every_token_stands_once_and_no_row_is_too_long(given: list[tuple[int, int]], length: int, method: str) -> None:
    sizes, groups = [size for size, _ in given], np.cumsum([new > 0 for _, new in given]).tolist()
    table = packed(sizes, groups, method, length)
    rows = rows_of(table)
    stands = [[0] * size for size in sizes]
    for row, total in zip(rows, table["num_tokens"].to_pylist(), strict=True):
        assert total == sum(n for _, _, n in row)
        assert 1 <= total <= length
        for document, start, count in row:
            assert count > 0
            for token in range(start, start + count):
                stands[document][token] += 1
        assert row == sorted(row)
    assert all(count == 1 for tokens in stands for count in tokens)
    if method == "concatenate":
        assert all(sum(n for _, _, n in row) == length for row in rows[:-1])
    if method == "document":
        assert all(len(row) == 1 for row in rows)
    assert table.equals(packed(sizes, groups, method, length))


@given(documents, lengths)
def test_best_fit_cuts_only_what_is_longer_than_a_row(given: list[tuple[int, int]], length: int) -> None:
    sizes = [size for size, _ in given]
    rows = rows_of(packed(sizes, list(range(len(sizes))), "best-fit", length))
    pieces = sum(len(row) for row in rows)
    assert pieces == sum(-(-size // length) for size in sizes)


@given(documents, lengths)
def test_a_repository_is_one_run_that_begins_at_a_row_of_its_own_or_whole(
    given: list[tuple[int, int]], length: int
) -> None:
    """Documents of a group follow each other; the run is cut every `length` tokens, as one long document would be."""
    sizes, groups = [size for size, _ in given], np.cumsum([new > 0 for _, new in given]).tolist()
    starts = np.cumsum([0, *sizes])
    flat = [
        [(int(starts[d]) + s, int(starts[d]) + s + n, groups[d]) for d, s, n in row]
        for row in rows_of(packed(sizes, groups, "best-fit", length))
    ]
    first = {g: int(starts[groups.index(g)]) for g in groups}
    for row in flat:
        for (_, end, group), (begin, _, after) in pairwise(row):
            if group == after:
                assert end == begin
        for number, (begin, _, group) in enumerate(row):
            if not number or row[number - 1][2] != group:
                assert (begin - first[group]) % length == 0


def test_best_fit_fills_rows_of_real_lengths() -> None:
    sizes = np.random.default_rng(1).lognormal(6.5, 1.3, 5000).astype(int) + 1
    table = packed(sizes.tolist(), list(range(5000)), "best-fit", 2048)
    assert sizes.sum() / (table.num_rows * 2048) > 0.995


def test_whole_documents_without_a_length() -> None:
    assert rows_of(packed([5, 1, 9], [0, 1, 2], "document", 0)) == [[(0, 0, 5)], [(1, 0, 1)], [(2, 0, 9)]]


def test_a_length_that_nothing_fills_takes_no_memory() -> None:
    assert rows_of(packed([40, 70], [0, 1], "best-fit", 1 << 30)) == [[(0, 0, 40), (1, 0, 70)]]


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_pack(method: str) -> None:
    assert packed([], [], method, 8).num_rows == 0


def test_the_key_orders_the_rows_of_best_fit() -> None:
    sizes = list(range(1, 60))
    one, other = (rows_of(packed(sizes, sizes, "best-fit", 64, key)) for key in (1, 2))
    assert one != other
    assert sorted(one) == sorted(other)


def test_golden() -> None:
    """Changing what a method gives needs a new version of the step."""
    sizes = np.random.default_rng(5).integers(1, 300, 400).tolist()
    groups = (np.arange(400) // 3).tolist()
    found = {method: digest(packed(sizes, groups, method, 128, 7))[:12] for method in METHODS}
    assert found == {"best-fit": "3fdc6b7de885", "concatenate": "7e8a5f314b93", "document": "2c6e93682321"}


def test_names() -> None:
    assert PackingConfig().name == "best-fit-2048"
    assert PackingConfig(method="document", sequence_length=0).name == "document"
