import math
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.clusters.names import NamesConfig, keywords_by_group, main_languages, name_domains
from jobs.placement import domain_name

words = st.sampled_from(["alpha", "beta", "gamma", "HttpServer", "of", "naïve", "42", "snake_case", "x" * 30])
texts = st.lists(st.tuples(st.integers(0, 2), st.lists(words, max_size=6)), max_size=8)


def obvious(rows: list[tuple[int, list[str]]], wanted: int) -> list[list[str]]:
    counts: list[Counter[str]] = [Counter() for _ in range(3)]
    for group, text in rows:
        spaced = re.sub(r"([a-zï])([A-Z])", r"\1 \2", " ".join(text))
        counts[group].update({w.lower() for w in re.findall(r"[^\W\d_]+", spaced) if 3 <= len(w) <= 24})
    total = sum(counts, Counter[str]())
    mean = sum(total.values()) / 3
    found = []
    for group in counts:
        size = max(sum(group.values()), 1)

        def score(word: str, group: Counter[str] = group, size: int = size) -> float:
            return group[word] / size * math.log1p(mean / total[word]) * (1 if group[word] >= 2 else 1e-6)

        found.append(sorted(group, key=lambda w: (-round(score(w), 12), w))[:wanted])
    return found


@given(texts)
def test_keywords_equal_the_obvious_count(rows: list[tuple[int, list[str]]]) -> None:
    column = pa.chunked_array([pa.array([" ".join(text) for _, text in rows], pa.string())])
    groups = np.array([group for group, _ in rows], np.int64)
    found = keywords_by_group(column, groups, 3, 100)
    assert [sorted(group) for group in found] == [sorted(group) for group in obvious(rows, 100)]


def test_the_most_telling_words_come_first() -> None:
    rows = ["the moon and the stars", "the stars of the night", "the bread and butter", "the butter of the cook"]
    found = keywords_by_group(pa.chunked_array([rows]), np.array([0, 0, 1, 1]), 2, 2)
    assert [group[0] for group in found] == ["stars", "butter"]


def test_names_are_unique_folders_with_their_language() -> None:
    keywords = [["http", "https", "client"], ["http", "client", "proxy"], [], [], ["python", "numpy"], ["東京", "tea"]]
    names = name_domains(keywords, ["Python", "Python", None, None, "Python", "C++"], 2)
    assert names == ["python-http-client", "python-http-client-proxy", "other", "other-2", "python-numpy", "cpp-tea"]
    assert all(domain_name(name) == name for name in names)


@pytest.mark.parametrize(
    ("language", "keywords", "name"),
    [
        ("C", ["struct", "socket", "malloc"], "c-struct-socket"),
        ("R", ["regression", "frame"], "r-regression-frame"),
        ("Go", ["mongo", "goroutine"], "go-mongo-goroutine"),
        ("Python", ["python", "numpy", "array"], "python-numpy-array"),
        ("Jupyter Notebook", ["notebook", "plot", "axis"], "jupyter-notebook-plot-axis"),
    ],
)
def test_only_the_language_itself_is_left_out_of_the_keywords(language: str, keywords: list[str], name: str) -> None:
    assert name_domains([keywords], [language], 2) == [name]


def test_a_language_is_named_only_if_most_are_in_it() -> None:
    languages = pa.chunked_array([["C", "C", "Go", None, None, "Go"]], pa.string())
    groups, weights = np.array([0, 0, 0, 1, 1, 2]), np.array([1.0, 1.0, 1.0, 5.0, 5.0, 0.1])
    assert main_languages(languages, groups, weights, 4, NamesConfig(language_share=0.6)) == ["C", None, "Go", None]
    assert main_languages(languages, groups, weights, 4, NamesConfig(language_share=0.7)) == [None, None, "Go", None]
    prose = NamesConfig(language_share=0.6, prose=("Go",))
    assert main_languages(languages, groups, weights, 4, prose) == ["C", None, None, None]
    assert main_languages(pa.chunked_array([], pa.string()), groups[:0], weights[:0], 2, NamesConfig()) == [None, None]


def test_a_config_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="words <= keywords"):
        NamesConfig(keywords=1, words=2)
