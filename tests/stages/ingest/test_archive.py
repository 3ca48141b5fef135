import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SourceError
from stages.ingest import archive, members
from stages.ingest.archive import ArchiveConfig
from stages.ingest.raw import Limits, Provenance
from tests.builders import LocalContext, read_units, scan_all
from tests.stages.ingest.archives import EXPECTED, FILES, GOOD, add, problems, read, rows, tar_bytes, zip_bytes
from tests.stages.ingest.planned import read_planned, summary


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


def test_names_in_any_encoding_are_text(tmp_path: Path) -> None:
    table = read(tmp_path, "a.zip", zip_bytes({"日本.txt": b"x"}).replace("日本".encode(), b"\xff\xfe\xfd\xfc\xfb\xfa"))
    assert table["path"].to_pylist() == ["\N{REPLACEMENT CHARACTER}" * 6 + ".txt"]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        add(tar, "caf\xe9", b"x")
    assert rows(tmp_path, "a.tar", out.getvalue()) == [("caf\N{REPLACEMENT CHARACTER}", None, b"x", None)]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_large_members_are_not_read(tmp_path: Path, name: str) -> None:
    assert problems(tmp_path, name, GOOD[name], max_document_bytes=100)["pkg/a.py"] == "oversize"


def test_nested_archives_are_members(tmp_path: Path) -> None:
    nested = {"inner.zip": zip_bytes(), "inner.tar.gz": GOOD["a.tar.gz"]}
    assert rows(tmp_path, "a.tar", tar_bytes(nested)) == [(name, None, data, None) for name, data in nested.items()]


@pytest.mark.parametrize("data", [b"", b"no archive", b"x" * 5000, gzip.compress(b"no tar" * 500), b"\x1f\x8bgarbage"])
@pytest.mark.parametrize("name", ["a.tar", "a.gem", "a.tar.gz"])
def test_what_is_no_archive_is_one_row(tmp_path: Path, name: str, data: bytes) -> None:
    table = read(tmp_path, name, data)
    assert summary(table) == [(name, None, None, "corrupt")]
    assert table["size"].to_pylist() == [len(data)]


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
        with pytest.raises(SourceError, match=r"a.tar changed since it was scanned"):
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
