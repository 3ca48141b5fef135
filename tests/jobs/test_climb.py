"""The recipe `climb` from documents to a mixed corpus: domains that were found, their weights, the mixed shards."""

from pathlib import Path
from typing import Any

import pytest

from schemas.manifest import Manifest
from tests.endpoint import Reply, said, serve
from tests.jobs.conftest import write
from tests.jobs.invoke import corpus_folder, invoke

TOPICS = {
    "kitchen": "Knead the dough {n}, whisk the butter, bake the bread, season the soup and taste the sauce.\n",
    "heaven": "Planet {n} orbits its star; the telescope sees a comet, a nebula and a distant galaxy.\n",
    "court": "The court {n} heard the plaintiff, the judge read the statute and the jury gave a verdict.\n",
}


def climb(store: Path, source: Path, *more: object) -> Manifest:
    line = ("run", "climb", "--local", "--json", "--store", store, "--source", source, "--clusters", 6, "--domains", 3)
    ended = invoke(*line, "--max-share", 0.6, "--sequence-length", 128, *more)
    assert ended.code == 0, ended.err
    return Manifest.model_validate(ended.json["manifest"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for name, sentence in TOPICS.items():
        for number in range(24):
            text = "".join(sentence.format(n=number * 10 + k) for k in range(8 + number % 5))
            write(folder / f"{name}{number}.txt", text)
    return folder


def test_a_corpus_is_clustered_searched_and_mixed(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    searching = ("--mix-tokens", 8_000, "--proxy-tokens", 4_000, "--proxies", 8)
    manifest = climb(store, source, *searching)
    assert manifest.documents == 72
    assert len(manifest.domains) == 3
    folder = corpus_folder(store, manifest)
    assert {path.name for path in (folder / "data").iterdir()} == {*manifest.domains}
    assert {"clusters", "assignment", "mixture-result"} <= {entry.name for entry in manifest.steps}
    where = invoke("why", "climb", "kitchen3.txt", "--store", store).out
    assert "domain " in where
    searched = invoke("mixture", "predict", "climb", "--store", store, "--json").json
    assert {*searched["weights"]} == {*manifest.domains}
    mixed = invoke("mixture", "realise", "climb", "--tokens", 8_000, "--store", store, "--local", "--json")
    assert mixed.code == 0, mixed.err
    made = Manifest.model_validate(mixed.json["manifest"])
    assert made.mixture is not None
    for own in made.mixture.domains:
        assert own.weight == pytest.approx(searched["weights"][own.domain])
        assert abs(own.realised - own.planned) <= 0.005 * own.planned + 1
    again = climb(store, source, *searching)
    assert again.identity == manifest.identity


def test_one_job_leads_from_documents_to_the_mixed_corpus(source: Path, tmp_path: Path) -> None:
    line = (
        "run",
        "climb",
        "--local",
        "--store",
        tmp_path / "store",
        "--source",
        source,
        "--clusters",
        6,
        "--domains",
        3,
    )
    more = ("--max-share", 0.6, "--mix-tokens", 6_000, "--proxy-tokens", 3_000, "--rounds", "8", "--mix-name", "mixed")
    ended = invoke(*line, *more, "--json")
    assert ended.code == 0, ended.err
    first = Manifest.model_validate(ended.json["manifest"])
    mixed = Manifest.model_validate(ended.json["following"]["manifest"])
    assert (first.name, mixed.name) == ("climb", "mixed")
    assert mixed.mixture is not None
    assert mixed.mixture.source_identity == first.identity
    assert sum(own.planned for own in mixed.mixture.domains) == 6_000
    found = invoke("mixture", "predict", "climb", "--store", tmp_path / "store", "--json").json["weights"]
    assert {own.domain: own.weight for own in mixed.mixture.domains} == pytest.approx(found)
    again = invoke(*line, *more)
    assert again.out.count("climb@1") == again.out.count("mixed@1") == 1
    assert "nothing was left to do" in again.out
    assert invoke("plan", *line[1:], *more, "--json").json["following"] is True
    assert "then a second version" in invoke("plan", *line[1:], *more).out
    assert "then a second" not in invoke("plan", *line[1:]).out


def test_documents_of_one_topic_share_a_domain(source: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    climb(store, source)
    domains = {}
    for name in TOPICS:
        found = invoke("why", "climb", f"{name}*.txt", "--store", store, "--json").json
        domains[name] = {entry["steps"]["assignment"]["domain"] for entry in found}
    assert all(len(found) == 1 for found in domains.values()), domains
    assert len(set.union(*domains.values())) == 3


def test_domains_are_shown_published_and_label_texts(source: Path, tmp_path: Path) -> None:
    store, bundle = tmp_path / "store", tmp_path / "bundle"
    manifest = climb(store, source)
    shown = invoke("domains", "show", "climb", "--store", store, "--levels", "2,3", "--json").json
    assert {row["name"] for row in shown["domains"]} == {*manifest.domains}
    assert sum(row["share"] for row in shown["domains"]) == pytest.approx(1)
    assert sum(node["cluster"] >= 0 for node in shown["tree"]) == 6
    assert "seed stability" in invoke("domains", "show", "climb", "--store", store, "--levels", "2").out
    ended = invoke("domains", "export", "climb", "--store", store, "--to", bundle, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["domains"] == 3
    write(tmp_path / "a.txt", TOPICS["kitchen"].format(n=1))
    write(tmp_path / "b.txt", TOPICS["court"].format(n=2))
    labelled = invoke("domains", "label", bundle, tmp_path / "a.txt", tmp_path / "b.txt", "--json").json
    first, second = (row["domain"] for row in labelled)
    kitchen = invoke("why", "climb", "kitchen1.txt", "--store", store, "--json").json
    assert first == kitchen[0]["steps"]["assignment"]["domain"]
    assert second != first
    assert "distance" in invoke("domains", "label", bundle, tmp_path / "a.txt").out


def test_bad_domains(source: Path, tmp_path: Path) -> None:
    store, bundle = tmp_path / "store", tmp_path / "bundle"
    climb(store, source)
    run = ("--store", store)
    assert "must be numbers" in invoke("domains", "show", "climb", *run, "--levels", "x").err
    assert invoke("domains", "show", "nothing", *run).code == 7
    bundle.mkdir()
    assert invoke("domains", "export", "climb", *run, "--to", bundle).code == 6
    assert invoke("domains", "label", bundle, tmp_path / "none.txt").code in (2, 3)
    write(tmp_path / "weights.json", '{"perl": 1}')
    ended = invoke("domains", "export", "climb", *run, "--to", tmp_path / "b", "--weights", tmp_path / "weights.json")
    assert (ended.code, "no domain perl" in ended.err) == (2, True)


def test_domains_can_be_crossed_with_languages_and_pruned_by_a_score(source: Path, tmp_path: Path) -> None:
    manifest = climb(tmp_path / "store", source, "--by-language", "--score", "lines", "--min-score", 5)
    assert all(name.startswith("text-") for name in manifest.domains), manifest.domains
    assert manifest.documents == 72
    strict = climb(tmp_path / "store", source, "--score", "lines", "--min-score", 1000, "--name", "strict")
    assert strict.documents == 0
    funnel = {entry.step: entry for entry in strict.funnel}
    assert funnel["select"].reasons["cluster-score"] == 72


def test_domains_are_published_under_the_names_that_a_model_gives(source: Path, tmp_path: Path) -> None:
    def answer(request: dict[str, Any], number: int) -> Reply:
        keywords = request["messages"][1]["content"].splitlines()[0]
        return said("Cooking" if "butter" in keywords else "Astronomy" if "comet" in keywords else "")

    with serve(answer) as endpoint:
        site = tmp_path / "site.toml"
        site.write_text(f'[llm]\nurl = "{endpoint.url}"\n')
        manifest = climb(tmp_path / "store", source, "--name-with", "namer", "--site", site)
        assert len(endpoint.requests) == 3
        again = climb(tmp_path / "store", source, "--name-with", "namer", "--site", site)
        assert (again.identity, len(endpoint.requests)) == (manifest.identity, 3)
    assert {"cooking", "astronomy"} < {*manifest.domains}
    assert len(manifest.domains) == 3
    assert [entry.name for entry in manifest.steps].count("clusters") == 2  # as they were made, and named
    shown = invoke("domains", "show", "climb@1", "--store", tmp_path / "store", "--json").json
    assert {row["name"] for row in shown["domains"]} == {*manifest.domains}
    plain = climb(tmp_path / "store", source, "--name", "plain")
    assert {"cooking", "astronomy"}.isdisjoint(plain.domains)
    line = ("run", "climb", "--local", "--store", tmp_path / "store", "--source", source, "--name-with", "other")
    ended = invoke(*line)
    assert (ended.code, "set llm.url in the site file" in ended.err) == (5, True), ended.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--clusters", 1), "2 clusters"),
        (("--mix-tokens", 100, "--rounds", "x"), "rounds 'x' must be numbers"),
        (("--mix-tokens", 100, "--rounds", "8", "--proxies", 8), "give one of them"),
        (("--mix-tokens", 100, "--proxy", "bert"), "proxy 'bert' must be one of ngram, gpt"),
        (("--mix-name", "mixed"), "needs mix_tokens"),
        (("--mix-tokens", 100, "--mix-name", "climb"), "a name of its own"),
        (("--mix-tokens", 100, "--mix-name", "a/b"), "mix_name"),
        (("--mix-tokens", 100, "--target", "x"), "must hold NAME=NUMBER"),
        (("--embedder", "no/model"), "is no folder"),
        (("--score", "beauty"), "beauty"),
    ],
)
def test_bad_parameters(source: Path, tmp_path: Path, more: tuple[object, ...], message: str) -> None:
    ended = invoke("run", "climb", "--local", "--store", tmp_path / "store", "--source", source, *more)
    assert (ended.code, message in ended.err) == (2, True), ended.err
