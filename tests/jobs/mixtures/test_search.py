"""A whole search over a small corpus from the command line: right, repeatable, resumable, and clear about bad input."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from jobs.mixtures.results import Measurements, Searched, load_result, target_losses
from jobs.mixtures.space import MixtureSpace
from jobs.mixtures.surface import Surface
from jobs.proxies.objective import Objective, Target
from schemas.manifest import Manifest
from schemas.mixture_result import MixtureResult
from tests.jobs.conftest import write
from tests.jobs.invoke import invoke, run_tiny
from tests.machine import Ended
from tests.stages.tokenization.test_encode import save_trained

SETTINGS = ("--tokens", 20_000, "--proxy-tokens", 12_000, "--rounds", "8,6", "--target", "prose:text=1")
NOUNS = ["mill", "grain", "stone", "river", "wheel", "flour", "sack", "miller", "road", "bread"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """Three domains of which only one is of the target's kind."""
    store, source = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("source")
    draw = random.Random(7)
    for number in range(60):
        words = " ".join(f"the {draw.choice(NOUNS)} turns the {draw.choice(NOUNS)}." for _ in range(60))
        write(source / f"{number}.txt", words)
        names = [f"{draw.choice(NOUNS)}_{draw.randrange(50)}" for _ in range(40)]
        write(source / f"{number}.py", "".join(f"def {name}(x):\n    return x + {len(name)}\n" for name in names))
        write(source / f"{number}.c", "".join(f"int {name}(int x) {{ return x * {len(name)}; }}\n" for name in names))
    return store, run_tiny(store, source)


def run_search(store: Path, *more: object) -> Ended:
    return invoke("mixture", "search", "tiny", "--local", "--store", store, *SETTINGS, *more)


@pytest.fixture(scope="module")
def searched(corpus: tuple[Path, Manifest], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished search."""
    to = tmp_path_factory.mktemp("out") / "report"
    ended = run_search(corpus[0], "--to", to)
    assert ended.code == 0, ended.err
    assert "bits per byte measured (15 proxies, method default" in ended.out
    return to


def test_the_domain_of_the_target_wins(searched: Path) -> None:
    result = load_result(searched / "result.json")
    assert max(result.weights, key=lambda name: result.weights[name]) == "text"
    assert result.weights["text"] > 0.8
    assert not result.fell_back
    assert {*result.anchors} == {"uniform", "proportional"}
    assert result.objective < min(result.anchors.values())
    assert result.objective == result.targets[0].measured
    assert [run.round for run in result.runs] == [1] * 8 + [2] * 6 + [0]
    assert sum(domain.planned_tokens for domain in result.domains) == 20_000
    assert all(0 <= domain.weight <= domain.cap for domain in result.domains)
    assert result.runs[-1].weights == list(result.weights.values())


def test_the_report_is_there(searched: Path) -> None:
    names = {"result.json", "report.html", "weights.png", "rounds.png", "regret.png", "predicted.png", "response.png"}
    assert {path.name for path in searched.iterdir()} == names
    page = (searched / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "<td>text</td>" in page
    assert (searched / "weights.png").read_bytes().startswith(b"\x89PNG")


def test_a_search_goes_on_where_it_was_stopped(corpus: tuple[Path, Manifest], searched: Path, tmp_path: Path) -> None:
    store, _ = corpus
    again = run_search(store, "--json")
    assert again.json["runs_made"] == 0
    records = list(store.glob("records/proxies-2-*/[!.]*.json"))
    assert len(records) == 6
    for record in records[:2]:
        record.unlink()
    for record in store.glob("records/mixture-*/[!.]*.json"):
        record.unlink()
    resumed = run_search(store, "--to", tmp_path / "again", "--json")
    # two proxies, the basis and the result; nothing needs the choice, whose proxy is there
    assert resumed.json["runs_made"] == 4
    assert (tmp_path / "again/result.json").read_bytes() == (searched / "result.json").read_bytes()


def test_what_if(searched: Path) -> None:
    ended = invoke("mixture", "predict", searched / "result.json", "--set", "text=0.1", "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    assert found["weights"]["text"] == pytest.approx(0.1)
    assert sum(found["weights"].values()) == pytest.approx(1)
    assert found["better_than"]["chosen"] < 0.3
    chosen = invoke("mixture", "predict", searched / "result.json", "--json").json
    assert chosen["objective"]["mean"] < found["objective"]["mean"]
    shown = invoke("mixture", "predict", searched / "result.json")
    assert "bits per byte expected" in shown.out


def test_a_surface_predicts_what_it_has_not_seen() -> None:
    space = MixtureSpace(domains=("c", "python", "text"), tokens=(100, 100, 100), target_tokens=100)
    mixtures = np.random.default_rng(3).dirichlet(np.ones(3), 30)
    bits = ((mixtures - np.array([0.2, 0.3, 0.5])) ** 2).sum(axis=1, keepdims=True) + np.array([[1.0, 2.0]])
    objective = Objective(targets=(Target(name="t", sets={"a": 1.0, "b": 1.0}),), sets=("a", "b"))
    found = Measurements(mixtures=mixtures, bits_per_byte=bits, rounds=(1,) * 30)
    surface = Surface.of(Searched(space=space, objective=objective), found)
    assert surface is not None
    assert surface.rank_correlation > 0.9
    best = np.array([0.2, 0.3, 0.5])
    assert surface.beats(best, np.array([1.0, 0.0, 0.0])) > 0.99
    assert surface.beats(best, best) == 0.5
    assert surface.predict(best[None])[0] == pytest.approx(1.5, abs=0.02)
    (target,) = surface.predict_targets(best)
    assert target is not None
    assert target[0] == pytest.approx(1.5, abs=0.02)
    few = Measurements(mixtures=mixtures[:5], bits_per_byte=bits[:5], rounds=(1,) * 5)
    assert Surface.of(Searched(space=space, objective=objective), few) is None


def test_another_corpus_can_be_the_judge(corpus: tuple[Path, Manifest], tmp_path: Path) -> None:
    store, _ = corpus
    for number in range(6):
        write(tmp_path / f"judge/{number}.c", "int mill_1(int x) { return x * 6; }\n" * 40 + f"int y{number};\n")
    run_tiny(store, tmp_path / "judge", name="judge")
    line = ("mixture", "search", "tiny", "--local", "--store", store, "--tokens", 20_000, "--proxy-tokens", 12_000)
    ended = invoke(*line, "--proxies", 8, "--validation", "judge", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["validation_sets"] == ["c"]
    assert max(ended.json["weights"], key=lambda name: ended.json["weights"][name]) == "c"


def test_targets_may_hold_several_sets_in_any_order(corpus: tuple[Path, Manifest], tmp_path: Path) -> None:
    line = ("mixture", "search", "tiny", "--local", "--store", corpus[0], "--tokens", 20_000, "--proxy-tokens", 12_000)
    told = ("--target", "prose*3:text=1", "--target", "code:python=0.7,c=0.3")
    ended = invoke(*line, "--proxies", 8, *told, "--to", tmp_path, "--json")
    assert ended.code == 0, ended.err
    assert (tmp_path / "pareto.png").stat().st_size > 0
    result = load_result(tmp_path / "result.json")
    assert [target.name for target in result.targets] == ["prose", "code"]
    losses = target_losses(result)
    assert losses.shape == (9, 2)
    chosen = [run.weights for run in result.runs].index(list(result.weights.values()))
    assert losses[chosen].tolist() == [target.measured for target in result.targets]
    bits = dict(zip(result.validation_sets, result.runs[chosen].bits_per_byte, strict=True))
    assert losses[chosen] == pytest.approx([bits["text"], 0.7 * bits["python"] + 0.3 * bits["c"]])
    assert result.objective == pytest.approx(0.75 * losses[chosen, 0] + 0.25 * losses[chosen, 1])


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--target", "perl=1"), 2, "validation sets ['perl']; there are ['c', 'python', 'text']"),
        (("--target", "text"), 2, "'text' must hold NAME=NUMBER"),
        (("--rounds", "8", "--proxies", "8"), 2, "give one of them"),
        (("--rounds", "0"), 2, "rounds must be positive"),
        (("--rounds", "1,8"), 2, "measures uniform and proportional; give it at least 2"),
        (("--target", "prose:text=nan"), 2, "must be positive numbers"),
        (("--target", "a*inf:text=1"), 2, "must be positive numbers"),
        (("--target", "a:text=1,text=2"), 2, "names a validation set twice"),
        (("--seed", "-1"), 2, "seed=-1 must be from 0"),
        (("--gpus", "-1"), 2, "gpus=-1: give 0 or more"),
        (("--gpus", "1"), 2, "only with proxy gpt"),
        (("--max-epochs", "inf"), 2, "max_epochs=inf must be positive numbers"),
        (("--max-epochs", "nan"), 2, "max_epochs=nan must be positive numbers"),
        (("--rounds", "a,b"), 2, "rounds 'a,b' must be numbers"),
        (("--method", "magic"), 2, "method='magic' must be one of default"),
        (("--max-epochs", "0.1"), 2, "at most"),
        (("--layers", "2"), 2, "--layers is for --proxy gpt"),
        (("--proxy", "gpt", "--order", "2"), 2, "--order is for --proxy ngram"),
        (("--validation", "nothing"), 7, "no corpus 'nothing'"),
    ],
)
def test_bad_input(corpus: tuple[Path, Manifest], more: tuple[str, ...], code: int, message: str) -> None:
    ended = run_search(corpus[0], *more)
    assert (ended.code, message in ended.err) == (code, True), ended.err


def test_a_mixture_has_no_domains_to_search(corpus: tuple[Path, Manifest], tmp_path: Path) -> None:
    store = corpus[0]
    write(tmp_path / "weights.json", '{"c": 0.5, "python": 0.5, "text": 0}')
    line = ("mixture", "realise", "tiny", "--local", "--store", store, "--tokens", 2_000, "--name", "mixed")
    assert invoke(*line, "--weights", tmp_path / "weights.json").code == 0
    for told in (("mixed",), ("tiny", "--validation", "mixed")):
        ended = invoke("mixture", "search", *told, "--local", "--store", store, "--tokens", 2_000)
        assert (ended.code, "mixed is a mixture itself, of tiny@1" in ended.err) == (2, True), ended.err


def test_one_domain_is_no_mixture(tmp_path: Path) -> None:
    write(tmp_path / "source/a.py", "print(1)\n" * 50)
    run_tiny(tmp_path / "store", tmp_path / "source")
    ended = invoke("mixture", "search", "tiny", "--local", "--store", tmp_path / "store", "--tokens", 100)
    assert (ended.code, "is all python; a mixture is of two domains or more" in ended.err) == (2, True), ended.err


def test_a_vocabulary_that_changed_is_refused(tmp_path: Path) -> None:
    for name, text in {"a.py": "print(1)\n", "b.txt": "the mill turns\n"}.items():
        write(tmp_path / "source" / name, text * 200)
    vocabulary = tmp_path / "tokenizer.json"
    save_trained(vocabulary)
    store = tmp_path / "store"
    run_tiny(store, tmp_path / "source", vocabulary=vocabulary)
    told = ("--local", "--store", store, "--tokens", 1_000, "--proxy-tokens", 500, "--rounds", 8)
    ended = invoke("mixture", "search", "tiny", *told, "--json")
    assert ended.code == 0, ended.err
    assert all(bits > 0 for run in ended.json["runs"] for bits in run["bits_per_byte"])
    vocabulary.write_bytes(vocabulary.read_bytes() + b"\n")
    ended = invoke("mixture", "search", "tiny", *told)
    assert (ended.code, "has SHA-256" in ended.err) == (2, True), ended.err


def test_bad_results(corpus: tuple[Path, Manifest], searched: Path, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    assert invoke("mixture", "predict", file).code == 7
    file.write_text("{}")
    ended = invoke("mixture", "report", file, "--to", tmp_path / "out")
    assert (ended.code, "is not a result of mixture search" in ended.err) == (2, True)
    result = MixtureResult.model_validate_json((searched / "result.json").read_bytes())
    edited = json.loads(result.model_dump_json())
    edited["runs"][0]["weights"][0] += 0.01
    file.write_text(json.dumps(edited))
    assert "the result was edited" in invoke("mixture", "predict", file).err
    ended = run_search(corpus[0], "--current", file)
    assert (ended.code, "the result was edited" in ended.err) == (2, True), ended.err
    good = searched / "result.json"
    assert "the domains are c, python, text" in invoke("mixture", "predict", good, "--set", "perl=1").err
    assert "at most 1" in invoke("mixture", "predict", good, "--set", "c=2").err
