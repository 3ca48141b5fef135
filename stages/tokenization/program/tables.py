"""Hash tables on the device: built and read by many at once, open addressing, every key compared."""

from collections.abc import Sequence

import torch
from torch import Tensor

_FIRST, _SECOND, _THIRD = -7046029254386353131, -4658895280553007687, -7723592293110705685
"""Odd 64-bit multipliers (SplitMix64's) as signed numbers: torch has no unsigned arithmetic."""


def mix(first: Tensor, second: Tensor) -> Tensor:
    """A hash of two int64, at least 0. Integer arithmetic wraps, so all devices agree."""
    state = first * _FIRST ^ (second + _THIRD) * _SECOND
    state = (state ^ (state >> 29)) * _SECOND
    return (state ^ (state >> 32)) & 0x7FFFFFFFFFFFFFFF


class Table:
    """Values of distinct keys, each two int64."""

    def __init__(self, keys: Sequence[Tensor], values: Tensor) -> None:
        """`keys` are the two columns; `values` int32, at least 0. The table is at most a quarter full."""
        first, second = keys
        slots = 1 << max(4, (4 * len(first) - 1).bit_length())
        self._mask = slots - 1
        self.keys = torch.zeros((slots, 2), dtype=torch.int64, device=first.device)
        """int64[slots, 2]: the key in each slot."""
        self.values = torch.full((slots,), -1, dtype=torch.int32, device=first.device)
        """int32[slots], a power of two: the value in each slot, -1 in empty ones."""
        left = torch.arange(len(first), device=first.device)
        slot = mix(first, second) & self._mask
        while len(left):
            free = self.values[slot] < 0
            owner = torch.full((slots,), len(first), device=first.device)
            owner.scatter_reduce_(0, slot[free], left[free], "amin")
            taken = left[owner[slot] == left]
            at = slot[owner[slot] == left]
            self.keys[at, 0], self.keys[at, 1], self.values[at] = first[taken], second[taken], values[taken]
            rest = owner[slot] != left
            left, slot = left[rest], (slot[rest] + 1) & self._mask

    def find(self, first: Tensor, second: Tensor) -> Tensor:
        """int32: the value of each key, -1 where it has none. Synchronises once per slot that the unluckiest tries."""
        slot = mix(first, second) & self._mask
        found, missed = self._look(slot, first, second)
        left = torch.nonzero(missed).squeeze(1)
        while len(left):
            first, second, slot = first[missed], second[missed], (slot[missed] + 1) & self._mask
            found[left], missed = self._look(slot, first, second)
            left = left[missed]
        return found

    def _look(self, slot: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Values in these slots, -1 in empty ones, and whether they are of other keys."""
        keys, found = self.keys[slot], self.values[slot]
        return found, (found >= 0) & ((keys[:, 0] != first) | (keys[:, 1] != second))
