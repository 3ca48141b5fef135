"""What all commands share: the outer edge, the options of a store, completion of corpora."""

import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from jobs.terminal import printable
from pipeline.errors import GristmillError

P = ParamSpec("P")
R = TypeVar("R")


def edge(function: Callable[P, R]) -> Callable[P, R]:
    """The outer edge of a command: known errors become one line and an exit code, others keep their traceback."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GristmillError as error:
            if click.get_current_context().find_root().params.get("debug"):
                traceback.print_exc()
            click.echo(f"error: {printable(str(error))}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted; finished shards are kept, run the same command again to go on", err=True)
            sys.stdout.flush()
            os._exit(130)  # a thread that still scans a source must not hold up the end

    return wrapped


def site_option() -> click.Option:
    """`--site`."""
    kind = click.Path(path_type=Path, dir_okay=False)
    return click.Option(["--site"], type=kind, help="Site file: storage, Ray address, executor, workers.")


def store_option() -> click.Option:
    """`--store`."""
    return click.Option(["--store"], metavar="PATH", help="Where corpora live; overrides the site file.")


def json_option() -> click.Option:
    """`--json`."""
    return click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for machines on standard output.")


def complete_corpus(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Published versions of the store that the line names so far."""
    from jobs.looking import existing_storage
    from pipeline import catalog

    try:
        storage = existing_storage(ctx.params.get("site"), ctx.params.get("store"))
    except GristmillError:
        return []
    found = [f"{name}@{version}" for name in catalog.names(storage) for version in catalog.versions(storage, name)]
    return [CompletionItem(reference) for reference in found if reference.startswith(incomplete)]
