"""The merges of a vocabulary as tables on the device, and the check that they can be applied in rounds."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stages.tokenization.pieces import Pieces
from stages.tokenization.program.tables import Table

NEVER = torch.iinfo(torch.int32).max
"""Order of a pair that has no merge."""

Merges = npt.NDArray[np.int32]


def effective_merges(merges: Merges) -> Merges:
    """The merges that stand: where a pair is listed twice, the last."""
    pairs = merges[::-1, 0].astype(np.int64) << 32 | merges[::-1, 1]
    _, last = np.unique(pairs, return_index=True)
    standing: Merges = merges[np.sort(len(merges) - 1 - last)]
    return standing


def check_order(merges: Merges, byte_ids: npt.NDArray[np.int32], pieces: Pieces, name: str) -> None:
    """Raise ValueError if a merge makes a token of which a merge that comes before it is made.

    Then applying all merges of lowest rank at once is applying them one by one: what they make has no part in a merge
    of lower rank, so nothing comes between them.
    """
    made = np.full(max(len(pieces), int(merges.max(initial=0)) + 1), -1, np.int64)
    order = np.arange(len(merges))
    np.maximum.at(made, merges[:, 2], order)
    late = np.flatnonzero((made[merges[:, 0]] >= order) | (made[merges[:, 1]] >= order))
    if len(late):
        left, right, new = merges[late[0]].tolist()
        raise ValueError(
            f"vocabulary {name}: merge {late[0]}, of {pieces[left]!r} and {pieces[right]!r} to token {new}, comes "
            f"before the merge that makes one of the two; merging in rounds would not be exact, use engine='reference'"
        )
    known = np.isin(merges[:, :2], np.concatenate([byte_ids, merges[:, 2]])).all(axis=1)
    if not known.all():
        raise ValueError(f"vocabulary {name}: merge {merges[~known][0].tolist()} is of a token that nothing makes")


class MergeTable:
    """What pairs of tokens become, and in which order."""

    def __init__(self, merges: Merges, byte_ids: npt.NDArray[np.int32], device: torch.device) -> None:
        """`merges` are rows (left id, right id, new id) of distinct pairs; `byte_ids` the id of each byte."""
        rows = torch.from_numpy(np.ascontiguousarray(merges)).to(device)
        left, right = rows[:, 0].long(), rows[:, 1].long()
        order = torch.arange(len(rows), dtype=torch.int32, device=device)
        self.pairs = Table((left, right), order)
        """The position of the merge of each two ids."""
        self.byte_ids = torch.from_numpy(np.ascontiguousarray(byte_ids)).to(device)
        """int32: the id of each byte."""
        self.made = rows[:, 2].contiguous()
        """int32: the id that each merge makes."""
        self._byte_orders = torch.full((1 << 16,), NEVER, dtype=torch.int32, device=device)
        bytes_ = torch.full((int(max(merges.max(initial=0), byte_ids.max())) + 1,), -1, device=device)
        bytes_[self.byte_ids.long()] = torch.arange(256, device=device)
        plain = torch.nonzero((bytes_[left] >= 0) & (bytes_[right] >= 0)).squeeze(1)
        self._byte_orders[bytes_[left[plain]] << 8 | bytes_[right[plain]]] = order[plain]

    def orders(self, left: Tensor, right: Tensor) -> Tensor:
        """int32: the position of the merge of each two ids, `NEVER` where there is none."""
        found = self.pairs.find(left.long(), right.long())
        return torch.where(found < 0, NEVER, found)

    def byte_orders(self, data: Tensor, piece: Tensor) -> Tensor:
        """int32: the same for each byte and the next; `NEVER` for the last byte of a piece."""
        orders = torch.full((len(data),), NEVER, dtype=torch.int32, device=data.device)
        orders[:-1] = self._byte_orders[data[:-1].int() << 8 | data[1:]]
        return orders.masked_fill_(ends_of(piece), NEVER)


def ends_of(piece: Tensor) -> Tensor:
    """bool: the next is of another piece, or there is none."""
    ends = torch.ones_like(piece, dtype=torch.bool)
    ends[:-1] = piece[1:] != piece[:-1]
    return ends
