"""Which merges are certain: for two neighbouring tokens, the first merge that could ever take one away from its place.

Merging one by one, a token changes only by a merge with a neighbour, and a neighbour only grows. So what stands to the
left of a token ends in the bytes of what stands there now, and the merges of that token with all such tokens are known
beforehand. A pair whose own merge comes before all of them, on both sides, is merged in the end whatever else happens,
and can be merged at once. Text that takes thousands of rounds by lowest order takes ten this way.
"""

import torch
from torch import Tensor

from stages.tokenization.program.tables import Table
from stages.tokenization.program.uniques import piece_keys, spread

NEVER = torch.iinfo(torch.int32).max


class Reach:
    """Tables over all merges and all tokens that begin or end their parts: about 400 bytes per merge."""

    def __init__(self, merges: Tensor, begins: Tensor, lengths: Tensor, data: Tensor, tokens: Table) -> None:
        """`merges` are int64 rows (left id, right id, new id); the bytes of token t are `lengths[t]` of `data` from
        `begins[t]`; `tokens` finds tokens by their bytes."""
        left, right = merges[:, 0], merges[:, 1]
        at, number, offset = spread(begins[left], lengths[left])
        endings = tokens.find(*piece_keys(data, at, lengths[left][number] - offset)).long()
        self._of_right = _lowest(endings, right[number], number)
        at, number, offset = spread(begins[right], lengths[right])
        beginnings = tokens.find(*piece_keys(data, begins[right][number], offset + 1)).long()
        self._of_left = _lowest(left[number], beginnings, number)

    def of_right(self, left: Tensor, right: Tensor) -> Tensor:
        """int32: the lowest order of a merge of `right` with a token before it that ends in `left`."""
        return _or_never(self._of_right.find(left.long(), right.long()))

    def of_left(self, left: Tensor, right: Tensor) -> Tensor:
        """int32: the lowest order of a merge of `left` with a token after it that begins with `right`."""
        return _or_never(self._of_left.find(left.long(), right.long()))


def _or_never(found: Tensor) -> Tensor:
    return torch.where(found < 0, NEVER, found)


def _lowest(left: Tensor, right: Tensor, order: Tensor) -> Table:
    """For each two tokens the lowest of the orders given with them; -1 is no token."""
    real = (left >= 0) & (right >= 0)
    pairs, number = torch.unique(left[real] << 32 | right[real], return_inverse=True)
    lowest = torch.full((len(pairs),), NEVER, dtype=torch.int32, device=pairs.device)
    lowest.scatter_reduce_(0, number, order[real].int(), "amin")
    return Table((pairs >> 32, pairs & 0xFFFFFFFF), lowest)
