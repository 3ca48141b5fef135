"""A git repository as a database of objects, through the `git` command in an environment of its own.

Reads trees and blobs. Writes nothing: no index, no work tree, no lock. A hostile repository's configuration can name
programs to run; none of the commands used here runs one, and the protocols that could are switched off.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import SourceError

_ENVIRONMENT = {
    "LC_ALL": "C",
    "HOME": os.devnull,
    "XDG_CONFIG_HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
_OPTIONS = ("--no-pager", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A name in a commit's tree."""

    name: bytes
    """Path from the root of the tree, as git stores it."""
    mode: str
    """`100644` file, `100755` executable, `120000` symbolic link, `160000` submodule."""
    blob: str
    """Hex id of the content."""
    size: int | None
    """Bytes of the content; None if the object is missing or is no file."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The object database in `git_dir`, which is named outright: git neither searches for it nor asks who owns it."""

    git_dir: Path

    @classmethod
    def find(cls, path: Path) -> "Repository":
        """The repository of a work tree, or a bare one. Raises `SourceError` where there is none."""
        if not path.is_dir():
            raise SourceError(f"repository {path} does not exist or is no folder; clone it there first")
        inside = path / ".git"
        repository = cls((inside if inside.exists() else path).resolve())
        if repository.git_dir.is_dir() and not (repository.git_dir / "HEAD").is_file():
            raise SourceError(f"{path} is not a git repository; name the folder that holds .git, or a bare repository")
        repository._run("rev-parse", "--git-dir")
        return repository

    @property
    def name(self) -> str:
        """The name of the repository's folder, without `.git`."""
        folder = self.git_dir.parent if self.git_dir.name == ".git" else self.git_dir
        return folder.name.removesuffix(".git") or "/"

    def remote(self) -> str:
        """The address of the remote `origin` as configured, credentials included; empty if there is none."""
        found = self._run("config", "--local", "--no-includes", "--get", "remote.origin.url", missing_status=1)
        return os.fsdecode(found).removesuffix("\n")

    def commit(self, revision: str) -> str:
        """The full id of the revision's commit."""
        found = self._run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", missing_status=1)
        if not found:
            raise SourceError(
                f"revision {revision!r} is not a commit of {self.git_dir}; "
                "list its branches and tags with `git for-each-ref`, or fetch the revision first"
            )
        return found.decode().strip()

    def tree(self, commit: str) -> Iterator[TreeEntry]:
        """Every file, link and submodule of the commit, in the order of the tree (bytes of the path)."""
        with self._open("ls-tree", "-r", "-z", "-l", "--full-tree", commit) as git:
            rest = b""
            while chunk := git.output.read(_CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\0")
                yield from map(_tree_entry, lines)
            if git.wait() != 0:
                raise git.failure(f"cannot list the files of commit {commit}")

    def contents(self, blobs: Sequence[str]) -> Iterator[bytes | None]:
        """The content of each blob, in order; None for one that is missing, damaged or no file.

        Git ends at a damaged object; the rest goes to a new git, which ends at it again before it counts as damaged.
        """
        position, died_at = 0, -1
        while position < len(blobs):
            for content in self._batch(blobs[position:]):
                yield content
                position += 1
            if position < len(blobs) and position == died_at:
                yield None
                position += 1
            died_at = position

    def _batch(self, blobs: Sequence[str]) -> Iterator[bytes | None]:
        """The contents up to the first object that ends git."""
        with tempfile.TemporaryFile() as wanted:
            wanted.write("".join(f"{blob}\n" for blob in blobs).encode())
            wanted.seek(0)
            with self._open("cat-file", "--batch", stdin=wanted) as git:
                while header := git.output.readline():
                    _, kind, *size = header.decode().split()
                    content = git.output.read(int(size[0]) + 1) if size else b""
                    if size and len(content) <= int(size[0]):
                        break
                    yield content[:-1] if kind == "blob" else None
                if git.wait() < 0:
                    raise git.failure("cannot read objects: git was killed")

    def _run(self, *arguments: str, missing_status: int = 0) -> bytes:
        """The output of a command, empty if it ends with `missing_status`."""
        with self._open(*arguments) as git:
            output = git.output.read()
            if (status := git.wait()) not in (0, missing_status):
                raise git.failure(f"`git {arguments[0]}` failed")
        return b"" if status else output

    @contextmanager
    def _open(self, *arguments: str, stdin: IO[bytes] | int = subprocess.DEVNULL) -> Iterator["_Git"]:
        command = ("git", *_OPTIONS, f"--git-dir={self.git_dir}", *arguments)
        environment = {"PATH": os.environ.get("PATH", os.defpath), **_ENVIRONMENT}
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    command, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd="/"
                )
            except FileNotFoundError as error:
                raise SourceError("the `git` command is not on PATH; install git to read repositories") from error
            with process:
                try:
                    yield _Git(self.git_dir, process, errors)
                finally:
                    process.kill()


@dataclass(frozen=True, slots=True)
class _Git:
    """One running command."""

    git_dir: Path
    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    @property
    def output(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def wait(self) -> int:
        return self.process.wait()

    def failure(self, what: str) -> SourceError:
        """`what`, with the end of what git said."""
        self.errors.seek(0)
        said = self.errors.read().decode(errors="backslashreplace").strip()[-500:]
        return SourceError(
            f"repository {self.git_dir}: {what}: {said or 'no message'}; "
            "check it with `git fsck`, or clone it again without --filter"
        )


def _tree_entry(line: bytes) -> TreeEntry:
    """`<mode> <type> <id> <size>\\t<path>`, where the size is `-` for a submodule and `BAD` for a missing object."""
    about, _, name = line.partition(b"\t")
    mode, _, blob, size = about.decode().split()
    return TreeEntry(name, mode, blob, int(size) if size.isdigit() else None)
