"""litdata's optimized dataset: one folder with `index.json` and chunks per domain.

Packed rows of tokens alone are for `TokensLoader(block_size=sequence length)`, all else for the default loader:
documents as tensors, several columns as dicts. Checked against litdata 0.2.76: its reader reads it, its writer writes
the same chunks.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.export.framed import FrameWriter, Framing, cells, durable, gather, joined, numbers, read_frame, uint32_at
from jobs.export.layout import Format, Layout, Part, Rows, Unit
from jobs.export.ragged import COLUMNS

_KINDS = {
    name: "bytes" if name == "document_id" else "no_header_tensor:19" if name == "loss_mask" else "no_header_tensor:16"
    for name in COLUMNS
}
"""litdata's serializer of each column; 16 and 19 are int32 and bool."""
_LEAF: dict[str, object] = {"type": None, "context": None, "children_spec": []}


def _is_block(layout: Layout) -> bool:
    """Whether a chunk is one run of tokens that the loader cuts."""
    return layout.columns == ("tokens",) and layout.row_tokens > 0


def _write(
    layout: Layout, export: Path, folder: str, unit: Unit, before: Sequence[Unit], batches: Iterator[Rows]
) -> tuple[Part, ...]:
    pattern = f"{folder}/chunk-{unit.number}-{{}}.bin"
    writer = FrameWriter(root=export, pattern=pattern, framing=Framing(limit=layout.part_bytes))
    for rows in batches:
        writer.write(_samples(layout, rows), rows["tokens"].lengths)
    return writer.close()


def _samples(layout: Layout, rows: Rows) -> pa.LargeBinaryArray:
    """Sizes of all columns, then all columns; tokens alone where a chunk is one run."""
    columns = [rows[name] for name in layout.columns]
    sizes = [] if _is_block(layout) else [numbers(c.lengths * c.values.itemsize) for c in columns]
    return joined([*sizes, *(cells(column) for column in columns)])


def _finish(layout: Layout, export: Path, folder: str, units: Sequence[Unit]) -> None:
    chunks = [
        {
            "chunk_bytes": part.bytes,
            "chunk_size": part.rows,
            "dim": part.tokens if _is_block(layout) else None,
            "filename": Path(part.file).name,
        }
        for part in chain.from_iterable(unit.parts for unit in units)
    ]
    names = list(layout.columns)
    is_single = names == ["tokens"]
    tree = (
        _LEAF
        if is_single
        else {"type": "builtins.dict", "context": json.dumps(names), "children_spec": [_LEAF] * len(names)}
    )
    types = {name: "bytes" if _KINDS[name] == "bytes" else "tensor" for name in names}
    config = {
        "chunk_bytes": layout.part_bytes,
        "chunk_size": None,
        "compression": None,
        "compression_batch_size": None,
        "compression_level": None,
        "data_format": [_KINDS[name] for name in names],
        "data_spec": json.dumps([1, tree]),
        "encryption": None,
        "ipc_compression": None,
        "item_loader": "TokensLoader" if _is_block(layout) else "PyTreeLoader",
        "types": "tensor" if is_single else types,
    }
    with durable(export / folder / "index.json") as file:
        file.write(json.dumps({"chunks": chunks, "config": config}, sort_keys=True).encode())


def _read(layout: Layout, export: Path, folder: str, unit: Unit) -> Iterator[Rows]:
    index = json.loads((export / folder / "index.json").read_bytes())
    listed = {chunk["filename"]: chunk for chunk in index["chunks"]}
    names = json.loads(json.loads(index["config"]["data_spec"])[1]["context"] or '["tokens"]')
    is_block = index["config"]["item_loader"] == "TokensLoader"
    for part in unit.parts:
        chunk = listed[Path(part.file).name]
        frame = read_frame(export / part.file, part)
        tokens = part.tokens if is_block else None
        if (chunk["chunk_bytes"], chunk["chunk_size"], chunk["dim"]) != (part.bytes, part.rows, tokens):
            raise ValueError(f"{part.file} is not what index.json says of it")
        at = frame.starts + (0 if is_block else 4 * len(names))
        columns = {}
        for number, name in enumerate(names):
            size = frame.ends - at if is_block else uint32_at(frame, frame.starts + 4 * number)
            columns[name] = gather(frame, at, size, COLUMNS[name])
            at = at + size
        if np.any(at != frame.ends):
            raise ValueError(f"{part.file}: a sample is longer than its columns")
        yield columns


FORMAT = Format(name="litdata", columns=("tokens",), folder="{domain}", write=_write, finish=_finish, read=_read)
