"""What a search is about and what it found, as the JSON of `schemas.mixture_result`, and back to runs to learn from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from jobs.inspection import named_step
from jobs.mixtures.anchors import measured
from jobs.mixtures.method import Choice
from jobs.mixtures.runs import Runs, mixture_id
from jobs.mixtures.space import Floats, MixtureSpace
from jobs.proxies.objective import Objective, Target
from jobs.proxies.pools import count_shares
from pipeline.errors import NotFoundError, RecipeError
from pipeline.fingerprint import digest
from pipeline.store import Shard, Store
from schemas.manifest import Manifest
from schemas.mixture_result import (
    FORMAT,
    DomainResult,
    EvidenceResult,
    MixtureBasis,
    MixtureResult,
    RunResult,
    TargetResult,
)

RESULT_STEP = "mixture-result"
"""Name of the step that ends a search."""

_TOLERANCE = 1e-6
"""How far rounding may put the sum of weights from 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """What the proxies of one search measured. (Of earlier searches, on a common codebook: `histograms.Evidence`.)"""

    mixtures: Floats
    """float64[N, K]."""
    bits_per_byte: Floats
    """float64[N, S]: of a proxy on every validation set."""
    rounds: tuple[int, ...]
    """Round of each, from 1; 0 for the mixture that was chosen in the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """What a search is about, known before any run."""

    space: MixtureSpace
    objective: Objective

    @property
    def key(self) -> str:
        """Digest of all of it."""
        return digest(self.space, self.objective)

    def runs(self, found: Measurements) -> Runs:
        """What a method learns from: every validation set that counts is a target of its own."""
        return self.objective.runs(found.mixtures, found.bits_per_byte)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a result says of how it was found."""

    corpus: str
    method: str
    proxy: object
    """As canonical JSON."""
    vocabulary: str
    seed: int
    basis: MixtureBasis
    evidence: tuple[EvidenceResult, ...]
    """Earlier searches that it has learned from."""


def conclude(settings: Settings, searched: Searched, found: Measurements, choice: Choice) -> MixtureResult:
    """The result of all runs, of which the last measured the choice.

    A choice that measured worse than an anchor gives way to the best measured mixture, which is never worse than one.
    """
    space, runs = searched.space, searched.runs(found)
    anchors = _measured_anchors(space, runs)
    fell_back = bool(anchors) and float(runs.objective[-1]) > min(anchors.values())
    best = int(np.argmin(runs.objective)) if fell_back else len(runs) - 1
    weights, losses = runs.mixtures[best], searched.objective.losses(found.bits_per_byte[best])
    predicted = [None if fell_back else _number(loss) for loss in _of_targets(searched.objective, choice.predicted)]
    deviation = [None if fell_back else _number(value) for value in choice.deviation]
    result = MixtureResult(
        corpus=settings.corpus,
        method=settings.method,
        predictor=choice.predictor,
        proxy=settings.proxy,
        vocabulary=settings.vocabulary,
        seed=settings.seed,
        target_tokens=space.target_tokens,
        max_epochs=space.max_epochs,
        fell_back=fell_back,
        beats_proportional=None if fell_back else _number(choice.beats_proportional),
        objective=float(runs.objective[best]),
        anchors=anchors,
        weights=dict(zip(space.domains, weights.tolist(), strict=True)),
        domains=domain_results(space, weights, deviation),
        validation_sets=list(searched.objective.sets),
        targets=[
            TargetResult(name=t.name, share=t.weight, sets=dict(t.sets), predicted=p, measured=float(loss))
            for t, p, loss in zip(searched.objective.targets, predicted, losses, strict=True)
        ],
        runs=[
            RunResult(mixture_id=mixture_id(row).hex(), round=number, weights=row.tolist(), bits_per_byte=bits.tolist())
            for row, number, bits in zip(found.mixtures, found.rounds, found.bits_per_byte, strict=True)
        ],
        basis=settings.basis,
        evidence=list(settings.evidence),
    )
    return sealed(result)


def sealed(result: MixtureResult) -> MixtureResult:
    """The result with the digest of all else that it says."""
    return result.model_copy(update={"digest": digest(result.model_dump(exclude={"digest"}))})


def domain_results(space: MixtureSpace, weights: Floats, deviation: Sequence[float | None]) -> list[DomainResult]:
    """What a mixture means for every domain."""
    planned = count_shares(weights, space.target_tokens).tolist()
    columns = (space.domains, space.tokens, weights, deviation, space.caps, space.epochs(weights), planned)
    return [
        DomainResult(
            name=name,
            tokens=tokens,
            weight=float(weight),
            deviation=spread,
            cap=float(cap),
            epochs=float(epochs),
            planned_tokens=plan,
        )
        for name, tokens, weight, spread, cap, epochs, plan in zip(*columns, strict=True)
    ]


def load_result(path: Path) -> MixtureResult:
    """A result file. Raises NotFoundError where there is none, RecipeError for one that is edited or something else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotFoundError(
            f"cannot read {path}: {error.strerror}; `mixture search --to` writes result.json"
        ) from error
    result = _parsed(content, str(path))
    if result.format != FORMAT:
        raise RecipeError(f"{path} is of format {result.format}, not {FORMAT}; search again with --to")
    if result.digest != sealed(result).digest:
        raise RecipeError(f"{path} is not what its digest says: the result was edited; give what the search wrote")
    try:
        _check_parts(result)
    except ValueError as error:
        raise RecipeError(f"{path} holds a result whose parts do not fit: {error}") from error
    return result


def _parsed(content: bytes, name: str) -> MixtureResult:
    try:
        return MixtureResult.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RecipeError(f"{name} is not a result of mixture search: {where}: {first['msg']}") from error


def _check_parts(result: MixtureResult) -> None:
    """Raises ValueError for parts of which others cannot be made."""
    searched, basis = searched_of(result), result.basis
    domains, sets = searched.space.domains, searched.objective.sets
    parts: list[tuple[str, Mapping[str, object], tuple[str, ...]]] = [
        ("weights", result.weights, domains),
        ("basis.composition.tokens", basis.composition.tokens, domains),
        ("basis.validation", basis.validation, sets),
    ]
    for name, found, wanted in parts:
        if sorted(found) != sorted(wanted):
            raise ValueError(f"{name} names {', '.join(found)}; it must name {', '.join(wanted)}")
    if empty := [name for name, cells in basis.composition.tokens.items() if min(cells.values(), default=0) < 1]:
        raise ValueError(f"basis.composition.tokens of {', '.join(empty)} must be positive")
    for run in result.runs:
        if len(run.bits_per_byte) != len(sets):
            raise ValueError(f"run {run.mixture_id} has {len(run.bits_per_byte)} bits_per_byte for {len(sets)} sets")
    for weights in (list(result.weights.values()), *(run.weights for run in result.runs)):
        if len(weights) != len(domains) or min(weights) < 0 or abs(sum(weights) - 1) > _TOLERANCE:
            raise ValueError(f"weights {weights} must be {len(domains)} shares that sum to 1")
    if not result.runs:
        raise ValueError("it holds no runs")


def stored_result(store: Store, manifest: Manifest) -> MixtureResult:
    """What the search of a version's own recipe found. Raises NotFoundError for a version without one."""
    entry = named_step(manifest, RESULT_STEP)
    if entry is None:
        raise NotFoundError(
            f"{manifest.name}@{manifest.version} holds no result of a search; run climb with --mix-tokens, or give a "
            "result.json of mixture search"
        )
    (shard,) = (Shard(step=entry.folder, key=key, base=key) for key in entry.keys)
    return _parsed(store.read(shard)["result"][0].as_py(), f"what {manifest.name}@{manifest.version} holds")


def space_of(result: MixtureResult) -> MixtureSpace:
    """The mixtures that a search was over."""
    return MixtureSpace(
        domains=tuple(domain.name for domain in result.domains),
        tokens=tuple(domain.tokens for domain in result.domains),
        target_tokens=result.target_tokens,
        max_epochs=result.max_epochs,
    )


def searched_of(result: MixtureResult) -> Searched:
    """What a search was about."""
    targets = tuple(Target(name=t.name, sets=t.sets, weight=t.share) for t in result.targets)
    return Searched(space=space_of(result), objective=Objective(targets=targets, sets=tuple(result.validation_sets)))


def measurements_of(result: MixtureResult) -> Measurements:
    """The runs of a search. Raises RecipeError where an id is not of its weights."""
    mixtures = np.array([run.weights for run in result.runs], np.float64)
    for row, run in zip(mixtures, result.runs, strict=True):
        if mixture_id(row).hex() != run.mixture_id:
            raise RecipeError(f"run {run.mixture_id} has other weights than were measured; the result was edited")
    return Measurements(
        mixtures=mixtures,
        bits_per_byte=np.array([run.bits_per_byte for run in result.runs], np.float64),
        rounds=tuple(run.round for run in result.runs),
    )


def _of_targets(objective: Objective, sets: Floats) -> Floats:
    """float64[T] of float64[C], one for each validation set that counts; NaN where a set that it needs is."""
    shares = objective.shares
    products: Floats = np.where(shares > 0, shares * sets, 0.0).sum(axis=1)
    return products


def target_losses(result: MixtureResult) -> Floats:
    """float64[N, T]: what the runs of a search measured of its targets."""
    return searched_of(result).objective.losses(measurements_of(result).bits_per_byte)


def _measured_anchors(space: MixtureSpace, runs: Runs) -> dict[str, float]:
    """The objective of the anchors among the runs."""
    found = {}
    named = {"uniform": space.uniform, "proportional": space.proportional}
    if space.current:
        named["current"] = space.project(np.array(space.current))
    for name, anchor in named.items():
        value = measured(runs, anchor)
        if value is not None:
            found[name] = value
    return found


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
