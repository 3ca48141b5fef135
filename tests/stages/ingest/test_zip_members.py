import io
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

from tests.stages.ingest.archives import EXPECTED, GOOD, problems, rows, zip_bytes


def test_a_path_that_occurs_again_gets_a_number(tmp_path: Path) -> None:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as packed:
        warnings.simplefilter("ignore")
        for name in ("a", "a", "./a", "b"):
            packed.writestr(name, name)
    assert [row[:2] for row in rows(tmp_path, "a.zip", out.getvalue())] == [
        ("a", None), ("a", "#2"), ("a", "#3"), ("b", None),
    ]  # fmt: skip


def test_a_truncated_zip_is_one_row(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.zip", GOOD["a.zip"][:-60]) == [("a.zip", None, None, "truncated")]


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


def test_a_shorter_size_with_its_own_checksum_is_corrupt(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"a": b"first" * 99}))
    entry = data.rindex(b"PK\1\2")
    data[entry + 16 : entry + 20] = struct.pack("<L", zlib.crc32(b"first"))
    data[entry + 24 : entry + 28] = struct.pack("<L", 5)
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
    ((path, _, content, problem),) = rows(tmp_path, "a.zip", bytes(data[:start] + entry + end64 + locator + end))
    assert (path, content, problem) == ("big", b"text", None)


def test_a_member_that_expands_too_far_is_a_bomb(tmp_path: Path) -> None:
    found = problems(tmp_path, "a.zip", zip_bytes({"bomb": bytes(4_000_000), "fine": b"x"}))
    assert found == {"bomb": "bomb", "fine": None}


def test_members_that_overlap_are_a_bomb(tmp_path: Path) -> None:
    data = zip_bytes({"a": b"kernel" * 20}, zipfile.ZIP_STORED)
    start, end = data.rindex(b"PK\1\2"), data.rindex(b"PK\5\6")
    entry, tail = data[start:end], bytearray(data[end:])
    first = data.index(b"PK\1\2")
    tail[8:16] = struct.pack("<HHL", 4, 4, end - first + 2 * len(entry))
    assert problems_in_order(tmp_path, data[:end] + entry * 2 + bytes(tail)) == [None, "bomb", "bomb"]


def problems_in_order(folder: Path, data: bytes) -> list[str | None]:
    return [problem for _, _, _, problem in rows(folder, "a.zip", data)]
