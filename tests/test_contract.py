"""The shared laws catch the stages that break them."""

import ctypes
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.stage import Stage, configured
from tests.contract import check_stage
from tests.golden import digest

CALLS = itertools.count()
LENGTH = pa.schema([("length", pa.int32())])
TABLE = pa.table({"text": pa.array(["a", None, "bcd", "", "éé", None, "longer text"])})


def stage_of(transform, *, writes=LENGTH, **fields):
    stage = Stage(
        name="probe",
        version=1,
        reads=pa.schema([("text", pa.string())]),
        writes=writes,
        open=lambda _: transform,
        **fields,
    )
    return configured(stage, None)


def lengths(table):
    return pa.table({"length": pc.utf8_length(table["text"])})


def shifted(by):
    return lambda table: pa.table({"length": pc.add(pc.utf8_length(table["text"]), pa.scalar(by(table), pa.int32()))})


def raw_bytes(table):
    """Reads the bytes of a text from the offsets alone: sees what lies under nulls, forgets where a slice begins."""
    sizes = []
    for chunk in table["text"].chunks:
        offsets = np.frombuffer(chunk.buffers()[1], np.int32)[: len(chunk) + 1]
        sizes.append(pa.array(np.diff(offsets).astype(np.int32)))
    return pa.table({"length": pa.chunked_array(sizes, pa.int32())})


def overwrite(table):
    """Writes into its input."""
    for chunk in table["text"].chunks:
        data = chunk.buffers()[2]
        if data is not None:
            ctypes.memset(data.address, ord("z"), data.size)
    return lengths(table)


def test_check_stage_returns_the_output_of_a_stage_that_keeps_the_laws():
    assert check_stage(stage_of(lengths), TABLE)["length"].to_pylist() == [1, None, 3, 0, 2, None, 11]


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (shifted(lambda table: table.num_rows), "row-local"),
        (shifted(lambda table: len(table["text"].chunks)), "probe: "),
        (shifted(lambda table: next(CALLS)), "deterministic"),
        (raw_bytes, "probe: "),
        (lambda table: lengths(table).slice(0, max(table.num_rows - 1, 0)), "must write 7 rows"),
        (lambda table: lengths(table).append_column("more", table["text"]), "must write"),
        (lambda table: pa.table({"length": lengths(table)["length"].cast(pa.int64())}), "must write"),
        (overwrite, "changed its input"),
    ],
)
def test_check_stage_names_the_law_that_is_broken(transform, message):
    table = pa.table({"text": pa.array(TABLE["text"].to_pylist())})
    with pytest.raises((AssertionError, TypeError), match=message):
        check_stage(stage_of(transform), table)


def test_check_stage_refuses_nulls_in_a_column_declared_not_nullable():
    writes = pa.schema([pa.field("length", pa.int32(), nullable=False)])
    probe = stage_of(lambda table: lengths(table).cast(writes), writes=writes)
    with pytest.raises((AssertionError, pa.ArrowInvalid, ValueError)):
        check_stage(probe, TABLE)


def test_check_stage_refuses_counts_that_do_not_add_up():
    probe = stage_of(lengths, count=lambda out: {"batches": 1})
    with pytest.raises(AssertionError, match="must add up"):
        check_stage(probe, TABLE)


def test_check_stage_allows_a_tolerance_only_to_stages_that_are_not_exact():
    scores = pa.schema([("score", pa.list_(pa.float32(), 2))])

    def score(table):
        noise = np.float32(1e-7 * table.num_rows)
        values = np.repeat(pc.utf8_length(table["text"].fill_null("")).to_numpy().astype(np.float32), 2) + noise
        return pa.table({"score": pa.FixedSizeListArray.from_arrays(pa.array(values), 2)})

    with pytest.raises(AssertionError, match="needs no tolerance"):
        check_stage(stage_of(score, writes=scores), TABLE, tolerance=1e-3)
    with pytest.raises(AssertionError, match="row-local"):
        check_stage(stage_of(score, writes=scores, exact=False), TABLE, tolerance=1e-9)
    check_stage(stage_of(score, writes=scores, exact=False), TABLE, tolerance=1e-3)


COLUMNS = pa.table(
    {
        "lists": [[1, None], None, []] * 3,
        "structs": [{"x": 1}, None, {"x": None}] * 3,
        "bytes": [b"1", None, b""] * 3,
        "flags": [True, None, False] * 3,
        "words": pa.array(["a", "b", None] * 3).dictionary_encode(),
        "vectors": pa.array([[1.0, 2.0], None, [3.0, None]] * 3, pa.list_(pa.float32(), 2)),
        "ids": pa.array([b"ab", None, b"cd"] * 3, pa.binary(2)),
    }
)


@pytest.mark.parametrize("cut", range(10))
def test_digest_does_not_depend_on_chunks_or_slices(cut):
    assert digest(pa.concat_tables([COLUMNS.slice(0, cut), COLUMNS.slice(cut)])) == digest(COLUMNS)
    assert digest(COLUMNS.slice(3, 3)) == digest(COLUMNS.slice(0, 3))


@pytest.mark.parametrize("name", COLUMNS.column_names)
def test_digest_depends_on_values_their_order_and_nulls(name):
    column = COLUMNS.select([name])
    digests = {digest(column.slice(start, length)) for start in range(3) for length in range(1, 4)}
    assert len(digests) == 9


def test_digest_of_empty_and_null_text_differ():
    assert digest(pa.table({"text": pa.array([""])})) != digest(pa.table({"text": pa.array([None], pa.string())}))


def test_digest_refuses_a_type_without_a_canonical_form():
    with pytest.raises(TypeError, match="no canonical form for decimal"):
        digest(pa.table({"price": pa.array([1], pa.decimal128(5, 2))}))
