import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stages.embed.vectors import store_vectors, stored_vectors, unit_vectors


def unit(rows: np.ndarray) -> np.ndarray:
    wide = rows.astype(np.float64)
    norm = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(norm > 0, norm, 1)


@given(arrays.arrays(np.float16, (3, 7), elements=st.floats(-2, 2, width=16)))
def test_halves_are_widened_exactly_and_scaled(rows: np.ndarray) -> None:
    np.testing.assert_allclose(unit_vectors(rows), unit(rows), atol=1e-6)


@given(arrays.arrays(np.int8, (3, 7)))
def test_bytes_are_scaled(rows: np.ndarray) -> None:
    np.testing.assert_allclose(unit_vectors(rows), unit(rows), atol=1e-6)


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_vectors_come_back_from_slices_chunks_and_nulls(storage: str) -> None:
    rows = np.random.default_rng(1).standard_normal((9, 16)).astype(np.float32)
    rows[3] = 0
    is_there = np.arange(9) % 4 != 1
    column = store_vectors(rows, is_there, storage)
    assert column.null_count == 2
    for given_column, start in (
        (pa.chunked_array([column]), 0),
        (pa.chunked_array([column.slice(2, 3), column.slice(5)]), 2),
        (pa.chunked_array([column.slice(4)]), 4),
        (pa.chunked_array([], column.type), 9),
    ):
        stored, valid = stored_vectors(given_column)
        assert valid.tolist() == is_there[start:].tolist()
        np.testing.assert_allclose(unit_vectors(stored)[valid], unit(rows)[start:][valid], atol=0.02)


@pytest.mark.parametrize("storage", ["float16", "int8"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_vector_with_nan_or_infinity_is_missing(storage: str, wrong: float) -> None:
    rows = np.ones((4, 3), np.float32)
    rows[1], rows[2, 0] = wrong, wrong
    column = store_vectors(rows, np.ones(4, bool), storage)
    stored, is_there = stored_vectors(pa.chunked_array([column]))
    assert is_there.tolist() == [True, False, False, True]
    assert not stored[1:3].any()
