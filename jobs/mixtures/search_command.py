"""`gristmill mixture search`: measure mixtures of a published version's domains, and choose the best one."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from jobs.display import watch
from jobs.execution import scratch_folder
from jobs.folders import whole_file
from jobs.inspection import step
from jobs.looking import existing_storage, print_json, print_line, site_of, standard_output
from jobs.mixtures.basis import BASIS_STEP, read_basis
from jobs.mixtures.domains import Domains, list_domains, published_domains
from jobs.mixtures.earlier import EarlierSearch, check_settings, informed, load_earlier
from jobs.mixtures.measuring import Text
from jobs.mixtures.realise_command import read_weights
from jobs.mixtures.report import check_plots, write_report
from jobs.mixtures.results import Searched
from jobs.mixtures.search import search
from jobs.mixtures.search_config import SearchConfig, parse_rounds, parse_target, proxy_of, samples_for
from jobs.progress import Tracker
from jobs.running import run_plan
from jobs.stored import stored
from jobs.vocabularies import recorded_vocabulary
from pipeline import catalog
from pipeline.dataset import Dataset, topological
from pipeline.errors import RecipeError
from pipeline.plan import Plan
from pipeline.site_file import Site
from pipeline.storage import Storage, open_storage
from pipeline.store import Store
from schemas.corpus import DATA
from schemas.manifest import Manifest
from schemas.mixture_result import MixtureResult


def search_mixture(
    *,
    corpus: str,
    validation: str | None,
    evidence: Sequence[Path],
    to: Path | None,
    gpus: float,
    site: Path | None,
    store: str | None,
    workers: int | None,
    local: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Progress on standard error, the result on standard output and, with its plots, in the folder `to`.

    `values` are those of `_config`. Raises RecipeError for values that do not fit each other and for evidence that does
    not compare, NotFoundError for a version that is not there. The same again measures nothing.
    """
    started = time.monotonic()
    if to is not None:
        check_plots()
    place, storage = site_of(site, store, workers, local=local), existing_storage(site, store)
    manifest, domains = _published(storage, corpus)
    other = _other(storage, validation, manifest) if validation else None
    sha256, split = recorded_vocabulary(manifest)
    text = Text(
        vocabulary=manifest.vocabulary,
        end_of_document=manifest.end_of_document,
        vocabulary_sha256=sha256,
        split=split,
    )
    try:
        config = _config(text, **values)
        text.pieces()
        config.space(list_domains(manifest))
        earlier = load_earlier(evidence)
        check_settings(earlier, config)
        name = f"{manifest.name}@{manifest.version}"
        found = search(domains, config, corpus=name, other=other, earlier=earlier, gpus=gpus)
    except ValueError as error:
        raise RecipeError(f"mixture search {corpus}: {error}") from error
    checked = _check_evidence(found, config, manifest, earlier, place) if earlier else 0
    table, made = _run(found, place)
    content: bytes = table["result"][0].as_py()
    result = MixtureResult.model_validate_json(content)
    made += checked
    if to is not None:
        with whole_file(to / "result.json") as file:
            file.write(content)
        write_report(result, to)
    if as_json:
        print_json(result.model_dump() | {"runs_made": made, "seconds": round(time.monotonic() - started, 1)})
        return
    print_result(result)
    work = f"{made:,} steps done" if made else "nothing was left to do"
    where = f", {to / 'report.html'}" if to else ""
    print_line(standard_output(), f"{work}, {time.monotonic() - started:.1f} s{where}")


def print_result(result: MixtureResult) -> None:
    """The mixture by domain, and what it is good for."""
    console = standard_output()
    sure = "" if result.beats_proportional is None else f", better than proportional: {result.beats_proportional:.0%}"
    line = f"{result.objective:.4f} bits per byte measured ({len(result.runs)} proxies, method {result.method}{sure})"
    print_line(console, line, style="bold")
    anchors = ", ".join(f"{name} {value:.4f}" for name, value in sorted(result.anchors.items()))
    if anchors:
        print_line(console, f"anchors: {anchors}")
    for known in result.evidence:
        print_line(console, f"learned also from {known.runs} runs over {known.corpus}")
    if result.fell_back:
        print_line(console, "the chosen mixture measured worse than an anchor: this is the best one measured")
    table = Table(box=None, pad_edge=False)
    for head in ("domain", "weight", "+-", "tokens", "planned", "epochs"):
        table.add_column(head, justify="left" if head == "domain" else "right")
    for domain in sorted(result.domains, key=lambda d: (-d.weight, d.name)):
        spread = "-" if domain.deviation is None else f"{domain.deviation:.3f}"
        counts = (f"{domain.tokens:,}", f"{domain.planned_tokens:,}", f"{domain.epochs:.2f}")
        table.add_row(domain.name, f"{domain.weight:.4f}", spread, *counts)
    console.print(table)
    for target in result.targets:
        expected = "" if target.predicted is None else f", predicted {target.predicted:.4f}"
        print_line(console, f"target {target.name}: measured {target.measured:.4f}{expected}")


def _published(storage: Storage, corpus: str) -> tuple[Manifest, Domains]:
    manifest = catalog.load(storage, corpus)
    if manifest.mixture is not None:
        source = manifest.mixture.source
        raise RecipeError(f"{corpus} is a mixture itself, of {source}: its files have no domains; search over {source}")
    return manifest, published_domains(stored(step(manifest, "files"), DATA), manifest)


def _other(storage: Storage, corpus: str, own: Manifest) -> Domains:
    manifest, domains = _published(storage, corpus)
    if _tokens_of(manifest) != _tokens_of(own):
        texts = [f"{version.vocabulary} with end {version.end_of_document}" for version in (manifest, own)]
        raise RecipeError(f"--validation {corpus} has tokens of {texts[0]}, the corpus of {texts[1]}")
    return domains


def _tokens_of(manifest: Manifest) -> tuple[object, ...]:
    return manifest.vocabulary, manifest.end_of_document, *recorded_vocabulary(manifest)


def _config(
    text: Text,
    *,
    tokens: int,
    target: Sequence[str],
    proxy: str,
    method: str,
    rounds: str,
    proxies: int | None,
    max_epochs: float,
    current: Path | None,
    validation_tokens: int | None,
    seed: int,
    **values: Any,
) -> SearchConfig:
    """What is searched. Raises ValueError."""
    return SearchConfig(
        target_tokens=tokens,
        proxy=proxy_of(proxy, seed=seed, **values),
        text=text,
        targets=tuple(parse_target(given) for given in target),
        method=method,
        rounds=parse_rounds(rounds, proxies or 0, method),
        max_epochs=max_epochs,
        current=tuple(sorted(read_weights(current).items())) if current else (),
        seed=seed,
        samples=samples_for(proxy, validation_tokens),
    )


def _check_evidence(
    found: Dataset, config: SearchConfig, manifest: Manifest, earlier: tuple[EarlierSearch, ...], site: Site
) -> int:
    """Refuse evidence that does not compare before a proxy is trained. Gives how many shards were made for it."""
    (basis_step,) = (dataset for dataset in topological(found) if dataset.name == BASIS_STEP)
    table, made = _run(basis_step, site)
    basis = read_basis(table)
    objective = config.objective(tuple(basis.validation))
    informed(config, earlier, basis, Searched(space=config.space(list_domains(manifest)), objective=objective))
    return made


def _run(found: Dataset, site: Site) -> tuple[pa.Table, int]:
    """Run what is missing for a dataset of one shard. Gives that, and how many shards were made."""
    plan = Plan(targets=(found,), store=Store(open_storage(site.store)), scratch=scratch_folder(site))
    tracker = Tracker(plan=plan)
    with watch(tracker, Console(stderr=True)) as listen:
        run_plan(plan, site, (), listen)
    (shard,) = plan.shards(found)
    return plan.store.read(shard), sum(made.done for made in tracker.steps.values())
