"""Archives made in memory, and readers of them that check the plan."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import zstandard

from stages.ingest import archive
from stages.ingest.archive import ArchiveConfig
from stages.ingest.raw import Limits
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
