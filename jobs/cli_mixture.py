"""The commands `gristmill mixture ...`."""

from pathlib import Path
from typing import Any

import click

from jobs.options import complete_corpus, edge, json_option, site_option


@click.group()
def mixture() -> None:
    """Mixtures of domains: find weights, and make the corpus that has them."""


@mixture.command("realise")
@click.argument("corpus", shell_complete=complete_corpus)
@click.option(
    "--weights",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help='JSON: {"DOMAIN": SHARE, ...}, or what `mixture search` writes.',
)
@click.option("--tokens", required=True, type=int, help="Tokens of the mixture.")
@click.option("--name", default="mixed", show_default=True, help="Name of the new corpus.")
@click.option("--version", default="", help="Version to publish; the next number without it.")
@click.option("--max-epochs", default=4.0, show_default=True, help="How often a domain may be repeated.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the documents drawn and of the order.")
@click.option(
    "--sequence-length",
    type=click.IntRange(min=0),
    default=2048,
    show_default=True,
    help="Tokens of a training sequence; 0, with --packing document only: whole documents.",
)
@click.option(
    "--packing",
    type=click.Choice(["best-fit", "concatenate", "document"]),
    default="best-fit",
    show_default=True,
    help="How documents become sequences, as in `pack`.",
)
def realise(**values: Any) -> None:
    """Publish a version that holds the domains of CORPUS by weight: whole documents, repeated and in one new order.

    CORPUS is NAME or NAME@VERSION. Run it again to go on where it was stopped.
    """
    from jobs.mixtures import realise_command

    edge(realise_command.realise_mixture)(**values)


realise.params += [
    site_option(),
    click.Option(["--store"], metavar="PATH", help="Where shards and corpora live; overrides the site file."),
    click.Option(["--workers"], type=click.IntRange(min=1), help="CPUs used at once; overrides the site file."),
    click.Option(["--local"], is_flag=True, help="Run in this process, without Ray."),
    json_option(),
]
