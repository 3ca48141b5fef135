"""Recipes: Python functions whose typed parameters are their command line.

A recipe is named (`tiny`: a module of a package of recipes, with a function of the same name) or given as
`path/to/recipe.py:function`; then its folder travels to the workers.
"""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from pipeline.errors import RecipeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One typed parameter of a recipe."""

    name: str
    type: Any
    default: Any
    """`inspect.Parameter.empty` for a required one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A loaded recipe."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    code: tuple[str, ...] = ()
    """Folders that workers need on their path."""

    @property
    def summary(self) -> str:
        """First line of its docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


def list_recipes(package: ModuleType) -> list[str]:
    """Names of the recipes in a package."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def load_recipe(reference: str, package: ModuleType) -> Recipe:
    """A recipe by name or `path.py:function`. Raises RecipeError naming what would have worked."""
    path, _, function = reference.partition(":")
    if path.endswith(".py"):
        module = _load_file(Path(path))
        code: tuple[str, ...] = (str(Path(path).resolve().parent),)
        name = function or Path(path).stem
    elif reference in list_recipes(package):
        module, code, name = importlib.import_module(f"{package.__name__}.{reference}"), (), reference
    else:
        known = ", ".join(list_recipes(package))
        raise RecipeError(f"no recipe {reference!r}; known: {known}, or give path/to/recipe.py:function")
    found = getattr(module, name, None)
    if not inspect.isfunction(found):
        functions = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
        raise RecipeError(f"{path} has no function {name!r}; it has: {', '.join(functions) or 'none'}")
    return Recipe(name=name, function=found, parameters=_parameters(reference, found), code=code)


def _load_file(path: Path) -> ModuleType:
    """A recipe file as a module of its stem, with its folder on the path, as workers will import it."""
    if not path.is_file():
        raise RecipeError(f"no recipe file {path}; check the path before the colon")
    stem, folder = path.stem, str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.find_spec(stem) if stem.isidentifier() else None
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != path.resolve():
        raise RecipeError(f"recipe file {path} cannot be imported as {stem!r}: rename it to a free Python name")
    try:
        return importlib.import_module(stem)
    except Exception as error:
        raise RecipeError(f"recipe file {path} failed to load: {type(error).__name__}: {error}") from error


def _parameters(reference: str, function: Callable[..., Any]) -> tuple[Parameter, ...]:
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise RecipeError(f"a parameter of recipe {reference} has an unknown type: {error}; import it") from error
    parameters = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in hints:
            raise RecipeError(f"parameter {name!r} of recipe {reference} has no type; annotate it")
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise RecipeError(f"parameter {name!r} of recipe {reference} must be an ordinary named parameter")
        parameters.append(Parameter(name=name, type=hints[name], default=parameter.default))
    return tuple(parameters)
