"""MosaicML Streaming's MDS: one folder with `index.json` and shards per domain.

Checked against mosaicml-streaming 0.13: its reader reads it, its writer writes the same bytes.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.export.framed import (
    Frame,
    FrameWriter,
    Framing,
    cells,
    durable,
    gather,
    joined,
    numbers,
    read_frame,
    uint32_at,
)
from jobs.export.layout import Format, Layout, Part, Rows, Unit
from jobs.export.ragged import COLUMNS, Array, Ragged

_FIXED = ("tokens", "loss_mask")
"""Columns with a value per token."""


def _encodings(layout: Layout) -> dict[str, str]:
    """MDS's name of each column's encoding, columns sorted."""
    shape = f":{layout.row_tokens}" if layout.row_tokens else ""
    return {
        name: "bytes" if name == "document_id" else f"ndarray:{COLUMNS[name]}{shape if name in _FIXED else ''}"
        for name in sorted(layout.columns)
    }


def _sizes(layout: Layout) -> dict[str, int | None]:
    """Bytes of each column in every sample, None where they differ."""
    fixed = {name: layout.row_tokens * np.dtype(COLUMNS[name]).itemsize or None for name in _FIXED}
    return {name: fixed.get(name) for name in sorted(layout.columns)}


def _config(layout: Layout) -> dict[str, object]:
    """What a shard says of itself, in the file and in the index."""
    encodings = _encodings(layout)
    return {
        "column_encodings": list(encodings.values()),
        "column_names": list(encodings),
        "column_sizes": list(_sizes(layout).values()),
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": layout.part_bytes,
        "version": 2,
    }


def _write(
    layout: Layout, export: Path, folder: str, unit: Unit, before: Sequence[Unit], batches: Iterator[Rows]
) -> tuple[Part, ...]:
    text = json.dumps(_config(layout), sort_keys=True).encode()
    framing = Framing(limit=layout.part_bytes, text=text, counted_per_file=8 + len(text), counted_per_sample=4)
    writer = FrameWriter(root=export, pattern=f"{folder}/shard.{unit.number:05d}.{{:05d}}.mds", framing=framing)
    for rows in batches:
        writer.write(_samples(layout, rows), rows["tokens"].lengths)
    return writer.close()


def _samples(layout: Layout, rows: Rows) -> pa.LargeBinaryArray:
    """Sizes of the columns that have no fixed one, then all columns."""
    sizes, data = [], []
    for name, size in _sizes(layout).items():
        column = rows[name]
        if size is None:
            head = _shape(column.lengths) if name != "document_id" else None
            bytes_of = column.lengths * column.values.itemsize + (0 if head is None else head.lengths)
            sizes.append(numbers(bytes_of))
            data += [] if head is None else [cells(head)]
        data.append(cells(column))
    return joined([*sizes, *data])


def _shape(lengths: Array) -> Ragged:
    """What stands before an array of one dimension whose length is not in the encoding's name.

    One byte, 4 + log2 of the bytes that the length takes; then the length.
    """
    code = np.searchsorted([1 << 8, 1 << 16], lengths, side="right")
    table = np.empty((len(lengths), 5), np.uint8)
    table[:, 0] = 4 | code
    table[:, 1:] = lengths.astype("<u4").view(np.uint8).reshape(-1, 4)
    is_used = np.arange(5) < 1 + (1 << code)[:, None]
    return Ragged(np.concatenate([[0], np.cumsum(1 + (1 << code))]).astype(np.int64), table[is_used])


def _finish(layout: Layout, export: Path, folder: str, units: Sequence[Unit]) -> None:
    shards = [
        {
            **_config(layout),
            "raw_data": {"basename": Path(part.file).name, "bytes": part.bytes, "hashes": {}},
            "samples": part.rows,
            "zip_data": None,
        }
        for part in chain.from_iterable(unit.parts for unit in units)
    ]
    with durable(export / folder / "index.json") as file:
        file.write(json.dumps({"shards": shards, "version": 2}, sort_keys=True).encode())


def _read(layout: Layout, export: Path, folder: str, unit: Unit) -> Iterator[Rows]:
    index = json.loads((export / folder / "index.json").read_bytes())
    listed = {shard["raw_data"]["basename"]: shard for shard in index["shards"]}
    for part in unit.parts:
        shard = listed[Path(part.file).name]
        frame = read_frame(export / part.file, part)
        own = json.loads(frame.text)
        if any(shard[name] != value for name, value in own.items()) or shard["samples"] != part.rows:
            raise ValueError(f"{part.file} is not what index.json says of it")
        yield _columns(shard, frame)


def _columns(shard: dict[str, Any], frame: Frame) -> Rows:
    """All columns of a shard, found by what its header says."""
    at, sizes, columns = frame.starts.copy(), [], {}
    for size in shard["column_sizes"]:
        sizes.append(uint32_at(frame, at) if size is None else np.full(len(at), int(size), np.int64))
        at += 4 if size is None else 0
    for name, encoding, size in zip(shard["column_names"], shard["column_encodings"], sizes, strict=True):
        kind, _, shape = encoding.removeprefix("ndarray:").partition(":")
        head = np.zeros(len(at), np.int64)
        if kind != "bytes" and not shape:
            code = frame.data[at]
            if np.any((code < 4) | (code > 6)):
                raise ValueError(f"column {name} has an array that has not one dimension")
            head += 1 + (1 << (code & 3).astype(np.int64))
        columns[name] = gather(frame, at + head, size - head, "uint8" if kind == "bytes" else kind)
        at = at + size
    if np.any(at != frame.ends):
        raise ValueError("a sample is longer than its columns")
    return columns


FORMAT = Format(
    name="mds",
    columns=("tokens", "cu_seqlens", "loss_mask"),
    folder="{domain}",
    write=_write,
    finish=_finish,
    read=_read,
)
