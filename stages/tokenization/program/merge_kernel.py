"""Byte-pair merging on CUDA, one thread per piece: in place of the rounds of `merge`, for pieces that are not long.

Each thread finds the lowest order among the pairs of its piece, merges all that have it from the left, in place, and
begins again: exact under the same condition as the rounds. Importing this asks nothing of the CUDA driver.
"""

from collections.abc import Sequence
from typing import Any

import numba
import numba.cuda
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stages.tokenization.program.merge_table import NEVER, MergeTable
from stages.tokenization.program.tables import mix
from stages.tokenization.program.uniques import spread

cuda: Any = numba.cuda
simulated: bool = getattr(numba.config, "ENABLE_CUDASIM")  # noqa: B009  set from the environment, so unknown to mypy

MAX_PIECE_BYTES = 256
"""Longer pieces are left to the rounds: what a thread does grows with the square of the length."""

_THREADS = 32
"""Threads of a block: one warp, so that few pieces still spread over the whole device."""
_MIN_BLOCKS = 128
"""With fewer numba warns of an idle device. Threads without a piece end at once."""

_STALE = -1
"""Order of a pair that has changed and is not looked up yet."""

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


def kernel_runs_on(device: torch.device) -> bool:
    """Whether numba can run kernels there: on CUDA, if it finds the compiler (NVVM); with `NUMBA_ENABLE_CUDASIM=1`,
    which simulates a device, on the CPU and only there. `NUMBA_DISABLE_CUDA=1` forbids it.
    """
    return device.type == ("cpu" if simulated else "cuda") and bool(cuda.is_available())


def merge_by_threads(table: MergeTable, data: Tensor, begin: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Ids of all pieces end to end (int32), and how many each has (int64), as `merge_pieces` has them.

    The pieces are `length` bytes (int64) of `data` from `begin`, not more than `MAX_PIECE_BYTES` and at least one.
    All is on a device that `kernel_runs_on`, and in the order of torch's stream of it.
    """
    if not len(begin):
        return torch.zeros(0, dtype=torch.int32, device=data.device), length
    at, piece, place = spread(begin, length)
    data = data[at]
    tokens, orders = table.byte_ids[data.int()], table.byte_orders(data, piece)
    starts, counts = torch.zeros(len(length) + 1, dtype=torch.int64, device=data.device), torch.empty_like(length)
    torch.cumsum(length, 0, out=starts[1:])
    _launch(len(length), [table.pairs.keys, table.pairs.values, table.made, starts, tokens, orders, counts])
    return tokens[place < counts[piece]], counts


def _launch(num_pieces: int, tensors: Sequence[Tensor]) -> None:
    """Start the kernel: after what torch's stream has to do already, before all that it is given from now on."""
    blocks = max(-(-num_pieces // _THREADS), _MIN_BLOCKS)
    if simulated:
        _kernel[blocks, _THREADS](*(tensor.numpy() for tensor in tensors))
        return
    device = tensors[0].device
    with cuda.gpus[device.index]:
        stream = cuda.external_stream(torch.cuda.current_stream(device).cuda_stream)
        _kernel[blocks, _THREADS, stream](*(cuda.as_cuda_array(tensor) for tensor in tensors))


def _order_of(keys: Longs, values: Ints, left: int, right: int) -> int:
    """The order of the merge of two ids, as `Table.find` finds it."""
    mask = len(values) - 1
    slot = _mix(np.int64(left), np.int64(right)) & mask
    while values[slot] >= 0:
        if keys[slot, 0] == left and keys[slot, 1] == right:
            order: int = values[slot]
            return order
        slot = (slot + 1) & mask
    return NEVER


def _merge_equal(tokens: Ints, orders: Ints, begin: int, end: int, order: int, new: int) -> int:
    """Merge the pairs of this order from the left, close the gaps, and return where the piece ends now."""
    at = out = begin
    while at < end:
        if at + 1 < end and orders[at] == order:
            tokens[out], orders[out] = new, _STALE
            if out > begin:
                orders[out - 1] = _STALE
            at += 2
        else:
            tokens[out], orders[out] = tokens[at], orders[at]
            at += 1
        out += 1
    return out


def _merge_piece(
    keys: Longs, values: Ints, made: Ints, starts: Longs, tokens: Ints, orders: Ints, counts: Longs
) -> None:
    """Merge the piece of this thread: its ids are then the first of its `tokens`, and `counts` says how many."""
    piece = cuda.grid(1)
    if piece >= len(counts):
        return
    begin, end = starts[piece], starts[piece + 1]
    while True:
        lowest = NEVER
        for at in range(begin, end - 1):
            if orders[at] == _STALE:
                orders[at] = _look(keys, values, tokens[at], tokens[at + 1])
            if orders[at] < lowest:  # numba has no min for CUDA
                lowest = orders[at]
        if lowest == NEVER:
            break
        end = _merge_all(tokens, orders, begin, end, lowest, made[lowest])
    counts[piece] = end - begin


_mix: Any = cuda.jit(device=True)(mix)
_look: Any = cuda.jit(device=True)(_order_of)
_merge_all: Any = cuda.jit(device=True)(_merge_equal)
_kernel: Any = cuda.jit(_merge_piece)
