"""What proxies see: held-out documents never overlap with those to train on, and never depend on order."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.mixtures.samples import SampleCall, SampleConfig, take_documents
from pipeline.site_file import StoreSite
from pipeline.storage import open_storage
from pipeline.store import Made, Shard, Store
from schemas.documents import ID


def documents(lengths: list[int]) -> pa.Table:
    ids = [hashlib.blake2b(bytes([n % 256, n // 256]), digest_size=16).digest() for n in range(len(lengths))]
    return pa.table({"document_id": pa.array(ids, ID), "num_tokens": pa.array(lengths, pa.int32())})


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(0, 400), st.integers(1, 100))
def test_documents_are_taken_from_the_front_until_there_is_enough(lengths: list[int], room: int, held: int) -> None:
    taken, is_validation = take_documents(documents(lengths), SampleConfig(validation_share=0.2), room, held)
    sizes = np.array(lengths)
    for kind, limit in ((False, room), (True, held)):
        rows = np.flatnonzero(is_validation == kind)
        chosen = taken[rows]
        count = int(chosen.sum())
        assert chosen[:count].all()
        assert sizes[rows[:count]].sum() >= min(limit, sizes[rows].sum())
        assert count == 0 or sizes[rows[: count - 1]].sum() < limit
    if len(lengths) > 1:
        assert is_validation.any()
        assert not is_validation.all()
    else:
        assert not is_validation.any()


def test_the_same_documents_are_held_out_in_any_company() -> None:
    table = documents([5] * 400)
    config = SampleConfig(validation_share=0.1)
    whole = take_documents(table, config, 10_000, 10_000)[1]
    half = take_documents(table.slice(0, 200), config, 10_000, 10_000)[1]
    assert (whole[:200] == half).all()
    assert 20 < whole.sum() < 60
    assert (take_documents(table, SampleConfig(validation_share=0.1, seed=1), 1, 1)[1] != whole).any()


def test_a_whole_corpus_can_be_for_validation() -> None:
    taken, is_validation = take_documents(documents([5] * 10), SampleConfig(validation_share=1.0), 0, 25)
    assert is_validation.all()
    assert taken.tolist() == [True] * 5 + [False] * 5


def sampled(tmp_path: Path, lengths: list[int], config: SampleConfig, wanted: int = 1_000) -> pa.Table:
    """The sample of one shard of documents; the tokens of each are 0, 1, 2, ..."""
    tokens = pa.array([list(range(length)) for length in lengths], pa.list_(pa.int32()))
    store = Store(open_storage(StoreSite(path=str(tmp_path))))
    shards = [Shard(step=step, key=step, base=step) for step in ("files", "sample")]
    store.commit(shards[0], documents(lengths).append_column("tokens", tokens), Made(libraries={}, counters={}))
    SampleCall(config=config, wanted=wanted, inputs=(shards[0],), output=shards[1])(store)
    return store.read(shards[1])


@pytest.mark.parametrize(("length", "held"), [(100, 5), (4, 2), (3, 0), (0, 0)])
def test_of_a_single_document_the_end_is_held_out(length: int, held: int, tmp_path: Path) -> None:
    rows = sampled(tmp_path, [length] * bool(length), SampleConfig()).to_pylist()
    pieces = {row["is_validation"]: row["tokens"] for row in rows}
    assert len(rows) == (2 if held else bool(length))
    assert pieces.get(True, []) == list(range(length))[length - held :]
    assert pieces.get(False, []) == list(range(length))[: length - held]


def test_what_is_held_out_is_cut_to_its_limit(tmp_path: Path) -> None:
    config = SampleConfig(validation_share=0.5, max_validation_tokens=25)
    rows = sampled(tmp_path, [10] * 20, config).to_pylist()
    assert [len(row["tokens"]) for row in rows if row["is_validation"]] == [10, 10, 5]
    assert {len(row["tokens"]) for row in rows if not row["is_validation"]} == {10}


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="validation_share must be above 0"):
        SampleConfig(validation_share=0.0)
    with pytest.raises(ValueError, match="max_validation_tokens"):
        SampleConfig(max_validation_tokens=0)
