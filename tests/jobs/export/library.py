"""Run as a program: another library's own reader over exports, and its own writer over the same rows.

`python library.py LIBRARY FOLDER`: every `NAME/` in FOLDER with `layout.json` is an export of one domain in
`NAME/export`. Reads it into `NAME/read.npz` (per column: values and lengths) and writes what it reads with the library
into `NAME/own`.
"""

import json
import sys
import types
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

DOMAIN = "python"


def save(folder: Path, rows: list[dict[str, np.ndarray]]) -> None:
    """Columns of all rows, flat."""
    arrays: dict[str, np.ndarray] = {}
    for name in rows[0]:
        arrays[f"{name}.values"] = np.concatenate([row[name] for row in rows])
        arrays[f"{name}.lengths"] = np.array([len(row[name]) for row in rows])
    np.savez(folder / "read.npz", **arrays)


def megatron(folder: Path, layout: dict[str, Any]) -> None:
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

    dataset = IndexedDataset(str(folder / "export" / DOMAIN))
    assert len(dataset.document_indices) == len(dataset) + 1
    save(folder, [{"tokens": dataset[row]} for row in range(len(dataset))])
    (folder / "own").mkdir()
    builder = IndexedDatasetBuilder(str(folder / "own" / f"{DOMAIN}.bin"), dtype=dataset.index.dtype)
    for row in range(len(dataset)):
        builder.add_document(torch.from_numpy(dataset[row].copy()), [len(dataset[row])])
    builder.finalize(str(folder / "own" / f"{DOMAIN}.idx"))


def mds(folder: Path, layout: dict[str, Any]) -> None:
    from streaming.base.dataset import StreamingDataset
    from streaming.base.format.mds.writer import MDSWriter
    from streaming.base.local import LocalDataset

    local = LocalDataset(str(folder / "export" / DOMAIN))
    streamed = StreamingDataset(local=str(folder / "export" / DOMAIN), shuffle=False, batch_size=1)
    samples = [local[row] for row in range(len(local))]
    for sample, other in zip(samples, streamed, strict=True):
        assert all(np.array_equal(sample[name], other[name]) for name in sample)
    save(
        folder, [{k: np.frombuffer(v, np.uint8) if isinstance(v, bytes) else v for k, v in s.items()} for s in samples]
    )
    shard = local.shards[0]
    columns = dict(zip(shard.column_names, shard.column_encodings, strict=True))
    with MDSWriter(columns=columns, out=str(folder / "own"), size_limit=layout["part_bytes"]) as writer:
        for sample in samples:
            writer.write(sample)


def open_bare(*packages: str) -> None:
    """Make these packages without their own start, which imports models, GPU kernels or clients of clouds."""
    top = packages[0].partition(".")[0]
    (root,) = (Path(path) for path in find_spec(top).submodule_search_locations)
    for name in packages:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(root.joinpath(*name.split(".")[1:]))]


def open_streaming() -> None:
    """`streaming` without transformers and torchvision."""
    open_bare("streaming", "streaming.base")


def open_megatron() -> None:
    """`megatron.core` without its layers."""
    open_bare("megatron.core", "megatron.core.datasets")
    import_module("megatron.core.parallel_state")  # as its start does; the modules import each other


def litdata(folder: Path, layout: dict[str, Any]) -> None:
    import torch
    from litdata import StreamingDataset, TokensLoader
    from litdata.streaming.cache import Cache

    is_block = layout["columns"] == ["tokens"] and layout["row_tokens"]
    loader = TokensLoader(layout["row_tokens"]) if is_block else None
    dataset = StreamingDataset(str(folder / "export" / DOMAIN), item_loader=loader)
    items = list(dataset)
    assert len(items) == len(dataset)
    rows = [item if isinstance(item, dict) else {"tokens": item} for item in items]
    as_arrays = [
        {
            name: value.numpy() if isinstance(value, torch.Tensor) else np.frombuffer(value, np.uint8)
            for name, value in row.items()
        }
        for row in rows
    ]
    save(folder, as_arrays)
    own = Cache(
        str(folder / "own"), chunk_bytes=layout["part_bytes"], item_loader=TokensLoader(1) if is_block else None
    )
    for number, row in enumerate(rows):
        copied = {n: v.clone() if isinstance(v, torch.Tensor) else bytes(v) for n, v in row.items()}
        own[number] = copied if len(layout["columns"]) > 1 else copied["tokens"]
    own.done()
    own.merge()


def datasets(folder: Path, layout: dict[str, Any]) -> None:
    from datasets import load_dataset

    whole = load_dataset(str(folder / "export"), DOMAIN, split="train", cache_dir=str(folder / "cache"))
    streamed = load_dataset(str(folder / "export"), DOMAIN, split="train", streaming=True)
    rows = list(streamed)
    assert rows == whole.to_list()
    save(folder, [{name: flat(value) for name, value in row.items()} for row in rows])


def flat(value: Any) -> np.ndarray:
    """Ids as bytes, all else as it is."""
    ids = [value] if isinstance(value, bytes) else value
    return np.frombuffer(b"".join(ids), np.uint8) if isinstance(ids[0], bytes) else np.array(ids)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    {"mds": open_streaming, "megatron": open_megatron}.get(sys.argv[1], bool)()
    for described in sorted(Path(sys.argv[2]).glob("*/layout.json")):
        {"megatron": megatron, "mds": mds, "litdata": litdata, "datasets": datasets}[sys.argv[1]](
            described.parent, json.loads(described.read_text())
        )
