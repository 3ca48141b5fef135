"""A recipe's typed parameters are its command line."""

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from jobs.parameters import options
from pipeline.errors import RecipeError
from pipeline.recipe import Recipe, _parameters


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def recipe_of(function: Callable[..., Any]) -> Recipe:
    return Recipe(name=function.__name__, function=function, parameters=_parameters(function.__name__, function))


def parse(function: Callable[..., Any], *line: str) -> dict[str, Any]:
    """What a command line gives the function, or the words of its refusal."""
    got: dict[str, Any] = {}
    command = click.Command("run", params=list(options(recipe_of(function))), callback=got.update)
    result = CliRunner().invoke(command, line)
    return got if result.exit_code == 0 else {"error": result.output}


def everything(
    needed: str,
    count: int = 3,
    share: float = 0.5,
    flag: bool = False,
    on: bool = True,
    place: Path = Path("here"),
    names: list[str] = ["a"],  # noqa: B006 - as recipes are written
    numbers: tuple[int, ...] = (),
    word: Literal["one", "two"] = "one",
    colour: Colour = Colour.RED,
    limit: int | None = None,
) -> None:
    """Everything a recipe may take.

    needed: what must be given.
    """


def test_defaults() -> None:
    got = parse(everything, "--needed", "x")
    assert got.pop("place") == Path("here")
    assert [*got.pop("names")] == ["a"]
    assert [*got.pop("numbers")] == []
    assert got == {
        "needed": "x",
        "count": 3,
        "share": 0.5,
        "flag": False,
        "on": True,
        "word": "one",
        "colour": Colour.RED,
        "limit": None,
    }


def test_every_type_is_parsed() -> None:
    line = "--needed x --count 7 --share 1e-3 --flag --no-on --place a/b --names b --names c --numbers 1 --numbers 2"
    got = parse(everything, *line.split(), "--word", "two", "--colour", "BLUE", "--limit", "9")
    assert (got["count"], got["share"], got["flag"], got["on"]) == (7, 0.001, True, False)
    assert (got["place"], [*got["names"]], [*got["numbers"]]) == (Path("a/b"), ["b", "c"], [1, 2])
    assert (got["word"], got["colour"], got["limit"]) == ("two", Colour.BLUE, 9)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "Missing option '--needed'"),
        ("--needed x --count many", "'many' is not a valid integer"),
        ("--needed x --word three", "'three' is not one of 'one', 'two'"),
        ("--needed x --cuont 3", "No such option"),
    ],
)
def test_mistakes(line: str, words: str) -> None:
    assert words in parse(everything, *line.split())["error"]


def needs_flag(wanted: bool) -> None: ...


def needs_list(names: list[str]) -> None: ...


@pytest.mark.parametrize(("function", "option"), [(needs_flag, "--wanted"), (needs_list, "--names")])
def test_what_has_no_default_must_be_given(function: Callable[..., Any], option: str) -> None:
    assert f"Missing option '{option}'" in parse(function)["error"]


def bad_type(mapping: dict[str, int]) -> None: ...


def bad_kind(*names: str) -> None: ...


def no_type(name) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bad_type, r"parameter 'mapping' of recipe bad_type has type dict\[str, int\]; use one of str, int"),
        (bad_kind, "parameter 'names' of recipe bad_kind must be an ordinary named parameter"),
        (no_type, "parameter 'name' of recipe no_type has no type; annotate it"),
    ],
)
def test_parameters_that_cannot_be_options(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        options(recipe_of(function))


def test_help_is_the_line_of_the_docstring() -> None:
    shown = {option.name: option.help for option in options(recipe_of(everything))}
    assert shown["needed"] == "what must be given."
