"""Byte-pair merging of many pieces at once, in rounds over all of them.

In each round every piece merges all its pairs of lowest order: where they overlap, the first, third, fifth and so on,
as merging them one by one from the left would. That is exact if no merge makes a token that is part of an earlier one
(`merge_table.check_order`). And all pairs are merged of which it is certain that they will be (`reach`), so that even
long pieces take few rounds.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from stages.tokenization.program.merge_table import NEVER, MergeTable, ends_of
from stages.tokenization.program.reach import Reach

_DEPTH = 12
"""Neighbours that are looked at on each side before a pair waits for its turn."""


@dataclass(kw_only=True, slots=True)
class _Lanes:
    """Tokens of the pieces that are not finished; the pair of a lane is it and the next."""

    lane: Tensor
    """int64: where its token is."""
    piece: Tensor
    """int64: its piece, ascending."""
    order: Tensor
    """int32: of the merge of its pair, `NEVER` if there is none."""
    of_left: Tensor
    """int32: of the first merge that could ever take the left of the pair to the right (`Reach`), if asked."""
    of_right: Tensor
    """int32: the same of the right of the pair to the left."""

    def keep(self, which: Tensor) -> None:
        """Only the lanes with these positions or flags."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[which])


def merge_pieces(
    table: MergeTable,
    data: Tensor,
    piece: Tensor,
    num_pieces: int,
    reach: Reach | None = None,
) -> tuple[Tensor, Tensor]:
    """Ids of all pieces end to end (int32), and how many each has (int64).

    `data` are the bytes of the pieces end to end, `piece` (int64, ascending) the number of the piece of each byte. A
    round takes time in the tokens of the pieces that are not finished, and synchronises a few times. Without `reach`
    there are as many rounds as different merges in one piece; with it about ten, and of a run of one letter the
    logarithm of its length.
    """
    tokens, alive = table.byte_ids[data.int()], torch.ones_like(piece, dtype=torch.bool)
    order = table.byte_orders(data, piece)
    lane = torch.arange(len(piece), device=piece.device)
    lanes = _Lanes(lane=lane, piece=piece, order=order, of_left=order, of_right=order)
    if reach:
        _look_ahead(reach, tokens, lanes)
    while True:
        lowest = torch.full((num_pieces,), NEVER, dtype=torch.int32, device=piece.device)
        lowest = lowest.scatter_reduce_(0, lanes.piece, lanes.order, "amin")[lanes.piece]
        left = torch.nonzero(lowest < NEVER).squeeze(1)
        if not len(left):
            break
        lanes.keep(left)
        chosen = _every_other(lanes.order == lowest[left])
        if reach:
            chosen |= _certain(lanes)
        _apply(table, reach, tokens, alive, lanes, torch.nonzero(chosen).squeeze(1))
    counts = torch.zeros(num_pieces, dtype=torch.int64, device=piece.device)
    return tokens[alive], counts.index_add_(0, piece, alive.long())


def _every_other(chosen: Tensor) -> Tensor:
    """Of each stretch of chosen lanes the first, third, fifth and so on."""
    index = torch.arange(len(chosen), device=chosen.device)
    before = torch.cummax(torch.where(chosen, -1, index), 0).values
    return chosen & ((index - before) % 2 == 1)


def _look_ahead(reach: Reach, tokens: Tensor, lanes: _Lanes) -> None:
    """Set what `Reach` says of all pairs."""
    ends = ends_of(lanes.piece)
    left, right = tokens[lanes.lane], tokens[lanes.lane.roll(-1)]
    lanes.of_left = reach.of_left(left, right).masked_fill_(ends, NEVER)
    lanes.of_right = reach.of_right(left, right).masked_fill_(ends, NEVER)


def _certain(lanes: _Lanes) -> Tensor:
    """Pairs that nothing can come before on either side. Two of them never overlap.

    A token is safe from its left up to an order if the merge of the two comes later, and so does any merge of it with
    what the left may have become; or else the left stays what it is because it is safe from its own left, and so on.
    From the left an equal order counts as before, from the right as after: of equal pairs the leftmost is first.
    """
    order = lanes.order
    safe_left, safe_right = torch.zeros_like(order, dtype=torch.bool), torch.zeros_like(order, dtype=torch.bool)
    for step in range(_DEPTH, 0, -1):
        safe_left = (_shift(lanes.of_right, step) > order) | safe_left
        safe_left &= _shift(order, step) > order
        safe_right = (_shift(lanes.of_left, -step) >= order) | safe_right
        safe_right &= _shift(order, -step) >= order
    return safe_left & safe_right & (order < NEVER)


def _shift(values: Tensor, step: int) -> Tensor:
    """The values so many lanes before, or after if negative; `NEVER` beyond the ends."""
    shifted = torch.full_like(values, NEVER)
    if step > 0:
        shifted[step:] = values[:-step]
    else:
        shifted[:step] = values[-step:]
    return shifted


def _apply(table: MergeTable, reach: Reach | None, tokens: Tensor, alive: Tensor, lanes: _Lanes, at: Tensor) -> None:
    """Merge the pairs at these lanes: the new token stands at the first, the second goes."""
    tokens[lanes.lane[at]] = table.made[lanes.order[at]]
    alive[lanes.lane[at + 1]] = False
    kept = torch.ones_like(lanes.piece, dtype=torch.bool)
    kept[at + 1] = False
    lanes.keep(kept)
    at = at - torch.arange(len(at), device=at.device)
    changed = torch.zeros_like(lanes.piece, dtype=torch.bool)
    changed[at] = True
    changed[(at - 1).clamp(min=0)] = True
    changed &= ~ends_of(lanes.piece)
    pair = torch.nonzero(changed).squeeze(1)
    left, right = tokens[lanes.lane[pair]], tokens[lanes.lane[pair + 1]]
    lanes.order[at] = NEVER
    lanes.order[pair] = table.orders(left, right)
    if reach:
        lanes.of_left[at], lanes.of_right[at] = NEVER, NEVER
        lanes.of_left[pair], lanes.of_right[pair] = reach.of_left(left, right), reach.of_right(left, right)
