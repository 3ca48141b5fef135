"""What a mixture is to hold: weights and a token target to tokens, copies and cuts of every domain.

Pure arithmetic in exact fractions, so that every machine plans the same tokens. Reads no data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor, isfinite

from jobs.packing.files import FilesConfig

TOLERANCE = Fraction(5, 1000)
"""A domain's tokens are within this share of its plan; whole documents do that unless the domain is tiny."""

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class RealiseConfig:
    """What is made of the source's files."""

    weights: tuple[tuple[str, float], ...]
    """(domain, share of the tokens), sorted by domain; every domain of the source, 0 to leave one out."""
    tokens: int
    """Tokens of the mixture, those that end documents included."""
    files: FilesConfig
    """Its end-of-document token, which must be the source's, and the size of its files."""
    max_epochs: float = 4.0
    """How often a domain may be repeated (Muennighoff et al., arXiv 2305.16264: about 4 do no harm)."""
    seed: int = 0
    """Of the documents that are drawn and of the order."""

    def __post_init__(self) -> None:
        names = [name for name, _ in self.weights]
        if not names or names != sorted(set(names)):
            raise ValueError(f"weights must name one domain or more, sorted and each once, got {', '.join(names)}")
        wrong = [f"{name} {weight}" for name, weight in self.weights if not (isfinite(weight) and weight >= 0)]
        if wrong:
            raise ValueError(f"weights must be numbers of at least 0, got {', '.join(wrong)}")
        total = sum(weight for _, weight in self.weights)
        if abs(total - 1) > _SUM_TOLERANCE:
            shown = ", ".join(f"{name} {weight:g}" for name, weight in self.weights)
            raise ValueError(f"weights must sum to 1, got {total:.6g} ({shown}); divide each by {total:.6g}")
        if self.tokens < 1:
            raise ValueError(f"tokens must be at least 1, got {self.tokens:,}")
        if not (isfinite(self.max_epochs) and self.max_epochs > 0):
            raise ValueError(f"max_epochs must be a number above 0, got {self.max_epochs}")

    @property
    def num_files(self) -> int:
        """Files of the mixture."""
        return -(-self.tokens // self.files.tokens_per_file)


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainPlan:
    """One domain of a mixture. Its documents stand `full` times in it, and those that make up the `rest` once more."""

    domain: str
    weight: float
    available: int
    """Tokens of the domain in the source."""
    planned: int
    """Tokens of the domain in the mixture."""

    @property
    def full(self) -> int:
        """Times that every document stands in the mixture."""
        return self.planned // self.available

    @property
    def rest(self) -> int:
        """Tokens of the documents that stand in it once more, less than `available`."""
        return self.planned % self.available

    @property
    def passes(self) -> int:
        """Times that the domain's files are read."""
        return self.full + bool(self.rest)


def plan_domains(config: RealiseConfig, available: Mapping[str, int]) -> tuple[DomainPlan, ...]:
    """The plan of every domain, sorted by name; the planned tokens sum to `config.tokens` exactly.

    `available` holds the source's tokens by domain, all positive. Raises ValueError for weights of other domains, and
    for a domain that would be repeated more than `max_epochs` times.
    """
    weights = dict(config.weights)
    unknown, missing = sorted(weights.keys() - available.keys()), sorted(available.keys() - weights.keys())
    if unknown or missing:
        found = [f"{what} {', '.join(names)}" for what, names in (("unknown", unknown), ("missing", missing)) if names]
        raise ValueError(
            f"weights must name the {len(available)} domains of the source: {'; '.join(found)}; give a domain the "
            f"weight 0 to leave it out; the domains are {', '.join(sorted(available))}"
        )
    planned = _largest_remainders(config)
    plans = tuple(
        DomainPlan(domain=name, weight=weights[name], available=available[name], planned=planned[name])
        for name in sorted(weights)
    )
    _check_epochs(config, plans)
    return plans


def _largest_remainders(config: RealiseConfig) -> dict[str, int]:
    """Whole tokens by domain: shares rounded down, and one more for the largest remainders."""
    shares = {name: Fraction(weight) for name, weight in config.weights}
    total = sum(shares.values())
    exact = {name: share * config.tokens / total for name, share in shares.items()}
    planned = {name: floor(tokens) for name, tokens in exact.items()}
    left = config.tokens - sum(planned.values())
    for name in sorted(exact, key=lambda n: (planned[n] - exact[n], n))[:left]:
        planned[name] += 1
    return planned


def _check_epochs(config: RealiseConfig, plans: tuple[DomainPlan, ...]) -> None:
    """Raise ValueError unless every domain has enough tokens. A token or a millionth too many is rounding."""
    most = Fraction(config.max_epochs)
    above = [p for p in plans if p.planned > most * p.available * (1 + Fraction(1, 1_000_000)) + 1]
    if not above:
        return
    shown = ", ".join(f"{p.domain} {p.planned / p.available:.2f} times ({p.available:,} tokens)" for p in above)
    feasible = floor(min(most * p.available / Fraction(p.weight) for p in plans if p.weight))
    needed = max(Fraction(p.planned, p.available) for p in plans)
    raise ValueError(
        f"{config.tokens:,} tokens of this mixture repeat {shown}, more than max_epochs = {config.max_epochs:g}; with "
        f"these weights at most {feasible:,} tokens can be made: ask for fewer tokens, give these domains smaller "
        f"weights, or raise max_epochs to {-floor(-needed * 100) / 100:g}"
    )
