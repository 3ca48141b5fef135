"""Domains are named by an endpoint on loopback; what it says is used only where it is a name."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.clusters.job import assign, cluster, read_clustering
from jobs.clusters.naming import NamingConfig, name_by_model, renamed, usable_name
from jobs.placement import domain_name
from pipeline.chat import Answer
from pipeline.errors import SiteError
from pipeline.site_file import LlmSite, Site, StoreSite
from schemas.clusters import CLUSTERING_KEY, clusters
from tests import machine
from tests.endpoint import Reply, said, serve
from tests.jobs.clusters.test_job import CONFIG
from tests.jobs.clusters.topics import TOPICS, corpus

NAMES = {"cooking": "Baking & Pastry", "space": '"Space Exploration."\n', "law": "Court Cases"}


def topic_of(request: dict[str, Any]) -> str:
    keywords = request["messages"][1]["content"].splitlines()[0].removeprefix("Keywords: ").split(", ")
    (topic,) = [topic for topic, words in TOPICS.items() if {*keywords} <= {*words.split()}]
    return topic


def site_of(folder: Path, llm: LlmSite) -> Site:
    return Site(store=StoreSite(path=str(folder)), llm=llm)


def test_domains_carry_the_names_that_a_model_gives(tmp_path: Path) -> None:
    documents, embeddings, marks, _ = corpus(2)
    clustered = cluster(documents, embeddings, marks, config=CONFIG)
    named = name_by_model(clustered, NamingConfig(model="namer", keywords=8, excerpts=2, excerpt_chars=30, seed=5))
    assignment = assign(embeddings, named)
    with serve(lambda request, _: said(NAMES[topic_of(request)])) as endpoint:
        site = site_of(tmp_path, endpoint.site())
        ran = machine.run(site, assignment, clustered)
        assert len(endpoint.requests) == 3
        assert machine.run(site, assignment).made == []  # committed: nothing is asked again
        assert len(endpoint.requests) == 3
        for request in endpoint.requests:
            assert (request["model"], request["seed"]) == ("namer", 5)
            keywords, *excerpts = request["messages"][1]["content"].splitlines()
            assert len(keywords.split(", ")) == 8
            assert len(excerpts) == 2
            texts = [json.loads(line.split(": ", 1)[1]) for line in excerpts]
            words = TOPICS[topic_of(request)]
            assert all(1 <= len(text) <= 30 and text.split()[0] in words.split() for text in texts)

    assert machine.run(site_of(tmp_path, LlmSite()), assignment).made == []  # and needs no endpoint
    (before,), (table,) = ran.tables(clustered), ran.tables(named)
    expected = {"baking-pastry", "space-exploration", "court-cases"}
    assert {*table["domain"].to_pylist()} == expected
    assert table.drop(["domain"]).equals(before.drop(["domain"]))
    pairs = {*zip(before["domain"].to_pylist(), table["domain"].to_pylist(), strict=True)}
    found = read_clustering(table)
    assert {(entry["by_keywords"], entry["name"]) for entry in found["naming"]} == pairs
    assert [entry["name"] for entry in found["naming"]] == [domain["name"] for domain in found["domains"]]
    assert {entry["problem"] for entry in found["naming"]} == {""}
    old = read_clustering(before)
    assert (found["tree"], found["quality"]) == (old["tree"], old["quality"])
    (record,) = ran.plan.records(named)
    assert (record.exact, record.counters) == (False, {"rows": table.num_rows, "asked": 3, "named": 3})
    assert {name for shard in ran.tables(assignment) for name in shard["domain"].drop_null().to_pylist()} == expected


def test_a_domain_without_a_usable_answer_keeps_its_keywords(tmp_path: Path) -> None:
    documents, embeddings, marks, _ = corpus(2)
    clustered = cluster(documents, embeddings, marks, config=CONFIG)
    named = name_by_model(clustered, NamingConfig(model="namer", excerpts=0))
    bad = {"cooking": said("I\ncannot"), "space": said("x" * 500_000), "law": said("Court Cases")}
    with serve(lambda request, _: bad[topic_of(request)]) as endpoint:
        ran = machine.run(site_of(tmp_path, endpoint.site()), named, clustered)
        assert all("\n" not in request["messages"][1]["content"] for request in endpoint.requests)
    (before,), (table,) = ran.tables(clustered), ran.tables(named)
    (record,) = ran.plan.records(named)
    assert record.counters == {"rows": 9, "asked": 3, "named": 1, "unnamed:lines": 1, "unnamed:long": 1}
    kept = {*before["domain"].to_pylist()} & {*table["domain"].to_pylist()}
    assert len(kept) == 2
    assert {*table["domain"].to_pylist()} == kept | {"court-cases"}
    assert all(len(entry["answer"]) <= 200 for entry in read_clustering(table)["naming"])


def test_another_model_is_another_identity_and_another_endpoint_is_not() -> None:
    documents, embeddings, marks, _ = corpus(1)
    clustered = cluster(documents, embeddings, marks, config=CONFIG)
    one, same, other = (name_by_model(clustered, NamingConfig(model=model)) for model in ("a", "a", "b"))
    assert one.identity == same.identity
    assert len({clustered.identity, one.identity, other.identity}) == 3


def test_a_site_without_an_endpoint_is_refused_before_clusters_are_made(tmp_path: Path) -> None:
    documents, embeddings, _, _ = corpus(1)
    clustered = cluster(documents, embeddings, config=CONFIG)
    named = name_by_model(clustered, NamingConfig(model="namer"))
    with pytest.raises(SiteError, match=r"set llm\.url in the site file"):
        machine.run(site_of(tmp_path, LlmSite()), named)
    assert not list(tmp_path.glob(f"records/{clustered.folder}/*"))


def test_an_endpoint_that_fails_ends_the_run_and_nothing_is_committed(tmp_path: Path) -> None:
    documents, embeddings, _, _ = corpus(1)
    named = name_by_model(cluster(documents, embeddings, config=CONFIG), NamingConfig(model="namer"))
    with serve(lambda *_: Reply(body=b"down", status=500)) as endpoint:
        with pytest.raises(SiteError, match="status 500: down"):
            machine.run(site_of(tmp_path, endpoint.site(retries=1)), named)
        assert not list(tmp_path.glob(f"records/{named.folder}/*"))
        endpoint.answer = lambda request, _: said("Thing")
        assert machine.run(site_of(tmp_path, endpoint.site()), named).made == ["clusters"]


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("Web Servers", "web-servers", ""),
        (" **`C++ / Node.js`**\n", "cpp-node-js", ""),
        ("", "", "empty"),
        (" \"'. ", "", "empty"),
        ("a\nb", "", "lines"),
        ("a\u2028b", "", "lines"),
        ("x" * 49, "", "long"),
        ("../../etc", "etc", ""),
        ("Küche", "", "characters"),
        ("烹飪", "", "characters"),
        ("a\x00b", "", "characters"),
        ("<think>hm</think> x", "", "characters"),
        ("2024", "", "characters"),
        ("Other", "", "characters"),
    ],
)
def test_answers_that_are_names(text: str, name: str, problem: str) -> None:
    assert usable_name(Answer(text=text, is_whole=True), 48) == (name, problem)
    assert usable_name(Answer(text=text, is_whole=False), 48) == ("", "cut")


def two_clusters_each(*domains: str) -> pa.Table:
    count = 2 * len(domains)
    report = {"domains": [{"name": name, "share": 1 / len(domains)} for name in domains]}
    zeros = [0.0] * count
    return pa.table(
        {
            "cluster": range(count),
            "centroid": [[1.0, 0.0]] * count,
            "domain": [*domains, *reversed(domains)],
            "keywords": [[]] * count,
            "documents": zeros,
            "bytes": zeros,
            "sampled": [0] * count,
            "mean_distance": zeros,
            "origin_share": zeros,
        },
        schema=clusters(2, b"m"),
    ).replace_schema_metadata({CLUSTERING_KEY: json.dumps(report).encode()})


def test_a_name_that_is_taken_gets_keywords() -> None:
    table = two_clusters_each("bread-oven", "soup-pot", "cake-oven", "tea-cup")
    answers = [Answer(text=text, is_whole=True) for text in ("Food", "Food", "Tea cup", "")]
    named, counters = renamed(table, answers, 48)
    names = ["food", "food-soup", "tea-cup-cake", "tea-cup"]
    assert named["domain"].to_pylist() == [*names, *reversed(names)]
    assert counters == {"asked": 4, "named": 3, "unnamed:empty": 1}


@settings(max_examples=50)
@given(st.lists(st.text(max_size=60) | st.sampled_from(["Food", "a", "b-2", "kitchen"]), min_size=3, max_size=3))
def test_names_are_always_distinct_folders(texts: list[str]) -> None:
    named, counters = renamed(
        two_clusters_each("kitchen", "a", "b-2"), [Answer(text=text, is_whole=True) for text in texts], 48
    )
    names = [domain["name"] for domain in read_clustering(named)["domains"]]
    assert len({*names}) == 3
    assert {*names} == {*named["domain"].to_pylist()}
    assert all(re.fullmatch(r"[a-z0-9-]+", name) and domain_name(name) == name != "other" for name in names)
    assert counters["asked"] == 3


@pytest.mark.parametrize("wrong", [{"model": ""}, {"keywords": 0}, {"excerpts": -1}, {"max_chars": 0}])
def test_a_config_says_what_is_wrong(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs a model|at least 0"):
        NamingConfig(**({"model": "m"} | wrong))
