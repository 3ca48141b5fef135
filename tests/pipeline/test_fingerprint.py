import enum
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import RecipeError
from pipeline.fingerprint import Movable, canonical, digest, library_versions
from tests.machine import ROOT


@dataclass(frozen=True, slots=True)
class Moved(Movable):
    path: str
    sha256: str = ""

    @property
    def locations(self) -> tuple[str, ...]:
        return ("path",) if self.sha256 else ()


class Kind(enum.Enum):
    ONE = "one"


@dataclass(frozen=True)
class Left:
    a: int = 1


@dataclass(frozen=True)
class Right:
    a: int = 1


DIFFERENT = [
    None,
    True,
    1,
    1.5,
    "1",
    b"1",
    Kind.ONE,
    [1],
    [[1]],
    [1, [2]],
    {"a": 1},
    {"a": {"b": 1}},
    Left(),
    Left(2),
    Right(),
    pa.schema([("a", pa.int32())]),
    pa.schema([("a", pa.int64())]),
    pa.schema([pa.field("a", pa.int32(), nullable=False)]),
]


def test_different_values_have_different_digests() -> None:
    digests = [digest(value) for value in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT)
    assert digest("a", "b") != digest("ab") != digest(["a", "b"])


def test_equal_values_have_equal_digests() -> None:
    assert digest({"b": 1, "a": (1, 2)}) == digest({"a": [1, 2], "b": 1})
    assert digest(Path("a/b")) == digest("a/b")


def test_where_known_content_lies_is_no_part_of_a_digest() -> None:
    here, there = ([{"files": (Moved(path, "abc"),)}] for path in ("here", "there"))
    assert digest(here) == digest(there)
    assert canonical(here) != canonical(there)
    assert digest(Moved("here", "abc")) != digest(Moved("here", "def"))
    assert digest(Moved("here")) != digest(Moved("there"))


def test_a_digest_does_not_depend_on_the_process() -> None:
    program = "from pipeline.fingerprint import digest; print(digest({'b': 1, 'a': 2.5}, b'x', 'é'))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {digest({"b": 1, "a": 2.5}, b"x", "é") + "\n"}


@pytest.mark.parametrize("value", [object(), len, {1, 2}, Left])
def test_what_has_no_stable_value_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be part of a config's identity"):
        canonical(value)


def test_library_versions_are_sorted() -> None:
    found = library_versions(("pytest", "numpy"))
    assert list(found) == ["numpy", "pytest"]
    assert all(found.values())


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("torch", "torch or 'gristmill[embed]' or 'gristmill[train]'"),
        ("sentence-transformers", "sentence-transformers or 'gristmill[embed]'"),
        ("pyarrow", "pyarrow"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extras(
    name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(wanted: str) -> str:
        raise PackageNotFoundError(wanted)

    monkeypatch.setattr("pipeline.fingerprint.version", missing)
    with pytest.raises(RecipeError) as error:
        library_versions((name,))
    assert str(error.value) == f"{name} is not installed here; run pip install {advice}"
