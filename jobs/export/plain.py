"""Parquet files of rows and a card, which `datasets` loads and streams.

Memory: one batch of rows and one row group.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.card import configs
from jobs.export.framed import durable
from jobs.export.layout import Format, Layout, Part, Rows, Unit
from jobs.export.ragged import ID_BYTES, Ragged, ragged

_ABOUT = """# Training rows

Exported by gristmill; `gristmill-export.json` says of what. `tokens`: ids of one row. `loss_mask`: false on padding.
`cu_seqlens`: borders of the pieces of documents in the row, padding last. `document_id`, `document_start`,
`document_offset`: which document each piece is of, where in the row it begins, and with which token of its document."""
TOKENS_PER_GROUP = 1 << 20
"""A streaming reader holds a row group: 4 MB of tokens."""


def _schema(layout: Layout) -> pa.Schema:
    is_document = "document_start" not in layout.columns and layout.row_tokens == 0
    kinds = {
        "document_id": pa.binary() if is_document else pa.list_(pa.binary()),
        "loss_mask": pa.list_(pa.bool_()),
    }
    return pa.schema([pa.field(name, kinds.get(name, pa.list_(pa.int32()))) for name in layout.columns])


def _arrow(column: Ragged, kind: pa.DataType) -> pa.Array:
    if pa.types.is_binary(kind):
        return _ids(column)
    if pa.types.is_binary(kind.value_type):
        return pa.ListArray.from_arrays((column.offsets // ID_BYTES).astype(np.int32), _ids(column))
    values = pa.array(np.ascontiguousarray(column.values)).cast(kind.value_type)
    return pa.ListArray.from_arrays(column.offsets.astype(np.int32), values)


def _ids(column: Ragged) -> pa.Array:
    count = len(column.values) // ID_BYTES
    return pa.Array.from_buffers(
        pa.binary(ID_BYTES), count, [None, pa.py_buffer(np.ascontiguousarray(column.values))]
    ).cast(pa.binary())


def _write(
    layout: Layout, export: Path, folder: str, unit: Unit, before: Sequence[Unit], batches: Iterator[Rows]
) -> tuple[Part, ...]:
    """Deal the rows to files of equal size, which differ by one row at most."""
    schema, stream = _schema(layout), _Stream(batches)
    parts = []
    for number in range(layout.files_per_part):
        rows = unit.rows * (number + 1) // layout.files_per_part - unit.rows * number // layout.files_per_part
        suffix = f"-{number:04d}" if layout.files_per_part > 1 else ""
        name = f"{folder}/part-{unit.number:05d}{suffix}.parquet"
        parts.append(_file(layout, schema, export, name, stream, rows))
    stream.finish()
    return tuple(parts)


def _file(layout: Layout, schema: pa.Schema, export: Path, name: str, stream: "_Stream", rows: int) -> Part:
    (export / name).parent.mkdir(parents=True, exist_ok=True)
    options = {"compression": "zstd", "compression_level": 1, "use_dictionary": False, "write_statistics": False}
    tokens, left = 0, rows
    with pq.ParquetWriter(export / name, schema, **options) as writer:
        while left:
            batch = stream.take(left, TOKENS_PER_GROUP)
            count = len(batch["tokens"].offsets) - 1
            arrays = [_arrow(batch[field.name], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), count)
            tokens, left = tokens + len(batch["tokens"].values), left - count
    with (export / name).open("rb") as file:
        os.fsync(file.fileno())
    return Part(file=name, bytes=(export / name).stat().st_size, rows=rows, tokens=tokens)


class _Stream:
    """Rows by the number asked for, whatever batches they come in."""

    def __init__(self, batches: Iterator[Rows]) -> None:
        self._batches = (rows for rows in batches if len(rows["tokens"].offsets) > 1)
        self._held: list[Rows] = []

    def take(self, rows: int, tokens: int) -> Rows:
        """At most so many rows of at most so many tokens, at least one row."""
        while True:
            held = _concatenate(self._held) if self._held else None
            if held is not None:
                offsets = held["tokens"].offsets
                count = min(rows, max(1, int(np.searchsorted(offsets, tokens, side="right")) - 1))
                if count < len(offsets) - 1 or rows == count:
                    self._held = [_slice(held, count, len(offsets) - 1)]
                    return _slice(held, 0, count)
                self._held = [held]
            batch = next(self._batches, None)
            if batch is None:
                raise ValueError("fewer rows than were announced")
            self._held.append(batch)

    def finish(self) -> None:
        """Run the source to its end, which must be here."""
        left = sum(len(rows["tokens"].offsets) - 1 for rows in [*self._held, *self._batches])
        if left:
            raise ValueError(f"{left:,} rows more than were announced")


def _slice(rows: Rows, start: int, stop: int) -> Rows:
    return {name: column.rows(start, stop) for name, column in rows.items()}


def _concatenate(batches: Sequence[Rows]) -> Rows:
    if len(batches) == 1:
        return batches[0]
    joined = {}
    for name in batches[0]:
        columns = [rows[name] for rows in batches]
        lengths = np.concatenate([column.lengths for column in columns])
        values = np.concatenate([column.values for column in columns])
        joined[name] = Ragged(np.concatenate([[0], np.cumsum(lengths)]), values)
    return joined


def _finish(layout: Layout, export: Path, folder: str, units: Sequence[Unit]) -> None:
    """The card; every domain writes all that it can see, so the last one writes it whole."""
    lines = ["---", *configs(path.name for path in (export / "data").iterdir()), "---"]
    with durable(export / "README.md") as file:
        file.write("\n".join([*lines, "", _ABOUT, ""]).encode())


def _read(layout: Layout, export: Path, folder: str, unit: Unit) -> Iterator[Rows]:
    for part in unit.parts:
        parquet = pq.ParquetFile(export / part.file, memory_map=True)
        if parquet.metadata.num_rows != part.rows:
            raise ValueError(f"{part.file} has {parquet.metadata.num_rows:,} rows, expected {part.rows:,}")
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group, use_threads=False)
            yield {name: ragged(table, name) for name in layout.columns}


FORMAT = Format(
    name="datasets",
    columns=("tokens", "document_id", "document_start", "document_offset", "cu_seqlens", "loss_mask"),
    folder="data/{domain}",
    write=_write,
    finish=_finish,
    read=_read,
)
