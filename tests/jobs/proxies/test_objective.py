"""Targets: declared weights over validation sets; and the objective ranks mixtures as it should."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from jobs.proxies.gpt import GptConfig
from jobs.proxies.ngram import NgramConfig
from jobs.proxies.objective import Objective, Target, each_set_a_target, measure
from jobs.proxies.pools import Validation, mix
from tests.jobs.proxies.samples import flat, pool_of, write_language

SETS = ("py", "c", "prose")


def test_losses_are_weighted_means() -> None:
    code = Target(name="code", sets={"py": 3.0, "c": 1.0}, weight=3.0)
    objective = Objective(targets=(code, Target(name="prose", sets={"prose": 0.5})), sets=SETS)
    assert objective.losses(np.array([1.0, 2.0, 4.0])).tolist() == [1.25, 4.0]
    assert objective.losses(np.array([[1.0, 2.0, 4.0], [2.0, 2.0, 2.0]])).tolist() == [[1.25, 4.0], [2.0, 2.0]]
    assert objective.target_weights.tolist() == [0.75, 0.25]


def test_without_a_declaration_all_sets_count_alike() -> None:
    objective = each_set_a_target(SETS)
    assert objective.matrix.tolist() == np.eye(3).tolist()
    assert objective.target_weights == pytest.approx(np.full(3, 1 / 3))


def test_mistakes_are_named() -> None:
    target = Target(name="code", sets={"py": 1.0})
    with pytest.raises(ValueError, match="all must be positive"):
        Target(name="code", sets={"py": 0.0})
    with pytest.raises(ValueError, match=r"names validation sets \['rust'\]"):
        Objective(targets=(Target(name="code", sets={"rust": 1.0}),), sets=SETS)
    with pytest.raises(ValueError, match="a name of its own"):
        Objective(targets=(target, target), sets=SETS)


def test_proxies_rank_mixtures_by_how_near_they_are_to_the_wanted_one() -> None:
    wanted = np.array([0.6, 0.3, 0.1])
    languages = {name: write_language(seed, 70, 30) for seed, name in enumerate(SETS)}
    pools = [pool_of(name, documents[20:]) for name, documents in languages.items()]
    sets = {name: flat(documents[:20]) for name, documents in languages.items()}
    validation = Validation.of(sets, np.array([1] * 29 + [0], np.int32))
    objective = Objective(targets=(Target(name="all", sets=dict(zip(SETS, wanted.tolist(), strict=True))),), sets=SETS)
    mixtures = np.random.default_rng(0).dirichlet(np.full(3, 0.7), 40)
    distance = (wanted * np.log(wanted / np.maximum(mixtures, 1e-4))).sum(axis=1)
    config = NgramConfig(proxy_tokens=2_000, order=2)
    losses = [
        float(objective.losses(measure(config, mix(pools, row, 2_000, 0), 30, validation))[0]) for row in mixtures
    ]
    assert spearmanr(losses, distance).statistic > 0.9


def test_both_proxies_measure_the_same_sets() -> None:
    documents = write_language(1, 40, 12)
    validation = Validation.of({"a": flat(documents[:4])}, np.array([1] * 11 + [0], np.int32))
    stream = flat(documents[4:])
    shape = {"proxy_tokens": 2_000, "layers": 1, "width": 16, "heads": 2, "context": 16, "batch_tokens": 64}
    for config in (NgramConfig(proxy_tokens=2_000), GptConfig(**shape, learning_rate=1e-2)):
        bits = measure(config, stream, 12, validation)
        assert bits.shape == (1,)
        assert 1.5 < bits[0] < 3.58
