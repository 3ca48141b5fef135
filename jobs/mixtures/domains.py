"""Which domains a corpus has, how many tokens they hold, and which of its files hold them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from jobs.inspection import named_step
from jobs.packing.files import FilesConfig, domain_totals, files_of
from jobs.stored import stored
from pipeline.dataset import Dataset, Expansion
from schemas.clusters import ASSIGNMENT
from schemas.columns import columns
from schemas.corpus import PLACEMENT
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
class Clustered:
    """Documents whose domains were made of fine clusters; the sidecars are row-aligned."""

    assignment: Dataset
    """`cluster` of each document."""
    placement: Dataset
    """`domain` of each document that is published."""
    tokens: Dataset
    """`num_tokens` of each document."""
    clusters: Dataset
    """One shard: the centroids."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Domains:
    """The domains of a corpus, sorted by name, once they are known."""

    files: Dataset
    """One shard of `DATA` per published file."""
    find: Callable[[Expansion], tuple[Domain, ...]]
    counts_of: tuple[Dataset, ...] = ()
    """Datasets that must be complete before they are known."""
    clustered: Clustered | None = None
    """Where they are sets of fine clusters."""


def published_domains(files: Dataset, manifest: Manifest) -> Domains:
    """Those of a published version."""
    found = list_domains(manifest)
    return Domains(files=files, find=lambda _: found, clustered=_published_clusters(manifest))


def _published_clusters(manifest: Manifest) -> Clustered | None:
    """None for a version whose domains are no sets of clusters; nor are clusters crossed with other axes."""
    names = ("assignment", "placement", "tokens", "clusters")
    assignment, placement, tokens, clusters = (named_step(manifest, name) for name in names)
    if assignment is None or placement is None or tokens is None or clusters is None:
        return None
    if assignment.folder not in placement.inputs or clusters.folder not in assignment.inputs:
        return None
    return Clustered(
        assignment=stored(assignment, ASSIGNMENT),
        placement=stored(placement, PLACEMENT),
        tokens=stored(tokens, columns(pa.field("num_tokens", pa.int32()))),
        clusters=stored(clusters, columns(pa.field("domain", pa.string()))),
    )


def list_domains(manifest: Manifest) -> tuple[Domain, ...]:
    """The domains of a published version that hold a token."""
    return _domains(manifest.domains, [file.path.removeprefix("data/") for file in manifest.files])


def planned_domains(
    files: Dataset, placement: Dataset, config: FilesConfig, *, clustered: Clustered | None = None
) -> Domains:
    """Those of a corpus that the same plan makes: known once its documents are placed."""

    def find(expansion: Expansion) -> tuple[Domain, ...]:
        placed = expansion.records(placement)
        return _domains(domain_totals(placed), files_of(config, placed))

    return Domains(files=files, find=find, counts_of=(placement,), clustered=clustered)


def _domains(totals: Mapping[str, int], paths: Sequence[str]) -> tuple[Domain, ...]:
    numbers: dict[str, list[int]] = {name: [] for name in sorted(totals) if totals[name]}
    for number, path in enumerate(paths):
        name = path.partition("/")[0]
        if name in numbers:
            numbers[name].append(number)
    return tuple(Domain(name=name, tokens=totals[name], files=tuple(files)) for name, files in numbers.items())
