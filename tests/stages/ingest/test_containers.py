import os
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from stages.ingest.containers import check_paths, clean_path, find_containers
from stages.ingest.raw import safe_path


def test_names_are_relative_to_what_was_asked_for(tmp_path: Path) -> None:
    for name in ("a/x.jsonl", "b/x.jsonl", "b/c/y.jsonl", "b/readme.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")

    def names(*paths: str) -> list[str]:
        return [found.name for found in find_containers(tuple(f"{tmp_path}/{path}" for path in paths), (".jsonl",))]

    assert names("a/x.jsonl") == ["x.jsonl"]
    assert names("b") == ["c/y.jsonl", "x.jsonl"]
    assert names("*/x.jsonl") == ["a/x.jsonl", "b/x.jsonl"]
    assert names("**/*.jsonl") == ["a/x.jsonl", "b/c/y.jsonl", "b/x.jsonl"]
    assert names("b/readme.md") == ["readme.md"]
    assert names("a/x.jsonl", "a") == ["x.jsonl"]
    with pytest.raises(SourceError, match=r"would both be named 'x.jsonl'; select them by one glob over .*/\*\*"):
        names("a/x.jsonl", "b/x.jsonl")


def test_a_path_that_selects_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        find_containers((f"{tmp_path}/none.zip",), (".zip",))
    with pytest.raises(SourceError, match=r"selects no file; expected files ending in \.zip"):
        find_containers((str(tmp_path),), (".zip",))
    with pytest.raises(SourceError, match="selects no file"):
        find_containers((f"{tmp_path}/*.zip",), (".zip",))


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].zip").write_bytes(b"")
    assert [found.name for found in find_containers((f"{tmp_path}/a[1].zip",), (".zip",))] == ["a[1].zip"]


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(SourceError, match="not a regular file"):
        find_containers((f"{tmp_path}/pipe.zip",), (".zip",))


@pytest.mark.parametrize("paths", [(), ("",), ("a\0b",), "name"])
def test_unusable_paths_are_rejected(paths: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="paths must be a tuple"):
        check_paths(paths)


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd", "etc/passwd"), ("/etc/passwd", "etc/passwd"), ("C:\\a\\b", "C/a/b"), ("a/./b", "a/b"),
        ("..", "unnamed"), ("", "unnamed"), ("a\0b", "a\N{REPLACEMENT CHARACTER}b"), ("a/..", "a"),
    ],
)  # fmt: skip
def test_clean_paths_are_safe(name: str, clean: str) -> None:
    assert clean_path(name) == clean
    assert safe_path(clean) == clean
