"""Writing where the user says: a file is there whole or not at all, and errors of the disk are one line."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.errors import SiteError


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """What the system says of a folder or file becomes a SiteError."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise SiteError(f"cannot write {place}: {error.strerror or error}; choose another folder") from error


@contextmanager
def whole_file(to: Path) -> Iterator[IO[bytes]]:
    """A file under another name, which gets its own when the block ends well. Raises SiteError."""
    with disk_errors(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=to.parent, prefix=f".{to.name}.", delete=False) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                Path(file.name).rename(to)
            except BaseException:
                Path(file.name).unlink()
                raise
