"""The id index and the summary, against an obvious twin over the same corpus."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.index import IndexConfig, build_index
from jobs.summary import summarize
from pipeline.errors import ShardsFailedError
from schemas.columns import columns
from schemas.corpus import DATA, DECISION, INDEX, SUMMARY
from schemas.documents import ID, SHA256
from schemas.tokens import TOKENS
from tests import machine

DOCUMENTS = columns(
    pa.field("document_id", ID),
    pa.field("content_hash", SHA256),
    pa.field("origin", pa.string()),
    pa.field("revision", pa.string()),
    pa.field("language", pa.string()),
    pa.field("license", pa.string()),
    pa.field("size", pa.int64()),
)


def id_of(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def documents(numbers: list[int]) -> pa.Table:
    values = {
        "document_id": [id_of(n) for n in numbers],
        "content_hash": [None if n % 5 == 4 else hashlib.sha256(bytes([n % 7])).digest() for n in numbers],
        "origin": [f"folder:{n % 2}" for n in numbers],
        "revision": ["" for _ in numbers],
        "language": [None if n % 3 == 0 else "Python" for n in numbers],
        "license": [None if n % 4 else "MIT" for n in numbers],
        "size": [10 * n for n in numbers],
    }
    return pa.table(values, schema=DOCUMENTS)


def decisions(numbers: list[int]) -> pa.Table:
    return pa.table({"keep": [n % 2 == 0 for n in numbers], "reasons": [[] for _ in numbers]}, schema=DECISION)


def published(numbers: list[int]) -> pa.Table:
    """A file of these documents."""
    values = {
        "document_id": [id_of(number) for number in numbers],
        "tokens": [[1, 2] for _ in numbers],
        "num_tokens": [2 for _ in numbers],
        "group": list(range(len(numbers))),
    }
    return pa.table(values, schema=DATA)


shards = st.lists(st.lists(st.integers(0, 200), max_size=8), min_size=1, max_size=4).map(
    lambda lists: [sorted({n for n in numbers if n % len(lists) == i}) for i, numbers in enumerate(lists)]
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shards=shards, rows_per_partition=st.integers(1, 10))
def test_the_index_finds_every_document_and_its_tokens(
    shards: list[list[int]], rows_per_partition: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = [n for numbers in shards for n in numbers if n % 2 == 0]
    files = [kept[::2], kept[1::2]]
    base = machine.given("documents", *map(documents, shards))
    index = build_index(
        base,
        machine.given("decisions", *map(decisions, shards), beside=base),
        machine.given("files", *map(published, files)),
        IndexConfig(rows_per_partition=rows_per_partition),
    )
    tables = machine.run(machine.site_of(tmp_path_factory.mktemp("store")), index).tables(index)
    expected = []
    for shard, numbers in enumerate(shards):
        for row, number in enumerate(numbers):
            place = next(((f, file.index(number)) for f, file in enumerate(files) if number in file), None)
            expected.append(
                {
                    "document_id": id_of(number),
                    "content_hash": documents([number])["content_hash"][0].as_py(),
                    "shard": shard,
                    "row": row,
                    "keep": number % 2 == 0,
                    "file": place[0] if place else None,
                    "file_row": place[1] if place else None,
                }
            )
    count = len(tables)
    ranges = [[e for e in expected if int.from_bytes(e["document_id"][:2]) * count >> 16 == i] for i in range(count)]
    assert [t.to_pylist() for t in tables] == [sorted(r, key=lambda e: e["document_id"]) for r in ranges]
    assert all(t.schema.equals(INDEX) for t in tables)


def test_two_documents_of_one_id_are_refused(tmp_path: Path) -> None:
    tables = [documents([1, 2]), documents([2, 3])]
    base = machine.given("documents", *tables)
    index = build_index(
        base,
        machine.given("decisions", decisions([1, 2]), decisions([2, 3]), beside=base),
        machine.given("files", published([])),
    )
    with pytest.raises(ShardsFailedError, match=f"1 documents share origin.*{id_of(2).hex()}.*origin=NAME"):
        machine.run(machine.site_of(tmp_path), index)


def test_totals_by_source_language_and_licence(tmp_path: Path) -> None:
    numbers = [list(range(40)), [], list(range(40, 55))]
    lengths = [[None if n % 5 == 4 else n for n in part] for part in numbers]
    tokens = [pa.table({"tokens": [None] * len(part), "num_tokens": part}, schema=TOKENS) for part in lengths]
    base = machine.given("documents", *map(documents, numbers))
    summary = summarize(
        base,
        machine.given("decisions", *map(decisions, numbers), beside=base),
        machine.given("tokens", *tokens, beside=base),
    )
    (table,) = machine.run(machine.site_of(tmp_path), summary).tables(summary)
    expected: dict[tuple[object, ...], Counter[str]] = {}
    for row in pa.concat_tables(map(documents, numbers)).to_pylist():
        number = row["size"] // 10
        total = expected.setdefault(
            tuple(row[name] for name in ("origin", "revision", "language", "license")), Counter()
        )
        keep = int(number % 2 == 0)
        counted = {"documents": 1, "bytes": row["size"], "kept": keep, "kept_bytes": keep * row["size"]}
        total.update(counted | {"tokens": keep * (0 if number % 5 == 4 else number)})
    rows = {
        tuple(row[n] for n in SUMMARY.names[:4]): {n: row[n] for n in SUMMARY.names[4:]} for row in table.to_pylist()
    }
    assert rows == {key: dict(value) for key, value in expected.items()}
    assert table.num_rows == len(expected)
    assert np.sum(table["documents"]) == 55
