"""Exact byte-level BPE as an array program in torch, on whatever device torch has.

Reads UTF-8 texts end to end in one buffer; writes token ids end to end and where each text's begin. Bytes go to the
device and ids come back; with `encode_tensors` they stay there.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stages.tokenization.classes import class_table
from stages.tokenization.engines import Ids, Offsets
from stages.tokenization.program.cased import pretoken_starts
from stages.tokenization.program.characters import NotUtf8Error, places, read_characters
from stages.tokenization.program.cuts import batches, cut_texts
from stages.tokenization.program.merge import merge_pieces
from stages.tokenization.program.merge_kernel import MAX_PIECE_BYTES, kernel_runs_on, merge_by_threads
from stages.tokenization.program.merge_table import MergeTable
from stages.tokenization.program.reach import Reach
from stages.tokenization.program.scheme import Scheme, read_scheme
from stages.tokenization.program.tables import Table
from stages.tokenization.program.uniques import MAX_EXACT, Keys, equal_pieces, piece_keys, representatives, spread
from stages.tokenization.scanner import SPLIT_RULES
from stages.tokenization.vocabulary import Vocabulary

DEFAULT_BATCH_BYTES = 4_000_000


class Program:
    """Encodes texts with one vocabulary; an `Engine`."""

    def __init__(self, vocabulary: Vocabulary, device: str = "auto", *, batch_bytes: int = DEFAULT_BATCH_BYTES) -> None:
        """`device`: what torch calls it, or `auto`: CUDA if there is any. `batch_bytes`: text on the device at a time,
        which takes 40 to 170 bytes there per byte; only a text without any place to cut it takes more.

        Raises ValueError for a vocabulary that is not byte-level BPE with a known split, for one whose merges cannot be
        applied in rounds, and for a device that torch does not have.
        """
        if batch_bytes < 1:
            raise ValueError(f"batch_bytes must be at least 1, got {batch_bytes}")
        self.device = _device(device)
        """Where the program runs."""
        self._batch_bytes = batch_bytes
        scheme = read_scheme(vocabulary)
        self._rules = SPLIT_RULES[scheme.split]
        self._classes = torch.from_numpy(class_table().copy()).to(self.device)
        self._merges = MergeTable(scheme.merges, scheme.byte_ids, self.device)
        self._thread_bytes = MAX_PIECE_BYTES if kernel_runs_on(self.device) else 0
        self._load_tokens(scheme, vocabulary.name)
        rows = torch.from_numpy(scheme.merges.astype(np.int64)).to(self.device)
        self._reach = Reach(rows, self._token_begins, self._token_lengths, self._token_data, self._tokens)

    def _load_tokens(self, scheme: Scheme, name: str) -> None:
        """The table of tokens that a pretoken becomes at once: all, or those that merging their bytes leads to."""
        ids = torch.from_numpy(np.flatnonzero(scheme.pieces.lengths)).to(self.device)
        offsets = torch.from_numpy(scheme.pieces.offsets).to(self.device)
        data = torch.from_numpy(scheme.pieces.data.copy()).to(self.device)
        self._token_begins, self._token_lengths, self._token_data = offsets[:-1], torch.diff(offsets), data
        if not scheme.whole:
            begin, length = self._token_begins[ids], self._token_lengths[ids]
            at, number, _ = spread(begin, length)
            merged, counts = merge_pieces(self._merges, data[at], number, len(ids))
            single = places(counts == 1)
            made = merged[(torch.cumsum(counts, 0) - 1)[single]]
            ids = ids[single][made == ids[single]]
        keys = piece_keys(data, self._token_begins[ids], self._token_lengths[ids])
        self._tokens = Table(keys, ids.int())
        if not torch.equal(self._tokens.find(*keys), ids.int()):
            raise ValueError(f"vocabulary {name}: two tokens have the same bytes or the same hash; use another engine")

    def encode(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """See `Engine`. Raises ValueError, naming the text and the byte, for what is not UTF-8."""
        rows = torch.from_numpy(offsets.astype(np.int64))
        bytes_ = torch.from_numpy(data if data.flags.writeable else data.copy())
        starts, ids = self._encode(rows, bytes_, torch.device("cpu"))
        return starts.numpy(), ids.numpy()

    def encode_tensors(self, offsets: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
        """int64 offsets and int32 ids, on the program's device, of the texts at `offsets` in uint8 `data`.

        `data` may be on any device. The offsets come to the host, which plans the batches. Raises ValueError too.
        """
        starts, ids = self._encode(offsets.to("cpu", torch.int64), data, self.device)
        return starts.to(self.device), ids

    def _encode(self, offsets: Tensor, data: Tensor, target: torch.device) -> tuple[Tensor, Tensor]:
        """Offsets on the host, ids on `target`."""
        _check(offsets, data)
        starts, ids = [torch.zeros(1, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int32, device=target)]
        begin = 0
        try:
            parts, rows = cut_texts(offsets, data, self._classes, self._batch_bytes)
            for first, last in batches(parts, self._batch_bytes):
                begin = int(parts[first])
                chunk = data[begin : int(parts[last])].to(self.device)
                ends, found = self._encode_batch((parts[first : last + 1] - begin).to(self.device), chunk)
                starts.append(ends.cpu() + starts[-1][-1])
                ids.append(found.to(target))
        except NotUtf8Error as error:
            at = begin + error.at
            text = int(torch.searchsorted(offsets, at, right=True)) - 1
            raise ValueError(f"text {text} is not UTF-8 at its byte {at - int(offsets[text])}") from error
        return torch.cat(starts)[rows], torch.cat(ids)

    def _encode_batch(self, offsets: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
        """How many ids there are up to the end of each text, and the ids."""
        characters = read_characters(offsets, data, self._classes)
        begin = characters.position[places(pretoken_starts(characters, self._rules))]
        length = torch.diff(begin, append=begin.new_tensor([len(data)]))
        keys = piece_keys(data, begin, length)
        ids = self._find_tokens(data, begin, length, keys)
        left = places(ids < 0)
        ends = torch.searchsorted(begin, offsets[1:])
        if not len(left):
            return ends, ids
        merged, offset, count = self._merge(data, begin[left], length[left], (keys[0][left], keys[1][left]))
        counts = torch.ones_like(begin)
        counts[left] = count
        start = torch.zeros(len(begin) + 1, dtype=torch.int64, device=begin.device)
        torch.cumsum(counts, 0, out=start[1:])
        out = ids.repeat_interleave(counts)
        at, number, place = spread(start[left], count)
        out[at] = merged[offset[number] + place]
        return start[ends], out

    def _find_tokens(self, data: Tensor, begin: Tensor, length: Tensor, keys: Keys) -> Tensor:
        """int32: the token that each pretoken is at once, or -1."""
        ids = self._tokens.find(*keys)
        long = places((ids >= 0) & (length > MAX_EXACT))
        if len(long):
            token = ids[long].long()
            equal = length[long] == self._token_lengths[token]
            shorter = torch.minimum(length[long], self._token_lengths[token])
            equal &= equal_pieces(data, begin[long], self._token_data, self._token_begins[token], shorter)
            ids[long[~equal]] = -1
        return ids

    def _merge(self, data: Tensor, begin: Tensor, length: Tensor, keys: Keys) -> tuple[Tensor, Tensor, Tensor]:
        """Ids of the different ones of these pretokens, and for each where its ids are in them and how many."""
        chosen = representatives(data, begin, length, keys)
        stands = chosen == torch.arange(len(chosen), device=chosen.device)
        short = length <= self._thread_bytes
        threads, rounds = places(stands & short), places(stands & ~short)
        unique = torch.cat([threads, rounds])
        number = torch.empty_like(chosen)
        number[unique] = torch.arange(len(unique), device=unique.device)
        number = number[chosen]
        merged, counts = merge_by_threads(self._merges, data, begin[threads], length[threads])
        at, piece, _ = spread(begin[rounds], length[rounds])
        others, other_counts = merge_pieces(self._merges, data[at], piece, len(rounds), self._reach)
        merged, counts = torch.cat([merged, others]), torch.cat([counts, other_counts])
        return merged, (torch.cumsum(counts, 0) - counts)[number], counts[number]


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(1, device=name).device
    except (AssertionError, RuntimeError) as error:  # what torch raises, the first without CUDA in its build
        reason = str(error).partition("\n")[0]
        raise ValueError(f"torch has no device {name!r} here ({reason}); use device='cpu' or 'auto'") from error


def _check(offsets: Tensor, data: Tensor) -> None:
    """Raise ValueError for what is no texts end to end: an index out of range breaks CUDA for the whole process."""
    if data.dtype != torch.uint8 or data.dim() != 1:
        raise ValueError(f"data must be one row of uint8, got {data.dtype} of shape {tuple(data.shape)}")
    if offsets.dim() != 1 or not len(offsets):
        raise ValueError(f"offsets must be one row of at least one, got shape {tuple(offsets.shape)}")
    if int(offsets[0]) < 0 or int(offsets[-1]) > len(data) or bool((torch.diff(offsets) < 0).any()):
        raise ValueError(f"offsets must ascend from 0 or more to at most {len(data)}, the bytes of data")
