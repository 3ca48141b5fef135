"""Canonical digests of configs: what the same config gives on every machine, and nothing else."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import PurePath

import pyarrow as pa

from pipeline.errors import RecipeError

Canonical = None | bool | int | float | str | list["Canonical"] | dict[str, "Canonical"]


def canonical(value: object) -> Canonical:
    """A JSON value that is equal exactly when two configs are equal.

    Raises TypeError for what has no stable value (functions, open files, objects with an address in their repr).
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Enum):
        return {"enum": type(value).__name__, "value": canonical(value.value)}
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, pa.Schema):
        return [[field.name, str(field.type), field.nullable] for field in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {"config": type(value).__name__} | {f.name: canonical(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be part of a config's identity; "
        "use numbers, strings, enums, tuples, mappings or frozen dataclasses of them"
    )


def digest(*values: object) -> str:
    """Hex blake2b-128 of the canonical JSON of the values."""
    text = json.dumps([canonical(value) for value in values], sort_keys=True, ensure_ascii=True, allow_nan=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def library_versions(distributions: tuple[str, ...]) -> dict[str, str]:
    """Installed version of each distribution, sorted by name. Raises RecipeError for one that is not installed."""
    return {name: _version(name) for name in sorted(distributions)}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        choices = [name, *(f"'gristmill[{extra}]'" for extra in _extras_with(name))]
        raise RecipeError(f"{name} is not installed here; run pip install {' or '.join(choices)}") from error


def _extras_with(name: str) -> list[str]:
    """The extras of gristmill that install a distribution, but for `dev`."""
    wanted = re.compile(rf"{re.escape(name)}[^\w.-].*extra == [\"'](\w+)[\"']")
    found = (wanted.fullmatch(line) for line in requires("gristmill") or ())
    return sorted(match[1] for match in found if match and match[1] != "dev")
