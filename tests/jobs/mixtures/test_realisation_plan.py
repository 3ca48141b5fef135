"""Weights to tokens: exact sums, and errors that say what can be made."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.mixtures.realisation_plan import RealiseConfig, plan_domains
from jobs.packing.files import FilesConfig

FILES = FilesConfig(end_of_document=9, tokens_per_file=1000)


def config(weights: dict[str, float], tokens: int = 1000, max_epochs: float = 4.0) -> RealiseConfig:
    shares = tuple(sorted(weights.items()))
    return RealiseConfig(weights=shares, tokens=tokens, files=FILES, max_epochs=max_epochs)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).filter(lambda w: sum(w) > 0.01), st.integers(1, 10**13))
def test_plans_sum_to_the_target_and_differ_from_the_shares_by_less_than_a_token(raw: list[float], tokens: int) -> None:
    total = math.fsum(raw)
    weights = {f"d{n}": w / total for n, w in enumerate(raw)}
    plans = plan_domains(config(weights, tokens, max_epochs=1e15), dict.fromkeys(weights, 7))
    assert sum(plan.planned for plan in plans) == tokens
    for plan in plans:
        assert abs(plan.planned - weights[plan.domain] * tokens) < 1 + tokens * 1e-14
        assert plan.full * 7 + plan.rest == plan.planned
        assert plan.weight or not plan.planned


def test_largest_remainders_get_the_tokens_that_are_left() -> None:
    plans = plan_domains(config({"a": 0.25, "b": 0.35, "c": 0.4}, 10), {"a": 9, "b": 9, "c": 9})
    assert [plan.planned for plan in plans] == [3, 3, 4]


def test_too_many_epochs_say_which_domain_and_what_is_feasible() -> None:
    with pytest.raises(ValueError, match=r"1,000 tokens of this mixture repeat a 5\.00 times \(100 tokens\)") as caught:
        plan_domains(config({"a": 0.5, "b": 0.5}), {"a": 100, "b": 900})
    assert "at most 800 tokens can be made" in str(caught.value)
    assert "raise max_epochs to 5" in str(caught.value)
    assert plan_domains(config({"a": 0.5, "b": 0.5}, 800), {"a": 100, "b": 900})[0].full == 4
    assert plan_domains(config({"a": 0.5, "b": 0.5}, max_epochs=5), {"a": 100, "b": 900})[0].full == 5


def test_a_weight_at_its_cap_may_be_rounded_up() -> None:
    third = 1 / 3
    plans = plan_domains(config({"a": third, "b": 1 - third}, 1000, max_epochs=1), {"a": 333, "b": 667})
    assert sum(plan.planned for plan in plans) == 1000


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 0.5, "b": 0.4}, r"weights must sum to 1, got 0\.9 \(a 0\.5, b 0\.4\); divide each by 0\.9"),
        ({"a": 1.5, "b": -0.5}, r"weights must be numbers of at least 0, got b -0\.5"),
        ({"a": math.nan, "b": 1.0}, "weights must be numbers of at least 0, got a nan"),
        ({"a": math.inf}, "weights must be numbers of at least 0, got a inf"),
        ({}, "weights must name one domain or more"),
    ],
)
def test_what_is_no_mixture_is_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 0.5, "x": 0.5}, "unknown x; missing b; .* the domains are a, b"),
        ({"a": 1.0}, "missing b; give a domain the weight 0"),
        ({"a": 0.5, "b": 0.25, "c": 0.25}, "unknown c; give"),
    ],
)
def test_weights_are_of_the_domains_of_the_source(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_domains(config(weights), {"a": 1000, "b": 1000})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": 0}, "tokens must be at least 1, got 0"),
        ({"tokens": -5}, "tokens must be at least 1, got -5"),
        ({"max_epochs": 0.0}, "max_epochs must be a number above 0"),
        ({"max_epochs": math.nan}, "max_epochs must be a number above 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config({"a": 1.0}, **settings)  # type: ignore[arg-type]
