"""Makes an export in a folder of its own, and checks one.

The folder gets its name when all is written; until then a hidden one beside it holds what is finished, and the same
command goes on there, file of the version by file. Memory: what the format holds for one part.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path

from pydantic import TypeAdapter

from jobs.export.layout import Format, Layout, Rows, Unit
from jobs.export.ragged import Tally
from jobs.folders import disk_errors
from pipeline.errors import CorruptShardError, PublishError, RecipeError
from pipeline.storage import sync_folder

MARKER = "gristmill-export.json"
"""File of an export that says what it is of, and the counts and digests of every part."""

_JOURNAL = ".progress"

_UNITS = TypeAdapter(list[Unit])

Identity = Mapping[str, object]
"""What the export is of, as JSON: equal identity, equal bytes."""


def transfer(
    fmt: Format,
    layout: Layout,
    units: Sequence[Unit],
    batches: Callable[[Unit], Iterator[Rows]],
    to: Path,
    identity: Identity,
    say: Callable[[int, int], None],
) -> tuple[list[Unit], int]:
    """All units, and how many of them were there before.

    Raises PublishError if the folder holds something else, SiteError if it cannot be written.
    """
    with disk_errors(to):
        if (done := _finished(to, identity)) is not None:
            return done, len(done)
        try:
            return _transfer(fmt, layout, units, batches, to, identity, say)
        except (FileNotFoundError, PublishError):
            if (done := _finished(to, identity)) is None:
                raise
            return done, len(done)  # another process has finished it meanwhile


def _transfer(
    fmt: Format,
    layout: Layout,
    units: Sequence[Unit],
    batches: Callable[[Unit], Iterator[Rows]],
    to: Path,
    identity: Identity,
    say: Callable[[int, int], None],
) -> tuple[list[Unit], int]:
    work = to.parent / f".{to.name}.partial"
    if not (work / MARKER).exists():
        _claim(to, work, identity)
    with _locked(work):
        if (done := _finished(work, identity)) is None:
            with _cleared(work):
                done, kept = _write_all(fmt, layout, units, batches, work, say)
            _save(work / MARKER, {**identity, "units": [asdict(unit) for unit in done]})
        else:
            kept = len(done)
        shutil.rmtree(work / _JOURNAL)
        (work / f".{MARKER}").unlink(missing_ok=True)
        work.rename(to)
        sync_folder(to.parent)
    return done, kept


def verify(fmt: Format, layout: Layout, to: Path) -> list[Unit]:
    """Read an export again with this project's own reader; the units whose rows and digests are what they were.

    Raises CorruptShardError for the first that is not.
    """
    units = _UNITS.validate_python(json.loads((to / MARKER).read_text(encoding="utf-8"))["units"])
    for unit in units:
        tally = Tally(layout.columns)
        try:
            for _ in tally.watch(fmt.read(layout, to, fmt.folder.format(domain=unit.domain), unit)):
                pass
        except (CorruptShardError, ValueError, KeyError, IndexError, TypeError, OSError) as error:
            raise CorruptShardError(f"{to}: {unit.source} does not read back ({error}); export it again") from error
        found = (tally.rows, tally.tokens, tally.digests())
        if found != (unit.rows, unit.tokens, unit.digests):
            changed = [name for name, digest in tally.digests().items() if digest != unit.digests[name]]
            raise CorruptShardError(
                f"{to}: {unit.source} reads back as {tally.rows:,} rows of {tally.tokens:,} tokens, written were "
                f"{unit.rows:,} of {unit.tokens:,}; columns that differ: {', '.join(changed) or 'none'}; export again"
            )
    return units


def _write_all(
    fmt: Format,
    layout: Layout,
    units: Sequence[Unit],
    batches: Callable[[Unit], Iterator[Rows]],
    work: Path,
    say: Callable[[int, int], None],
) -> tuple[list[Unit], int]:
    done: list[Unit] = []
    kept = 0
    for domain, group in groupby(units, key=lambda unit: unit.domain):
        folder, own = fmt.folder.format(domain=domain), list[Unit]()
        for unit in group:
            journal = work / _JOURNAL / f"{domain}.{unit.number:05d}.json"
            if journal.exists():
                [finished] = _UNITS.validate_json(journal.read_text(encoding="utf-8"))
                kept += 1
            else:
                tally = Tally(layout.columns)
                parts = fmt.write(layout, work, folder, unit, own, tally.watch(batches(unit)))
                if tally.rows != unit.rows:
                    raise CorruptShardError(f"{unit.source} gave {tally.rows:,} rows, expected {unit.rows:,}")
                finished = replace(unit, tokens=tally.tokens, digests=tally.digests(), parts=parts)
                _save(journal, [asdict(finished)])
            own.append(finished)
            say(len(done) + len(own), len(units))
        fmt.finish(layout, work, folder, own)
        done += own
    return done, kept


def _finished(folder: Path, identity: Identity) -> list[Unit] | None:
    """The units of a finished export; None if there is none. Raises PublishError if it is another one."""
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        units = _UNITS.validate_python(found.pop("units"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (CorruptShardError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PublishError(f"{folder / MARKER} is not of gristmill ({error!r}); choose another folder") from error
    if found != json.loads(json.dumps(identity)):
        raise PublishError(f"{folder} holds another export ({folder / MARKER} says which); choose another folder")
    return units


def _claim(to: Path, work: Path, identity: Identity) -> None:
    """Make the hidden folder, or check that it is of the same export."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise PublishError(f"{to} is not empty and holds no export of gristmill; choose another folder")
    marker = work / f".{MARKER}"
    if marker.exists():
        if json.loads(marker.read_text(encoding="utf-8")) != json.loads(json.dumps(identity)):
            raise PublishError(
                f"{work} holds an unfinished export of something else; remove it or choose another folder"
            )
        return
    work.mkdir(parents=True, exist_ok=True)
    if any(
        path.name != f".{MARKER}.new" for path in work.iterdir()
    ):  # it may have been killed before it had its marker
        raise PublishError(f"{work} is in the way and no export of gristmill; remove it or choose another folder")
    _save(marker, identity)


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Alone in the folder. The lock ends with the process.

    Raises PublishError if another process has it, FileNotFoundError if one has finished there.
    """
    path = work / _JOURNAL / "lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PublishError(f"another process is writing {work}; wait for it or choose another folder") from error
        if path.stat().st_ino != os.fstat(file.fileno()).st_ino:
            raise FileNotFoundError(f"{path} is another one's")
        yield


@contextmanager
def _cleared(work: Path) -> Iterator[None]:
    """Remove the folder after an error if nothing in it is worth going on from: no file is done, or none can be."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, RecipeError) or not any((work / _JOURNAL).glob("*.json")):
            shutil.rmtree(work)
        raise


def _save(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f"{path.name}.new")
    with hidden.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    hidden.rename(path)
    sync_folder(path.parent)
