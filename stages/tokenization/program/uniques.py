"""Equal pretokens found at once: 128-bit keys of stretches of bytes, and one of each to stand for all.

A stretch of up to 15 bytes is its own key; longer ones are hashed, and bytes are compared wherever hashes are equal. So
a collision, made on purpose or not, costs time and never a wrong answer.
"""

import torch
from torch import Tensor

from stages.tokenization.program.tables import mix

MAX_EXACT = 15
"""Bytes that a key holds as they are."""

_ROUNDS = 12
"""Slots tried for a stretch before it stands for itself."""

Keys = tuple[Tensor, Tensor]


def piece_keys(data: Tensor, begin: Tensor, length: Tensor) -> Keys:
    """Two int64 per stretch of uint8 `data`; equal for equal stretches, and only for those up to `MAX_EXACT` bytes."""
    words = _words(data)
    masks = torch.tensor([(1 << 8 * size) - 1 for size in range(8)] + [-1], device=data.device)
    first = words[begin] & masks[length.clamp(max=8)]
    second = words[(begin + 8).clamp(max=len(words) - 1)] & masks[(length - 8).clamp(0, 7)] | length << 56
    long = torch.nonzero(length > MAX_EXACT).squeeze(1)
    if len(long):
        first[long], second[long] = _hashes(data, begin[long], length[long])
    return first, second


def _words(data: Tensor) -> Tensor:
    """int64: for each byte, it and the seven after it, the first lowest."""
    padded = torch.zeros(len(data) + 8, dtype=torch.int64, device=data.device)
    padded[: len(data)] = data
    for step in (1, 2, 4):
        padded[:-step] |= padded[step:] << 8 * step
    return padded[: len(data) + 1]


def _hashes(data: Tensor, begin: Tensor, length: Tensor) -> Keys:
    at, number, offset = spread(begin, length)
    letter = data[at] + (offset << 8)
    first, second = (torch.zeros_like(begin).index_add_(0, number, mix(letter, letter + salt)) for salt in (1, 2))
    return first, second | -1 << 56


def spread(begin: Tensor, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For every byte of stretches: its position, the number of its stretch, and its place in the stretch."""
    number = torch.repeat_interleave(torch.arange(len(begin), device=begin.device), length)
    index = torch.arange(len(number), device=begin.device)
    offset = index - (torch.cumsum(length, 0) - length)[number]
    return begin[number] + offset, number, offset


def equal_pieces(data: Tensor, begin: Tensor, other: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """bool: the bytes of `data` at `begin` are those of `other` at `start`, over the same lengths."""
    at, number, offset = spread(begin, length)
    differs = data[at] != other[start[number] + offset]
    return torch.zeros_like(begin).index_add_(0, number, differs.long()) == 0


def representatives(data: Tensor, begin: Tensor, length: Tensor, keys: Keys) -> Tensor:
    """int64: for each stretch the number of an equal one that stands for it and for itself.

    Which one that is, and whether two equal ones have the same, may differ between runs on a GPU; that they are equal
    does not. Synchronises once per round.
    """
    first, second = keys
    chosen = torch.arange(len(begin), device=begin.device)
    slots = 1 << max(4, (2 * len(begin) - 1).bit_length())
    left, slot = chosen.clone(), mix(first, second) & (slots - 1)
    for _ in range(_ROUNDS):
        if not len(left):
            break
        table = torch.zeros(slots, dtype=torch.int64, device=begin.device)
        table[slot] = left
        owner = table[slot]
        same = (first[owner] == first[left]) & (second[owner] == second[left])
        chosen[left[same]] = owner[same]
        left, slot = left[~same], (slot[~same] + 1) & (slots - 1)
    _separate_collisions(data, begin, length, chosen)
    return chosen


def _separate_collisions(data: Tensor, begin: Tensor, length: Tensor, chosen: Tensor) -> None:
    """Stretches whose bytes are not those of the one chosen stand for themselves."""
    long = torch.nonzero(length > MAX_EXACT).squeeze(1)
    long = long[chosen[long] != long]
    if not len(long):
        return
    fits = length[chosen[long]] == length[long]
    chosen[long[~fits]] = long[~fits]
    long = long[fits]
    wrong = long[~equal_pieces(data, begin[long], data, begin[chosen[long]], length[long])]
    chosen[wrong] = wrong
