"""`python -m tests.bench.exports [--tokens N] [--json FILE]`: our writers beside those of the libraries, in one run.

Packed rows of 2,048 tokens lie in memory; what is timed is their way to files. A library that is not installed
(infra/without-dependencies.txt) is left out.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from jobs.export.command import FORMATS
from jobs.export.layout import Layout, Rows, Unit
from jobs.export.ragged import Ragged
from jobs.export.transfer import transfer, verify
from tests.jobs.export.library import open_megatron, open_streaming

ROW = 2048
MODULES = {"megatron": "megatron", "mds": "streaming", "litdata": "litdata"}


def rows_of(count: int, seed: int) -> Rows:
    """Tokens, borders and masks of packed rows; ids are as frequent as words are."""
    rng = np.random.default_rng(seed)
    tokens = np.minimum(rng.zipf(1.3, count * ROW), 100_000).astype(np.int32)
    pieces = rng.integers(1, 6, count)
    borders = rng.integers(0, ROW, int((pieces + 1).sum())).astype(np.int32)
    even = np.arange(count + 1, dtype=np.int64) * ROW
    return {
        "tokens": Ragged(even, tokens),
        "cu_seqlens": Ragged(np.concatenate([[0], np.cumsum(pieces + 1)]), borders),
        "loss_mask": Ragged(even, np.ones(count * ROW, np.uint8)),
    }


def ours(name: str, rows: Rows, count: int, folder: Path) -> dict[str, float]:
    """CPU seconds of writing and of reading again."""
    columns = ("tokens",) if name in ("megatron", "litdata") else tuple(rows)
    layout = Layout(columns=columns, row_tokens=ROW)
    unit = Unit(number=0, domain="python", source="rows", rows=count)

    def batches(_: Unit) -> Iterator[Rows]:
        for start in range(0, count, 512):
            yield {column: rows[column].rows(start, min(count, start + 512)) for column in columns}

    start = time.process_time()
    transfer(FORMATS[name], layout, [unit], batches, folder / "ours", {}, lambda *_: None)
    written = time.process_time()
    verify(FORMATS[name], layout, folder / "ours")
    return {"write_cpu_s": written - start, "verify_cpu_s": time.process_time() - written}


def megatron(rows: Rows, folder: Path) -> None:
    """Its builder, one document per row."""
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    builder = IndexedDatasetBuilder(str(folder / "own.bin"), dtype=np.int32)
    for row in rows["tokens"].values.reshape(-1, ROW):
        builder.add_document(torch.from_numpy(row), [ROW])
    builder.finalize(str(folder / "own.idx"))


def mds(rows: Rows, folder: Path) -> None:
    """Its writer, with the same columns."""
    from streaming.base.format.mds.writer import MDSWriter

    columns = {"tokens": f"ndarray:int32:{ROW}", "cu_seqlens": "ndarray:int32", "loss_mask": f"ndarray:uint8:{ROW}"}
    with MDSWriter(columns=columns, out=str(folder / "own")) as writer:
        for row in range(len(rows["tokens"].offsets) - 1):
            writer.write({name: column.rows(row, row + 1).values for name, column in rows.items()})


def litdata(rows: Rows, folder: Path) -> None:
    """Its writer, for `TokensLoader`."""
    import torch
    from litdata.streaming.cache import Cache
    from litdata.streaming.item_loader import TokensLoader

    cache = Cache(str(folder / "own"), chunk_bytes=1 << 26, item_loader=TokensLoader(ROW))
    for number, row in enumerate(rows["tokens"].values.reshape(-1, ROW)):
        cache[number] = torch.from_numpy(row)
    cache.done()


THEIRS: Mapping[str, Callable[[Rows, Path], None]] = {"megatron": megatron, "mds": mds, "litdata": litdata}


def measure(tokens: int) -> dict[str, dict[str, float]]:
    """Millions of tokens per CPU-second, by format; the libraries are imported before they are timed."""
    count = tokens // ROW
    installed = {name for name, module in MODULES.items() if find_spec(module)}
    for name, open_package in (("mds", open_streaming), ("megatron", open_megatron)):
        if name in installed:
            open_package()
    rows, few = rows_of(count, 0), rows_of(4, 1)
    found: dict[str, dict[str, float]] = {}
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "warm").mkdir()
            ours(name, few, 4, Path(folder) / "warm")
            took = ours(name, rows, count, Path(folder))
            found[name] = {
                "write_mtok_per_cpu_s": count * ROW / 1e6 / took["write_cpu_s"],
                "verify_mtok_per_cpu_s": count * ROW / 1e6 / took["verify_cpu_s"],
            }
            if name not in installed:
                continue
            THEIRS[name](few, Path(folder) / "warm")
            start = time.process_time()
            THEIRS[name](rows, Path(folder))
            found[name]["library_mtok_per_cpu_s"] = count * ROW / 1e6 / (time.process_time() - start)
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=32_000_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found = measure(given.tokens)
    for name, figures in found.items():
        print(f"{name:9}", "  ".join(f"{key} {value:,.0f}" for key, value in figures.items()))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
