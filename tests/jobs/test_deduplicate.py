import hashlib

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from jobs import deduplicate
from jobs.deduplicate import DUPLICATES, DuplicatesConfig
from jobs.partitions import partition_by_prefix
from pipeline.exchange import Place
from schemas.documents import ID, SHA256

CONFIG = DuplicatesConfig()
Shards = list[list[tuple[int, int | None]]]
"""(document number, text number or None for no text) by shard."""


def table(rows: list[tuple[int, int | None]]) -> pa.Table:
    return pa.table(
        {
            "document_id": pa.array([document_id(number) for number, _ in rows], ID),
            "text_hash": pa.array([text_hash(text) for _, text in rows], SHA256),
            "size": pa.array([10] * len(rows), pa.int64()),
        }
    )


def document_id(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4, "big")).digest()[:16]


def text_hash(text: int | None) -> bytes | None:
    return None if text is None else hashlib.sha256(b"text" + text.to_bytes(4, "big")).digest()


def run(shards: Shards, partitions: int) -> tuple[list[list[bytes | None]], list[dict[str, int]]]:
    """Both exchanges by hand: maps, partitions, reduces, and back to the shards."""
    tables = [table(rows) for rows in shards]
    spilled = pa.concat_tables(
        deduplicate._first_of_shard(CONFIG, Place(index=i, partitions=partitions), t.drop_columns("size"))
        for i, t in enumerate(tables)
    )
    shared = pa.concat_tables(
        deduplicate._shared_between_shards(
            CONFIG,
            Place(index=p, partitions=partitions),
            spilled.filter(pc.equal(spilled["partition"], p)).drop_columns("partition"),
            None,
        ).table
        for p in range(partitions)
    )
    out = []
    for i, base in enumerate(tables):
        rows = shared.filter(pc.equal(shared["shard"], i))
        out.append(deduplicate._verdict(CONFIG, Place(index=i, partitions=len(tables)), rows, base))
    assert all(o.table.schema.equals(DUPLICATES) for o in out)
    return [o.table["duplicate_of"].to_pylist() for o in out], [dict(o.counters) for o in out]


def expected(shards: Shards) -> list[list[bytes | None]]:
    survivor: dict[int, bytes] = {}
    for rows in shards:
        for number, text in rows:
            if text is not None:
                survivor[text] = min(survivor.get(text, b"\xff" * 16), document_id(number))
    return [[None if t is None or survivor[t] == document_id(n) else survivor[t] for n, t in rows] for rows in shards]


def test_the_smallest_id_survives_within_and_between_shards() -> None:
    shards: Shards = [[(1, 7), (2, 7), (3, 8)], [(4, 7), (5, None), (6, None)], [(7, 9)]]
    verdicts, counters = run(shards, partitions=2)
    assert verdicts == expected(shards)
    assert sum(v is not None for shard in verdicts for v in shard) == 2
    assert sum(c["reason:duplicate"] for c in counters) == 2
    assert sum(c["out_rows"] for c in counters) == 5
    assert sum(c["bytes"] - c["out_bytes"] for c in counters) == 20


@given(
    st.lists(st.lists(st.none() | st.integers(0, 5), max_size=8), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_duplicates_equal_the_obvious_loop(texts: list[list[int | None]], partitions: int) -> None:
    numbers = iter(range(1000))
    shards = [[(next(numbers), text) for text in shard] for shard in texts]
    assert run(shards, partitions)[0] == expected(shards)


def test_partitions_are_equal_ranges_of_the_first_two_bytes() -> None:
    keys = pa.array([bytes([a, b]) + bytes(14) for a, b in ((0, 0), (0x55, 0x55), (0x55, 0x56), (0xFF, 0xFF))], ID)
    assert partition_by_prefix(keys, 3).to_pylist() == [0, 0, 1, 2]
    assert partition_by_prefix(keys.slice(2), 3).to_pylist() == [1, 2]
