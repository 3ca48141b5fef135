"""What proxies see: held-out documents never overlap with those to train on, and never depend on order."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.mixtures.samples import SampleConfig, take_documents
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


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="validation_share must be above 0"):
        SampleConfig(validation_share=0.0)
    with pytest.raises(ValueError, match="max_validation_tokens"):
        SampleConfig(max_validation_tokens=0)
