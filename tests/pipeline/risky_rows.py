"""A function for a child process that does to its rows what their text says."""

import ctypes
import os
import sys
import time
from collections.abc import Callable

import pyarrow as pa

from pipeline.isolate import At, Rows


def open_rows(suffix: str) -> Rows:
    """Rows of `word`: most are given back with a suffix."""

    def rows(batch: pa.RecordBatch, at: At) -> pa.RecordBatch:
        words = batch["word"].to_pylist()
        if "die-early" in words:
            os._exit(3)
        for number, word in enumerate(words):
            at(number)
            _DEEDS.get(word, bool)()
        at(len(words))
        return pa.record_batch({"word": [word + suffix for word in words], "pid": [os.getpid()] * len(words)})

    return rows


def _spin() -> None:
    while True:
        pass


def _eat_slowly() -> None:
    held = []
    while True:
        held.append(bytes(1 << 20))


def _raise() -> None:
    raise KeyError("no such word")


def _talk() -> None:
    print("a library that talks")
    print("and complains", file=sys.stderr)


_DEEDS: dict[str, Callable[[], object]] = {
    "crash": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(0),
    "spin": _spin,
    "sleep": lambda: time.sleep(3600),
    "eat": lambda: bytearray(1 << 40),
    "eat-slowly": _eat_slowly,
    "raise": _raise,
    "print": _talk,
}
