"""The result of a mixture search: JSON that `mixture search` writes and `predict`, `report` and `realise` read."""

from pydantic import BaseModel, ConfigDict

FORMAT = 2
"""1 had no digest."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DomainResult(_Model):
    """One domain."""

    name: str
    """As published."""
    tokens: int
    """That it holds."""
    weight: float
    """Its share of the mixture."""
    deviation: float | None
    """Standard deviation of the weight over equally good optima; null if the method does not know."""
    cap: float
    """The largest share that repeats it no more than allowed."""
    epochs: float
    """How often it is repeated."""
    planned_tokens: int
    """Of the corpus that is to be mixed."""


class TargetResult(_Model):
    """One thing that the mixture is for."""

    name: str
    """As given."""
    share: float
    """Its weight in the objective, beside the other targets."""
    sets: dict[str, float]
    """Weights of the validation sets in it."""
    predicted: float | None
    """Bits per byte that the predictor expects of the mixture; null without a predictor."""
    measured: float
    """Bits per byte of a proxy that was trained on the mixture."""


class RunResult(_Model):
    """One measured mixture."""

    mixture_id: str
    """Digest of its weights."""
    round: int
    """In which it was measured, from 1; 0 for the mixture that was chosen in the end."""
    weights: list[float]
    """By domain."""
    bits_per_byte: list[float]
    """By validation set."""


class Composition(_Model):
    """What the domains hold, in cells that outlive them: fine clusters, or whole domains of a version without any."""

    codebook: str
    """What the cells are of: digest of model and centroids, or `domains`. Equal cells of one codebook are the same."""
    tokens: dict[str, dict[str, int]]
    """By domain, then by cell: number of the cluster, or name of the domain and digest of its files. Cells without
    tokens are left out."""


class MixtureBasis(_Model):
    """What the runs of a search can be compared with those of another by."""

    composition: Composition
    """Of the domains."""
    validation: dict[str, str]
    """Digest of the tokens of every validation set."""


class EvidenceResult(_Model):
    """Runs of an earlier search that this one has learned from. They are not among its own."""

    sha256: str
    """Of the file that they were read from."""
    corpus: str
    """The version whose domains they mixed."""
    runs: int
    """How many."""


class MixtureResult(_Model):
    """A finished search."""

    format: int = FORMAT
    """Of this JSON."""
    digest: str = ""
    """Of all else in it; empty in format 1."""
    corpus: str
    """The version whose domains are mixed."""
    method: str
    """How it was searched."""
    predictor: str
    """What chose the mixture; empty if nothing predicts."""
    proxy: object
    """What was trained to measure a mixture, with its settings."""
    vocabulary: str
    """Of the tokens."""
    seed: int
    """Of all draws."""
    target_tokens: int
    """Of the corpus that is to be mixed."""
    max_epochs: float
    """How often a document may be repeated."""
    fell_back: bool
    """True where the choice measured worse than an anchor: the best measured mixture stands in its place."""
    beats_proportional: float | None
    """Probability, by the predictor, that the mixture is better than the proportional one."""
    objective: float
    """Weighted bits per byte, measured."""
    anchors: dict[str, float]
    """Objective of the mixtures that are always measured, where they were."""
    weights: dict[str, float]
    """The mixture: share of tokens by domain."""
    domains: list[DomainResult]
    """Sorted by name."""
    validation_sets: list[str]
    """What every run was measured on, sorted."""
    targets: list[TargetResult]
    """What the objective is made of."""
    basis: MixtureBasis
    """With it, later searches can learn from the runs: shares of tokens by cell are the weights times this."""
    evidence: list[EvidenceResult]
    """Earlier searches that this one has learned from, as given."""
    runs: list[RunResult]
    """In order."""
