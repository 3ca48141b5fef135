import hashlib
import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import SourceError
from stages.ingest import git
from stages.ingest.git import SOURCE, GitConfig
from stages.ingest.raw import Limits
from tests.builders import read_all, read_units, scan_all


def run(repository: Path, *arguments: str, stdin: bytes = b"") -> str:
    """A git command with a fixed author and date."""
    environment = os.environ | {
        "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    }  # fmt: skip
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(
        command, cwd=repository, env=environment, input=stdin, check=True, capture_output=True
    ).stdout.decode().strip()  # fmt: skip


def make(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    run(folder, "init", "-q", "-b", "main")
    commit(folder, contents)
    return folder


def commit(repository: Path, contents: dict[str, bytes]) -> str:
    for name, content in contents.items():
        file = repository / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    run(repository, "add", "-A")
    run(repository, "commit", "-q", "-m", "x")
    return run(repository, "rev-parse", "HEAD")


def commit_tree(repository: Path, entries: list[tuple[str, bytes, str]]) -> str:
    """A commit of a tree that git itself would refuse to make: (mode, name, hex id) in this order."""
    tree = b"".join(b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(blob)) for mode, name, blob in entries)
    made = run(repository, "hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=tree)
    return run(repository, "commit-tree", "-m", "x", made)


def read(tmp_path: Path, path: Path, **settings: object) -> pa.Table:
    return read_all(SOURCE, GitConfig(path=str(path), **settings), tmp_path / "store")  # type: ignore[arg-type]


def contents(table: pa.Table) -> dict[str, bytes | None]:
    return dict(zip(table["path"].to_pylist(), table["content"].to_pylist(), strict=True))


def problems(table: pa.Table) -> dict[str, str]:
    rows = zip(table["path"].to_pylist(), table["problem"].to_pylist(), strict=True)
    return {path: problem for path, problem in rows if problem}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make(tmp_path / "project", {"a.txt": b"one\r\n", "src/b.py": b"", "src/c/d.py": b"\0\xff"})


def test_the_files_of_head_are_read_as_committed(repository: Path, tmp_path: Path) -> None:
    (repository / "a.txt").write_bytes(b"not committed")
    (repository / "new.txt").write_bytes(b"not committed")
    table = read(tmp_path, repository)
    assert contents(table) == {"a.txt": b"one\r\n", "src/b.py": b"", "src/c/d.py": b"\0\xff"}
    assert set(table["origin"].to_pylist()) == {"git:project"}
    assert set(table["revision"].to_pylist()) == {run(repository, "rev-parse", "HEAD")}
    assert table["content_hash"].to_pylist()[0] == hashlib.sha256(b"one\r\n").digest()


def test_older_revisions_by_id_branch_and_tag(repository: Path, tmp_path: Path) -> None:
    first = run(repository, "rev-parse", "HEAD")
    run(repository, "tag", "-a", "v1", "-m", "x")
    run(repository, "branch", "old")
    second = commit(repository, {"a.txt": b"two"})
    for revision in (first, first[:10], "v1", "old", "HEAD~1"):
        table = read(tmp_path, repository, revision=revision)
        assert contents(table)["a.txt"] == b"one\r\n"
        assert table["revision"].to_pylist()[0] == first
    assert read(tmp_path, repository)["revision"].to_pylist()[0] == second


def test_bare_packed_and_linked_repositories_are_the_same(repository: Path, tmp_path: Path) -> None:
    run(tmp_path, "clone", "-q", "--bare", str(repository), "bare/project.git")
    run(tmp_path / "bare/project.git", "gc", "-q")
    run(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    config = GitConfig(path=str(repository), origin="git:x")
    units = scan_all(SOURCE, config, tmp_path)
    for path in (tmp_path / "bare/project.git", tmp_path / "linked", repository / ".git"):
        assert scan_all(SOURCE, GitConfig(path=str(path), origin="git:x"), tmp_path)[0].identity == units[0].identity
        assert read(tmp_path, path, origin="git:x").equals(read(tmp_path, repository, origin="git:x"))


def test_sha256_repositories_are_read(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    run(tmp_path / "new", "init", "-q", "--object-format=sha256")
    revision = commit(tmp_path / "new", {"a.txt": b"one"})
    table = read(tmp_path, tmp_path / "new")
    assert contents(table) == {"a.txt": b"one"}
    assert table["revision"].to_pylist() == [revision]
    assert len(revision) == 64


def test_links_and_submodules_are_rows(repository: Path, tmp_path: Path) -> None:
    (repository / "alias").symlink_to("a.txt")
    run(repository, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    run(repository, "add", "alias")
    run(repository, "commit", "-q", "-m", "x")
    table = read(tmp_path, repository)
    assert problems(table) == {"alias": "link", "module": "link"}
    assert table["path"].to_pylist() == ["a.txt", "alias", "module", "src/b.py", "src/c/d.py"]


def test_names_that_are_not_utf8_or_hold_newlines_survive(tmp_path: Path) -> None:
    names = {os.fsdecode(b"caf\xe9"): b"1", "new\nline\ttab": b"2", '"quoted"': b"3", "日本": b"4"}
    table = read(tmp_path, make(tmp_path / "p", names))
    assert contents(table) == {'"quoted"': b"3", r"caf\xe9": b"1", "new\nline\ttab": b"2", "日本": b"4"}


def test_globs_choose_files(repository: Path, tmp_path: Path) -> None:
    assert list(contents(read(tmp_path, repository, include=("src/**",)))) == ["src/b.py", "src/c/d.py"]
    assert list(contents(read(tmp_path, repository, exclude=("c",)))) == ["a.txt", "src/b.py"]


def test_units_are_cut_and_oversize_files_not_read(tmp_path: Path) -> None:
    path = make(tmp_path / "p", {"a": b"1" * 60, "b": b"2" * 60, "c": b"3" * 101, "d": b"4" * 60})
    config = GitConfig(path=str(path), limits=Limits(shard_bytes=100, max_document_bytes=100))
    units = scan_all(SOURCE, config, tmp_path)
    assert [(unit.parts[0].rows, unit.parts[0].bytes) for unit in units] == [(1, 60), (2, 60), (1, 60)]
    table = pa.concat_tables(read_units(SOURCE, config, units, tmp_path))
    assert problems(table) == {"c": "oversize"}
    assert table["size"].to_pylist() == [60, 60, 101, 60]


def test_a_missing_and_a_damaged_object_cost_themselves_only(tmp_path: Path) -> None:
    names = [f"{number:02}" for number in range(40)]
    path = make(tmp_path / "p", {name: os.urandom(3000) for name in names})
    blobs = {name: run(path, "rev-parse", f"HEAD:{name}") for name in names}
    loose = {name: path / ".git/objects" / blob[:2] / blob[2:] for name, blob in blobs.items()}
    loose["00"].unlink()
    for name in ("07", "08", "39"):
        loose[name].chmod(0o644)
        loose[name].write_bytes(loose[name].read_bytes()[:1500])
    loose["20"].unlink()
    loose["20"].write_bytes(loose["21"].read_bytes())
    table = read(tmp_path, path)
    assert problems(table) == dict.fromkeys(["00", "07", "08", "20", "39"], "corrupt")
    assert table.num_rows == 40


def test_replaced_objects_are_read_as_committed(repository: Path, tmp_path: Path) -> None:
    other = run(repository, "hash-object", "-w", "--stdin", stdin=b"other")
    run(repository, "replace", run(repository, "rev-parse", "HEAD:a.txt"), other)
    assert contents(read(tmp_path, repository))["a.txt"] == b"one\r\n"


def test_a_hostile_configuration_runs_nothing(repository: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    touch = str(tmp_path / "touch")
    Path(touch).write_text(f"#!/bin/sh\n: > {marker}\n")
    Path(touch).chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n")
    commit(repository, {})
    for name, value in {
        "core.fsmonitor": touch, "core.pager": touch, "core.sshCommand": touch, "core.editor": touch,
        "filter.evil.smudge": touch, "filter.evil.required": "true", "diff.evil.textconv": touch,
        "alias.ls-tree": f"!{touch}", "alias.cat-file": f"!{touch}", "protocol.ext.allow": "always",
        "protocol.allow": "always", "core.hooksPath": str(tmp_path / "hooks"),
        "remote.origin.url": f"ext::{touch}", "remote.origin.promisor": "true",
        "extensions.partialClone": "origin", "core.repositoryFormatVersion": "1",
    }.items():  # fmt: skip
        run(repository, "config", name, value)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\n{touch}\n")
        (hooks / name).chmod(0o755)
    assert contents(read(tmp_path, repository))["a.txt"] == b"one\r\n"
    blob = run(repository, "rev-parse", "HEAD:a.txt")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert problems(read(tmp_path, repository)) == {"a.txt": "corrupt"}
    assert not marker.exists()
    subprocess.run(["git", "cat-file", "-p", blob], cwd=repository, check=False, capture_output=True)
    assert marker.exists(), "a plain git runs the configured program"


def test_trees_made_to_escape_are_marked(repository: Path, tmp_path: Path) -> None:
    blob = run(repository, "rev-parse", "HEAD:a.txt")
    tree = commit_tree(repository, [("100644", b"..", blob), ("100644", b"/etc/passwd", blob), ("100644", b"a", blob)])
    table = read(tmp_path, repository, revision=tree)
    assert problems(table) == {r"\x2e\x2e": "unsafe-path", r"\x2f/etc/passwd": "unsafe-path"}
    assert contents(table)["a"] == b"one\r\n"


def test_trees_that_repeat_a_name_are_an_error(repository: Path, tmp_path: Path) -> None:
    blob = run(repository, "rev-parse", "HEAD:a.txt")
    tree = commit_tree(repository, [("100644", b"a", blob), ("100644", b"b", blob), ("100644", b"a", blob)])
    with pytest.raises(SourceError, match=r"repeats or misplaces b'a'.*git fsck"):
        read(tmp_path, repository, revision=tree)


def test_trees_that_never_end_are_an_error(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = run(repository, "rev-parse", "HEAD^{tree}")
    for _ in range(12):
        entries = b"".join(b"40000 %d\0%s" % (name, bytes.fromhex(tree)) for name in range(10))
        tree = run(repository, "hash-object", "-t", "tree", "-w", "--stdin", stdin=entries)
    bomb = run(repository, "commit-tree", "-m", "x", tree)
    monkeypatch.setattr(git, "MAX_FILES", 10_000)
    with pytest.raises(SourceError, match="names more than 10,000 files"):
        read(tmp_path, repository, revision=bomb)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_another_user_is_read(repository: Path, tmp_path: Path) -> None:
    for file in [repository, *repository.rglob("*")]:
        os.chown(file, 65534, 65534)
    assert contents(read(tmp_path, repository))["a.txt"] == b"one\r\n"


ORIGINS = [
    ("https://user:secret@example.org:8443/o/r.git?token=1#x", "git:https://example.org:8443/o/r.git"),
    ("https://ghp_token@example.org/o/r", "git:https://example.org/o/r"),
    ("ssh://git@example.org/o/r.git", "git:ssh://example.org/o/r.git"),
    ("git@example.org:o/r.git", "git:example.org:o/r.git"),
    ("file:///home/me/r.git", "git:project"),
    ("/home/me/r.git", "git:project"),
    ("../r.git", "git:project"),
    ("ext::sh -c evil", "git:project"),
    ("https://[broken/o/r", "git:project"),
    ("https://example.org:port/o/r", "git:project"),
]


@pytest.mark.parametrize(("remote", "origin"), ORIGINS)
def test_the_origin_is_the_remote_without_credentials(
    repository: Path, tmp_path: Path, remote: str, origin: str
) -> None:
    run(repository, "config", "remote.origin.url", remote)
    assert set(read(tmp_path, repository)["origin"].to_pylist()) == {origin}


def test_an_empty_commit_gives_no_units(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    run(tmp_path / "p", "init", "-q")
    run(tmp_path / "p", "commit", "-q", "--allow-empty", "-m", "x")
    assert scan_all(SOURCE, GitConfig(path=str(tmp_path / "p")), tmp_path) == []


def test_mistakes_are_named_with_a_remedy(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="does not exist or is no folder"):
        read(tmp_path, tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"is not a git repository; name the folder that holds \.git"):
        read(tmp_path, repository / "src")
    with pytest.raises(SourceError, match=r"revision 'v9' is not a commit.*for-each-ref"):
        read(tmp_path, repository, revision="v9")
    for revision in ("", "--exec=x", "a\0b"):
        with pytest.raises(ValueError, match="revision must be"):
            GitConfig(path="x", revision=revision)
    (tmp_path / "empty").mkdir()
    run(tmp_path / "empty", "init", "-q")
    with pytest.raises(SourceError, match="revision 'HEAD' is not a commit"):
        read(tmp_path, tmp_path / "empty")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SourceError, match="install git"):
        read(tmp_path, repository)
