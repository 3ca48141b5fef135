"""`tokenizer train`: count the pretokens of a source or of a published corpus, learn a tokenizer, write its file."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from jobs.card import human_bytes
from jobs.deduplicate import deduplicate_exact
from jobs.display import watch
from jobs.execution import scratch_folder
from jobs.folders import whole_file
from jobs.inspection import named_step, step
from jobs.looking import existing_storage, print_json, site_of, standard_output
from jobs.progress import Tracker
from jobs.running import run_plan
from jobs.sources import parse_sources
from jobs.stored import stored
from jobs.terminal import printable
from jobs.tokenizers.pretoken_counts import PretokenConfig, Settings, domain_bytes, pretoken_counts
from jobs.tokenizers.training import TokenizerConfig, learn_tokenizer
from pipeline import catalog
from pipeline.dataset import Dataset
from pipeline.errors import PublishError, RecipeError
from pipeline.ingest import ingest
from pipeline.plan import Plan
from pipeline.site_file import Site
from pipeline.storage import open_storage
from pipeline.store import Store
from schemas.corpus import DECISION
from schemas.documents import DOCUMENT
from stages.ingest.document import chain
from stages.tokenization.training.bpe import BpeConfig
from stages.tokenization.training.hybrid import HybridConfig, load_dictionary
from stages.tokenization.training.less_is_better import LibConfig
from stages.tokenization.training.superwords import SuperwordConfig


def train_tokenizer(
    *,
    source: Sequence[str],
    corpus: str | None,
    to: Path,
    site: Path | None,
    store: str | None,
    workers: int | None,
    local: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """`gristmill tokenizer train`: progress on standard error, the result on standard output.

    `values` are those of `_configs`. Raises RecipeError for values that do not fit each other, PublishError if `to`
    holds something else.
    """
    started = time.monotonic()
    if bool(source) == bool(corpus):
        raise RecipeError("give either --source, one or several, or --corpus NAME@VERSION")
    try:
        counting, learning = _configs(**values)
    except ValueError as error:
        raise RecipeError(f"tokenizer train: {error}") from error
    place = site_of(site, store, workers, local=local)
    inputs = _corpus_inputs(corpus, site, store) if corpus else _source_inputs(source)
    counts = pretoken_counts(*inputs, config=counting)
    learnt = learn_tokenizer(counts, learning)
    plan = Plan(targets=(counts, learnt), store=Store(open_storage(place.store)), scratch=scratch_folder(place))
    made = _run(plan, place)
    result = _written(plan, counts, learnt, to)
    seconds = round(time.monotonic() - started, 1)
    _print_result(result | {"shards_made": made, "seconds": seconds}, as_json=as_json)


def _written(plan: Plan, counts: Dataset, learnt: Dataset, to: Path) -> dict[str, Any]:
    """Write the file of a complete plan; what there is to say of it."""
    (shard,), (record,) = plan.shards(learnt), plan.records(learnt)
    content: bytes = plan.store.read(shard)["tokenizer"][0].as_py()
    write_once(to, content)
    names = ("tokens", "added_tokens", "special_tokens", "pretokens", "bytes")
    return {
        "path": str(to),
        "sha256": hashlib.sha256(content).hexdigest(),
        **{name: record.counters[name] for name in names},
        "languages": domain_bytes(plan.records(counts)),
    }


def _configs(
    *,
    method: str,
    split: str,
    force: Sequence[str],
    special: Sequence[str],
    share: Sequence[str],
    max_language_bytes: int | None,
    min_pretoken_count: int | None,
    **values: Any,
) -> tuple[PretokenConfig, TokenizerConfig]:
    """What is counted and what is learnt; None leaves a default as it is. Raises ValueError."""
    settings = None if method == "bpe" else _settings(method, split, **values)
    if settings is not None and force:
        raise ValueError(f"--force is for --method bpe, not {method}")
    bpe = BpeConfig() if settings else _bpe(**values)
    learning = TokenizerConfig(
        split=split,
        method=method,
        settings=settings,
        bpe=bpe,
        forced_tokens=tuple(dict.fromkeys(force)),
        shares=tuple(_share(text) for text in share),
        special_tokens=tuple(special),
        **_given(min_pretoken_count=min_pretoken_count),
    )
    sampled = _given(max_domain_bytes=max_language_bytes)
    return PretokenConfig(split=split, method=method, cuts=settings.cuts if settings else None, **sampled), learning


def _bpe(*, dictionary: Sequence[Path], **values: Any) -> BpeConfig:
    if dictionary:
        raise ValueError("--dictionary is for --method hybrid")
    if values["alphabet_size"] is not None and values["unit"] != "characters":
        raise ValueError("--alphabet-size is for --unit characters; tokens of bytes have no alphabet")
    return BpeConfig(**_given(**values))


def _settings(
    method: str,
    split: str,
    *,
    vocabulary_size: int | None,
    max_token_length: int | None,
    min_count: int | None,
    dictionary: Sequence[Path],
    unit: str | None,
    alphabet_size: int | None,
) -> Settings:
    """Of a method beside `bpe`."""
    if unit is not None or alphabet_size is not None:
        raise ValueError(f"--unit and --alphabet-size are for --method bpe, not {method}")
    if (method == "hybrid") != bool(dictionary):
        raise ValueError("--method hybrid needs a --dictionary of roots and affixes, and no other method has one")
    if method == "lib":
        if min_count is not None:
            raise ValueError("--min-count is not for --method lib, which keeps what shortens its reading")
        return LibConfig(**_given(vocabulary_size=vocabulary_size, max_token_chars=max_token_length))
    shared = _given(vocabulary_size=vocabulary_size, max_token_bytes=max_token_length, min_count=min_count)
    if method == "hybrid":
        return HybridConfig(dictionary=load_dictionary(dictionary), split=split, **shared)
    return SuperwordConfig(split=split, **shared)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _share(text: str) -> tuple[str, float]:
    name, equals, number = text.rpartition("=")
    try:
        return name, float(number if equals else "")
    except ValueError as error:
        raise ValueError(f"share {text!r} must be LANGUAGE=NUMBER, as in Python=0.5") from error


def _source_inputs(source: Sequence[str]) -> tuple[Dataset, ...]:
    documents = ingest(*parse_sources(source), stages=chain())
    return documents, deduplicate_exact(documents)


def _corpus_inputs(corpus: str, site: Path | None, store: str | None) -> tuple[Dataset, ...]:
    """The documents of a published version, and what it has decided about them."""
    manifest = catalog.load(existing_storage(site, store), corpus)
    decisions = named_step(manifest, "select")
    documents = stored(step(manifest, "documents"), DOCUMENT)
    return (documents,) if decisions is None else (documents, stored(decisions, DECISION))


def _run(plan: Plan, site: Site) -> int:
    """Run what is missing, shown on standard error. Returns how many shards were made."""
    tracker = Tracker(plan=plan)
    with watch(tracker, Console(stderr=True)) as listen:
        run_plan(plan, site, (), listen)
    return sum(step.done for step in tracker.steps.values())


def write_once(to: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises PublishError if it is there with other content."""
    if to.is_file() and to.read_bytes() == content:
        return
    if to.exists():
        raise PublishError(f"{to} is there with other content; choose another --to or remove it")
    with whole_file(to) as file:
        file.write(content)


def _print_result(result: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(dict(result))
        return
    console = standard_output()
    console.print(result["path"], style="bold", highlight=False, markup=False, soft_wrap=True)
    extra = f"{result['added_tokens']:,} added, {result['special_tokens']:,} special"
    console.print(f"{result['tokens']:,} tokens, {extra}; sha256 {result['sha256']}", highlight=False, soft_wrap=True)
    languages = sorted(result["languages"].items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{name} {human_bytes(size)}" for name, size in languages[:8])
    more = f" and {len(languages) - 8} more" if len(languages) > 8 else ""
    text = f"{result['pretokens']:,} distinct pretokens of {human_bytes(result['bytes'])}: {shown}{more}"
    console.print(printable(text), highlight=False, markup=False, soft_wrap=True)
    work = f"{result['shards_made']:,} shards made" if result["shards_made"] else "nothing was left to do"
    console.print(f"{work}, {result['seconds']} s", highlight=False)
