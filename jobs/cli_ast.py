"""The commands `gristmill ast ...`."""

from pathlib import Path
from typing import Any

import click

from jobs.options import complete_corpus, edge, json_option, site_option, store_option


@click.group()
def ast() -> None:
    """Syntax trees: of a file, of a document, of a whole corpus."""


@ast.command("show")
@click.argument("target", metavar="FILE|DOCUMENT")
@click.option("--corpus", metavar="NAME[@VERSION]", shell_complete=complete_corpus, help="The version it is in.")
@click.option("--language", metavar="NAME", help="Linguist name of the language of a FILE, as in C++ or Python.")
@click.option("--anonymous", is_flag=True, help="Show keywords, operators and punctuation too.")
@click.option("--depth", type=click.IntRange(min=0), help="Show so many levels below the root.")
@click.option("--units", "units_only", is_flag=True, help="Show functions, classes and imports only.")
@click.option("--sexp", is_flag=True, help="Print the tree as tree-sitter's S-expression.")
def show_tree(**values: Any) -> None:
    """Print a tree with its concepts in colour, and its units.

    Without --corpus the tree is that of a FILE; with it, that of a DOCUMENT: an id, a path or a glob of paths.
    """
    from jobs import tree_looking

    edge(tree_looking.show_tree)(**values)


@ast.command("stats")
@click.argument("corpus", shell_complete=complete_corpus)
def show_statistics(**values: Any) -> None:
    """Show the trees of a version by language: sizes, errors, entropy, similarity. CORPUS is NAME or NAME@VERSION."""
    from jobs import syntax_looking

    edge(syntax_looking.show_statistics)(**values)


@ast.command("export")
@click.argument("corpus", shell_complete=complete_corpus)
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the files.")
@click.option("--all", "everything", is_flag=True, help="Documents that the version has dropped too.")
def export_mlcpd(**values: Any) -> None:
    """Write the trees of a version as MLCPD's Parquet files. Run it again to go on where it was stopped."""
    from jobs import mlcpd

    edge(mlcpd.export_mlcpd)(**values)


for _command in (show_tree, show_statistics, export_mlcpd):
    _command.params += [site_option(), store_option(), json_option()]
