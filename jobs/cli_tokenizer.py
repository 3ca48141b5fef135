"""The commands `gristmill tokenizer ...`."""

from pathlib import Path
from typing import Any

import click

from jobs.options import complete_corpus, edge, json_option, site_option, store_option


@click.group()
def tokenizer() -> None:
    """Tokenizers: train one, report on one, transplant one."""


@tokenizer.command("train")
@click.option("--source", multiple=True, metavar="SOURCE", help="What to learn from; repeatable, as in `run tiny`.")
@click.option("--corpus", metavar="NAME[@VERSION]", shell_complete=complete_corpus, help="A version to learn from.")
@click.option("--to", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--vocabulary-size", type=int, help="Tokens, special ones apart.  [default: 32000]")
@click.option(
    "--split",
    type=click.Choice(["llama3", "cl100k", "o200k", "qwen", "tekken", "r50k"]),
    default="llama3",
    show_default=True,
    help="How text is cut into the pieces that tokens stay inside.",
)
@click.option(
    "--method",
    type=click.Choice(["bpe", "superbpe", "supertokens", "lib", "hybrid"]),
    default="bpe",
    show_default=True,
    help="What a token may be.",
)
@click.option("--unit", type=click.Choice(["bytes", "characters"]), help="What tokens are made of.  [default: bytes]")
@click.option("--alphabet-size", type=int, help="With --unit characters: how many beyond ASCII.  [default: 1000]")
@click.option("--min-count", type=int, help="A rarer pair is not merged.  [default: 2]")
@click.option("--max-token-length", type=int, help="Longest token, in units; 0 for no bound.  [default: 128]")
@click.option("--min-pretoken-count", type=int, help="Leave out rarer pieces of text.  [default: 1]")
@click.option("--force", multiple=True, metavar="TEXT", help="Text that must be one token; repeatable.")
@click.option(
    "--special",
    multiple=True,
    default=["<|endoftext|>"],
    show_default=True,
    metavar="NAME",
    help="Special tokens, in order; repeatable.",
)
@click.option("--share", multiple=True, metavar="LANGUAGE=NUMBER", help="Share of the text to learn from; repeatable.")
@click.option("--max-language-bytes", type=int, help="Sample a language with more text down to this.")
@click.option(
    "--dictionary",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Roots and affixes, for --method hybrid; repeatable.",
)
def train_tokenizer(**values: Any) -> None:
    """Learn a tokenizer from a source or a published corpus, and write its tokenizer.json (hybrid: a file of its own).

    Run it again to go on where it was stopped: counts and tokenizers are kept in the store.
    """
    from jobs.tokenizers import training_command

    edge(training_command.train_tokenizer)(**values)


train_tokenizer.params += [
    site_option(),
    click.Option(["--store"], metavar="PATH", help="Where shards and corpora live; overrides the site file."),
    click.Option(["--workers"], type=click.IntRange(min=1), help="CPUs used at once; overrides the site file."),
    click.Option(["--local"], is_flag=True, help="Run in this process, without Ray."),
    json_option(),
]


@tokenizer.command("report")
@click.option(
    "--vocabulary",
    multiple=True,
    metavar="NAME|FILE",
    help="What to measure; repeatable. FILE?split=NAME for ranks.  [default: cl100k_base]",
)
@click.option("--source", multiple=True, metavar="SOURCE", help="What to read; repeatable.")
@click.option("--corpus", metavar="NAME[@VERSION]", shell_complete=complete_corpus, help="A published version instead.")
@click.option(
    "--reference",
    default="cl100k_base",
    show_default=True,
    metavar="NAME|FILE",
    help="What premiums are measured against.",
)
@click.option(
    "--parallel",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSONL with the same sentence in several languages on every line.",
)
@click.option("--reference-language", default="en", show_default=True, help="Of --parallel.")
@click.option(
    "--target-premium", default=1.0, show_default=True, help="The vocabulary size that reaches it is looked for."
)
@click.option("--max-language-mb", default=4.0, show_default=True, help="Text measured of each language.")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Folder for report.html, report.json and plots."
)
@click.option("--workers", type=click.IntRange(min=1), help="CPUs used at once; overrides the site file.")
@click.option("--local", is_flag=True, help="Read sources in this process, without Ray.")
def report(**values: Any) -> None:
    """Show how vocabularies fare on texts of every language: sizes, premiums, lengths, formatting, odd tokens."""
    from jobs.tokenizers import report_command

    edge(report_command.show_report)(**values)


report.params += [site_option(), store_option(), json_option()]


@tokenizer.command("transplant")
@click.option("--from-vocabulary", required=True, metavar="NAME|FILE", help="The vocabulary of the matrices.")
@click.option("--to-vocabulary", required=True, metavar="NAME|FILE", help="The vocabulary to make them for.")
@click.option("--embeddings", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Safetensors file.")
@click.option(
    "--tensor", multiple=True, metavar="NAME", help="Matrix with a row per token; repeatable (input and output)."
)
@click.option("--to", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Safetensors file to write.")
@click.option(
    "--auxiliary",
    default="none",
    show_default=True,
    metavar="none|wordllama|MODEL",
    help="What says which tokens mean alike.",
)
@click.option("--local-weight", default=0.7, show_default=True, help="Share of the old tokens that spell a new one.")
@click.option("--neighbours", default=5, show_default=True, help="Similar old tokens that are weighed.")
@click.option("--temperature", default=0.3, show_default=True, help="Of the softmax over similarities.")
def transplant(**values: Any) -> None:
    """Make a model's embedding matrices for another vocabulary (TokenAdapt)."""
    from jobs.tokenizers import transplant_command

    edge(transplant_command.transplant)(**values)


transplant.params += [json_option()]


@tokenizer.command("alignment")
@click.argument("corpus", shell_complete=complete_corpus)
def show_alignment(**values: Any) -> None:
    """Show how well the tokens of a version fit its syntax trees, by language. CORPUS is NAME or NAME@VERSION."""
    from jobs.tokenizers import alignment

    edge(alignment.show_alignment)(**values)


show_alignment.params += [site_option(), store_option(), json_option()]
