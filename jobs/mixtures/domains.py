"""Which domains a corpus has, how many tokens they hold, and which of its files hold them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jobs.packing.files import FilesConfig, domain_totals, files_of
from pipeline.dataset import Dataset, Expansion
from schemas.manifest import Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """One domain of a corpus."""

    name: str
    tokens: int
    """End-of-document tokens included."""
    files: tuple[int, ...]
    """Shards of the corpus's files that hold it, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Domains:
    """The domains of a corpus, sorted by name, once they are known."""

    files: Dataset
    """One shard of `DATA` per published file."""
    find: Callable[[Expansion], tuple[Domain, ...]]
    counts_of: tuple[Dataset, ...] = ()
    """Datasets that must be complete before they are known."""


def published_domains(files: Dataset, manifest: Manifest) -> Domains:
    """Those of a published version."""
    found = list_domains(manifest)
    return Domains(files=files, find=lambda _: found)


def list_domains(manifest: Manifest) -> tuple[Domain, ...]:
    """The domains of a published version that hold a token."""
    return _domains(manifest.domains, [file.path.removeprefix("data/") for file in manifest.files])


def planned_domains(files: Dataset, placement: Dataset, config: FilesConfig) -> Domains:
    """Those of a corpus that the same plan makes: known once its documents are placed."""

    def find(expansion: Expansion) -> tuple[Domain, ...]:
        placed = expansion.records(placement)
        return _domains(domain_totals(placed), files_of(config, placed))

    return Domains(files=files, find=find, counts_of=(placement,))


def _domains(totals: Mapping[str, int], paths: Sequence[str]) -> tuple[Domain, ...]:
    numbers: dict[str, list[int]] = {name: [] for name in sorted(totals) if totals[name]}
    for number, path in enumerate(paths):
        name = path.partition("/")[0]
        if name in numbers:
            numbers[name].append(number)
    return tuple(Domain(name=name, tokens=totals[name], files=tuple(files)) for name, files in numbers.items())
