from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.dataset import Dataset
from pipeline.errors import ShardsFailedError
from pipeline.exchange import Aligned, Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from tests import machine

WORDS = columns(pa.field("word", pa.string()), pa.field("count", pa.int64()))
TEXT = columns(pa.field("word", pa.string()))
TOTALS = columns(pa.field("word", pa.string()), pa.field("count", pa.int64()), pa.field("shards", pa.int32()))
POSITIONS = columns(pa.field("row", pa.int64()), pa.field("total", pa.int64()))
ROWS = columns(pa.field("row", pa.int64()), pa.field("word", pa.string()))


@dataclass(frozen=True, kw_only=True, slots=True)
class WordsConfig:
    """Added to every partition number, to send rows astray."""

    astray: int = 0


def partition_of(words: pa.ChunkedArray, partitions: int) -> pa.Array:
    """Letters of the word modulo the partitions; null goes to the first."""
    lengths = pc.fill_null(pc.utf8_length(words), 0)
    quotient = pc.multiply(pc.divide(lengths, partitions), partitions)
    return pc.subtract(lengths, quotient).cast(pa.int32())


def count_words(config: WordsConfig, place: Place, table: pa.Table) -> pa.Table:
    grouped = table.group_by("word", use_threads=False).aggregate([("word", "count")]).rename_columns(WORDS.names)
    partition = pc.add(partition_of(grouped["word"], place.partitions), pa.scalar(config.astray, pa.int32()))
    return grouped.append_column("partition", partition)


def add_counts(config: WordsConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    assert base is None
    grouped = rows.group_by("word", use_threads=False).aggregate([("count", "sum"), ("count", "count")])
    table = grouped.rename_columns(TOTALS.names).cast(TOTALS)
    return Reduced(table=table, counters={"words": table.num_rows})


def word_counts(source: Dataset, partitions: int, config: WordsConfig = WordsConfig()) -> Dataset:
    functions = Exchange(name="words", version=1, spills=WORDS, writes=TOTALS, reduce=add_counts)
    feed = Feed(map=count_words, datasets=(source,), columns=(("word",),))
    return exchange(functions, config, [feed], partitions=lambda shards, records: partitions)


def texts(*shards: list[str]) -> Dataset:
    return machine.given("texts", *(pa.table({"word": shard}, schema=TEXT) for shard in shards))


words = st.lists(st.lists(st.text("ab", max_size=4), max_size=8), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shards=words, partitions=st.integers(1, 5))
def test_all_rows_of_a_partition_meet(
    shards: list[list[str]], partitions: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    counted = word_counts(texts(*shards), partitions)
    tables = machine.run(machine.site_of(tmp_path_factory.mktemp("store")), counted).tables(counted)
    expected: list[dict[str, tuple[int, int]]] = [{} for _ in range(partitions)]
    for word in sorted({word for shard in shards for word in shard}):
        seen = [Counter(shard)[word] for shard in shards if word in shard]
        expected[len(word) % partitions][word] = (sum(seen), len(seen))
    got = [{row["word"]: (row["count"], row["shards"]) for row in table.to_pylist()} for table in tables]
    assert got == expected


def keep_place(config: WordsConfig, place: Place, table: pa.Table) -> pa.Table:
    start = pa.scalar(1000 * place.index, pa.int64())
    rows = pa.array(range(table.num_rows), pa.int64())
    spilled = pa.table({"row": pc.add(rows, start), "word": table["word"]})
    return spilled.append_column("partition", pa.nulls(table.num_rows, pa.int32()).fill_null(0))


def in_order(config: WordsConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    return Reduced(table=rows)


def test_a_reduce_sees_rows_in_the_order_of_the_feeds_and_shards(tmp_path: Path) -> None:
    first, second = texts(["c", "a"], ["b"]), machine.given("more", pa.table({"word": ["z", "y"]}, schema=TEXT))
    functions = Exchange(name="order", version=1, spills=ROWS, writes=ROWS, reduce=in_order)
    feeds = [Feed(map=keep_place, datasets=(source,), columns=(("word",),)) for source in (first, second)]
    ordered = exchange(functions, WordsConfig(), feeds, partitions=lambda shards, records: 2)
    tables = machine.run(machine.site_of(tmp_path), ordered).tables(ordered)
    assert tables[0].to_pydict() == {"row": [0, 1, 1000, 0, 1], "word": ["c", "a", "b", "z", "y"]}
    assert tables[1].num_rows == 0


def number_of(config: WordsConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    """Row number in the shard, and how many rows its partition was sent."""
    assert base is not None
    total = pa.array([rows.num_rows] * base.num_rows, pa.int64())
    return Reduced(table=pa.table({"row": pa.array(range(base.num_rows), pa.int64()), "total": total}))


def to_next_shard(config: WordsConfig, place: Place, table: pa.Table) -> pa.Table:
    target = pa.array([(place.index + 1) % place.partitions] * table.num_rows, pa.int32())
    counts = pa.array([1] * table.num_rows, pa.int64())
    return pa.table({"word": table["word"], "count": counts, "partition": target})


def test_an_aligned_reduce_writes_a_sidecar(tmp_path: Path) -> None:
    source = texts(["a", "b"], ["c"], ["d", "e", "f"])
    functions = Exchange(name="aligned", version=1, spills=WORDS, writes=POSITIONS, reduce=number_of)
    feed = Feed(map=to_next_shard, datasets=(source,), columns=(("word",),))
    aligned = Aligned(datasets=(source,), columns=(("word",),))
    sidecar = exchange(functions, WordsConfig(), [feed], partitions=aligned)
    ran = machine.run(machine.site_of(tmp_path), sidecar)
    assert [t["total"].to_pylist() for t in ran.tables(sidecar)] == [[3, 3], [2], [1, 1, 1]]
    assert [s.base for s in ran.plan.shards(sidecar)] == [s.key for s in ran.plan.shards(source)]


@pytest.mark.parametrize(("astray", "named"), [(-1, "-1 to"), (2, "to 3")])
def test_a_partition_out_of_range_fails_the_map(astray: int, named: str, tmp_path: Path) -> None:
    counted = word_counts(texts(["a", "bb"]), 2, WordsConfig(astray=astray))
    with pytest.raises(ShardsFailedError, match=rf"words-map 1/1: ValueError: partitions .*{named}.* outside 0 to 1"):
        machine.run(machine.site_of(tmp_path), counted)


def test_spills_are_gone_once_their_readers_are_committed(tmp_path: Path) -> None:
    counted = word_counts(texts(["a"], ["b"]), 3)
    site = machine.site_of(tmp_path)
    assert machine.run(site, counted).made.count("words-map") == 2
    left = [path.parent.name for path in [*tmp_path.glob("shards/*/*"), *tmp_path.glob("records/*/*")]]
    assert not [name for name in left if name.startswith("words-map")]
    assert Counter(name.partition("-")[0] for name in left) == {"texts": 4, "words": 6}
    assert machine.run(site, counted).made == []


def test_one_lost_output_makes_its_spills_again_and_only_that_output(tmp_path: Path) -> None:
    counted = word_counts(texts(["a"], ["b"]), 3)
    site = machine.site_of(tmp_path)
    ran = machine.run(site, counted)
    before = machine.made_of(tmp_path)
    ran.plan.store.discard(ran.plan.shards(counted)[1])
    again = machine.run(site, counted)
    assert Counter(again.made) == {"words-map": 2, "words": 1}
    assert machine.made_of(tmp_path) == before


def test_a_reduce_that_writes_other_columns_is_refused(tmp_path: Path) -> None:
    functions = Exchange(name="words", version=1, spills=WORDS, writes=WORDS, reduce=add_counts)
    feed = Feed(map=count_words, datasets=(texts(["a"]),), columns=(("word",),))
    wrong = exchange(functions, WordsConfig(), [feed], partitions=lambda shards, records: 1)
    with pytest.raises(ShardsFailedError, match="words 1/1: TypeError: words must write"):
        machine.run(machine.site_of(tmp_path), wrong)


def test_keys_depend_on_partitions_and_input(tmp_path: Path) -> None:
    site = machine.site_of(tmp_path)
    keys = []
    for source, partitions in ((texts(["a"]), 1), (texts(["a"]), 2), (texts(["b"]), 1)):
        counted = word_counts(source, partitions)
        plan = machine.plan_of(site, counted)
        plan.grow()
        keys += [shard.key for shard in plan.shards(counted)]
    assert len(set(keys)) == len(keys) == 4
