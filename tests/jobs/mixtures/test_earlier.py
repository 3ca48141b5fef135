"""Runs that outlive their domains: a search over merged or more domains that learns from an earlier one, or refuses."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.mixtures.earlier import EarlierSearch, check_settings, load_earlier
from jobs.mixtures.measuring import Text
from jobs.mixtures.results import load_result, sealed
from jobs.mixtures.search_config import SearchConfig
from pipeline.errors import RecipeError
from schemas.manifest import Manifest
from schemas.mixture_result import MixtureResult
from tests.jobs.conftest import write
from tests.jobs.invoke import documents_of, invoke
from tests.jobs.mixtures.test_results import PROXY, small_result
from tests.machine import Ended

TOPICS = {
    "kitchen": "dough butter bread soup sauce pepper onion oven skillet basil garlic flour",
    "heaven": "planet star telescope comet nebula galaxy orbit moon eclipse asteroid cosmos meteor",
    "court": "plaintiff judge statute jury verdict lawyer appeal felony contract testimony bailiff lawsuit",
    "garden": "tulip rose soil compost seed hedge lawn shovel tomato pruning bulb greenhouse",
    "harbour": "ship anchor sail cargo captain dock rudder lighthouse tide mast crew ferry",
}
TARGET = {"kitchen": 12, "heaven": 5, "court": 3}
MEASURED = ("--tokens", 6_000, "--proxy-tokens", 6_000)
FEW = ("--rounds", "4")


def text(topic: str, draw: random.Random) -> str:
    words = TOPICS[topic].split()
    return " ".join(f"the {draw.choice(words)} and {draw.choice(words)} of a {draw.choice(words)}." for _ in range(24))


def climb(store: Path, source: Path, domains: int, name: str, *more: object) -> Manifest:
    line = ("run", "climb", "--local", "--json", "--store", store, "--source", source, "--clusters", 10, "--name", name)
    ended = invoke(*line, "--domains", domains, "--max-share", 0.9, "--sequence-length", 128, *more)
    assert ended.code == 0, ended.err
    return Manifest.model_validate(ended.json["manifest"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`five` and `four`: the same documents and clusters, of which `four` makes a domain less; `judge`: the target."""
    folder, draw = tmp_path_factory.mktemp("evidence"), random.Random(3)
    for topic in TOPICS:
        for number in range(16):
            write(folder / f"source/{topic}{number}.txt", text(topic, draw))
        for number in range(TARGET.get(topic, 0)):
            write(folder / f"target/{topic}{number}.txt", text(topic, draw))
    climb(folder / "store", folder / "source", 5, "five")
    climb(folder / "store", folder / "source", 4, "four")
    judge = ("run", "tiny", "--local", "--store", folder / "store", "--source", folder / "target", "--name", "judge")
    assert invoke(*judge).code == 0
    return folder / "store"


def search(store: Path, corpus: str, *more: object) -> Ended:
    line = ("mixture", "search", corpus, "--local", "--store", store, "--validation", "judge", "--json")
    return invoke(*line, *MEASURED, *more)


@pytest.fixture(scope="module")
def old(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a search over five domains."""
    return saved(search(store, "five", "--rounds", "16"), tmp_path_factory.mktemp("old") / "result.json")


def saved(ended: Ended, path: Path, **changes: object) -> Path:
    """The result that a search wrote, as `--to` would have."""
    assert ended.code == 0, ended.err
    found = ended.json | changes
    path.write_text(json.dumps({name: found[name] for name in found if name not in ("runs_made", "seconds")}))
    return path


def test_few_runs_and_old_ones_beat_few_runs_when_domains_are_merged(store: Path, old: Path) -> None:
    before = load_result(old)
    alone, learned = search(store, "four", *FEW).json, search(store, "four", *FEW, "--evidence", old).json
    assert learned["basis"]["composition"]["codebook"] == before.basis.composition.codebook
    assert len(learned["domains"]) == 4
    assert learned["objective"] < alone["objective"] - 0.005
    assert learned["objective"] < min(learned["anchors"].values()) - 0.04
    assert not learned["fell_back"]
    assert learned["objective"] < min(alone["anchors"].values()) - 0.02
    assert learned["predictor"] == "histograms"
    # the old runs are named, and are no runs of this search
    assert [(e["corpus"], e["runs"]) for e in learned["evidence"]] == [("five@1", 17)]
    assert alone["evidence"] == []
    assert [run["round"] for run in learned["runs"]] == [1, 1, 1, 1, 0]
    assert learned["anchors"] == alone["anchors"]
    again = search(store, "four", *FEW, "--evidence", old).json
    assert again.pop("runs_made") == 0
    for found in (again, learned):
        del found["seconds"]
    del learned["runs_made"]
    assert again == learned


def test_the_result_says_what_domains_hold_by_fine_cluster(store: Path, old: Path) -> None:
    result = load_result(old)
    manifest = Manifest.model_validate_json((store / "corpora/five/1/manifest.json").read_bytes())
    table = documents_of(store, manifest)
    counted: dict[str, dict[str, int]] = {}
    columns = zip(table["cluster"].to_pylist(), table["num_tokens"].to_pylist(), table["keep"].to_pylist(), strict=True)
    placed = table.column(
        table.column_names.index("shuffle_key") - 1
    ).to_pylist()  # of `placement`, not of `assignment`
    for domain, (cluster, tokens, keep) in zip(placed, columns, strict=True):
        if keep:
            cells = counted.setdefault(domain, {})
            cells[str(cluster)] = cells.get(str(cluster), 0) + tokens + 1
    assert result.basis.composition.tokens == counted
    assert {name: sum(cells.values()) for name, cells in counted.items()} == manifest.domains


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--proxy-tokens", 5_000), "proxy proxy_tokens=6000, this one proxy proxy_tokens=5000"),
        (("--seed", 1), "proxy seed=0"),
        (("--tokens", 5_000), "target_tokens=6000"),
        (("--method", "regmix"), "only `default` takes evidence"),
        (("--validation", "five"), "was not measured on the same documents as"),
    ],
)
def test_runs_that_do_not_compare_are_refused(store: Path, old: Path, more: tuple[object, ...], message: str) -> None:
    ended = search(store, "four", *FEW, "--evidence", old, *more)
    assert (ended.code, message in ended.err) == (2, True), ended.err


def test_evidence_that_says_nothing_is_refused(store: Path, old: Path, tmp_path: Path) -> None:
    found = json.loads(old.read_bytes())
    composition = found["basis"]["composition"]
    files = {
        "over codebook other": {"basis": found["basis"] | {"composition": composition | {"codebook": "other"}}},
        "1 measured values": {"runs": found["runs"][:1]},
        "the result was edited": {"runs": [found["runs"][0] | {"weights": [0.2, 0.2, 0.2, 0.3, 0.1]}]},
    }
    for message, changes in files.items():
        path = tmp_path / "changed.json"
        path.write_text(sealed(MixtureResult.model_validate(found | changes)).model_dump_json())
        ended = search(store, "four", *FEW, "--evidence", path)
        assert (ended.code, message in ended.err) == (2, True), ended.err
    with pytest.raises(RecipeError, match="given twice"):
        load_earlier([old, old])


CONFIG = SearchConfig(target_tokens=40, proxy=PROXY, text=Text(vocabulary="gpt2", end_of_document=0))


@pytest.mark.parametrize("method", ["default", "climb", "regmix"])
def test_evidence_may_be_of_any_method(method: str) -> None:
    search = EarlierSearch(sha256="0", result=small_result(method=method))
    check_settings([search], CONFIG)
    with pytest.raises(RecipeError, match="only `default` takes evidence"):
        check_settings([search], replace(CONFIG, method="regmix"))


@pytest.mark.parametrize("proxy", [5, None, {}, {"order": 3}])
def test_another_proxy_does_not_compare(proxy: object) -> None:
    with pytest.raises(RecipeError, match="losses compare only"):
        check_settings([EarlierSearch(sha256="0", result=small_result(proxy=proxy))], CONFIG)
