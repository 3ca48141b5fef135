"""Canonical digests of configs: what the same config gives on every machine, and nothing else."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import PurePath

import pyarrow as pa

from pipeline.errors import RecipeError

Canonical = None | bool | int | float | str | list["Canonical"] | dict[str, "Canonical"]


class Movable(ABC):
    """A config some of whose fields only say where something lies that other fields identify."""

    __slots__ = ()

    @property
    @abstractmethod
    def locations(self) -> tuple[str, ...]:
        """Names of these fields, which are no part of the config's digest."""


def canonical(value: object, *, located: bool = True) -> Canonical:
    """A JSON value that is equal exactly when two configs are equal; without `located`, wherever their content lies.

    Raises TypeError for what has no stable value (functions, open files, objects with an address in their repr).
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Enum):
        return {"enum": type(value).__name__, "value": canonical(value.value, located=located)}
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, pa.Schema):
        return [[field.name, str(field.type), field.nullable] for field in value]
    if is_dataclass(value) and not isinstance(value, type):
        left_out = value.locations if isinstance(value, Movable) and not located else ()
        names = [field.name for field in fields(value) if field.name not in left_out]
        values = {name: canonical(getattr(value, name), located=located) for name in names}
        return {"config": type(value).__name__} | values
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key], located=located) for key in sorted(value, key=str)}
    if isinstance(value, tuple | list):
        return [canonical(item, located=located) for item in value]
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be part of a config's identity; "
        "use numbers, strings, enums, tuples, mappings or frozen dataclasses of them"
    )


def digest(*values: object) -> str:
    """Hex blake2b-128 of the canonical JSON of the values, without the locations in them."""
    known = [canonical(value, located=False) for value in values]
    text = json.dumps(known, sort_keys=True, ensure_ascii=True, allow_nan=True)
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
