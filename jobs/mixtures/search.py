"""The search for a mixture as steps of a plan: sample, then in rounds propose and measure, choose, measure the choice.

Every proxy is a task of its own whose record is one run, so that a search goes on where it was stopped. The result is
one row of JSON (`MIXTURE_RESULT`). All but the samples is floating point: equal on machines of one kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.mixtures.basis import basis_of
from jobs.mixtures.domains import Domain, Domains
from jobs.mixtures.earlier import EarlierSearch
from jobs.mixtures.measuring import Samples, libraries_of, needed_tokens
from jobs.mixtures.results import RESULT_STEP, Searched
from jobs.mixtures.samples import sample_domains
from jobs.mixtures.search_config import SearchConfig
from jobs.mixtures.search_tasks import Make, RunCall, SingleCall, choose, conclude_search, propose
from jobs.proxies.ngram import NgramConfig
from pipeline.dataset import Dataset, Expansion, Task
from pipeline.errors import PlanError
from pipeline.stage import Resources
from pipeline.store import Made
from schemas.mixtures import MIXTURE_RESULT, MIXTURE_RUNS, MIXTURES


def search(
    domains: Domains,
    config: SearchConfig,
    *,
    corpus: str = "",
    other: Domains | None = None,
    earlier: tuple[EarlierSearch, ...] = (),
    gpus: float = 0,
) -> Dataset:
    """The result of a search over the mixtures of some domains, measured on what they hold out, or on `other`.

    `corpus` is what the result calls them. `earlier` are searches to learn from, that `check_settings` lets pass.
    `gpus` are those of one proxy; they only say where it runs. Raises ValueError for some where proxies use none.
    """
    if gpus < 0 or (gpus and isinstance(config.proxy, NgramConfig)):
        raise ValueError(f"gpus={gpus:g}: give 0 or more, and some only with proxy gpt; n-grams are counted on CPUs")
    samples = sample_domains(domains, config.samples, partial(_needed, config), [config.proxy, config.target_tokens])
    validation = samples
    if other is not None:
        whole = replace(config.samples, validation_share=1.0)
        validation = sample_domains(other, whole, lambda found: np.zeros(len(found), np.int64), "validation")
    steps = _Steps(
        config=config,
        domains=domains,
        validation=other or domains,
        data=(samples, validation),
        basis=basis_of(domains, other or domains, validation),
        earlier=earlier,
        gpus=gpus,
    )
    runs: list[Dataset] = []
    for number, count in enumerate(config.chosen.rounds):
        proposal = steps.single(f"mixtures-{number + 1}", MIXTURES, runs, partial(propose, number, count))
        runs.append(steps.measured(f"proxies-{number + 1}", proposal, count))
    choice = steps.single("mixture-choice", MIXTURES, runs, choose)
    confirmed = steps.measured("proxy-of-choice", choice, 1)
    return steps.single(RESULT_STEP, MIXTURE_RESULT, [*runs, confirmed], partial(conclude_search, corpus), corpus)


def _needed(config: SearchConfig, found: tuple[Domain, ...]) -> npt.NDArray[np.int64]:
    return needed_tokens(config.proxy, config.space(found))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Steps:
    """Makes the datasets of one search."""

    config: SearchConfig
    domains: Domains
    validation: Domains
    data: tuple[Dataset, Dataset]
    """Samples to train on, and to validate on."""
    basis: Dataset
    """What runs are compared by."""
    earlier: tuple[EarlierSearch, ...]
    gpus: float

    def measured(self, name: str, mixtures: Dataset, count: int) -> Dataset:
        """One run for every mixture."""
        config = self.config
        return Dataset(
            name=name,
            version=1,
            config=[config.proxy, config.target_tokens, config.text],
            inputs=(mixtures, *self.data),
            schema=MIXTURE_RUNS,
            expand=partial(_expand_runs, self, mixtures, count),
            libraries=libraries_of(config.proxy),
            exact=False,
            counts_of=self._counts_of,
        )

    @property
    def _counts_of(self) -> tuple[Dataset, ...]:
        return tuple(dict.fromkeys((*self.domains.counts_of, *self.validation.counts_of)))

    def single(self, name: str, schema: pa.Schema, runs: Sequence[Dataset], make: Make, label: str = "") -> Dataset:
        """A step of one task that looks at all runs so far."""
        basis = self.basis if self.earlier or name == RESULT_STEP else None
        return Dataset(
            name=name,
            version=4 if name == RESULT_STEP else 2,
            config=[self.config, label, [search.sha256 for search in self.earlier]],
            inputs=(*runs, *([basis] if basis else [])),
            schema=schema,
            expand=partial(_expand_single, self, tuple(runs), basis, make),
            libraries=("lightgbm", "scipy"),
            exact=False,
            counts_of=self._counts_of,
        )

    def searched(self, expansion: Expansion) -> Searched:
        """What is known before any run."""
        config, found = self.config, self.domains.find(expansion)
        sets = tuple(domain.name for domain in self.validation.find(expansion))
        objective, space = config.objective(sets), config.space(found)
        if config.method == "doremi" and [dict(t.sets) for t in objective.targets] != [{n: 1.0} for n in space.domains]:
            raise PlanError(
                "mixture search: doremi compares domains by what they hold out, so that it takes no targets and no "
                "other validation"
            )
        return Searched(space=space, objective=objective)


def _expand_single(
    steps: _Steps, runs: Sequence[Dataset], basis: Dataset | None, make: Make, dataset: Dataset, expansion: Expansion
) -> list[Task]:
    inputs = tuple(shard for step in runs for shard in expansion.shards(step))
    based = () if basis is None else expansion.shards(basis)
    searched = steps.searched(expansion)
    output = dataset.shard(*(shard.key for shard in (*inputs, *based)), searched.key)
    numbers = [*range(1, len(steps.config.chosen.rounds) + 1), 0]
    rounds = tuple(number for number, step in zip(numbers, runs, strict=False) for _ in expansion.shards(step))
    call = SingleCall(
        config=steps.config,
        searched=searched,
        make=make,
        inputs=inputs,
        rounds=rounds,
        basis=based[0] if based else None,
        earlier=steps.earlier,
        output=output,
        made=Made(libraries=dataset.versions, counters={}, exact=dataset.exact),
    )
    return [Task(label="1/1", outputs=(output,), call=call, inputs=(*inputs, *based))]


def _expand_runs(steps: _Steps, mixtures: Dataset, count: int, dataset: Dataset, expansion: Expansion) -> list[Task]:
    train, validation = (expansion.shards(data) for data in steps.data)
    (proposal,) = expansion.shards(mixtures)
    searched = steps.searched(expansion)
    samples = Samples(
        domains=searched.space.domains,
        train=train,
        validation_sets=searched.objective.sets,
        validation=validation,
    )
    made = Made(libraries=dataset.versions, counters={}, exact=dataset.exact)
    inputs = tuple(dict.fromkeys((proposal, *train, *validation)))
    tasks = []
    for number in range(count):
        output = dataset.shard(*(shard.key for shard in inputs), str(number))
        call = RunCall(
            config=steps.config,
            searched=searched,
            number=number,
            mixtures=proposal,
            samples=samples,
            device="cuda" if steps.gpus else "cpu",
            output=output,
            made=made,
        )
        resources = Resources(gpus=steps.gpus)
        label = f"{number + 1}/{count}"
        tasks.append(Task(label=label, outputs=(output,), call=call, inputs=inputs, resources=resources))
    return tasks
