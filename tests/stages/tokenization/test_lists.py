"""Arrow lists to numpy and back."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from stages.tokenization.lists import fixed, is_null, list_array, list_views, row_ranges

KIND = pa.list_(pa.int32())


def test_lists_go_to_numpy_and_back_without_a_copy():
    lists = pa.array([[9], [1, 2], None, [], [3]], KIND).slice(1)
    offsets, values = list_views(lists)
    assert [values[a:b].tolist() for a, b in pairwise(offsets)] == [[1, 2], [], [], [3]]
    assert values.ctypes.data == lists.values.buffers()[1].address
    assert is_null(lists).tolist() == [False, True, False, False]
    again = list_array(offsets.astype(np.int64) - 1, values[1:], KIND, is_null(lists))
    assert again.equals(lists)


def test_empty_lists_have_one_offset():
    for lists in (pa.array([], KIND), pa.array([[1]], KIND).slice(1)):
        offsets, values = list_views(lists)
        assert (offsets.tolist(), values.dtype) == ([0], np.int32)


def test_nulls_inside_lists_and_too_many_values_are_refused():
    with pytest.raises(ValueError, match="null"):
        list_views(pa.array([[1, None]], KIND))
    with pytest.raises(ValueError, match="2147483648 values in 1 rows do not fit 32-bit offsets"):
        list_array(np.array([0, 1 << 31]), np.zeros(0, np.int32), KIND)


def test_a_fixed_array_is_a_view_that_cannot_be_written():
    array = np.arange(3, dtype=np.int64)
    view = fixed(array, np.int64)
    assert np.shares_memory(array, view)
    assert array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


def test_ranges_of_rows_hold_as_much_as_fits_and_one_row_at_least():
    offsets = np.array([3, 5, 5, 9, 20, 21, 22], np.int32)
    assert list(row_ranges(offsets, 4)) == [(0, 2), (2, 1), (3, 1), (4, 2)]
    assert list(row_ranges(offsets, 100)) == [(0, 6)]
    assert list(row_ranges(offsets[:1], 4)) == []
