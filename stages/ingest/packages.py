"""Fetching named packages through the registries' own clients, and reading their metadata out of the archives.

Reads a registry, once per exact version. Writes archives into a folder that survives the run. No code of a package
runs: no build, no install script.
"""

import gzip
import json
import lzma
import os
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from email.message import Message
from pathlib import Path

from pipeline.errors import SourceError
from stages.ingest.metadata import MAX_METADATA_BYTES, parse_metadata

_CLIENT_SECONDS = 1_800
_MAX_SEARCHED_BYTES = 1_000_000_000
"""Bytes of an npm archive that are unpacked in search of its `package.json`, which npm writes first."""


def fetch_archive(package: str, client: Sequence[str], folder: Path, remedy: str) -> Path:
    """The archive of a package at an exact version: kept in `folder` from an earlier run, else fetched by the client.

    `client` is a command that leaves one archive in its working folder. It appears in `folder` whole or not at all.
    Raises `SourceError` with the end of what the client said and the remedy.
    """
    kept = folder / package.replace("/", "+")
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as staging:
            fetched = Path(staging, "package")
            fetched.mkdir()
            _run_client(package, client, fetched, remedy)
            _keep(fetched, kept)
    return _only_file(kept, package)


def _run_client(package: str, client: Sequence[str], folder: Path, remedy: str) -> None:
    try:
        ended = subprocess.run(
            client, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=_CLIENT_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise SourceError(f"package {package}: the client {client[0]!r} is not on PATH; install it") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"package {package}: {client[0]} took over {_CLIENT_SECONDS} s; {remedy}") from error
    if ended.returncode != 0:
        said = "\n".join(ended.stdout.decode(errors="backslashreplace").strip().splitlines()[-8:])
        raise SourceError(f"package {package} could not be fetched; {remedy}. The client said:\n{said}")
    _only_file(folder, package)


def _keep(fetched: Path, kept: Path) -> None:
    """Move the folder to its final name, unless another run was faster."""
    for file in fetched.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    try:
        fetched.rename(kept)
    except OSError:
        if not kept.is_dir():
            raise


def _only_file(folder: Path, package: str) -> Path:
    files = sorted(folder.iterdir())
    if len(files) != 1:
        names = [file.name for file in files]
        raise SourceError(f"package {package}: expected one archive in {folder}, found {names}; delete the folder")
    return files[0]


def read_wheel_metadata(wheel: Path) -> Message:
    """The core metadata in a wheel; empty if the wheel is damaged or has none (its reader reports the damage)."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(".dist-info/METADATA") and name.count("/") == 1:
                    with archive.open(name) as file:
                        return parse_metadata(file.read(MAX_METADATA_BYTES))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError):
        return Message()
    return Message()


def read_package_json(tarball: Path) -> dict[str, object]:
    """The `package.json` in an npm archive; empty if that is damaged or has none (its reader reports the damage)."""
    try:
        with gzip.open(tarball) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.name.count("/") == 1 and member.name.endswith("/package.json") and member.isreg():
                    file = archive.extractfile(member)
                    found = json.loads(file.read(MAX_METADATA_BYTES)) if file else {}
                    return found if isinstance(found, dict) else {}
                if member.offset_data + member.size > _MAX_SEARCHED_BYTES:
                    break
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError):
        return {}
    return {}
