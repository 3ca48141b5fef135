"""What a search for a mixture looks for, and how."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jobs.mixtures.domains import Domain
from jobs.mixtures.measuring import ProxyConfig, Text
from jobs.mixtures.method import Method
from jobs.mixtures.methods.table import METHODS
from jobs.mixtures.samples import SampleConfig
from jobs.mixtures.space import MixtureSpace
from jobs.proxies.objective import Target
from pipeline.errors import PlanError


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
    """Mixtures measured in each round; those of the method without."""
    max_epochs: float = 4.0
    seed: int = 0
    samples: SampleConfig = field(default_factory=SampleConfig)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} must be one of {', '.join(METHODS)}")
        if any(count < 1 for count in self.rounds):
            raise ValueError(f"rounds must be positive, got {self.rounds}")

    @property
    def chosen(self) -> Method:
        """The method with its rounds."""
        method = METHODS[self.method]
        return replace(method, rounds=self.rounds) if self.rounds and method.rounds else method

    def space(self, domains: Sequence[Domain]) -> MixtureSpace:
        """The mixtures of these domains. Raises PlanError where none is feasible."""
        try:
            return MixtureSpace(
                domains=tuple(domain.name for domain in domains),
                tokens=tuple(domain.tokens for domain in domains),
                target_tokens=self.target_tokens,
                max_epochs=self.max_epochs,
            )
        except ValueError as error:
            raise PlanError(f"mixture search: {error}") from error
