"""Batches of bounded size: texts grouped, and long texts cut where no pretoken reaches across, whatever is around.

Such a place is between a letter and a number, whitespace or a sign that is no apostrophe; after the last of a run of
numbers; and before whitespace other than a newline that follows something else. No pattern crosses it, none looks
behind, and none looks ahead from anything but whitespace, which never stands before it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from stages.tokenization.classes import LETTER, LOWER, MARK, NUMBER, OTHER, SPACE, UPPER
from stages.tokenization.program.boundaries import is_newline
from stages.tokenization.program.characters import NONE, NotUtf8Error, places, read_characters, shifted


def cut_texts(offsets: Tensor, data: Tensor, classes: Tensor, batch_bytes: int) -> tuple[Tensor, Tensor]:
    """Offsets of parts of at most `batch_bytes` where they can be had, and which of them are those of the texts.

    Both int64 on the host, like `offsets`. Only texts that are longer are looked at, a window at a time.
    Raises `NotUtf8Error`.
    """
    rows = places(torch.diff(offsets) > batch_bytes).tolist()
    found = [cut for row in rows for cut in _cuts(int(offsets[row]), int(offsets[row + 1]), data, classes, batch_bytes)]
    cuts = torch.tensor(found, dtype=torch.int64)
    parts = torch.sort(torch.cat([offsets, cuts])).values
    return parts, torch.arange(len(offsets)) + torch.searchsorted(cuts, offsets)


def batches(parts: Tensor, batch_bytes: int) -> Iterator[tuple[int, int]]:
    """First part, and the one after the last, of each batch."""
    start, last = 0, len(parts) - 1
    while start < last:
        end = int(torch.searchsorted(parts, parts[start] + batch_bytes, right=True)) - 1
        end = max(end, start + 1)
        yield start, end
        start = end


def _cuts(begin: int, end: int, data: Tensor, classes: Tensor, batch_bytes: int) -> Iterator[int]:
    """Places to cut one text; a part without any is as long as it must be."""
    window = batch_bytes
    while end - begin > window:
        stop = _character_before(data, begin, begin + window)
        try:
            last = _last_cut(data[begin:stop].to(classes.device), classes)
        except NotUtf8Error as error:
            raise NotUtf8Error(begin + error.at) from error
        if last:
            begin, window = begin + last, batch_bytes
            yield begin
        else:
            window *= 2


def _character_before(data: Tensor, begin: int, stop: int) -> int:
    """The last beginning of a character at or before `stop`, if it is one of the last four bytes."""
    low = max(stop - 3, begin)
    near = [low + step for step, byte in enumerate(data[low : stop + 1].tolist()) if byte & 0xC0 != 0x80]
    return near[-1] if near else stop


def _last_cut(data: Tensor, classes: Tensor) -> int:
    """The last place to cut in these bytes, 0 if there is none."""
    characters = read_characters(torch.tensor([0, len(data)], device=data.device), data, classes)
    kind = characters.kind
    before = shifted(kind, characters.first, NONE)
    letter = (before == LOWER) | (before == UPPER) | (before == LETTER)
    plain = (kind == OTHER) & (characters.lead != ord("'")) | (kind == NUMBER) | (kind == SPACE)
    after_number = (before == NUMBER) & (kind != NUMBER)
    after_other = ((before == OTHER) | (before == MARK)) & (kind == SPACE) & ~is_newline(characters)
    found = characters.position[letter & plain | after_number | after_other]
    return int(found[-1]) if len(found) else 0
