"""Loads from raw addresses, for numba kernels that read what a native library has built."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _load(bits: int, gives: Any, extend: Callable[[ir.IRBuilder], Any] = lambda builder: builder.zext) -> Any:
    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = builder.load(builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer()))
            value.align = 1
            return value if bits == 64 else extend(builder)(value, ir.IntType(64))

        return gives(types.int64), generate

    return load


load_u8: Callable[[int], int] = _load(8, types.int64)
load_u16: Callable[[int], int] = _load(16, types.int64)
load_u32: Callable[[int], int] = _load(32, types.int64)
load_i32: Callable[[int], int] = _load(32, types.int64, lambda builder: builder.sext)
load_i64: Callable[[int], int] = _load(64, types.int64)
