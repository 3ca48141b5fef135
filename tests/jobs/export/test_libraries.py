"""Each format through the library that it is for: its reader gives back every token, its writer the same bytes."""

import json
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from jobs.export.command import FORMATS
from jobs.export.layout import Format, Layout
from jobs.export.transfer import transfer, verify
from tests.jobs.export.rows import DOMAIN, batches_of, make_rows, units_of

ROOT = Path(__file__).resolve().parents[3]
MODULES = {"megatron": "megatron", "mds": "streaming", "litdata": "litdata", "datasets": "datasets"}
ALL = ("tokens", "document_id", "document_start", "document_offset", "cu_seqlens", "loss_mask")
CASES = {
    "megatron": {
        "documents": (Layout(columns=("tokens",), row_tokens=0), [300, 41, 1]),
        "packed": (Layout(columns=("tokens",), row_tokens=64, id_type="uint16"), [300, 41, 1]),
    },
    "mds": {
        "packed": (Layout(columns=ALL, row_tokens=64, part_bytes=1 << 16), [300, 41, 1]),
        "documents": (Layout(columns=("document_id", "tokens"), row_tokens=0, part_bytes=1 << 16), [400]),
        "tokens": (Layout(columns=("tokens",), row_tokens=700, part_bytes=1 << 16), [150]),
        "wide": (Layout(columns=ALL, row_tokens=300, part_bytes=1 << 16), [150]),
    },
    "litdata": {
        "packed": (Layout(columns=ALL, row_tokens=64, part_bytes=1 << 16), [300, 41, 1]),
        "blocks": (Layout(columns=("tokens",), row_tokens=700, part_bytes=1 << 16), [100, 3, 7]),
        "documents": (Layout(columns=("tokens",), row_tokens=0, part_bytes=1 << 16), [400]),
        "tokens": (Layout(columns=("tokens",), row_tokens=700, part_bytes=1 << 16), [150]),
        "wide": (Layout(columns=ALL, row_tokens=300, part_bytes=1 << 16), [150]),
    },
    "datasets": {
        "packed": (Layout(columns=ALL, row_tokens=64, files_per_part=3), [300, 41, 1]),
        "documents": (Layout(columns=("tokens", "document_id"), row_tokens=0), [200]),
    },
}
"""Layout and rows of each published file, by library. One file: the library's writer cuts as we do."""


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_library_reads_every_token_and_writes_the_same_bytes(name: str, tmp_path: Path) -> None:
    if find_spec(MODULES[name]) is None:
        pytest.skip("not installed; pip install --no-deps -r infra/without-dependencies.txt")
    fmt = FORMATS[name]
    for kind, (layout, counts) in CASES[name].items():
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "layout.json").write_text(json.dumps(asdict(layout)))
        to, tokens = tmp_path / kind / "export", layout.row_tokens
        transfer(fmt, layout, units_of(counts), lambda unit, t=tokens: batches_of(unit, t, 37), to, {}, lambda *_: None)
        verify(fmt, layout, to)
    script = Path(__file__).with_name("library.py")
    done = subprocess.run([sys.executable, script, name, tmp_path], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for kind, (layout, counts) in CASES[name].items():
        check_read(tmp_path / kind, layout, counts)
        if name == "megatron" or (name != "datasets" and len(counts) == 1):
            check_written(tmp_path / kind, fmt)


def check_read(folder: Path, layout: Layout, counts: list[int]) -> None:
    """What the library read is what there was."""
    read = np.load(folder / "read.npz")
    sources = [make_rows(count, layout.row_tokens, seed) for seed, count in enumerate(counts)]
    assert {key.partition(".")[0] for key in read} == set(layout.columns)
    for column in layout.columns:
        assert np.array_equal(read[f"{column}.lengths"], np.concatenate([s[column].lengths for s in sources]))
        assert np.array_equal(read[f"{column}.values"], np.concatenate([s[column].values for s in sources]))


def check_written(folder: Path, fmt: Format) -> None:
    """What the library's own writer makes of these rows is the same; its names differ."""
    if fmt.name == "megatron":
        for name in (f"{DOMAIN}.bin", f"{DOMAIN}.idx"):
            assert (folder / "own" / name).read_bytes() == (folder / "export" / name).read_bytes()
        return
    theirs, ours = (
        json.loads((path / "index.json").read_text()) for path in (folder / "own", folder / "export" / DOMAIN)
    )
    kind = "shards" if fmt.name == "mds" else "chunks"
    assert len(theirs[kind]) == len(ours[kind]) > 2
    for own, mine in zip(theirs[kind], ours[kind], strict=True):
        (name, other) = (
            entry["raw_data"].pop("basename") if fmt.name == "mds" else entry.pop("filename") for entry in (own, mine)
        )
        assert own == mine
        assert (folder / "own" / name).read_bytes() == (folder / "export" / DOMAIN / other).read_bytes()
    assert theirs.get("config") == ours.get("config")
