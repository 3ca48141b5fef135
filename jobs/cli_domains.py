"""The commands `gristmill domains ...`."""

from pathlib import Path
from typing import Any

import click

from jobs.options import complete_corpus, edge, json_option, site_option, store_option


@click.group()
def domains() -> None:
    """Domains that were found by clustering: look at them, publish them, label texts with them."""


@domains.command("show")
@click.argument("corpus", shell_complete=complete_corpus)
@click.option("--levels", default="", metavar="N,N,...", help="Also show the tree, with so many groups at each level.")
def show(**values: Any) -> None:
    """Show the domains of CORPUS (NAME or NAME@VERSION): sizes, keywords, how good the clusters are, alarms."""
    from jobs.clusters import domains_command

    edge(domains_command.show_domains)(**values)


@domains.command("export")
@click.argument("corpus", shell_complete=complete_corpus)
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to make.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON of the mixture to publish with them.  [default: what CORPUS itself found for these domains]",
)
@click.option(
    "--quantile",
    type=click.FloatRange(0, 1),
    default=0.99,
    show_default=True,
    help="Share of a domain's documents that its distance threshold lets in.",
)
def export(**values: Any) -> None:
    """Publish the domains of CORPUS as a bundle that labels texts without it: centroids, names, thresholds, weights."""
    from jobs.clusters import domains_command

    edge(domains_command.export_domains)(**values)


@domains.command("label")
@click.argument("bundle", type=click.Path(path_type=Path, file_okay=False))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--strict", is_flag=True, help="No domain for what is farther away than the domain's threshold.")
def label(**values: Any) -> None:
    """Label FILES, each one text, with the domains of a BUNDLE folder; `-` is standard input, a text on each line."""
    from jobs.clusters import domains_command

    edge(domains_command.label_files)(**values)


for _command in (show, export):
    _command.params += [site_option(), store_option()]
for _command in (show, export, label):
    _command.params += [json_option()]
