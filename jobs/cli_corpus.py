"""The commands that look at published versions: `ls`, `show`, `diff`, `why`."""

from typing import Any

import click

from jobs.options import complete_corpus, edge, json_option, site_option, store_option


def _command(name: str, *arguments: str, text: str) -> click.Command:
    def callback(**values: Any) -> None:
        from jobs import looking

        edge(getattr(looking, f"show_{name}"))(**values)

    params: list[click.Parameter] = [
        click.Argument([argument], shell_complete=None if argument == "document" else complete_corpus)
        for argument in arguments
    ]
    params += [site_option(), store_option(), json_option()]
    return click.Command(name, params=params, callback=callback, help=text)


COMMANDS = (
    _command("ls", text="List published corpora and their versions."),
    _command("show", "corpus", text="Show a version: CORPUS is NAME or NAME@VERSION."),
    _command("diff", "a", "b", text="Compare two versions by documents, marks, domains and tokens."),
    _command(
        "why",
        "corpus",
        "document",
        text="Every mark and decision of one document, down to the file and row where its tokens are. DOCUMENT is an "
        "id, a path, an origin/path or a glob of paths.",
    ),
)
