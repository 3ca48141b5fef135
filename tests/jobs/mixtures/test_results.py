"""Results are read back as they were written, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.mixtures.method import Choice
from jobs.mixtures.results import Measurements, Searched, Settings, conclude, load_result, sealed
from jobs.mixtures.space import MixtureSpace
from jobs.proxies.ngram import NgramConfig
from jobs.proxies.objective import each_set_a_target
from pipeline.errors import RecipeError
from pipeline.fingerprint import canonical
from schemas.mixture_result import Composition, MixtureBasis, MixtureResult

PROXY = NgramConfig(proxy_tokens=100)


def small_result(*, method: str = "default", proxy: object = canonical(PROXY)) -> MixtureResult:
    """Of two domains and three runs."""
    space = MixtureSpace(domains=("a", "b"), tokens=(10, 30), target_tokens=40)
    searched = Searched(space=space, objective=each_set_a_target(("p", "q")))
    mixtures = np.array([[0.5, 0.5], [0.25, 0.75], [1 / 3, 2 / 3]])
    bits = np.array([[1.1, 1.3], [1.2, 1.25], [0.1 + 0.2, 1e-5]])
    found = Measurements(mixtures=mixtures, bits_per_byte=bits, rounds=(1, 1, 0))
    composition = Composition(codebook="c", tokens={"a": {"0": 10}, "b": {"0": 5, "1": 25}})
    settings = Settings(
        corpus="small@1",
        method=method,
        proxy=proxy,
        vocabulary="gpt2",
        seed=0,
        basis=MixtureBasis(composition=composition, validation={"p": "1", "q": "2"}),
        evidence=(),
    )
    nothing = np.full(2, np.nan)
    choice = Choice(
        weights=mixtures[2], predicted=nothing, deviation=nothing, predictor="", beats_proportional=float("nan")
    )
    return conclude(settings, searched, found, choice)


CONTENT: dict[str, Any] = json.loads(small_result().model_dump_json())


def edited(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """The result with one value changed, or left out."""
    changed: dict[str, Any] = json.loads(json.dumps(CONTENT))
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


def save(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_result_comes_back_from_any_json_of_it(tmp_path: Path) -> None:
    for text in (small_result().model_dump_json(indent=1), json.dumps(CONTENT, sort_keys=True)):
        (tmp_path / "result.json").write_text(text)
        assert load_result(tmp_path / "result.json") == small_result()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("weights", "a"), 0.4),
        (("domains", 0, "tokens"), 11),
        (("runs", 0, "bits_per_byte", 0), 1.0),
        (("runs", 0, "weights"), [0.5]),
        (("basis", "validation", "p"), "3"),
        (("proxy",), 5),
        (("proxy", "order"), 4),
        (("digest",), None),
        (("digest",), "0" * 32),
    ],
)
def test_an_edited_result_is_refused(path: tuple[str | int, ...], value: object, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the result was edited"):
        load_result(save(tmp_path / "result.json", edited(path, value)))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 1, "is of format 1, not 2"),
        (("domains", 0, "tokens"), 0, "leave out empty domains"),
        (("targets", 0, "share"), 0, "all must be positive"),
        (("weights", "a"), None, "weights names b; it must name a, b"),
        (("weights", "a"), 0.5, "shares that sum to 1"),
        (("runs", 0, "weights"), [1.0], "must be 2 shares"),
        (("runs", 0, "weights"), [1.5, -0.5], "must be 2 shares"),
        (("runs", 0, "bits_per_byte"), [1.0], "has 1 bits_per_byte for 2 sets"),
        (("runs",), [], "it holds no runs"),
        (("basis", "validation", "p"), None, "basis.validation names q"),
        (("basis", "composition", "tokens", "b"), None, "basis.composition.tokens names a"),
        (("basis", "composition", "tokens", "b"), {}, "basis.composition.tokens of b must be positive"),
    ],
)
def test_a_result_whose_parts_do_not_fit_is_refused(
    path: tuple[str | int, ...], value: object, message: str, tmp_path: Path
) -> None:
    made = sealed(MixtureResult.model_validate(edited(path, value)))
    with pytest.raises(RecipeError, match=message):
        load_result(save(tmp_path / "result.json", made.model_dump()))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("weights", "a"), float("nan")),
        (("runs", 0, "bits_per_byte", 0), float("inf")),
        (("runs", 0, "weights"), "half"),
        (("runs",), None),
        (("more",), 1),
    ],
)
def test_another_kind_of_file_is_refused(path: tuple[str | int, ...], value: object, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is not a result of mixture search: "):
        load_result(save(tmp_path / "result.json", edited(path, value)))
