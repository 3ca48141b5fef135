"""Clusters and mixtures: documents are clustered into named domains, whose best weights are searched and mixed."""

from dataclasses import replace
from functools import partial
from typing import Any

from jobs.clusters.axes import Axis, CrossConfig, cross_stage
from jobs.clusters.clustering import ClusterConfig
from jobs.clusters.coarsen import CoarsenConfig
from jobs.clusters.job import assign, cluster
from jobs.clusters.kmeans import KmeansConfig
from jobs.clusters.naming import NamingConfig, name_by_model
from jobs.clusters.prune import PruneConfig, mark_scores
from jobs.deduplicate import deduplicate_exact
from jobs.mixtures.domains import Clustered, planned_domains
from jobs.mixtures.measuring import Text
from jobs.mixtures.realisation_plan import RealiseConfig
from jobs.mixtures.realised_version import mixed_corpus, publish_mixture
from jobs.mixtures.results import stored_result
from jobs.mixtures.search import search
from jobs.mixtures.search_config import SearchConfig, parse_rounds, parse_target, proxy_of, samples_for
from jobs.packing.files import FilesConfig
from jobs.packing.packings import PackingConfig
from jobs.publish import Corpus, CorpusConfig, Following, corpus
from jobs.recipes.tiny import rules
from jobs.sources import parse_sources
from jobs.vocabularies import open_named
from pipeline import catalog
from pipeline.annotate import annotate
from pipeline.ingest import ingest
from pipeline.stage import Configured, configured
from pipeline.store import Store
from schemas.manifest import Manifest
from stages.embed.sentence_model import SentenceModelConfig, sentence_model_stage
from stages.embed.static_table import static_table_stage
from stages.filter import lines
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.tokenization import encode


def climb(
    source: list[str] = ["env"],  # noqa: B006 - never changed; shown by --help
    name: str = "climb",
    version: str = "",
    vocabulary: str = "cl100k_base",
    embedder: str = "wordllama",
    dimensions: int = 384,
    clusters: int = 256,
    domains: int = 20,
    min_share: float = 0.01,
    max_share: float = 0.25,
    name_with: str = "",
    by_language: bool = False,
    score: str = "",
    min_score: float = 0.0,
    mix_tokens: int = 0,
    mix_name: str = "",
    target: list[str] = [],  # noqa: B006 - never changed
    method: str = "default",
    rounds: str = "",
    proxies: int = 0,
    proxy: str = "ngram",
    proxy_tokens: int = 1_000_000,
    proxy_gpus: float = 0.0,
    max_epochs: float = 4.0,
    sequence_length: int = 2048,
    max_line_chars: int = 10_000,
    seed: int = 0,
) -> Corpus:
    """Documents in domains that were found by clustering; with --mix-tokens also the best weights of these.

    source: what to read; repeatable: env, PATH or KIND:WHERE (folder git archive jsonl parquet hub pypi npm).
    name: name of the corpus.
    version: version to publish; empty for the next number.
    vocabulary: cl100k_base, o200k_base, qwen, tekken_240911, mistral_v3; or a tokenizer.json, or RANKS?split=NAME.
    embedder: wordllama, or a model of sentence-transformers (folder, package:MODULE/FOLDER).
    dimensions: of the vectors of a sentence-transformers model.
    clusters: fine clusters.
    domains: at most so many domains are made of them.
    min_share: of the text in the smallest domain.
    max_share: of the text in the largest domain, unless a single cluster is larger.
    name_with: the model that names the domains, at the site's endpoint (llm.url); keywords name them without one.
    by_language: cross the domains with the documents' languages.
    score: a numeric column of the marks, by whose mean over a cluster documents are dropped.
    min_score: the least mean that is kept.
    mix_tokens: tokens of the corpus to mix; 0 looks for no mixture.
    mix_name: name of a second corpus, the domains mixed by the weights that were found; empty makes none.
    target: validation sets with weights, as in `mixture search`; every domain alike without one.
    method: of the search.
    rounds: proxies of each round, as in 64,32,16.
    proxies: in all, in rounds like those of the method; 0 for as many as it has.
    proxy: what is trained to measure a mixture: ngram, or gpt (small transformers on bytes).
    proxy_tokens: tokens, or with gpt bytes, that a proxy learns from.
    proxy_gpus: GPUs of one proxy.
    max_epochs: how often a domain may be repeated.
    sequence_length: tokens of a training sequence.
    max_line_chars: a document with a longer line is dropped.
    seed: of clusters, search and shuffle.
    """
    documents = ingest(*parse_sources(source), stages=chain())
    marks = annotate("marks", documents, stages=[configured(lines.STAGE, lines.LinesConfig())])
    duplicates = deduplicate_exact(documents)
    embeddings = annotate("embeddings", documents, stages=[_embedding(embedder, dimensions)])
    clustered = cluster(
        documents,
        embeddings,
        duplicates,
        config=ClusterConfig(
            kmeans=KmeansConfig(clusters=clusters, seed=seed),
            coarsen=CoarsenConfig(domains=domains, min_share=min_share, max_share=max_share),
        ),
    )
    if name_with:
        clustered = name_by_model(clustered, NamingConfig(model=name_with, seed=seed))
    assignment = assign(embeddings, clustered)
    kept, predicates = [marks, duplicates, assignment], list(rules(max_line_chars))
    predicates.append(Predicate(name="clustered", sql="domain IS NOT NULL"))
    if score:
        kept.append(mark_scores(marks, assignment, documents, PruneConfig(column=score)))
        predicates.append(Predicate(name="cluster-score", sql=f"COALESCE(cluster_score >= {min_score!r}, true)"))
    column = "domain"
    if by_language:
        crossing = cross_stage(CrossConfig(axes=(Axis(column="language"),)))
        kept.append(annotate("crossed-domains", documents, assignment, stages=[crossing]))
        column = "crossed_domain"
    sidecars = (documents, *kept)
    select = select_stage(SelectConfig(predicates=tuple(predicates)), [s.schema for s in sidecars])
    decisions = annotate("select", *sidecars, stages=[select])
    chosen = open_named(vocabulary)
    tokens = annotate("tokens", documents, stages=[configured(encode.STAGE, chosen.encoding())])
    end = chosen.vocabulary.special_token()
    published = CorpusConfig(
        name=name,
        version=version,
        vocabulary=chosen.vocabulary.name,
        files=FilesConfig(end_of_document=end),
        packings=(PackingConfig(sequence_length=sequence_length, seed=seed),),
        domain_column=column,
        seed=seed,
    )
    made = corpus(documents, decisions, tokens, published, marks=kept, reports=[clustered])
    if mix_name:
        catalog.check_name("mix_name", mix_name)
        if not mix_tokens or mix_name == name:
            raise ValueError(
                f"mix_name={mix_name!r} needs mix_tokens, the tokens of that corpus, and a name of its own"
            )
    if not mix_tokens:
        return made
    config = SearchConfig(
        target_tokens=mix_tokens,
        proxy=proxy_of(proxy, proxy_tokens=proxy_tokens, seed=seed),
        text=Text(
            vocabulary=chosen.vocabulary.name,
            end_of_document=end,
            vocabulary_sha256=chosen.sha256,
            split=chosen.split,
        ),
        targets=tuple(parse_target(text) for text in target),
        method=method,
        rounds=parse_rounds(rounds, proxies, method),
        max_epochs=max_epochs,
        seed=seed,
        samples=samples_for(proxy),
    )
    cells = Clustered(assignment=assignment, placement=made.placement, tokens=tokens, clusters=clustered)
    domains_of = planned_domains(made.files, made.placement, published.files, clustered=None if by_language else cells)
    found = search(domains_of, config, corpus=name, gpus=proxy_gpus)
    mix = partial(_mixed, mix_name, mix_tokens, max_epochs, published) if mix_name else None
    return replace(made, reports=(*made.reports, found), following=mix)


def _mixed(
    name: str, tokens: int, max_epochs: float, published: CorpusConfig, store: Store, manifest: Manifest
) -> Following:
    """The published version, mixed by the weights that its search found."""
    config = RealiseConfig(
        weights=tuple(sorted(stored_result(store, manifest).weights.items())),
        tokens=tokens,
        files=FilesConfig(end_of_document=published.files.end_of_document),
        max_epochs=max_epochs,
        seed=published.seed,
    )
    mixed = mixed_corpus(manifest, config, published.packings[0], name, "")
    return Following(targets=mixed.targets, publish=partial(publish_mixture, mixed))


def _embedding(embedder: str, dimensions: int) -> Configured[Any]:
    if embedder == "wordllama":
        return static_table_stage()
    return sentence_model_stage(SentenceModelConfig(model=embedder, dimensions=dimensions))
