"""A model on loopback leads documents down the taxonomy; what it answers is used only where it is a choice."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.clusters.job import cluster
from jobs.clusters.labelling import LABELS, LabelConfig, chosen, label_by_model, label_top_down
from jobs.clusters.lloyd import lloyd_step
from jobs.clusters.naming import NamingConfig, name_by_model
from jobs.clusters.taxonomy import ROOT, Taxonomy
from pipeline.chat import Answer, Question
from pipeline.site_file import Site, StoreSite
from tests import machine
from tests.endpoint import said, serve
from tests.jobs.clusters.test_job import CONFIG
from tests.jobs.clusters.topics import TOPICS, corpus

LABEL = LabelConfig(model="sorter", widths=(3, 5), documents=20, excerpt_chars=80)


def best(request: dict[str, Any]) -> str:
    """The number of the topic with most words in the document."""
    document, _, *topics = request["messages"][1]["content"].splitlines()
    words = {*re.findall("[a-z]+", document)}
    shared = [len(words & {*re.findall("[a-z]+", topic)}) for topic in topics]
    return str(1 + shared.index(max(shared)))


def test_documents_get_paths_of_the_tree(tmp_path: Path) -> None:
    documents, embeddings, marks, tables = corpus(2)
    named = name_by_model(cluster(documents, embeddings, marks, config=CONFIG), NamingConfig(model="namer"))
    labels = label_by_model(named, LABEL)
    with serve(lambda request, _: said(best(request) if request["model"] == "sorter" else "Thing")) as endpoint:
        site = Site(store=StoreSite(path=str(tmp_path)), llm=endpoint.site())
        ran = machine.run(site, labels)
        asked = sum(request["model"] == "sorter" for request in endpoint.requests)
        assert machine.run(site, labels).made == []
        assert sum(request["model"] == "sorter" for request in endpoint.requests) == asked
    (table,), (record,) = ran.tables(labels), ran.plan.records(labels)
    assert table.schema.equals(LABELS)
    assert table.num_rows == 20
    assert record.counters["asked"] == asked <= 60
    assert record.counters["at_leaf"] == 20
    topic = {
        id_: origin.removeprefix("site:")
        for t in tables
        for id_, origin in zip(t["document_id"].to_pylist(), t["origin"].to_pylist(), strict=True)
    }
    for row in table.to_pylist():
        assert (len(row["path"]), len(row["path_by_embedding"]), row["problem"]) == (3, 3, None)
        assert {*row["path"][0].split("-")} <= {*TOPICS[topic[row["document_id"]]].split()}
        assert row["path"][0] == row["path_by_embedding"][0]
    same = sum(row["path"] == row["path_by_embedding"] for row in table.to_pylist())
    assert (record.counters["same_top"], record.counters["same_leaf"]) == (20, same)


def tree() -> Taxonomy:
    """all: a (a1, a2, a3), b (b1 alone, which holds b11 and b12)."""
    parents = [-1, 0, 0, 1, 1, 1, 2, 6, 6]
    return Taxonomy(
        names=("all", "a", "b", "a1", "a2", "a3", "b1", "b11", "b12"),
        parents=np.array(parents),
        centroids=np.zeros((9, 2), np.float32),
        clusters=np.array([-1, -1, -1, 0, 1, 2, -1, 3, 4]),
    )


def led(answers: Sequence[str]) -> tuple[str, str | None, list[list[str]]]:
    """Where one text comes to, why it ends, and the topics of each question."""
    asked: list[list[str]] = []
    left = [*answers]

    def asks(questions: Sequence[Question]) -> list[Answer]:
        asked.extend([line for line in q.user.splitlines() if re.match(r"\d", line)] for q in questions)
        return [Answer(text=left.pop(0), is_whole=True) for _ in questions]

    found = label_top_down(tree(), tree().names, ["text\n7. fake"], LABEL, asks)
    assert found.asked == len(asked)
    return tree().names[found.nodes[0]], found.problems[0], asked


def test_levels_are_asked_one_after_the_other() -> None:
    assert led(["1", " 3.\n"]) == ("a3", None, [["1. a", "2. b"], ["1. a1", "2. a2", "3. a3"]])
    assert led(["2", "2"]) == ("b12", None, [["1. a", "2. b"], ["1. b11", "2. b12"]])  # an only child is no question
    assert led(["1", "0"])[:2] == ("a", "none")
    assert led(["1", "4"])[:2] == ("a", "choice")
    assert led(["b"]) == ("all", "choice", [["1. a", "2. b"]])


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["0", "1", "2", "3", "x", ""]), min_size=6, max_size=6), st.integers(0, 3))
def test_paths_never_contradict_themselves(answers: list[str], count: int) -> None:
    left = [*answers]
    found = label_top_down(
        tree(), tree().names, ["t"] * count, LABEL, lambda qs: [Answer(text=left.pop(0), is_whole=True) for _ in qs]
    )
    for node, problem in zip(found.nodes.tolist(), found.problems, strict=True):
        path = [ROOT, *tree().path(node)]
        assert all(tree().parents[child] == parent for parent, child in pairwise(path))
        assert (len(tree().children(node)) == 0) == (problem is None)


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("0", 0), (" 3.", 3), ("4", None), ("-1", None), ("two", None), ("٢", None)]
)
def test_what_is_a_choice(text: str, number: int | None) -> None:
    assert chosen(Answer(text=text, is_whole=True), 3) == number
    assert chosen(Answer(text=text, is_whole=False), 3) is None
    assert chosen(Answer(text="9" * 5000, is_whole=True), 3) is None


def test_what_cannot_be_labelled_is_said() -> None:
    documents, embeddings, marks, _ = corpus(1)
    clustered = cluster(documents, embeddings, marks, config=CONFIG)
    with pytest.raises(ValueError, match="give what cluster or name_by_model gave"):
        label_by_model(lloyd_step(clustered, embeddings), LABEL)
    with pytest.raises(ValueError, match="needs a model, widths"):
        LabelConfig(model="m", widths=())
