import hashlib
import itertools
import os
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.source import Unit
from stages.ingest import files
from stages.ingest.files import Describer, Entry, cut_units, printable, read_regular, read_unit
from stages.ingest.raw import Limits, Provenance
from tests.builders import LocalContext

PROVENANCE = Provenance(origin="folder:x", revision="1", license="MIT", license_from="metadata")


def entry(path: str, content: bytes) -> Entry:
    return Entry(path, path.encode(), len(content), hashlib.sha256(content).digest())


def write(root: Path, contents: dict[str, bytes]) -> list[Entry]:
    for path, content in contents.items():
        (root / path).write_bytes(content)
    return [entry(path, content) for path, content in sorted(contents.items())]


def cut(entries: list[Entry], folder: Path, provenance: Provenance = PROVENANCE, **limits: int) -> list[Unit]:
    return list(cut_units(entries, folder, provenance, Limits(**limits), LocalContext(folder)))


def test_printable_keeps_text_and_escapes_what_is_none() -> None:
    assert printable("naïve/日本.py") == "naïve/日本.py"
    assert printable(b"a\xff.py") == r"a\xff.py"
    assert printable(os.fsdecode(b"d/a\xff\\.py")) == r"d/a\xff\\.py"
    assert printable(r"a\b") == r"a\b"
    assert printable(r"a\xff.py") == r"a\\xff.py"


@given(st.lists(st.text("\\x0f/é", max_size=8).map(str.encode) | st.binary(max_size=4), unique=True, max_size=8))
def test_printable_never_gives_two_names_the_same_text(names: list[bytes]) -> None:
    assert len({printable(name) for name in names}) == len(names)


@given(st.lists(st.sampled_from([b"\\", b"x", b"f", b"0", b"\xff", b"\xf0", b"/", b"\xc3", b"\xa9"]), max_size=12))
def test_printable_can_be_undone(tokens: list[bytes]) -> None:
    name = b"".join(tokens)
    undone = [_undo(part) for part in printable(name).split("/")]
    assert b"/".join(undone) == name


def _undo(part: str) -> bytes:
    if not files._AMBIGUOUS.search(part):
        return part.encode()
    pieces = iter(part.replace(r"\\", "\0").split(r"\x"))
    out = next(pieces).encode()
    for piece in pieces:
        out += bytes.fromhex(piece[:2]) + piece[2:].encode()
    return out.replace(b"\0", b"\\")


def test_units_are_cut_at_shard_bytes_and_hold_every_file_once(tmp_path: Path) -> None:
    contents = {f"{number:02}.txt": b"x" * 40 for number in range(7)} | {"99.txt": b"y" * 300}
    units = cut(write(tmp_path, contents), tmp_path, shard_bytes=100)
    assert [unit.parts[0].rows for unit in units] == [2, 2, 2, 1, 1]
    assert [unit.parts[0].bytes for unit in units] == [80, 80, 80, 40, 300]
    assert [unit.label for unit in units] == [f"folder:x@1 {number}/5" for number in range(1, 6)]
    tables = [table for unit in units for table in read_unit(unit, LocalContext(tmp_path))]
    read = {row["path"]: row["content"] for table in tables for row in table.to_pylist()}
    assert read == contents


def test_units_of_many_empty_files_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_UNIT_FILES", 3)
    units = cut([entry(str(number), b"") for number in range(7)], tmp_path)
    assert [unit.parts[0].rows for unit in units] == [3, 3, 1]


def test_no_files_give_no_units(tmp_path: Path) -> None:
    assert cut([], tmp_path) == []


def test_identity_covers_names_contents_problems_and_provenance_but_no_machine_path(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    base = [entry("a", b"1"), entry("b", b"2")]
    variants = [
        cut(base, tmp_path),
        cut([entry("a", b"1"), entry("c", b"2")], tmp_path),
        cut([entry("a", b"1"), entry("b", b"3")], tmp_path),
        cut([entry("a", b"1"), Entry("b", b"b", 1, problem="unreadable")], tmp_path),
        cut([entry("a", b"1"), Entry("b", b"b", 2, problem="oversize")], tmp_path),
        cut([entry("a", b"1"), Entry("b", b"b", 3, problem="oversize")], tmp_path),
        cut(base, tmp_path, Provenance(origin="folder:x", revision="2")),
    ]
    identities = [units[0].identity for units in variants]
    assert all(one != other for one, other in itertools.combinations(identities, 2))
    assert cut(base, tmp_path / "other")[0].identity == identities[0]


def test_rows_carry_provenance_hash_and_problem(tmp_path: Path) -> None:
    entries = [*write(tmp_path, {"a": b"1"}), Entry("b", b"b", 9, problem="unreadable")]
    (table,) = read_unit(cut(entries, tmp_path)[0], LocalContext(tmp_path))
    first, second = table.to_pylist()
    assert first["content_hash"] == hashlib.sha256(b"1").digest()
    assert (first["origin"], first["revision"], first["license"], first["license_from"]) == (
        "folder:x", "1", "MIT", "metadata",
    )  # fmt: skip
    assert (second["problem"], second["size"], second["content"], second["content_hash"]) == (
        "unreadable",
        9,
        None,
        None,
    )
    assert pc.all(pc.equal(pc.is_null(table["content"]), pc.is_valid(table["problem"]))).as_py()


@pytest.mark.parametrize("after", [b"9", b"12", b"", None])
def test_a_file_that_changes_after_the_scan_is_an_error(tmp_path: Path, after: bytes | None) -> None:
    unit = cut(write(tmp_path, {"a": b"1"}), tmp_path)[0]
    (tmp_path / "a").unlink()
    if after is not None:
        (tmp_path / "a").write_bytes(after)
    with pytest.raises(SourceError, match=r"a changed while reading.*run again"):
        list(read_unit(unit, LocalContext(tmp_path)))


def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    unit = cut(write(tmp_path, {"a": b"1"}), tmp_path)[0]
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")
    with pytest.raises(SourceError, match="not a regular file"):
        list(read_unit(unit, LocalContext(tmp_path)))


def test_read_regular_refuses_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "a", 3) == b"123"
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "b", 3)


def test_describe_hashes_no_oversize_file(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    write(tmp_path, {"small": b"1234", "large": b"12345"})
    describer = Describer(tmp_path, Limits(max_document_bytes=4), context)
    assert describer.describe("small") == entry("small", b"1234")
    assert describer.describe("large") == Entry("large", b"large", 5, problem="oversize")
    assert context.hashed == [tmp_path / "small"]


def test_describe_does_not_pass_a_folder_link_out_of_the_root(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "secret").write_bytes(b"1")
    (root / "way").symlink_to(outside)
    describer = Describer(root, Limits(), LocalContext(tmp_path))
    assert describer.describe("way/secret").problem == "broken-link"
    assert describer.describe("gone").problem == "unreadable"
