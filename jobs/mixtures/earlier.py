"""Results of earlier searches as evidence for a new one: read, checked to be comparable, laid over common cells."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.mixtures.basis import OWN_CELLS
from jobs.mixtures.histograms import Evidence, HistogramPredictor, recorded, together
from jobs.mixtures.method import Method
from jobs.mixtures.methods.guided import informed_method
from jobs.mixtures.predictors.predictor import ConstantPredictionError, scale_of
from jobs.mixtures.results import Searched, load_result, measurements_of
from jobs.mixtures.search_config import SearchConfig
from jobs.mixtures.space import Floats
from pipeline.errors import RecipeError
from pipeline.fingerprint import canonical
from schemas.mixture_result import EvidenceResult, MixtureBasis, MixtureResult


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierSearch:
    """A finished search whose runs another one learns from."""

    sha256: str
    """Of the file, for the key of whatever depends on it."""
    result: MixtureResult

    @property
    def entry(self) -> EvidenceResult:
        """How a new result lists it."""
        return EvidenceResult(sha256=self.sha256, corpus=self.result.corpus, runs=len(self.result.runs))

    @property
    def name(self) -> str:
        """For messages."""
        return f"the search over {self.result.corpus} (evidence {self.sha256[:8]})"


def load_earlier(paths: Sequence[Path]) -> tuple[EarlierSearch, ...]:
    """The results in these files, in order. Raises RecipeError for the same twice, and as `load_result` does."""
    found = []
    for path in paths:
        result = load_result(path)
        found.append(EarlierSearch(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), result=result))
    if len({search.sha256 for search in found}) < len(found):
        raise RecipeError("the same result was given twice as evidence; give each once")
    return tuple(found)


def check_settings(earlier: Sequence[EarlierSearch], config: SearchConfig) -> None:
    """Raises RecipeError for a method that takes no evidence, or runs measured in another way than the new ones."""
    if earlier and config.method != "default":
        raise RecipeError(f"method {config.method} learns from its own runs alone; only `default` takes evidence")
    for search in earlier:
        result = search.result
        old = _settings(result.proxy) | {"vocabulary": result.vocabulary, "target_tokens": result.target_tokens}
        new = _settings(canonical(config.proxy))
        new |= {"vocabulary": config.text.vocabulary, "target_tokens": config.target_tokens}
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                raise RecipeError(
                    f"{search.name} has {name}={old.get(name)}, this one {name}={new.get(name)}; losses compare only "
                    "if proxies are set alike"
                )


def _settings(proxy: object) -> dict[str, object]:
    if not isinstance(proxy, Mapping):
        return {"proxy": proxy}
    return {f"proxy {name}": value for name, value in proxy.items()}


def informed(config: SearchConfig, earlier: Sequence[EarlierSearch], basis: MixtureBasis, searched: Searched) -> Method:
    """The method that knows of earlier runs. Raises RecipeError where these say nothing of the search's mixtures."""
    columns = _columns(earlier, basis)
    evidence = together([_evidence(search, basis, searched, columns) for search in earlier])
    try:
        scale_of(evidence.objective)
    except ConstantPredictionError as error:
        raise RecipeError(f"evidence: {error}") from error
    predictor = HistogramPredictor(composition=_table(basis, searched.space.domains, columns), evidence=evidence)
    return informed_method(predictor, searched.space, config.chosen.rounds)


def _columns(earlier: Sequence[EarlierSearch], basis: MixtureBasis) -> dict[str, int]:
    """A number for every cell of the new domains and of the old ones, sorted by name."""
    bases = [basis, *(search.result.basis for search in earlier)]
    cells = {cell for each in bases for tokens in each.composition.tokens.values() for cell in tokens}
    return {cell: number for number, cell in enumerate(sorted(cells))}


def _table(basis: MixtureBasis, domains: Sequence[str], columns: dict[str, int]) -> Floats:
    """float64[K, C], rows sum to 1: share of each cell in each domain."""
    table = np.zeros((len(domains), len(columns)))
    for row, domain in zip(table, domains, strict=True):
        tokens = basis.composition.tokens[domain]
        row[[columns[cell] for cell in tokens]] = list(tokens.values())
    shares: Floats = table / table.sum(axis=1, keepdims=True)
    return shares


def _evidence(search: EarlierSearch, basis: MixtureBasis, searched: Searched, columns: dict[str, int]) -> Evidence:
    """The runs of one search, by the new targets."""
    result = search.result
    _check_cells(search, basis)
    found = measurements_of(result)
    old = _table(result.basis, [domain.name for domain in result.domains], columns)
    bits = found.bits_per_byte[:, _places(search, basis, searched)]
    return recorded(searched.objective.runs(found.mixtures, bits), old)


def _check_cells(search: EarlierSearch, basis: MixtureBasis) -> None:
    old, new = search.result.basis.composition, basis.composition
    if old.codebook != new.codebook:
        raise RecipeError(
            f"{search.name} is over codebook {old.codebook}, this one over {new.codebook}; runs carry over between "
            "domains that were made of the same clusters"
        )
    shared = {cell for tokens in old.tokens.values() for cell in tokens} & {c for t in new.tokens.values() for c in t}
    if not shared:
        what = "domain whose files are the same" if new.codebook == OWN_CELLS else "cluster"
        raise RecipeError(f"{search.name} shares no {what} with this one, so that its runs say nothing of it")


def _places(search: EarlierSearch, basis: MixtureBasis, searched: Searched) -> list[int]:
    """Where among the old validation sets each new one is, by content; 0 for those that no target names."""
    named = {name for target in searched.objective.targets for name in target.sets}
    measured = search.result.basis.validation
    places = {measured[name]: number for number, name in enumerate(search.result.validation_sets)}
    if missing := sorted(name for name in named if basis.validation[name] not in places):
        raise RecipeError(
            f"{search.name} was not measured on the same documents as {', '.join(missing)} here; name targets that "
            "both have, or search both with the same --validation"
        )
    return [places.get(basis.validation[name], 0) for name in searched.objective.sets]
