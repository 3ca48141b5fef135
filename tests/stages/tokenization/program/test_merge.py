"""Tables, keys and merging against what is slow and obvious."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.tokenization.pieces import Pieces
from stages.tokenization.program.merge import merge_pieces
from stages.tokenization.program.merge_table import MergeTable, check_order, effective_merges
from stages.tokenization.program.reach import Reach
from stages.tokenization.program.tables import Table
from stages.tokenization.program.uniques import equal_pieces, piece_keys, representatives
from tests.stages.tokenization.program.material import DEVICES, flat
from tests.stages.tokenization.twins import merge_slowly

BYTES = np.arange(256, dtype=np.int32)
PIECES = st.lists(st.text("abc", max_size=40).map(str.encode), max_size=6)


@st.composite
def merge_lists(draw):
    """Merges over a, b and c of which none makes a part of an earlier one."""
    known, rows, pairs = [97, 98, 99], [], set()
    for _ in range(draw(st.integers(0, 25))):
        new = 256 + len(rows)
        pair = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        if pair not in pairs:
            pairs.add(pair)
            rows.append((*pair, new))
            known.append(new)
    return rows


def reach_of(merges, device):
    """`Reach` of tokens that are numbered 0, 1, ...: of those of the same bytes the first that merging leads to."""
    spelt = {number: bytes([number]) for number in range(256)}
    for left, right, new in merges:
        spelt[new] = spelt[left] + spelt[right]
    offsets, data = (
        torch.from_numpy(array.copy()).to(device) for array in flat([spelt[token] for token in sorted(spelt)])
    )
    begins, lengths = offsets[:-1].long(), torch.diff(offsets).long()
    rows = torch.tensor(merges, dtype=torch.int64, device=device).reshape(-1, 3)
    made = torch.tensor(
        [token for token in sorted(spelt) if merge_slowly(spelt[token], merges) == [token]], device=device
    )
    tokens = Table(piece_keys(data, begins[made], lengths[made]), made.int())
    return Reach(rows, begins, lengths, data, tokens)


def merged(merges, pieces, device="cpu", ahead=True):
    table = MergeTable(np.array(merges, np.int32).reshape(-1, 3), BYTES, torch.device(device))
    offsets, data = (torch.from_numpy(array.copy()).to(device) for array in flat(pieces))
    piece = torch.repeat_interleave(torch.arange(len(pieces), device=device), torch.diff(offsets))
    ids, counts = merge_pieces(table, data, piece, len(pieces), reach_of(merges, device) if ahead else None)
    return [part.tolist() for part in torch.split(ids, counts.tolist())] if pieces else []


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("ahead", [True, False])
@given(merges=merge_lists(), pieces=PIECES)
@settings(max_examples=120, deadline=None)
def test_merging_in_rounds_is_merging_one_by_one(merges, pieces, device, ahead):
    assert merged(merges, pieces, device, ahead) == [merge_slowly(piece, merges) for piece in pieces]


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 3)), unique=True), st.data())
@settings(max_examples=60, deadline=None)
def test_a_table_finds_what_is_in_it_and_nothing_else(keys, data):
    columns = [torch.tensor([key[column] for key in keys], dtype=torch.int64) for column in (0, 1)]
    table = Table((columns[0], columns[1]), torch.arange(len(keys), dtype=torch.int32))
    asked = data.draw(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 3)))) + keys
    first, second = (torch.tensor([key[column] for key in asked], dtype=torch.int64) for column in (0, 1))
    assert table.find(first, second).tolist() == [keys.index(key) if key in keys else -1 for key in asked]


@given(st.lists(st.one_of(st.binary(max_size=40), st.text("ab\0", max_size=18).map(str.encode)), max_size=12))
@settings(max_examples=150, deadline=None)
def test_equal_stretches_have_one_representative_and_different_ones_never(pieces):
    pieces = [piece for piece in pieces * 2 if piece]
    offsets, data = (torch.from_numpy(array.copy()).long() for array in flat(pieces))
    begin, length, data = offsets[:-1], torch.diff(offsets), data.to(torch.uint8)
    chosen = representatives(data, begin, length, piece_keys(data, begin, length)).tolist()
    first_of = {pieces[at]: at for at in chosen}
    assert [pieces[at] for at in chosen] == pieces
    assert len(set(chosen)) == len(first_of) == len(set(pieces))


def test_stretches_with_the_same_hash_stand_for_themselves():
    pieces = [b"x" * 20, b"y" * 20, b"x" * 20, b"x" * 21, b"z" * 16, b"x" * 20]
    offsets, data = (torch.from_numpy(array.copy()) for array in flat(pieces))
    begin, length = offsets[:-1].long(), torch.diff(offsets).long()
    one = torch.ones(len(pieces), dtype=torch.int64)
    chosen = representatives(data, begin, length, (one, one)).tolist()
    assert [pieces[at] for at in chosen] == pieces
    assert equal_pieces(data, begin, data, begin.flip(0), torch.full_like(begin, 3)).tolist() == [
        pieces[at][:3] == pieces[-1 - at][:3] for at in range(len(pieces))
    ]


def test_of_a_pair_that_is_listed_twice_the_last_merge_stands():
    merges = np.array([(97, 98, 256), (98, 99, 257), (97, 98, 258)], np.int32)
    assert effective_merges(merges).tolist() == [[98, 99, 257], [97, 98, 258]]


def test_merges_of_what_nothing_makes_are_refused():
    pieces = Pieces(offsets=np.arange(301), data=np.zeros(300, np.uint8))
    with pytest.raises(ValueError, match=r"merge \[97, 300, 256\] is of a token that nothing makes"):
        check_order(np.array([(97, 300, 256)], np.int32), BYTES, pieces, "v")
