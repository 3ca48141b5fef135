"""Bytes under names: a local folder or an S3-compatible bucket behind one small interface.

Writes are atomic: a name has all its bytes or does not exist. `create` is the compare-and-set that publishing needs.
"""

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import obstore
import pyarrow as pa
import pyarrow.fs as pafs
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from pipeline.errors import SiteError
from pipeline.site_file import StoreSite

if TYPE_CHECKING:
    from obstore.store import S3Config

_UNUSABLE = frozenset(
    {errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.ENOENT, errno.EEXIST, errno.ELOOP, errno.EIO}
)

_NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
"""What a file system or kernel says that has no files without a name."""


class Storage(Protocol):
    """Names are `/`-separated and relative to the root."""

    def open(self, name: str) -> pa.NativeFile:
        """A file to read at random. Raises FileNotFoundError."""

    def read(self, name: str) -> bytes:
        """All bytes. Raises FileNotFoundError."""

    def write(self, name: str, data: bytes | pa.Buffer) -> None:
        """Put the bytes there, whatever was there before."""

    def create(self, name: str, data: bytes) -> bool:
        """Put the bytes there if the name is free; False if it is taken."""

    def copy(self, name: str, to: str) -> None:
        """The same bytes under a second name, without moving them through this process where possible."""

    def files(self, prefix: str) -> list[str]:
        """File names directly under a folder, sorted; empty if there is no such folder."""

    def folders(self, prefix: str) -> list[str]:
        """Folder names directly under a folder, sorted."""

    def delete(self, name: str) -> None:
        """Remove it if it is there."""

    def url(self, name: str) -> str:
        """How a user opens it with other tools."""


def open_storage(site: StoreSite) -> Storage:
    """The storage a site names. Raises SiteError when it cannot be used."""
    if site.path.startswith("s3://"):
        return ObjectStorage(site)
    if "://" in site.path:
        raise SiteError(f"store.path = {site.path!r}: expected a folder or s3://bucket/prefix")
    return LocalStorage(Path(site.path))


class LocalStorage:
    """A folder. Bytes are on the disk before they get their name, by `os.link`, which fails when the name exists."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with _disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)

    def open(self, name: str) -> pa.NativeFile:
        return pa.OSFile(str(self.root / name), "rb")

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes | pa.Buffer) -> None:
        path = self.root / name
        with _disk_errors(path), _nameless(path.parent, data) as give_name:
            try:
                give_name(path)
            except FileExistsError:
                temporary = _temporary_name(path)
                give_name(temporary)
                temporary.replace(path)
            sync_folder(path.parent)

    def create(self, name: str, data: bytes) -> bool:
        path = self.root / name
        with _disk_errors(path), _nameless(path.parent, data) as give_name:
            try:
                give_name(path)
            except FileExistsError:
                return False
            sync_folder(path.parent)
        return True

    def copy(self, name: str, to: str) -> None:
        source, target = self.root / name, self.root / to
        with _disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.link(source, target)
                return
            if not source.samefile(target):
                self.write(to, source.read_bytes())

    def files(self, prefix: str) -> list[str]:
        with suppress(FileNotFoundError), os.scandir(self.root / prefix) as entries:
            return sorted(entry.name for entry in entries if entry.is_file() and not entry.name.startswith("."))
        return []

    def folders(self, prefix: str) -> list[str]:
        with suppress(FileNotFoundError), os.scandir(self.root / prefix) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
        return []

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def url(self, name: str) -> str:
        return str(self.root / name)


@contextmanager
def _nameless(folder: Path, data: bytes | pa.Buffer) -> Iterator[Callable[[Path], None]]:
    """Bytes on the disk of a folder, and what gives them a name there. Raises FileExistsError for a name that is taken.

    A writer that is killed leaves nothing behind, but for file systems without nameless files (NFS).
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _open_nameless(folder)
    if descriptor is None:
        with _named(folder, data) as give_name:
            yield give_name
        return
    with os.fdopen(descriptor, "wb") as file:
        _put_on_disk(file, data)
        # with a folder's descriptor, though both paths are whole, Python follows the link to the open file
        yield lambda path: os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _open_nameless(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except OSError as error:
        if error.errno in _NO_NAMELESS:
            return None
        raise


@contextmanager
def _named(folder: Path, data: bytes | pa.Buffer) -> Iterator[Callable[[Path], None]]:
    temporary = _temporary_name(folder / "data")
    try:
        with temporary.open("xb") as file:
            _put_on_disk(file, data)
        yield partial(os.link, temporary)
    finally:
        temporary.unlink(missing_ok=True)


def _put_on_disk(file: IO[bytes], data: bytes | pa.Buffer) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _temporary_name(path: Path) -> Path:
    return path.parent / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}"


class ObjectStorage:
    """A bucket: reads and PUTs through pyarrow, `create` through obstore's If-None-Match."""

    def __init__(self, site: StoreSite) -> None:
        bucket, _, prefix = site.path.removeprefix("s3://").partition("/")
        if not bucket:
            raise SiteError(f"store.path = {site.path!r}: expected s3://bucket/prefix")
        key, secret = os.environ.get(site.access_key_env), os.environ.get(site.secret_key_env)
        if site.endpoint and not (key and secret):
            raise SiteError(f"store.endpoint is set; put its keys into {site.access_key_env} and {site.secret_key_env}")
        self.root, self.prefix = site.path.rstrip("/"), "/".join(part for part in (bucket, prefix.strip("/")) if part)
        self._system = pafs.S3FileSystem(
            access_key=key,
            secret_key=secret,
            region=site.region,
            endpoint_override=site.endpoint,
            scheme="http" if (site.endpoint or "").startswith("http:") else "https",
        )
        config: S3Config = {"region": site.region}
        if key and secret:
            config |= {"access_key_id": key, "secret_access_key": secret}
        if site.endpoint:
            config |= {"endpoint": site.endpoint}
        allow_http = (site.endpoint or "").startswith("http:")
        self._conditional = S3Store(
            bucket, prefix=prefix.strip("/") or None, config=config, client_options={"allow_http": allow_http}
        )
        try:
            self._system.get_file_info(bucket)
        except OSError as error:
            raise SiteError(f"cannot reach {site.path} ({error}); check store.endpoint, region and keys") from error

    def open(self, name: str) -> pa.NativeFile:
        return self._system.open_input_file(f"{self.prefix}/{name}")

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return bytes(file.read())

    def write(self, name: str, data: bytes | pa.Buffer) -> None:
        with self._system.open_output_stream(f"{self.prefix}/{name}") as out:
            out.write(data)

    def create(self, name: str, data: bytes) -> bool:
        try:
            obstore.put(self._conditional, name, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def copy(self, name: str, to: str) -> None:
        self._system.copy_file(f"{self.prefix}/{name}", f"{self.prefix}/{to}")

    def files(self, prefix: str) -> list[str]:
        return self._names(prefix, pafs.FileType.File)

    def folders(self, prefix: str) -> list[str]:
        return self._names(prefix, pafs.FileType.Directory)

    def _names(self, prefix: str, kind: pafs.FileType) -> list[str]:
        selector = pafs.FileSelector(f"{self.prefix}/{prefix}", allow_not_found=True)
        return sorted(info.base_name for info in self._system.get_file_info(selector) if info.type == kind)

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._system.delete_file(f"{self.prefix}/{name}")

    def url(self, name: str) -> str:
        return f"{self.root}/{name}"


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SiteError(f"no space left on the disk of {path}; free some and run the same command again") from error
        if error.errno in _UNUSABLE:
            raise SiteError(
                f"cannot write {path}: {error.strerror}; choose another store.path in the site file, or another --store"
            ) from error
        raise


def sync_folder(folder: Path) -> None:
    """Names that were given in the folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
