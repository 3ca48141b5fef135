"""The command `gristmill`: run and plan recipes, look at what is published.

Exit codes: 0 done; 1 an inner error; 2 a wrong command, recipe or plan; 3 a source that cannot be read as asked; 4 some
shards failed; 5 the site (storage, cluster, disk); 6 a version that is taken; 7 nothing of that name; 130 interrupted.
"""

import json
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from pipeline.errors import GristmillError, RecipeError

P = ParamSpec("P")
R = TypeVar("R")

EXAMPLES = """\b
Examples:
  gristmill run tiny
  gristmill run tiny --source folder:./src --sequence-length 4096
  gristmill plan tiny --source 'parquet:data/*.parquet?text_column=content'
  gristmill run path/to/recipe.py:mine --site cluster.toml
  gristmill why tiny 'json/decoder.py'
"""


def edge(function: Callable[P, R]) -> Callable[P, R]:
    """The outer edge of a command: known errors become one line and an exit code."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GristmillError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
        except ValueError as error:
            if "--debug" in sys.argv:
                traceback.print_exc()
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted; finished shards are kept, run the same command again to go on", err=True)
            sys.exit(130)

    return wrapped


class RecipeGroup(click.Group):
    """`run RECIPE` and `plan RECIPE`: every recipe is a command whose options are its parameters."""

    def __init__(self, *args: Any, action: Callable[..., None], extra: Callable[[], list[click.Option]], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._action, self._extra = action, extra

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Recipes that ship with the project."""
        from jobs import recipes
        from pipeline.recipe import list_recipes

        return list_recipes(recipes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The command of one recipe. A recipe that cannot be loaded ends the program with exit code 2."""
        return _recipe_command(cmd_name, self._action, self._extra())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Recipes are looked up as they are written: a path is not lowered or completed."""
        return args[0], self.get_command(ctx, args[0]), args[1:]


@edge
def _recipe_command(name: str, action: Callable[..., None], extra: list[click.Option]) -> click.Command:
    from jobs import recipes
    from jobs.parameters import options
    from pipeline.recipe import load_recipe

    recipe = load_recipe(name, recipes)
    own = options(recipe)
    reserved = {option.name for option in extra}
    if clash := sorted(str(o.name) for o in own if o.name in reserved):
        raise RecipeError(f"recipe {name} has parameters {clash}, which are options of the command; rename them")

    def callback(**values: Any) -> None:
        arguments = {p.name: values.pop(p.name) for p in recipe.parameters}
        listed = {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}
        edge(action)(recipe, listed, **values)

    return click.Command(name, params=[*own, *extra], callback=callback, help=recipe.function.__doc__)


def _site_option() -> click.Option:
    kind = click.Path(path_type=Path, dir_okay=False)
    return click.Option(["--site"], type=kind, help="Site file: storage, Ray address, executor, workers.")


def _json_option() -> click.Option:
    return click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for machines on standard output.")


def _run_options() -> list[click.Option]:
    return [
        _site_option(),
        click.Option(["--store"], metavar="PATH", help="Where shards and corpora live; overrides the site file."),
        click.Option(["--workers"], type=click.IntRange(min=1), help="CPUs used at once; overrides the site file."),
        click.Option(["--local"], is_flag=True, help="Run in this process, without Ray."),
        _json_option(),
    ]


def _run(*args: Any, **kwargs: Any) -> None:
    from jobs.commands import run_recipe

    run_recipe(*args, **kwargs)


def _plan(*args: Any, **kwargs: Any) -> None:
    from jobs.commands import plan_recipe

    plan_recipe(*args, **kwargs)


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gristmill")
def main() -> None:
    """Build pretraining corpora: raw code and text in, tokenized and versioned Parquet shards out."""


main.add_command(
    RecipeGroup(
        "run",
        action=_run,
        extra=_run_options,
        help="Run a recipe and publish its corpus. RECIPE is a name or path/recipe.py:function. Running it again does "
        "only what is not committed yet.",
        subcommand_metavar="RECIPE [PARAMETERS]",
    )
)
main.add_command(
    RecipeGroup(
        "plan",
        action=_plan,
        extra=_run_options,
        help="Show what a run would do: steps, shards, documents, bytes. Nothing is executed.",
        subcommand_metavar="RECIPE [PARAMETERS]",
    )
)


def _looking(name: str, *arguments: str, text: str) -> None:
    """Register a command that only looks at the store."""

    def callback(**values: Any) -> None:
        from jobs import commands

        edge(getattr(commands, f"show_{name}"))(**values)

    store = click.Option(["--store"], metavar="PATH", help="Where corpora live; overrides the site file.")
    params: list[click.Parameter] = [click.Argument([argument]) for argument in arguments]
    main.add_command(
        click.Command(name, params=[*params, _site_option(), store, _json_option()], callback=callback, help=text)
    )


_looking("ls", text="List published corpora and their versions.")
_looking("show", "corpus", text="Show a version: CORPUS is NAME or NAME@VERSION.")
_looking("diff", "a", "b", text="Compare two versions by documents, marks, domains and tokens.")
_looking(
    "why",
    "corpus",
    "document",
    text="Every mark and decision of one document, down to the file and row where its tokens are. DOCUMENT is an id, a "
    "path, an origin/path or a glob of paths.",
)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL: add `eval "$(gristmill completion bash)"` to its start-up file."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "gristmill", "_GRISTMILL_COMPLETE").source())


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


if __name__ == "__main__":
    main()
