"""A recipe's typed parameters as command-line options."""

import enum
import inspect
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click

from pipeline.errors import RecipeError
from pipeline.recipe import Parameter, Recipe

_SIMPLE: dict[type, "click.ParamType[Any]"] = {
    str: click.STRING,
    int: click.INT,
    float: click.FLOAT,
    Path: click.Path(path_type=Path),
}


def options(recipe: Recipe) -> list[click.Option]:
    """One option per parameter: `--sequence-length`, `--flag/--no-flag`, repeatable for lists."""
    return [_option(recipe, parameter) for parameter in recipe.parameters]


def describe(recipe: Recipe) -> str:
    """The docstring without its paragraphs of `name: text` lines: the options carry them."""
    known = ("\b", *(f"{parameter.name}:" for parameter in recipe.parameters))
    paragraphs = (inspect.getdoc(recipe.function) or "").split("\n\n")
    lines = [[line.strip() for line in paragraph.splitlines()] for paragraph in paragraphs]
    return "\n\n".join(p for p, ls in zip(paragraphs, lines, strict=True) if not all(x.startswith(known) for x in ls))


def _option(recipe: Recipe, parameter: Parameter) -> click.Option:
    flag = "--" + parameter.name.replace("_", "-")
    required = parameter.default is inspect.Parameter.empty
    kind, multiple = _kind(recipe, parameter.name, parameter.type)
    text = _describe(recipe, parameter.name)
    # to click a default of None is a value: a required option must have none at all
    default = {} if required else {"default": parameter.default}
    if kind is click.BOOL and not multiple:
        return click.Option([f"{flag}/--no-{flag[2:]}"], required=required, help=text, show_default=True, **default)
    return click.Option(
        [flag],
        type=kind,
        multiple=multiple,
        required=required,
        help=text,
        show_default=not multiple or bool(parameter.default),
        **default,
    )


def _kind(recipe: Recipe, name: str, annotation: Any) -> tuple["click.ParamType[Any]", bool]:
    """The option's type, and whether it may be repeated."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        present = [a for a in arguments if a is not types.NoneType]
        if len(present) == 1:
            return _kind(recipe, name, present[0])
    if origin in (list, tuple) and arguments and set(arguments[1:]) <= {Ellipsis}:
        return _kind(recipe, name, arguments[0])[0], True
    if origin is Literal and all(isinstance(a, str) for a in arguments):
        return click.Choice(arguments), False
    if annotation is bool:
        return click.BOOL, False
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return click.Choice(annotation), False
    if annotation in _SIMPLE:
        return _SIMPLE[annotation], False
    known = "str, int, float, bool, Path, Literal of strings, an Enum, X | None, list[X] or tuple[X, ...]"
    raise RecipeError(f"parameter {name!r} of recipe {recipe.name} has type {annotation}; use one of {known}")


def _describe(recipe: Recipe, name: str) -> str | None:
    """The line of the docstring that begins with `name:`."""
    lines = (inspect.getdoc(recipe.function) or "").splitlines()
    found = [line.strip().removeprefix(f"{name}:").strip() for line in lines if line.strip().startswith(f"{name}:")]
    return found[0] if found else None
