import bz2
import gzip
import io
import lzma
import random
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.stages.ingest.archives import (
    add,
    gem_bytes,
    problems,
    rows,
    tar_bytes,
)


def pack_small_blocks(data: bytes) -> bytes:
    return bz2.compress(data, 1)


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names(tmp_path: Path, kind: int) -> None:
    name = "/".join(["folder"] * 60) + "/file.py"
    assert rows(tmp_path, "a.tar", tar_bytes({name: b"x"}, kind)) == [(name, None, b"x", None)]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tar.zst", "a.gem"])
def test_a_truncated_tar_keeps_what_was_whole(tmp_path: Path, name: str) -> None:
    noise = [random.Random(seed).randbytes(200_000) for seed in range(4)]
    data = tar_bytes({f"f{number}": content for number, content in enumerate(noise)})
    packers = {".gz": gzip.compress, ".bz2": pack_small_blocks, ".xz": lzma.compress, ".zst": zstandard.compress}
    packed = gem_bytes(gzip.compress(data)) if name == "a.gem" else packers.get(Path(name).suffix, bytes)(data)
    found = rows(tmp_path, name, packed[: len(packed) * 6 // 10])
    whole = [row for row in found if row[3] is None]
    assert whole == [(f"f{number}", None, noise[number], None) for number in range(len(whole))]
    assert 1 <= len(whole) <= 2
    assert found[-1] == (name, None, None, "truncated")
    assert {row[3] for row in found[len(whole) :]} == {"truncated"}


def test_a_damaged_header_ends_a_tar_with_a_row(tmp_path: Path) -> None:
    data = bytearray(tar_bytes({"a": b"1", "b": b"2"}, tarfile.USTAR_FORMAT))
    data[3 * 512] ^= 0xFF
    assert rows(tmp_path, "a.tar", bytes(data)) == [("a", None, b"1", None), ("a.tar", None, None, "corrupt")]


def test_extended_headers_cannot_fill_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 8_000_000_000
    assert problems(tmp_path, "a.tar", info.tobuf() + bytes(100_000)) == {"a.tar": "corrupt"}
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 0
    assert problems(tmp_path, "a.tar", info.tobuf() * 3000 + tar_bytes({"deep": b"x"}))["deep"] is None


def test_sparse_members_are_named(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, "s", b"1\n0\n1\n" + bytes(600), pax_headers={"GNU.sparse.major": "1", "GNU.sparse.name": "holes"})
        add(tar, "next", b"x")
    assert problems(tmp_path, "a.tar", out.getvalue()) == {"holes": "unsupported", "next": None}
