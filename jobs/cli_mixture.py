"""The commands `gristmill mixture ...`."""

from pathlib import Path
from typing import Any

import click

from jobs.options import complete_corpus, edge, json_option, site_option, store_option


@click.group()
def mixture() -> None:
    """Mixtures of domains: find weights, and make the corpus that has them."""


@mixture.command("search")
@click.argument("corpus", shell_complete=complete_corpus)
@click.option("--tokens", required=True, type=click.IntRange(min=1), help="Tokens of the corpus that is to be mixed.")
@click.option(
    "--target",
    multiple=True,
    metavar="[NAME[*WEIGHT]:]SET=NUMBER,...",
    help="What the mixture is for: validation sets with their weights; repeatable.  [default: every set alike]",
)
@click.option(
    "--validation",
    metavar="NAME[@VERSION]",
    shell_complete=complete_corpus,
    help="A version whose domains are the validation sets.  [default: documents that CORPUS holds out]",
)
@click.option(
    "--proxy", type=click.Choice(["ngram", "gpt"]), default="ngram", show_default=True, help="What is trained."
)
@click.option("--proxy-tokens", type=click.IntRange(min=1), help="Units that a proxy learns from.  [default: 1000000]")
@click.option(
    "--validation-tokens",
    type=click.IntRange(min=1),
    help="Tokens of each validation set.  [default: ngram 200000, gpt 20000]",
)
@click.option("--unit", type=click.Choice(["tokens", "bytes"]), help="Of a proxy.  [default: ngram tokens, gpt bytes]")
@click.option("--order", type=int, help="With --proxy ngram: longest n-grams.  [default: 3]")
@click.option("--layers", type=int, help="With --proxy gpt.  [default: 3]")
@click.option("--width", type=int, help="With --proxy gpt.  [default: 128]")
@click.option("--context", type=int, help="With --proxy gpt: units seen at once.  [default: 128]")
@click.option(
    "--method", default="default", show_default=True, help="How mixtures are proposed and chosen; see the docs."
)
@click.option("--proxies", type=click.IntRange(min=1), help="Mixtures in all, in rounds like the method's.")
@click.option("--rounds", default="", metavar="N,N,...", help="Mixtures of each round.  [default: those of the method]")
@click.option("--max-epochs", default=4.0, show_default=True, help="How often a domain may be repeated.")
@click.option(
    "--current", type=click.Path(path_type=Path, dir_okay=False), help="JSON of the mixture in use: one more anchor."
)
@click.option(
    "--evidence",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="result.json of an earlier search over other domains, to learn from its runs; repeatable.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of all draws.")
@click.option("--gpus", default=0.0, show_default=True, help="GPUs of one proxy; with --proxy gpt.")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Folder for result.json, a page and plots."
)
def search(**values: Any) -> None:
    """Find the weights at which the domains of CORPUS make the best corpus of so many tokens.

    Small models are trained on mixtures of its token shards and measured in bits per byte. Run it again to go on where
    it was stopped; `mixture realise` makes the corpus.
    """
    from jobs.mixtures import search_command

    edge(search_command.search_mixture)(**values)


@mixture.command("predict")
@click.argument("result")
@click.option(
    "--weights", type=click.Path(path_type=Path, dir_okay=False), help="JSON with a mixture; RESULT's without."
)
@click.option(
    "--set", "given", multiple=True, metavar="DOMAIN=SHARE", help="Another weight; the others share the rest."
)
def predict(**values: Any) -> None:
    """Say what a mixture would give, by the runs of the search in RESULT: what if?

    RESULT is a result.json, or NAME[@VERSION] of a version whose recipe searched.
    """
    from jobs.mixtures import predict_command

    edge(predict_command.predict_mixture)(**values)


predict.params += [site_option(), store_option(), json_option()]


@mixture.command("report")
@click.argument("result")
@click.option(
    "--to", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for page and plots."
)
def report(**values: Any) -> None:
    """Draw the search in RESULT: weights, rounds, predicted and measured, response.

    RESULT is a result.json, or NAME[@VERSION] of a version whose recipe searched.
    """
    from jobs.mixtures import predict_command

    edge(predict_command.report_mixture)(**values)


report.params += [site_option(), store_option()]


@mixture.command("realise")
@click.argument("corpus", shell_complete=complete_corpus)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    help='JSON: {"DOMAIN": SHARE, ...}, or what `mixture search` writes.  [default: what CORPUS itself found]',
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


for _command in (search, realise):
    _command.params += [
        site_option(),
        click.Option(["--store"], metavar="PATH", help="Where shards and corpora live; overrides the site file."),
        click.Option(["--workers"], type=click.IntRange(min=1), help="CPUs used at once; overrides the site file."),
        click.Option(["--local"], is_flag=True, help="Run in this process, without Ray."),
        json_option(),
    ]
