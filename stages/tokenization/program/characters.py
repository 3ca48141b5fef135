"""UTF-8 on the device: characters, their classes, and a check that they are what they must be.

Reads bytes and offsets of texts; nothing leaves the device but one flag that says whether the bytes are UTF-8.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NONE = 7
"""Class of what stands before the first character of a text."""

_WIDTHS = [1] * 128 + [0] * 66 + [2] * 30 + [3] * 16 + [4] * 5 + [0] * 11
"""Bytes of a character by its first byte; 0 for a byte that begins none."""
_LOWEST = (0, 0, 0x80, 0x800, 0x10000)


class NotUtf8Error(ValueError):
    """Bytes that are not UTF-8, or a text that begins inside a character."""

    def __init__(self, at: int) -> None:
        super().__init__(f"byte {at} is not UTF-8, or begins a text inside a character")
        self.at = at
        """Where in the bytes that were read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Characters:
    """The characters of texts that lie end to end."""

    position: Tensor
    """int64: the byte where each begins."""
    lead: Tensor
    """uint8: its first byte, which is the character itself if below 128."""
    long_s: Tensor
    """bool: it is U+017F, which is an `s` where case is ignored."""
    kind: Tensor
    """uint8: its class (`classes`)."""
    first: Tensor
    """bool: it begins a text."""

    def __len__(self) -> int:
        return len(self.kind)


def read_characters(offsets: Tensor, data: Tensor, table: Tensor) -> Characters:
    """Characters of the texts at int64 `offsets` in uint8 `data`; `table` has the class of each code point.

    Synchronises once, and thrice more if there is any character beyond ASCII. Raises `NotUtf8Error`.
    """
    begins = torch.zeros(len(data) + 1, dtype=torch.bool, device=data.device)
    begins[offsets[:-1]] = True
    begins = begins[:-1]
    if len(data) == 0 or int(data.max()) < 128:
        position = torch.arange(len(data), device=data.device)
        kind = table[:128][data.int()]
        return Characters(position=position, lead=data, long_s=torch.zeros_like(begins), kind=kind, first=begins)
    position = torch.nonzero((data & 0xC0) != 0x80).squeeze(1)
    lead = data[position]
    wide = torch.nonzero(lead >= 128).squeeze(1)
    widths = torch.tensor(_WIDTHS, dtype=torch.uint8, device=data.device)
    width = widths[lead.int()]
    code = _decode(data, position[wide], width[wide])
    _check(data, position, width, code, wide, begins)
    kind = table[:128][(lead & 127).int()]
    kind[wide] = table[code]
    long_s = torch.zeros_like(kind, dtype=torch.bool)
    long_s[wide] = code == 0x17F
    return Characters(position=position, lead=lead, long_s=long_s, kind=kind, first=begins[position])


def _decode(data: Tensor, position: Tensor, width: Tensor) -> Tensor:
    """Code points of two to four bytes; the first byte of a longer one has fewer bits. Never beyond the table."""
    code = data[position].long() & (0x7F >> width.long())
    for step in range(1, 4):
        following = data[(position + step).clamp_(max=len(data) - 1)].long() & 0x3F
        code = torch.where(width > step, code << 6 | following, code)
    return code.clamp_(max=0x10FFFF)


def _check(data: Tensor, position: Tensor, width: Tensor, code: Tensor, wide: Tensor, begins: Tensor) -> None:
    lowest = torch.tensor(_LOWEST, device=data.device)
    size = torch.diff(position, append=position.new_tensor([len(data)]))
    wrong = size != width
    surrogate = (code >= 0xD800) & (code < 0xE000)
    too_high = (code == 0x10FFFF) & _is_above(data, position[wide])
    wrong[wide] |= surrogate | too_high | (code < lowest[width[wide].long()])
    torn = data & 0xC0 == 0x80
    torn[1:] &= begins[1:]
    if not bool(wrong.any() | torn.any()):
        return
    raise NotUtf8Error(int(torch.cat([position[wrong], places(torn)]).min()))


def _is_above(data: Tensor, position: Tensor) -> Tensor:
    """Of four-byte characters: beyond U+10FFFF, which is F4 8F BF BF."""
    second = data[(position + 1).clamp_(max=len(data) - 1)]
    return (data[position] == 0xF4) & (second > 0x8F)


def shifted(values: Tensor, first: Tensor, fill: int | bool) -> Tensor:
    """The value of the character before, `fill` at the start of a text."""
    before = torch.empty_like(values)
    before[1:] = values[:-1]
    return before.masked_fill_(first, fill)


def places(flags: Tensor) -> Tensor:
    """int64 positions of what is true. Synchronises."""
    return torch.nonzero(flags).squeeze(1)
