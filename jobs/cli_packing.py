"""The commands `pack`, `trace` and `export`: what is made of a published version."""

from pathlib import Path
from typing import Any

import click

from jobs.options import complete_corpus, edge, json_option, site_option, store_option


@click.command()
@click.argument("corpus", shell_complete=complete_corpus)
@click.option(
    "--sequence-length",
    type=click.IntRange(min=0),
    default=2048,
    show_default=True,
    help="Tokens of a sequence; 0, with the method document only: whole documents.",
)
@click.option(
    "--method",
    type=click.Choice(["best-fit", "concatenate", "document"]),
    default="best-fit",
    show_default=True,
    help="best-fit cuts few documents; concatenate cuts at every length; document puts one into each sequence.",
)
@click.option("--name", default="", help="Name of the packing; METHOD-LENGTH without it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of the sequences.")
def pack(**values: Any) -> None:
    """Add another packing to a published version; its data is not touched. CORPUS is NAME or NAME@VERSION."""
    from jobs.packing import command

    edge(command.add_packing)(**values)


@click.command()
@click.argument("corpus", shell_complete=complete_corpus)
@click.argument("packing")
@click.argument("file")
@click.argument("row", type=int)
@click.option("--token", type=click.IntRange(min=0), help="Only what stands at this position of the row.")
def trace(**values: Any) -> None:
    """Show what stands in a training sequence: documents, their tokens, the bytes of their text.

    PACKING is a packing of CORPUS, FILE a path of it or its end (python/part-00000), ROW counts from 0.
    """
    from jobs.packing import provenance

    edge(provenance.show_trace)(**values)


@click.command()
@click.argument("corpus", shell_complete=complete_corpus)
@click.option(
    "--format",
    "fmt",
    required=True,
    type=click.Choice(["megatron", "mds", "litdata", "datasets"]),
    help="Whose loader reads it.",
)
@click.option(
    "--packing",
    default="",
    metavar="NAME",
    help="Export the training sequences of this packing; without it, documents.",
)
@click.option(
    "--to", required=True, type=click.Path(path_type=Path), help="Folder; it gets its name when all is written."
)
@click.option("--domain", multiple=True, metavar="NAME", help="Export this domain only; repeatable.")
@click.option(
    "--column", multiple=True, metavar="NAME", help="Export this column, not the format's own choice; repeatable."
)
@click.option("--part-bytes", type=int, help="Size at which mds and litdata begin another file.")
@click.option("--files-per-part", type=int, help="Files of equal size that datasets gets for each file of the version.")
@click.option(
    "--id-type", type=click.Choice(["int32", "uint16"]), help="Of Megatron's tokens; else the vocabulary decides."
)
@click.option("--verify", "check", is_flag=True, help="Read the files again and compare counts and digests.")
def export(**values: Any) -> None:
    """Write a version in another library's format. Run it again to go on where it was stopped."""
    from jobs.export import command

    edge(command.export_version)(**values)


COMMANDS = (pack, trace, export)

for _command in COMMANDS:
    _command.params += [site_option(), store_option(), json_option()]
