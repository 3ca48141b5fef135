import bz2
import gzip
import io
import lzma
import random
import stat
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SourceError
from stages.ingest import archive, members
from stages.ingest.archive import ArchiveConfig
from stages.ingest.raw import Limits, Provenance
from tests.builders import LocalContext, read_units, scan_all
from tests.stages.ingest.planned import read_planned, summary

FILES = {"pkg/a.py": b"print(1)\n" * 50, "pkg/b/c.txt": b"text", "empty": b""}
EXPECTED = [(name, None, content, None) for name, content in FILES.items()]


def tar_bytes(files: dict[str, bytes] = FILES, kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        folder = tarfile.TarInfo("pkg")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            add(tar, name, content)
    return out.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def zip_bytes(files: dict[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        packed.mkdir("pkg")
        for name, content in files.items():
            packed.writestr(name, content)
    return out.getvalue()


def read(folder: Path, name: str, data: bytes, **limits: int) -> pa.Table:
    (folder / name).write_bytes(data)
    config = ArchiveConfig(paths=(str(folder / name),), limits=Limits(**limits))
    return read_planned(archive.SOURCE, config, folder)


def rows(folder: Path, name: str, data: bytes, **limits: int) -> list[tuple[str, str | None, bytes | None, str | None]]:
    return summary(read(folder, name, data, **limits))


def problems(folder: Path, name: str, data: bytes, **limits: int) -> dict[str, str | None]:
    return {path: problem for path, _, _, problem in rows(folder, name, data, **limits)}


def gem_bytes(data: bytes) -> bytes:
    return tar_bytes({"metadata.gz": gzip.compress(b"name: x"), "data.tar.gz": data, "checksums.yaml.gz": b"x"})


GOOD = {
    "a.tar": tar_bytes(),
    "gnu.tar": tar_bytes(kind=tarfile.GNU_FORMAT),
    "ustar.tar": tar_bytes(kind=tarfile.USTAR_FORMAT),
    "a.tar.gz": gzip.compress(tar_bytes()),
    "a.tgz": gzip.compress(tar_bytes()),
    "a.crate": gzip.compress(tar_bytes()),
    "a.tar.bz2": bz2.compress(tar_bytes()),
    "a.tar.xz": lzma.compress(tar_bytes()),
    "a.tar.zst": zstandard.compress(tar_bytes()),
    "a.gem": gem_bytes(gzip.compress(tar_bytes())),
    "a.zip": zip_bytes(),
    "a.whl": zip_bytes(),
    "stored.jar": zip_bytes(method=zipfile.ZIP_STORED),
    "bzip2.zip": zip_bytes(method=zipfile.ZIP_BZIP2),
    "misnamed.zip": tar_bytes(),
    "misnamed.tar.gz": zip_bytes(),
}


@pytest.mark.parametrize("name", GOOD)
def test_reads_every_kind(tmp_path: Path, name: str) -> None:
    table = read(tmp_path, name, GOOD[name])
    assert summary(table) == EXPECTED
    assert set(table["origin"].to_pylist()) == {f"file:{name}"}


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_cuts_parts_by_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    whole, cut = (ArchiveConfig(paths=(str(tmp_path / name),), limits=Limits(shard_bytes=size)) for size in (10**6, 1))
    (unit,) = scan_all(archive.SOURCE, cut, tmp_path)
    assert [(part.rows, part.bytes) for part in unit.parts] == [(1, 450), (1, 4), (1, 0)]
    assert read_planned(archive.SOURCE, cut, tmp_path).equals(read_planned(archive.SOURCE, whole, tmp_path))
    assert unit.identity != scan_all(archive.SOURCE, whole, tmp_path)[0].identity


def test_empty_members_fill_a_part_too(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes({f"e{number}": b"" for number in range(100)}))
    config = ArchiveConfig(paths=(str(tmp_path / "a.tar"),), limits=Limits(shard_bytes=2_000))
    assert len(scan_all(archive.SOURCE, config, tmp_path)[0].parts) > 5


def test_identity_is_of_content_not_of_place(tmp_path: Path) -> None:
    units = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.zip").write_bytes(GOOD["a.zip"])
        units += scan_all(archive.SOURCE, ArchiveConfig(paths=(str(tmp_path / folder),)), tmp_path)
    assert units[0].identity == units[1].identity
    assert units[0].location != units[1].location


def test_a_package_brings_its_provenance(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(GOOD["a.whl"])
    provenance = Provenance(origin="pypi:a", revision="1.0", license="MIT", license_from="metadata")
    context = LocalContext(tmp_path)
    (unit,) = archive.scan_archive(tmp_path / "a.whl", provenance, Limits(), context)
    (table,) = archive.read_archive(unit, Limits(), context)
    assert unit.label == "pypi:a@1.0"
    expected = {"origin": "pypi:a", "revision": "1.0", "license": "MIT", "license_from": "metadata"}
    assert table.select(list(expected)).to_pylist() == [expected] * 3


def test_an_archive_without_files_gives_nothing(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.zip", zip_bytes({})) == []
    assert rows(tmp_path, "a.tar", tar_bytes({})) == []


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_unsafe_paths_are_named_and_not_read(tmp_path: Path, name: str) -> None:
    evil = {"../../etc/passwd": b"x", "/abs": b"x", "a/../../b": b"x", "C:\\x": b"x", "./fine": b"x"}
    data = tar_bytes(evil) if name == "a.tar" else zip_bytes(evil)
    assert problems(tmp_path, name, data) == {
        "etc/passwd": "unsafe-path", "abs": "unsafe-path", "a/b": "unsafe-path", "C/x": "unsafe-path", "fine": None,
    }  # fmt: skip


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            add(tar, f"l{kind.decode()}", type=kind, linkname="/etc/passwd")
    assert set(problems(tmp_path, "a.tar", out.getvalue()).values()) == {"link"}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    assert rows(tmp_path, "a.zip", out.getvalue()) == [("link", None, None, "link")]


def test_a_path_that_occurs_again_gets_a_number(tmp_path: Path) -> None:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as packed:
        warnings.simplefilter("ignore")
        for name in ("a", "a", "./a", "b"):
            packed.writestr(name, name)
    assert [row[:2] for row in rows(tmp_path, "a.zip", out.getvalue())] == [
        ("a", None), ("a", "#2"), ("a", "#3"), ("b", None),
    ]  # fmt: skip


def test_names_in_any_encoding_are_text(tmp_path: Path) -> None:
    table = read(tmp_path, "a.zip", zip_bytes({"日本.txt": b"x"}).replace("日本".encode(), b"\xff\xfe\xfd\xfc\xfb\xfa"))
    assert table["path"].to_pylist() == ["\N{REPLACEMENT CHARACTER}" * 6 + ".txt"]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        add(tar, "caf\xe9", b"x")
    assert rows(tmp_path, "a.tar", out.getvalue()) == [("caf\N{REPLACEMENT CHARACTER}", None, b"x", None)]


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names(tmp_path: Path, kind: int) -> None:
    name = "/".join(["folder"] * 60) + "/file.py"
    assert rows(tmp_path, "a.tar", tar_bytes({name: b"x"}, kind)) == [(name, None, b"x", None)]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_large_members_are_not_read(tmp_path: Path, name: str) -> None:
    assert problems(tmp_path, name, GOOD[name], max_document_bytes=100)["pkg/a.py"] == "oversize"


def test_nested_archives_are_members(tmp_path: Path) -> None:
    nested = {"inner.zip": zip_bytes(), "inner.tar.gz": GOOD["a.tar.gz"]}
    assert rows(tmp_path, "a.tar", tar_bytes(nested)) == [(name, None, data, None) for name, data in nested.items()]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tar.zst", "a.gem"])
def test_a_truncated_tar_keeps_what_was_whole(tmp_path: Path, name: str) -> None:
    noise = [random.Random(seed).randbytes(200_000) for seed in range(4)]
    data = tar_bytes({f"f{number}": content for number, content in enumerate(noise)})
    pack = {".gz": gzip.compress, ".bz2": lambda data: bz2.compress(data, 1), ".xz": lzma.compress, ".zst": zstandard.compress}
    packed = gem_bytes(gzip.compress(data)) if name == "a.gem" else pack.get(Path(name).suffix, bytes)(data)
    found = rows(tmp_path, name, packed[: len(packed) * 6 // 10])
    whole = [row for row in found if row[3] is None]
    assert whole == [(f"f{number}", None, noise[number], None) for number in range(len(whole))]
    assert 1 <= len(whole) <= 2
    assert found[-1] == (name, None, None, "truncated")
    assert {row[3] for row in found[len(whole) :]} == {"truncated"}


def test_a_truncated_zip_is_one_row(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.zip", GOOD["a.zip"][:-60]) == [("a.zip", None, None, "truncated")]


@pytest.mark.parametrize("data", [b"", b"no archive", b"x" * 5000, gzip.compress(b"no tar" * 500), b"\x1f\x8bgarbage"])
@pytest.mark.parametrize("name", ["a.tar", "a.gem", "a.tar.gz"])
def test_what_is_no_archive_is_one_row(tmp_path: Path, name: str, data: bytes) -> None:
    table = read(tmp_path, name, data)
    assert summary(table) == [(name, None, None, "corrupt")]
    assert table["size"].to_pylist() == [len(data)]


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


def test_encrypted_and_odd_methods_are_named(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"secret": b"x" * 50, "odd": b"y" * 50, "fine": b"z"}))
    entry = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    data[entry + 8] |= 1
    data[data.index(b"PK\1\2", entry + 1) + 10] = 97
    assert problems(tmp_path, "a.zip", bytes(data)) == {"secret": "encrypted", "odd": "unsupported", "fine": None}


def test_a_damaged_member_costs_that_member(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"a": b"first" * 9, "b": b"second" * 9}, zipfile.ZIP_STORED))
    data[data.index(b"first")] ^= 1
    assert problems(tmp_path, "a.zip", bytes(data)) == {"a": "corrupt", "b": None}


def test_a_size_that_lies_is_corrupt(tmp_path: Path) -> None:
    for claimed in (10, 10_000):
        data = bytearray(zip_bytes({"a": b"first" * 99}))
        entry = data.rindex(b"PK\1\2")
        data[entry + 24 : entry + 28] = struct.pack("<L", claimed)
        assert problems(tmp_path, "a.zip", bytes(data)) == {"a": "corrupt"}


def test_a_damaged_directory_keeps_the_members_before(tmp_path: Path) -> None:
    data = bytearray(GOOD["a.zip"])
    data[data.rindex(b"PK\1\2")] ^= 1
    assert rows(tmp_path, "a.zip", bytes(data)) == [*EXPECTED[:2], ("a.zip", None, None, "corrupt")]


def test_a_zip_behind_other_bytes_is_read(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.zip", b"#!/bin/sh\nexit\n" + GOOD["a.zip"]) == EXPECTED


def test_zip64(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed, packed.open("big", "w", force_zip64=True) as member:
        member.write(b"text")
    data = bytearray(out.getvalue())
    start = data.rindex(b"PK\1\2")
    entry, end = data[start : data.rindex(b"PK\5\6")], data[data.rindex(b"PK\5\6") :]
    entry[20:28], entry[42:46], entry[30:32] = b"\xff" * 8, b"\xff" * 4, struct.pack("<H", 28)
    entry += struct.pack("<HHQQQ", 1, 24, 4, 4, 0)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(entry), start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + len(entry), 1)
    end[8:20] = b"\xff" * 12
    (path, _, content, problem), = rows(tmp_path, "a.zip", bytes(data[:start] + entry + end64 + locator + end))
    assert (path, content, problem) == ("big", b"text", None)


def test_a_member_that_expands_too_far_is_a_bomb(tmp_path: Path) -> None:
    found = problems(tmp_path, "a.zip", zip_bytes({"bomb": bytes(4_000_000), "fine": b"x"}))
    assert found == {"bomb": "bomb", "fine": None}


def test_an_archive_that_expands_too_far_stops(tmp_path: Path) -> None:
    zeros = {f"z{number}": bytes(900_000) for number in range(6)}
    found = problems(tmp_path, "a.zip", zip_bytes(zeros), max_expansion_ratio=300)
    assert list(found.values()) == [None, None, None, "bomb", "bomb", "bomb"]
    found = problems(tmp_path, "a.zip", zip_bytes(zeros), max_expansion_ratio=10**6, max_archive_bytes=2_000_000)
    assert list(found.values()) == [None, None, *["bomb"] * 4]
    found = problems(tmp_path, "a.tar.gz", gzip.compress(tar_bytes(zeros)))
    assert found["z0"] is None
    assert found["a.tar.gz"] == "bomb"
    assert "z5" not in found


def test_members_that_overlap_are_a_bomb(tmp_path: Path) -> None:
    data = zip_bytes({"a": b"kernel" * 20}, zipfile.ZIP_STORED)
    start, end = data.rindex(b"PK\1\2"), data.rindex(b"PK\5\6")
    entry, tail = data[start:end], bytearray(data[end:])
    first = data.index(b"PK\1\2")
    tail[8:16] = struct.pack("<HHL", 4, 4, end - first + 2 * len(entry))
    assert problems_in_order(tmp_path, data[:end] + entry * 2 + bytes(tail)) == [None, "bomb", "bomb"]


def problems_in_order(folder: Path, data: bytes) -> list[str | None]:
    return [problem for _, _, _, problem in rows(folder, "a.zip", data)]


def test_the_number_of_members_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    assert rows(tmp_path, "a.tar", GOOD["a.tar"]) == [*EXPECTED[:2], ("a.tar", None, None, "bomb")]
    assert members.MAX_MEMBERS > 10**6


def test_an_archive_that_changed_is_an_error(tmp_path: Path) -> None:
    for name, other in (("a.tar", {**FILES, "more": b""}), ("a.tar", {"fewer": b""})):
        (tmp_path / name).write_bytes(GOOD[name])
        config = ArchiveConfig(paths=(str(tmp_path / name),))
        units = scan_all(archive.SOURCE, config, tmp_path)
        (tmp_path / name).write_bytes(tar_bytes(other))
        with pytest.raises(SourceError, match=r"a.tar changed since it was listed.*run again"):
            read_units(archive.SOURCE, config, units, tmp_path)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(GOOD)),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=4),
)
def test_no_damage_makes_scan_and_read_disagree(
    tmp_path_factory: pytest.TempPathFactory, name: str, cut: float, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(GOOD[name])
    for place, mask in flips:
        data[int(place * len(data))] ^= mask
    read(tmp_path_factory.mktemp("fuzz"), name, bytes(data[: len(data) - int(cut**4 * len(data))]), shard_bytes=500)
