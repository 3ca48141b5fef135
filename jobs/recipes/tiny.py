"""The whole flow on real input that every machine has: the installed Python environment."""

from jobs.deduplicate import deduplicate_exact
from jobs.packing.files import FilesConfig
from jobs.packing.packings import Method, PackingConfig
from jobs.publish import Corpus, CorpusConfig, corpus
from jobs.sources import parse_sources
from jobs.vocabularies import open_named
from pipeline.annotate import annotate
from pipeline.ingest import ingest
from pipeline.stage import configured
from stages.filter import lines
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.tokenization import encode


def rules(max_line_chars: int) -> tuple[Predicate, ...]:
    """What every document of a corpus of text must be."""
    return (
        Predicate(name="readable", sql="problem IS NULL"),
        Predicate(name="unique", sql="duplicate_of IS NULL"),
        Predicate(name="not-empty", sql="COALESCE(chars, 1) > 0"),
        Predicate(name="short-lines", sql=f"COALESCE(max_line_chars, 0) <= {max_line_chars}"),
    )


def tiny(
    source: list[str] = ["env"],  # noqa: B006 - never changed; shown by --help
    name: str = "tiny",
    version: str = "",
    vocabulary: str = "cl100k_base",
    sequence_length: int = 2048,
    packing: Method = "best-fit",
    max_line_chars: int = 10_000,
    seed: int = 0,
) -> Corpus:
    """Documents of any source to a tokenized corpus: marks, exact duplicates, selection, tokens, packing.

    source: what to read; repeatable: env, PATH or KIND:WHERE (folder git archive jsonl parquet hub pypi npm).
    name: name of the corpus.
    version: version to publish; empty for the next number.
    vocabulary: cl100k_base, o200k_base, qwen, tekken_240911, mistral_v3; or a tokenizer.json, or RANKS?split=NAME.
    sequence_length: tokens of a training sequence; 0, with the packing document only: whole documents.
    packing: best-fit cuts few documents; concatenate cuts at every length; document puts one into each sequence.
    max_line_chars: a document with a longer line is dropped.
    seed: of the shuffle.
    """
    documents = ingest(*parse_sources(source), stages=chain())
    marks = annotate("marks", documents, stages=[configured(lines.STAGE, lines.LinesConfig())])
    duplicates = deduplicate_exact(documents)
    sidecars = (documents, marks, duplicates)
    select = select_stage(SelectConfig(predicates=rules(max_line_chars)), [s.schema for s in sidecars])
    decisions = annotate("select", *sidecars, stages=[select])
    chosen = open_named(vocabulary)
    tokens = annotate("tokens", documents, stages=[configured(encode.STAGE, chosen.encoding())])
    published = CorpusConfig(
        name=name,
        version=version,
        vocabulary=chosen.vocabulary.name,
        files=FilesConfig(end_of_document=chosen.vocabulary.special_token()),
        packings=(PackingConfig(method=packing, sequence_length=sequence_length, seed=seed),),
        seed=seed,
    )
    return corpus(documents, decisions, tokens, published, marks=(marks, duplicates))
