"""Source code with its syntax trees: every document parsed, units and concepts named, statistics by language."""

from typing import Literal

from jobs.deduplicate import deduplicate_exact
from jobs.packing.files import FilesConfig
from jobs.packing.packings import Method, PackingConfig
from jobs.publish import Corpus, CorpusConfig, corpus
from jobs.recipes.tiny import rules
from jobs.sources import parse_sources
from jobs.syntax_statistics import syntax_statistics
from pipeline.annotate import annotate
from pipeline.ingest import ingest
from pipeline.stage import configured
from stages.filter import lines
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.parse import syntax
from stages.tokenization import encode
from stages.tokenization.vocabulary import load_vocabulary


def trees(
    source: list[str] = ["env"],  # noqa: B006 - never changed; shown by --help
    name: str = "trees",
    version: str = "",
    vocabulary: Literal["cl100k_base", "o200k_base"] = "cl100k_base",
    sequence_length: int = 2048,
    packing: Method = "best-fit",
    max_line_chars: int = 10_000,
    max_errors: int = -1,
    seed: int = 0,
) -> Corpus:
    """Documents that have a syntax tree, with trees, units and statistics, as a tokenized corpus.

    source: what to read; repeatable: env, PATH or KIND:WHERE (folder git archive jsonl parquet hub pypi npm).
    name: name of the corpus.
    version: version to publish; empty for the next number.
    vocabulary: which vocabulary the token ids are of.
    sequence_length: tokens of a training sequence; 0, with the packing document only: whole documents.
    packing: best-fit cuts few documents; concatenate cuts at every length; document puts one into each sequence.
    max_line_chars: a document with a longer line is dropped.
    max_errors: a document with more ERROR and MISSING nodes is dropped; -1 keeps all that were parsed.
    seed: of the shuffle.
    """
    documents = ingest(*parse_sources(source), stages=chain())
    marks = annotate("marks", documents, stages=[configured(lines.STAGE, lines.LinesConfig())])
    parsed = annotate(syntax.STAGE.name, documents, stages=[configured(syntax.STAGE, syntax.SyntaxConfig())])
    duplicates = deduplicate_exact(documents)
    predicates = [*rules(max_line_chars), Predicate(name="parsed", sql="ast_status = 'parsed'")]
    if max_errors >= 0:
        predicates.append(Predicate(name="few-errors", sql=f"COALESCE(ast_errors + ast_missing, 0) <= {max_errors}"))
    sidecars = (documents, marks, parsed, duplicates)
    select = select_stage(SelectConfig(predicates=tuple(predicates)), [s.schema for s in sidecars])
    decisions = annotate("select", *sidecars, stages=[select])
    encoding = configured(encode.STAGE, encode.EncodeConfig(vocabulary=vocabulary))
    tokens = annotate("tokens", documents, stages=[encoding])
    published = CorpusConfig(
        name=name,
        version=version,
        vocabulary=vocabulary,
        files=FilesConfig(end_of_document=load_vocabulary(vocabulary).special_token()),
        packings=(PackingConfig(method=packing, sequence_length=sequence_length, seed=seed),),
        seed=seed,
    )
    return corpus(
        documents,
        decisions,
        tokens,
        published,
        marks=(marks, duplicates, parsed),
        reports=(syntax_statistics(documents, parsed),),
    )
