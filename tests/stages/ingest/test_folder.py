import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import SourceError
from stages.ingest import folder
from stages.ingest.folder import SOURCE, FolderConfig, scan_folder
from stages.ingest.patterns import Patterns
from stages.ingest.raw import Limits
from tests.builders import LocalContext, read_all, scan_all

BAD_BYTES = Path(__file__).parents[3].parent / "shared/corpora/bad_bytes"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "corpus"
    made.mkdir()
    return made


def fill(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"content of {name}")


def read(tmp_path: Path, path: Path | str, **settings: object) -> pa.Table:
    return read_all(SOURCE, FolderConfig(path=str(path), **settings), tmp_path)  # type: ignore[arg-type]


def paths(table: pa.Table) -> list[str]:
    return table["path"].to_pylist()


def problems(table: pa.Table) -> dict[str, str]:
    rows = zip(paths(table), table["problem"].to_pylist(), strict=True)
    return {path: problem for path, problem in rows if problem}


def test_every_file_becomes_a_row_sorted_by_path(root: Path, tmp_path: Path) -> None:
    fill(root, "b.txt", "a/z.txt", "a.txt", "a/b/c.txt", "a-b.txt")
    table = read(tmp_path, root)
    assert paths(table) == sorted(["a-b.txt", "a.txt", "a/b/c.txt", "a/z.txt", "b.txt"])
    assert table["content"].to_pylist() == [f"content of {path}".encode() for path in paths(table)]
    assert set(table["origin"].to_pylist()) == {"folder:corpus"}
    assert set(table["revision"].to_pylist()) == {""}


def test_directory_order_does_not_matter(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, *(f"{a}/{b}.txt" for a in "cab" for b in "zxy"))
    forward = scan_all(SOURCE, FolderConfig(path=str(root)), tmp_path)
    scandir = os.scandir

    @contextmanager
    def reversed_scandir(path: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(path) as entries:
            yield list(entries)[::-1]

    monkeypatch.setattr(folder.os, "scandir", reversed_scandir)
    assert list(folder.walk_files(root, Patterns())) == [f"{a}/{b}.txt" for a in "abc" for b in "xyz"]
    monkeypatch.undo()
    assert scan_all(SOURCE, FolderConfig(path=str(root)), tmp_path) == forward


def test_identity_does_not_depend_on_place_or_time(tmp_path: Path) -> None:
    one, two = tmp_path / "1/corpus", tmp_path / "2/corpus"
    for made in (one, two):
        fill(made, "a.txt")
    os.utime(two / "a.txt", (1, 1))
    units = [scan_all(SOURCE, FolderConfig(path=str(made)), tmp_path)[0] for made in (one, two)]
    assert units[0].identity == units[1].identity


def test_globs_choose_files(root: Path, tmp_path: Path) -> None:
    fill(root, "src/a.py", "src/x/b.py", "src/x/c.txt", "d.py", ".git/config", "node_modules/m.js", "src/a.pyc")
    assert paths(read(tmp_path, root)) == ["d.py", "src/a.py", "src/x/b.py", "src/x/c.txt"]
    assert paths(read(tmp_path, f"{root}/src/**/*.py")) == ["a.py", "x/b.py"]
    assert paths(read(tmp_path, f"{root}/src/*.py")) == ["a.py"]
    assert paths(read(tmp_path, root, include=("*.py",), exclude=("/src/x",))) == ["d.py", "src/a.py"]
    assert ".git/config" in paths(read(tmp_path, root, exclude=()))


def test_a_folder_named_like_a_glob_is_a_folder(root: Path, tmp_path: Path) -> None:
    fill(root, "[draft]/a.txt")
    table = read(tmp_path, root / "[draft]")
    assert paths(table) == ["a.txt"]
    assert table["origin"].to_pylist() == ["folder:[draft]"]


def test_links_are_rows_and_never_followed(root: Path, tmp_path: Path) -> None:
    fill(tmp_path, "outside/secret.txt")
    fill(root, "real/a.txt")
    links = {
        "alias.txt": "real/a.txt", "folder": "real", "gone.txt": "nothing", "loop": "loop", "up": "..",
        "escape.txt": "../outside/secret.txt", "real/self": ".", "absolute": str(tmp_path / "outside"),
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target)
    table = read(tmp_path, root)
    assert problems(table) == {
        "absolute": "broken-link", "alias.txt": "link", "escape.txt": "broken-link", "folder": "link",
        "gone.txt": "broken-link", "loop": "broken-link", "real/self": "link", "up": "broken-link",
    }  # fmt: skip
    assert [path for path in paths(table) if path not in links] == ["real/a.txt"]


def test_a_linked_root_is_read(root: Path, tmp_path: Path) -> None:
    fill(root, "a.txt")
    (tmp_path / "alias").symlink_to(root)
    table = read(tmp_path, tmp_path / "alias")
    assert paths(table) == ["a.txt"]
    assert table["origin"].to_pylist() == ["folder:alias"]


def test_pipes_and_sockets_are_never_opened(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, "a.txt")
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        context = LocalContext(tmp_path)
        (unit,) = SOURCE.scan(FolderConfig(path=str(root)), context)
        (table,) = SOURCE.read(FolderConfig(path=str(root)), unit, context)
    assert problems(table) == {"pipe": "link", "socket": "link"}
    assert context.hashed == [root / "a.txt"]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_the_system_refuses_to_open_is_a_row() -> None:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made).resolve()
        root.chmod(0o755)
        fill(root, "a.txt", "locked/b.txt", "shut.txt", "z.txt")
        (root / "shut.txt").chmod(0)
        (root / "locked").chmod(0)
        with as_nobody():
            found = list(scan_folder(root, Patterns(), Limits(), LocalContext(root)))
        (root / "locked").chmod(0o755)
    assert [(entry.path, entry.problem) for entry in found] == [
        ("a.txt", None), ("locked", "unreadable"), ("shut.txt", "unreadable"), ("z.txt", None),
    ]  # fmt: skip


def test_a_file_that_vanishes_during_the_scan_is_a_row(root: Path, tmp_path: Path) -> None:
    fill(root, "a.txt", "b.txt")

    class Vanishing(LocalContext):
        def sha256(self, path: Path) -> bytes:
            (root / "b.txt").unlink(missing_ok=True)
            return super().sha256(path)

    config, context = FolderConfig(path=str(root)), Vanishing(tmp_path)
    (unit,) = SOURCE.scan(config, context)
    (table,) = SOURCE.read(config, unit, context)
    assert problems(table) == {"b.txt": "unreadable"}


def test_names_that_are_not_utf8_survive(root: Path, tmp_path: Path) -> None:
    for name in (b"caf\xe9.txt", b"\xff\xfe/x.txt", "日本.txt".encode()):
        file = Path(os.fsdecode(os.fsencode(root) + b"/" + name))
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(name)
    table = read(tmp_path, root)
    assert dict(zip(paths(table), table["content"].to_pylist(), strict=True)) == {
        r"\xff\xfe/x.txt": b"\xff\xfe/x.txt", r"caf\xe9.txt": b"caf\xe9.txt", "日本.txt": "日本.txt".encode(),
    }  # fmt: skip
    assert paths(table) == sorted(paths(table))


def test_a_tree_deeper_than_a_path_may_be_long_ends_in_a_row(root: Path, tmp_path: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    table = read(tmp_path, root)
    assert list(problems(table).values()) == ["unreadable"]


def test_an_oversize_file_is_neither_hashed_nor_read(root: Path, tmp_path: Path) -> None:
    with (root / "huge.bin").open("wb") as file:
        file.truncate(5_000_000_000_000)
    (row,) = read(tmp_path, root).to_pylist()
    assert (row["problem"], row["size"], row["content_hash"]) == ("oversize", 5_000_000_000_000, None)


def test_an_empty_folder_gives_no_units(root: Path, tmp_path: Path) -> None:
    assert scan_all(SOURCE, FolderConfig(path=str(root)), tmp_path) == []


def test_the_user_names_the_origin(root: Path, tmp_path: Path) -> None:
    fill(root, "a.txt")
    assert read(tmp_path, root, origin="folder:mine")["origin"].to_pylist() == ["folder:mine"]


def test_mistakes_are_named_with_a_remedy(root: Path, tmp_path: Path) -> None:
    fill(root, "a.txt")
    with pytest.raises(SourceError, match=r"nowhere does not exist; check its spelling"):
        read(tmp_path, root / "nowhere")
    with pytest.raises(SourceError, match=r"nowhere does not exist"):
        read(tmp_path, f"{root}/nowhere/*.py")
    with pytest.raises(SourceError, match=r"is a file, expected a folder or a glob; set path=.*include=\('/a.txt',\)"):
        read(tmp_path, root / "a.txt")
    with pytest.raises(SourceError, match="put every pattern into include"):
        read(tmp_path, f"{root}/*.txt", include=("*.py",))
    with pytest.raises(ValueError, match="path must name a folder"):
        FolderConfig(path="")
    with pytest.raises(ValueError, match="origin must not be empty"):
        FolderConfig(path="a", origin="")


@pytest.mark.skipif(not BAD_BYTES.is_dir(), reason="the shared corpora are not here")
def test_real_files_with_bad_bytes_are_read_as_they_are(tmp_path: Path) -> None:
    table = read(tmp_path, BAD_BYTES)
    assert problems(table) == {}
    on_disk = {file.name: file.read_bytes() for file in BAD_BYTES.iterdir()}
    assert dict(zip(paths(table), table["content"].to_pylist(), strict=True)) == on_disk
