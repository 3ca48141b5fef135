"""What a format is: a few functions over rows of numbers, and what they are told and say."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.export.ragged import COLUMNS, Ragged

Rows = Mapping[str, Ragged]
"""A batch of rows by column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What is written into one folder of an export, which is what one loader opens."""

    columns: tuple[str, ...]
    """Names of `COLUMNS`; `tokens` is one of them."""
    row_tokens: int
    """Tokens of every row; 0 where rows differ."""
    id_type: str = "int32"
    """`int32`, or `uint16` where the format has it and no id is higher."""
    part_bytes: int = 1 << 26
    """A file is cut before the row that would make it larger."""
    files_per_part: int = 1
    """Files that the rows of one published file are dealt to, for `datasets`."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.columns if name not in COLUMNS]
        if unknown or "tokens" not in self.columns or len(set(self.columns)) != len(self.columns):
            raise ValueError(f"columns = {self.columns}: expected tokens and others of {', '.join(COLUMNS)}, each once")
        if self.id_type not in ("int32", "uint16"):
            raise ValueError(f"id_type must be int32 or uint16, got {self.id_type!r}")
        if not 1 << 16 <= self.part_bytes < 1 << 31:  # offsets inside a part are 32 bits
            raise ValueError(f"part_bytes must be from 65,536 to 2,147,483,647, got {self.part_bytes}")
        if not 1 <= self.files_per_part <= 4096:
            raise ValueError(f"files_per_part must be from 1 to 4,096, got {self.files_per_part}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One file of an export, or a range of one."""

    file: str
    """Relative to the export."""
    start: int = 0
    """First byte of the range."""
    bytes: int
    rows: int
    tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """The rows of one published file, and what came of them."""

    number: int
    """Among the files of its domain, from 0."""
    domain: str
    source: str
    """Path of the published file."""
    rows: int
    tokens: int = 0
    digests: Mapping[str, str] = field(default_factory=dict)
    """By column."""
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One format of a loader library."""

    name: str
    columns: tuple[str, ...]
    """Of packed sequences, where the user names none."""
    folder: str
    """Of a domain, with `{domain}`."""
    write: Callable[[Layout, Path, str, Unit, Sequence[Unit], Iterator[Rows]], tuple[Part, ...]]
    """(layout, export, folder in it, unit, finished units before it, rows) to parts. Durable when it returns."""
    finish: Callable[[Layout, Path, str, Sequence[Unit]], None]
    """Write what the reader of a domain needs beside the parts. May be done again."""
    read: Callable[[Layout, Path, str, Unit], Iterator[Rows]]
    """The rows of a unit from its parts, by another way than they were written. ValueError for what is not as it
    must be."""
