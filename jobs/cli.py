"""The command `gristmill`: run and plan recipes, look at what is published.

Exit codes: 0 done; 1 an inner error; 2 a wrong command, recipe or plan; 3 a source that cannot be read as asked; 4 some
shards failed; 5 the site (storage, cluster, disk); 6 a version that is taken; 7 nothing of that name; 130 interrupted.
"""

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from jobs import cli_corpus, cli_packing
from jobs.cli_ast import ast
from jobs.cli_domains import domains
from jobs.cli_mixture import mixture
from jobs.cli_tokenizer import tokenizer
from jobs.options import edge, json_option, site_option
from pipeline.errors import RecipeError

EXAMPLES = """\b
Examples:
  gristmill run tiny
  gristmill run tiny --source folder:./src --sequence-length 4096
  gristmill plan tiny --source 'parquet:data/*.parquet?text_column=content'
  gristmill run path/to/recipe.py:mine --site cluster.toml
  gristmill why tiny 'json/decoder.py'

\b
Exit codes:
  0 done; 1 an inner error; 2 a wrong command, recipe or plan; 3 a source that cannot be read as asked;
  4 some shards failed; 5 the site (storage, cluster, disk); 6 a version that is taken; 7 nothing of
  that name; 130 interrupted.
"""


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

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one recipe. A recipe that cannot be loaded ends the program with exit code 2."""
        if ctx.resilient_parsing:  # completion says nothing
            try:
                return _recipe_command(cmd_name, self._action, self._extra())
            except RecipeError:
                return None
        return edge(_recipe_command)(cmd_name, self._action, self._extra())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Recipes are looked up as they are written: a path is not lowered or completed."""
        return args[0], self.get_command(ctx, args[0]), args[1:]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Recipes by name; files where no name fits."""
        return super().shell_complete(ctx, incomplete) or [CompletionItem(incomplete, type="file")]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The recipes that ship, under their own heading."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            assert command is not None
            rows.append((name, command.get_short_help_str(formatter.width - len(name) - 6)))
        with formatter.section("Recipes (RECIPE --help shows the parameters of each)"):
            formatter.write_dl(rows)


class RecipeCommand(click.Command):
    """A recipe as a command: its own parameters are shown apart from the options of the command."""

    def __init__(self, *args: Any, own: list[click.Option], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._own = own

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Two lists instead of one."""
        rest = [parameter for parameter in self.get_params(ctx) if parameter not in self._own]
        for title, params in (("Parameters of the recipe", self._own), ("Options", rest)):
            rows = [record for record in (param.get_help_record(ctx) for param in params) if record is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _recipe_command(name: str, action: Callable[..., None], extra: list[click.Option]) -> click.Command:
    from jobs import recipes
    from jobs.parameters import describe, options
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

    return RecipeCommand(name, own=own, params=[*own, *extra], callback=callback, help=describe(recipe))


def _run_options() -> list[click.Option]:
    return [
        site_option(),
        click.Option(["--store"], metavar="PATH", help="Where shards and corpora live; overrides the site file."),
        click.Option(["--workers"], type=click.IntRange(min=1), help="CPUs used at once; overrides the site file."),
        click.Option(["--local"], is_flag=True, help="Run in this process, without Ray."),
        json_option(),
    ]


def _run(*args: Any, **kwargs: Any) -> None:
    from jobs.commands import run_recipe

    run_recipe(*args, **kwargs)


def _plan(*args: Any, **kwargs: Any) -> None:
    from jobs.commands import plan_recipe

    plan_recipe(*args, **kwargs)


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gristmill")
@click.option("--debug", is_flag=True, help="Show the traceback of every error.")
def main(debug: bool) -> None:
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


for _command in (*cli_corpus.COMMANDS, *cli_packing.COMMANDS, ast, domains, mixture, tokenizer):
    main.add_command(_command)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL: add `eval "$(gristmill completion bash)"` to its start-up file."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "gristmill", "_GRISTMILL_COMPLETE").source())


if __name__ == "__main__":
    main(prog_name="gristmill")
