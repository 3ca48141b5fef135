"""Source code with its syntax trees: every document parsed, units and concepts named, statistics by language.

Without fill-in-the-middle also tokens beside the trees.
"""

from typing import Literal

from jobs.deduplicate import deduplicate_exact
from jobs.packing.files import FilesConfig
from jobs.packing.packings import Method, PackingConfig
from jobs.publish import Corpus, CorpusConfig, corpus
from jobs.recipes.tiny import rules
from jobs.repository_order import repository_order
from jobs.sources import parse_sources
from jobs.syntax_statistics import syntax_statistics
from jobs.tokenizers.alignment import alignment_statistics
from jobs.vocabularies import open_named
from pipeline.annotate import annotate
from pipeline.dataset import Dataset
from pipeline.ingest import ingest
from pipeline.stage import configured
from stages.filter import lines
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.parse import syntax
from stages.tokenization import align, encode
from stages.tokenization.fim import FimConfig, fim_stage
from stages.tokenization.pieces import pieces_of
from stages.tokenization.vocabulary import Vocabulary

Fim = Literal["none", "document", "span", "node"]

_SENTINELS = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")


def trees(
    source: list[str] = ["env"],  # noqa: B006 - never changed; shown by --help
    name: str = "trees",
    version: str = "",
    vocabulary: str = "cl100k_base",
    sequence_length: int = 2048,
    packing: Method = "best-fit",
    max_line_chars: int = 10_000,
    max_errors: int = -1,
    fim: Fim = "none",
    order_imports: bool = False,
    seed: int = 0,
) -> Corpus:
    """Documents that have a syntax tree, with trees, units and statistics, as a tokenized corpus.

    source: what to read; repeatable: env, PATH or KIND:WHERE (folder git archive jsonl parquet hub pypi npm).
    name: name of the corpus.
    version: version to publish; empty for the next number.
    vocabulary: cl100k_base, o200k_base, qwen, tekken_240911, mistral_v3; or a tokenizer.json, or RANKS?split=NAME.
    sequence_length: tokens of a training sequence; 0, with the packing document only: whole documents.
    packing: best-fit cuts few documents; concatenate cuts at every length; document puts one into each sequence.
    max_line_chars: a document with a longer line is dropped.
    max_errors: a document with more ERROR and MISSING nodes is dropped; -1 keeps all that were parsed.
    fim: half of the documents get a hole to fill: between any two places, some lines (span), or a node of the tree.
    order_imports: keep the files of a repository together, each behind the files that it imports.
    seed: of the shuffle and the holes.
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
    chosen = open_named(vocabulary)
    pieces, encoding = pieces_of(chosen.vocabulary), chosen.encoding()
    tokens = _tokens(documents, parsed, encoding, _sentinels(chosen.vocabulary, len(pieces)), fim, seed)
    kept, reports = [marks, duplicates, parsed], [syntax_statistics(documents, parsed)]
    if fim == "none":
        laid = align.AlignConfig(
            vocabulary=encoding.vocabulary, vocabulary_sha256=encoding.vocabulary_sha256, split=encoding.split
        )
        aligning = configured(align.STAGE, laid)
        alignment = annotate("alignment", documents, parsed, tokens, stages=[aligning])
        kept.append(alignment)
        reports.append(alignment_statistics(documents, tokens, alignment))
    published = CorpusConfig(
        name=name,
        version=version,
        vocabulary=encoding.vocabulary,
        files=FilesConfig(end_of_document=chosen.vocabulary.special_token()),
        packings=(PackingConfig(method=packing, sequence_length=sequence_length, seed=seed),),
        seed=seed,
    )
    order = repository_order(documents, parsed) if order_imports else None
    return corpus(documents, decisions, tokens, published, marks=kept, reports=reports, order=order)


def _tokens(
    documents: Dataset,
    parsed: Dataset,
    encoding: encode.EncodeConfig,
    sentinels: tuple[int, int, int],
    fim: Fim,
    seed: int,
) -> Dataset:
    """Tokens as the text is, or half of the documents rearranged."""
    if fim == "none":
        return annotate("tokens", documents, stages=[configured(encode.STAGE, encoding)])
    prefix, middle, suffix = sentinels
    config = FimConfig(encode=encoding, prefix=prefix, middle=middle, suffix=suffix, level=fim, seed=seed)
    return annotate("tokens", documents, *([parsed] if fim == "node" else []), stages=[fim_stage(config)])


def _sentinels(vocabulary: Vocabulary, unused: int) -> tuple[int, int, int]:
    """Prefix, middle and suffix: the vocabulary's own, or the ids from `unused`, the first that it does not use."""
    prefix, middle, suffix = (vocabulary.special_tokens.get(name) for name in _SENTINELS)
    if prefix is not None and middle is not None and suffix is not None:
        return prefix, middle, suffix
    return unused, unused + 1, unused + 2
