"""Streams of random numbers by key, and keys by document."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from stages.tokenization.draws import below, document_keys, draw, happens


def test_draws_are_uniform_and_depend_on_key_and_count():
    keys = document_keys(pa.array([bytes([n]) * 16 for n in range(200)], pa.binary(16)), 3)
    numbers = np.array([draw(key, count) for key in keys for count in range(50)], np.uint64)
    assert len(set(numbers.tolist())) == 10_000
    assert abs((numbers >> np.uint64(63)).mean() - 0.5) < 0.03
    shares = Counter(int(below(number, 3)) for number in numbers)
    assert set(shares) == {0, 1, 2}
    assert max(shares.values()) < 3_600
    assert abs(sum(bool(happens(number, 0.1)) for number in numbers) / 10_000 - 0.1) < 0.02


def test_document_keys_differ_by_id_and_by_every_number_in_order():
    ids = pa.array([b"a" * 16, b"b" * 16, b"a" * 8 + b"b" * 8], pa.binary(16))
    found = [
        tuple(document_keys(ids, *numbers).tolist()) for numbers in [(), (0,), (1,), (0, 1), (1, 0), (0, 0), (-1,)]
    ]
    assert len({key for row in found for key in row}) == 21
    assert document_keys(ids.slice(1), 5).tolist() == document_keys(ids, 5).tolist()[1:]
    assert document_keys(ids.slice(3)).tolist() == []
    with pytest.raises(ValueError, match="without nulls"):
        document_keys(pa.array([None], pa.binary(16)))


def test_streams_and_keys_stay_what_they_are():
    """The known first numbers of SplitMix64 from the state 1234567."""
    assert [int(draw(np.uint64(1234567), count)) for count in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    assert document_keys(pa.array([bytes(range(16))], pa.binary(16)), 1, 2).tolist() == [13196705437042547491]
