"""`gristmill mixture realise`: a published version, weights and a token target to a version that is the mixture."""

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.display import watch
from jobs.execution import make_version, scratch_folder
from jobs.looking import existing_storage, print_holdings, print_json, print_line, site_of, standard_output
from jobs.mixtures.realisation_plan import RealiseConfig
from jobs.mixtures.realised_version import MixedCorpus, mixed_corpus, publish_mixture
from jobs.mixtures.results import load_result, stored_result
from jobs.packing.files import FilesConfig
from jobs.packing.packings import Method, PackingConfig
from jobs.packing.sequences import open_version
from jobs.progress import Tracker
from pipeline import catalog
from pipeline.errors import RecipeError
from pipeline.plan import Plan
from pipeline.site_file import Site
from pipeline.storage import open_storage
from pipeline.store import Store
from schemas.manifest import Manifest, Mixture


def realise_mixture(
    *,
    corpus: str,
    weights: Path | None,
    tokens: int,
    name: str,
    version: str,
    max_epochs: float,
    seed: int,
    sequence_length: int,
    packing: Method,
    site: Path | None,
    store: str | None,
    workers: int | None,
    local: bool,
    as_json: bool,
) -> None:
    """Progress on standard error, the result on standard output. The same again makes nothing.

    Raises RecipeError for weights or settings that the version cannot serve, NotFoundError for a version that is not
    there, PublishError for a version of the mixture that is taken by other content.
    """
    started = time.monotonic()
    place = site_of(site, store, workers, local=local)
    storage = existing_storage(site, store)
    source = open_version(storage, corpus).manifest
    shares = read_weights(weights) if weights else stored_result(Store(storage), source).weights
    try:
        config = RealiseConfig(
            weights=tuple(sorted(shares.items())),
            tokens=tokens,
            files=FilesConfig(end_of_document=source.end_of_document),
            max_epochs=max_epochs,
            seed=seed,
        )
        packed = PackingConfig(method=packing, sequence_length=sequence_length, seed=seed)
        mixed = mixed_corpus(source, config, packed, name, version)
    except ValueError as error:
        raise RecipeError(f"mixture realise {corpus}: {error}") from error
    manifest, made = _make(mixed, place)
    seconds = round(time.monotonic() - started, 1)
    _print_result(open_storage(place.store).url(catalog.folder(manifest)), manifest, made, seconds, as_json=as_json)


def read_weights(path: Path) -> dict[str, float]:
    """Shares by domain from JSON: an object of numbers, or one that holds such an object as `weights`.

    Raises RecipeError for a file that is not there or is none of both, and for a search's result that was edited.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except OSError as error:
        raise RecipeError(f"--weights {path}: {error.strerror or error}; give a file that can be read") from error
    except ValueError as error:
        raise RecipeError(f"--weights {path} is not JSON as expected: {error}") from error
    if isinstance(found, dict) and "digest" in found:
        return dict(load_result(path).weights)
    shares = found["weights"] if isinstance(found, dict) and isinstance(found.get("weights"), dict) else found
    if not isinstance(shares, dict) or not shares:
        raise RecipeError(f'--weights {path}: expected {{"DOMAIN": SHARE, ...}}, or such an object as "weights" in one')
    wrong = [name for name, share in shares.items() if isinstance(share, bool) or not isinstance(share, int | float)]
    if wrong:
        raise RecipeError(f"--weights {path}: the share of {wrong[0]} must be a number, got {shares[wrong[0]]!r}")
    if infinite := [name for name, share in shares.items() if not isfinite(share)]:
        raise RecipeError(f"--weights {path}: the share of {infinite[0]} must be finite, got {shares[infinite[0]]}")
    return {name: float(share) for name, share in shares.items()}


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return found


def _make(mixed: MixedCorpus, site: Site) -> tuple[Manifest, int]:
    """Run what is missing and publish. Returns the manifest and how many shards were made."""
    plan = Plan(targets=mixed.targets, store=Store(open_storage(site.store)), scratch=scratch_folder(site))
    tracker = Tracker(plan=plan)
    with watch(tracker, Console(stderr=True)) as listen:
        manifest = make_version(plan, site, (), listen, partial(publish_mixture, mixed))
    return manifest, sum(made.done for made in tracker.steps.values())


def _print_result(path: str, manifest: Manifest, made: int, seconds: float, *, as_json: bool) -> None:
    assert manifest.mixture is not None
    if as_json:
        value: Mapping[str, object] = {
            "corpus": f"{manifest.name}@{manifest.version}",
            "path": path,
            "seconds": seconds,
            "shards_made": made,
        }
        print_json({**value, "mixture": manifest.mixture.model_dump(), "manifest": manifest.model_dump()})
        return
    console = standard_output()
    print_line(console, f"{manifest.name}@{manifest.version}  {path}", style="bold")
    print_holdings(console, manifest)
    console.print(_table(manifest.mixture))
    work = f"{made:,} shards made" if made else "nothing was left to do"
    console.print(f"{work}, {seconds} s", highlight=False)


def _table(mixture: Mixture) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("domain", "weight", "available", "planned", "realised", "off", "epochs", "documents", "copies", "cut"):
        table.add_column(head, justify="left" if head == "domain" else "right")
    for own in mixture.domains:
        off = f"{(own.realised - own.planned) / own.planned:+.3%}" if own.planned else "-"
        counts = [f"{n:,}" for n in (own.available, own.planned, own.realised)]
        repeated = [f"{own.epochs:.3f}", f"{own.documents:,}", f"{own.copies:,}", f"{own.cut:,}"]
        table.add_row(own.domain, f"{own.weight:.4f}", *counts, off, *repeated)
    return table
