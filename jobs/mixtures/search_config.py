"""What a search for a mixture looks for, and how."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from jobs.mixtures.domains import Domain
from jobs.mixtures.measuring import ProxyConfig, Text
from jobs.mixtures.method import Method
from jobs.mixtures.methods.table import METHODS
from jobs.mixtures.samples import SampleConfig
from jobs.mixtures.space import MixtureSpace
from jobs.proxies.gpt import GptConfig
from jobs.proxies.ngram import NgramConfig
from jobs.proxies.objective import Objective, Target, each_set_a_target
from pipeline.errors import PlanError

_PROXY_TOKENS = 1_000_000
_BATCH_TOKENS = 1024
_VALIDATION_TOKENS = {"ngram": 200_000, "gpt": 20_000}
"""Tokens of each validation set; a GPT on a CPU reads no faster than it learns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """What is looked for, and how."""

    target_tokens: int
    """Tokens of the corpus that is to be mixed."""
    proxy: ProxyConfig
    """What is trained on a mixture to measure it."""
    text: Text
    """What the tokens stand for."""
    targets: tuple[Target, ...] = ()
    """What the mixture is for; without one, every validation set alike."""
    method: str = "default"
    rounds: tuple[int, ...] = ()
    """Mixtures measured in each round; those of the method without. The first holds the anchors."""
    max_epochs: float = 4.0
    """How often a domain may be repeated."""
    current: tuple[tuple[str, float], ...] = ()
    """(domain, weight) of the mixture in use, which is measured as an anchor."""
    seed: int = 0
    """Of all draws."""
    samples: SampleConfig = field(default_factory=SampleConfig)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} must be one of {', '.join(METHODS)}")
        if any(count < 1 for count in self.rounds):
            raise ValueError(f"rounds must be positive, got {self.rounds}")
        if self.rounds and self.rounds[0] < self._num_anchors:
            also = ", proportional and the current mixture" if self.current else " and proportional"
            raise ValueError(
                f"the first of rounds {self.rounds} measures uniform{also}; give it at least {self._num_anchors}"
            )
        if not (self.target_tokens > 0 and self.max_epochs > 0 and isfinite(self.max_epochs)):
            raise ValueError(
                f"target_tokens={self.target_tokens} and max_epochs={self.max_epochs} must be positive numbers"
            )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed={self.seed} must be from 0 to 2**63 - 1")

    @property
    def _num_anchors(self) -> int:
        return 3 if self.current else 2

    @property
    def chosen(self) -> Method:
        """The method with its rounds."""
        method = METHODS[self.method]
        if not method.rounds:
            return method
        first, *later = self.rounds or method.rounds
        return replace(method, rounds=(max(first, self._num_anchors), *later))

    def space(self, domains: Sequence[Domain]) -> MixtureSpace:
        """The mixtures of these domains. Raises PlanError where none is feasible, or `current` is none of them."""
        if len(domains) < 2:
            names = ", ".join(domain.name for domain in domains) or "no domain"
            raise PlanError(f"mixture search: the corpus is all {names}; a mixture is of two domains or more")
        current = dict(self.current)
        if unknown := sorted({*current} - {domain.name for domain in domains}):
            raise PlanError(f"mixture search: the current mixture names {', '.join(unknown)}, which is no domain")
        try:
            return MixtureSpace(
                current=tuple(current.get(domain.name, 0.0) for domain in domains) if current else (),
                domains=tuple(domain.name for domain in domains),
                tokens=tuple(domain.tokens for domain in domains),
                target_tokens=self.target_tokens,
                max_epochs=self.max_epochs,
            )
        except ValueError as error:
            raise PlanError(f"mixture search: {error}") from error

    def objective(self, sets: tuple[str, ...]) -> Objective:
        """What is minimised on these validation sets. Raises PlanError where a target names others."""
        try:
            return Objective(targets=self.targets, sets=sets) if self.targets else each_set_a_target(sets)
        except ValueError as error:
            raise PlanError(f"mixture search: {error}") from error


def proxy_of(kind: str, **values: Any) -> ProxyConfig:
    """`ngram` or `gpt`, with those of the values that are not None. Raises ValueError for values of the other kind."""
    given = {"proxy_tokens": _PROXY_TOKENS} | {name: value for name, value in values.items() if value is not None}
    if kind not in _VALIDATION_TOKENS:
        raise ValueError(f"proxy {kind!r} must be one of {', '.join(_VALIDATION_TOKENS)}")
    if kind == "ngram":
        if wrong := [name for name in ("layers", "width", "context") if name in given]:
            raise ValueError(f"--{wrong[0]} is for --proxy gpt")
        return NgramConfig(**given)
    if "order" in given:
        raise ValueError("--order is for --proxy ngram")
    if context := given.get("context"):
        given["batch_tokens"] = max(1, _BATCH_TOKENS // context) * context
    return GptConfig(**given)


def samples_for(kind: str, validation_tokens: int | None = None) -> SampleConfig:
    """What proxies of this kind see; `validation_tokens` are those of each set, unless as many as suit the kind."""
    return SampleConfig(max_validation_tokens=validation_tokens or _VALIDATION_TOKENS[kind])


def parse_rounds(text: str, proxies: int, method: str) -> tuple[int, ...]:
    """`64,32,16`, or rounds like those of the method of so many `proxies` in all; empty without both.

    Raises ValueError.
    """
    if text and proxies:
        raise ValueError(f"rounds {text!r} and {proxies} proxies say the same; give one of them")
    if proxies and method in METHODS:
        return METHODS[method].sized(proxies).rounds
    try:
        return tuple(int(count) for count in text.split(",")) if text else ()
    except ValueError as error:
        raise ValueError(f"rounds {text!r} must be numbers, as in 64,32,16") from error


def parse_target(text: str) -> Target:
    """`SET=NUMBER,SET=NUMBER`, with `NAME:` or `NAME*WEIGHT:` before it if it has one of its own. Raises ValueError."""
    head, _, sets = text.rpartition(":")
    name, star, weight = head.partition("*")
    parts = [parse_share(part) for part in sets.split(",")]
    shares = dict(parts)
    if len(shares) < len(parts):
        raise ValueError(f"{text!r} names a validation set twice")
    return Target(name=name or sets, sets=shares, weight=_number(weight, text) if star else 1.0)


def parse_share(text: str) -> tuple[str, float]:
    """`NAME=NUMBER`. Raises ValueError."""
    name, equals, number = text.rpartition("=")
    return name, _number(number if equals else "", text)


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{whole!r} must hold NAME=NUMBER, as in python=0.5; a target also NAME*NUMBER:") from error
