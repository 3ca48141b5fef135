"""Pieces of any bytes, merged by one thread each and in rounds."""

import random

import torch

from stages.tokenization.program.merge import merge_pieces
from stages.tokenization.program.merge_kernel import MAX_PIECE_BYTES, merge_by_threads
from stages.tokenization.program.uniques import spread
from tests.stages.tokenization.program.material import flat


def _pieces() -> list[bytes]:
    rng = random.Random(8)
    alphabets = [b"a", b"ab", b" =-", b"etaoin shrdlu", bytes(range(97, 123)), bytes(range(256))]
    lengths = [*range(1, 20), 31, 32, 33, 64]
    pieces = [bytes(rng.choices(alphabet, k=length)) for alphabet in alphabets for length in lengths]
    words = [b" networkx", b" antidisestablishmentarianism", "漢字かな".encode(), b"\xff\xfe\x80", b"\0"]
    return [*pieces, *words, b"a" * MAX_PIECE_BYTES, bytes(rng.choices(b"abc", k=MAX_PIECE_BYTES))]


PIECES = _pieces()


def _read(pieces, device):
    offsets, data = (torch.from_numpy(array.copy()).to(device) for array in flat(pieces))
    return data, offsets[:-1].long(), torch.diff(offsets).long()


def _split(ids, counts):
    return [part.tolist() for part in torch.split(ids, counts.tolist())]


def by_threads(program, pieces):
    """Ids of each piece, merged by the kernel on the device of a `Program`."""
    return _split(*merge_by_threads(program._merges, *_read(pieces, program.device)))


def by_rounds(program, pieces):
    """The same by the rounds, one merge order at a time."""
    data, begin, length = _read(pieces, program.device)
    _, piece, _ = spread(begin, length)
    return _split(*merge_pieces(program._merges, data, piece, len(pieces)))
