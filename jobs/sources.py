"""Sources as one line of text: `KIND:WHERE?key=value&key=value`, or just a path.

env                                the installed Python environment; env:numpy,pyarrow for some of it
folder:src?exclude=*.min.js        a folder or a glob
git:repo.git?revision=v1.2         a work tree or bare repository at a revision
archive:dist/*.whl                 zip, whl, tar.*, tgz, gem, crate
jsonl:data/*.jsonl.zst?text_column=content
parquet:data/*.parquet?text_column=content&path_column=path
hub:NAME?split=train               anything `datasets.load_dataset` streams
pypi:numpy==2.4.6  npm:react@18.3.1
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from pipeline.errors import SourceError
from pipeline.ingest import Input
from pipeline.source import Source
from stages.ingest import archive, environment, folder, git, hub, jsonl, npm, parquet, pypi
from stages.ingest.raw import Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A source that a line of text can name."""

    source: Source[Any]
    config: type[Any]
    where: str | None
    """Field that takes what stands after the colon; a tuple field takes a list separated by commas."""


KINDS: Mapping[str, Kind] = {
    "env": Kind(source=environment.SOURCE, config=environment.EnvironmentConfig, where="packages"),
    "folder": Kind(source=folder.SOURCE, config=folder.FolderConfig, where="path"),
    "git": Kind(source=git.SOURCE, config=git.GitConfig, where="path"),
    "archive": Kind(source=archive.SOURCE, config=archive.ArchiveConfig, where="paths"),
    "jsonl": Kind(source=jsonl.SOURCE, config=jsonl.JsonlConfig, where="paths"),
    "parquet": Kind(source=parquet.SOURCE, config=parquet.ParquetConfig, where="paths"),
    "hub": Kind(source=hub.SOURCE, config=hub.HubConfig, where="name"),
    "pypi": Kind(source=pypi.SOURCE, config=pypi.PypiConfig, where="packages"),
    "npm": Kind(source=npm.SOURCE, config=npm.NpmConfig, where="packages"),
}

_SUFFIXES = {
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".jsonl.xz", ".jsonl.bz2"),
    "archive": (
        (".zip", ".whl", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".gem", ".crate")
    ),
}  # fmt: skip


def parse_sources(lines: Sequence[str]) -> list[Input]:
    """Inputs of `pipeline.ingest.ingest`. Raises SourceError for a line that names no source, with what would."""
    return [parse_source(line) for line in lines]


def parse_source(line: str) -> Input:
    """One input from one line."""
    head, _, query = line.partition("?")
    kind_name, colon, where = head.partition(":")
    if kind_name not in KINDS:
        kind_name, where = _guess(head, line, looks_like_kind=bool(colon) and "/" not in kind_name)
    kind = KINDS[kind_name]
    settings = _settings(kind, line, query)
    if where and kind.where:
        settings |= {kind.where: _value(kind, kind.where, where, line)}
    try:
        return Input(source=kind.source, config=kind.config(**settings))
    except TypeError as error:
        raise SourceError(
            f"source {line!r} is not complete: {error}; write {kind_name}:{(kind.where or '').upper()}"
        ) from error
    except ValueError as error:
        raise SourceError(f"source {line!r}: {error}") from error


def _guess(head: str, line: str, *, looks_like_kind: bool) -> tuple[str, str]:
    """Kind and place of a bare path."""
    path = Path(head)
    if path.is_dir():
        return "folder", head
    for name, suffixes in _SUFFIXES.items():
        if head.lower().endswith(suffixes):
            return name, head
    word = head.partition(":")[0]
    close = get_close_matches(word, KINDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close and looks_like_kind else f"known kinds: {', '.join(KINDS)}"
    raise SourceError(f"source {line!r} is neither KIND:WHERE nor a folder or file of a known type; {hint}")


def _settings(kind: Kind, line: str, query: str) -> dict[str, Any]:
    limits = {f.name for f in fields(Limits)}
    own = {f.name for f in fields(kind.config)} - {"limits"}
    settings: dict[str, Any] = {}
    caps: dict[str, int] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in limits:
            caps[name] = int(_number(text, name, line))
        elif name in own:
            value = _value(kind, name, text, line)
            settings[name] = (*settings.get(name, ()), *value) if isinstance(value, tuple) else value
        else:
            close = get_close_matches(name, own | limits, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(own | limits))}"
            raise SourceError(f"source {line!r}: unknown setting {name!r}; {hint}")
    try:
        return settings | ({"limits": Limits(**caps)} if caps else {})
    except ValueError as error:
        raise SourceError(f"source {line!r}: {error}") from error


def _value(kind: Kind, name: str, text: str, line: str) -> Any:
    annotation = get_type_hints(kind.config)[name]
    if isinstance(annotation, types.UnionType):
        annotation = next(a for a in get_args(annotation) if a is not types.NoneType)
    if get_origin(annotation) is tuple:
        return tuple(part for part in text.split(",") if part)
    if annotation is bool:
        if text.lower() not in ("true", "false"):
            raise SourceError(f"source {line!r}: {name} must be true or false, got {text!r}")
        return text.lower() == "true"
    if annotation is int:
        return int(_number(text, name, line))
    return text


def _number(text: str, name: str, line: str) -> int:
    try:
        return int(text.replace("_", ""))
    except ValueError as error:
        raise SourceError(f"source {line!r}: {name} must be a whole number, got {text!r}") from error
