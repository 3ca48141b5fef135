"""The tokenizer report: figures against slow twins, the sample, formatting, files and the command's function."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.tokenizers.formatting import CHANGES, measure_drift
from jobs.tokenizers.measures import (
    Curve,
    Measured,
    count_ids,
    find_oddities,
    length_histogram,
    mean_length,
    text_sizes,
)
from jobs.tokenizers.report import make_report
from jobs.tokenizers.report_command import open_vocabulary, read_parallel, show_report, write_report
from jobs.tokenizers.sample import check_sample, sample_texts
from pipeline.errors import NotFoundError, RecipeError, SourceError
from stages.tokenization.training.hybrid import Dictionary, HybridConfig
from stages.tokenization.training.hybrid_engine import HybridEngine
from stages.tokenization.training.methods import HYBRID, SUPERBPE
from stages.tokenization.training.superwords import SuperwordConfig, UnitEngine
from tests.stages.tokenization.test_encode import save_trained

CODE = "def f(x):\n    if x:\n        return x + 1\n\n    return naïve(x)\n" * 20
ENGLISH = "The quick brown fox jumps over the lazy dog, and the dog's tail wags.\n" * 20
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund, Straße für Straße.\n" * 20
TEXTS = {"Python": pa.array([CODE]), "de": pa.array([GERMAN]), "en": pa.array([ENGLISH, ENGLISH[:70]])}


@pytest.fixture(scope="module")
def cl100k() -> Measured:
    return open_vocabulary("cl100k_base")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Measured:
    return open_vocabulary(save_trained(tmp_path_factory.mktemp("trained") / "tokenizer.json").vocabulary)


@pytest.fixture(scope="module")
def report(cl100k, trained):
    parallel = {"de": pa.array([GERMAN]), "en": pa.array([ENGLISH])}
    return make_report(
        [cl100k, trained], TEXTS, reference=cl100k, target_premium=1.2, parallel=parallel, reference_language="en"
    )


def test_units_and_hybrids_are_measured_by_their_own_engine(cl100k, tmp_path):
    texts, ids = TEXTS["en"], pa.array([b"1" * 16, b"2" * 16], pa.binary(16))
    words = Dictionary(roots=(b"quick", b"brown"), affixes=(b"er",))
    hybrid, units = HybridConfig(vocabulary_size=300, dictionary=words), SuperwordConfig(vocabulary_size=300)
    for method, config, engine in ((HYBRID, hybrid, HybridEngine), (SUPERBPE, units, UnitEngine)):
        path = tmp_path / f"{method.name}.json"
        path.write_bytes(method.train(method.count(texts, ids, config.cuts), config, []))
        assert isinstance(open_vocabulary(str(path)).engine, engine)
    reported = make_report([open_vocabulary(str(tmp_path / "hybrid.json"))], TEXTS, reference=cl100k)
    assert reported.vocabularies[0].size is None
    assert reported.vocabularies[0].languages["en"].tokens > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": "gristmill-hybrid-1", "special_tokens": [1]}', "special_tokens are not names with ids"),
        ('{"format": "gristmill-hybrid-1", "special_tokens": {}}', "cannot be measured: this is no hybrid"),
        ('{"model": {"type": "BPE"}}', "cannot be measured: Hugging Face tokenizers cannot load"),
    ],
)
def test_files_that_are_no_vocabulary_are_named(content, message, cl100k, tmp_path):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(RecipeError, match=message):
        make_report([open_vocabulary(str(tmp_path / "bad.json"))], TEXTS, reference=cl100k)


def tokens_of(measured: Measured, text: str) -> list[int]:
    return measured.encode(pa.array([text]))[1].tolist()


def test_figures_are_what_counting_by_hand_gives(report, cl100k, trained):
    first, second = report.vocabularies
    assert (first.name, report.reference) == ("cl100k_base", "cl100k_base")
    assert set(first.premium.values()) == {1.0}
    assert first.languages["en"].words == len((ENGLISH + " " + ENGLISH[:70]).split())
    assert first.languages["de"].bytes == len(GERMAN.encode())
    assert second.languages["de"].tokens == len(tokens_of(trained, GERMAN))
    assert second.premium["de"] == len(tokens_of(trained, GERMAN)) / len(tokens_of(cl100k, GERMAN))
    ratio = len(tokens_of(cl100k, GERMAN)) / len(tokens_of(cl100k, ENGLISH))
    assert first.parallel_premium == {"de": ratio, "en": 1.0}


@given(st.text(" \t\n\ra漢é", max_size=40))
def test_words_are_runs_without_white_space(text):
    assert text_sizes(pa.array([text])) == (len(text.encode()), len(re.split(r"[ \t\n\r]+", f" {text} ")) - 2)


def test_the_length_of_a_token_counts_for_each_byte_in_it(cl100k):
    text = "tokenization of identifiers"
    ids = tokens_of(cl100k, text)
    lengths = [len(cl100k.pieces[token]) for token in ids]
    histogram = length_histogram(count_ids(np.array(ids, np.int32), 0), cl100k.pieces)
    assert sum(histogram) == len(text)
    assert mean_length(histogram) == sum(length**2 for length in lengths) / len(text)
    assert mean_length([0, 0]) is None


def test_the_curve_ends_where_the_vocabulary_does(cl100k, trained):
    for measured in (cl100k, trained):
        curve = Curve(measured, TEXTS["Python"])
        points = curve.points()
        assert points[0] == (256, len(CODE.encode()))
        assert points[-1] == (256 + len(measured.merges), len(tokens_of(measured, CODE)))
        assert [count for _, count in points] == sorted((count for _, count in points), reverse=True)


def test_the_size_for_a_premium_is_the_smallest(cl100k):
    curve = Curve(cl100k, TEXTS["en"])
    whole = curve.tokens(curve.merges)
    size = curve.size_for(1.2 * whole)
    assert size is not None
    assert curve.tokens(size - 256) <= 1.2 * whole < curve.tokens(size - 257)
    assert curve.size_for(whole - 1) is None
    assert curve.size_for(1e9) == 256


def test_oddities_are_the_tokens_that_no_text_becomes(trained, tmp_path):
    seen = tokens_of(trained, CODE)
    found = find_oddities(trained, count_ids(np.array(seen, np.int32), 0))
    assert found.unreachable == 0
    own = int((trained.pieces.lengths > 0).sum())
    assert found.unseen == own - len(set(seen))
    assert found.seen_once == sum(seen.count(token) == 1 for token in set(seen))
    config = json.loads(trained.vocabulary.content)
    config["model"]["vocab"]["Ġhand made"] = 900
    path = tmp_path / "strange.json"
    path.write_text(json.dumps(config))
    config["model"]["vocab"] |= {"zzz": 901}
    del config["model"]["vocab"]["Ġhand made"]
    path.write_text(json.dumps(config))
    strange = find_oddities(open_vocabulary(str(path)), np.zeros(0, np.int64))
    assert strange.unreachable == 1
    assert strange.examples["unreachable"] == ["901: b'zzz'"]


def test_a_token_that_text_becomes_without_merges_is_reachable(trained, tmp_path):
    config = json.loads(trained.vocabulary.content)
    size = len(config["model"]["vocab"])
    config["added_tokens"].append(config["added_tokens"][0] | {"id": size, "content": "<div>", "special": False})
    path = tmp_path / "forced.json"
    path.write_text(json.dumps(config))
    forced = open_vocabulary(str(path))
    assert tokens_of(forced, "<div>") == [size]
    assert find_oddities(forced, np.zeros(0, np.int64)).unreachable == 0
    config["model"] |= {"ignore_merges": True}
    config["model"]["vocab"]["zzz"] = size + 1
    path.write_text(json.dumps(config))
    assert find_oddities(open_vocabulary(str(path)), np.zeros(0, np.int64)).unreachable == 0


@settings(max_examples=100)
@given(st.lists(st.sampled_from(["    ", "        ", "x", "if y:", " ", "\n", "\r\n", "é", "\t", "0.5"]), max_size=20))
def test_formatting_changes_white_space_only(parts):
    text = "".join(parts)
    for change in CHANGES.values():
        assert "".join(change(text).split()) == "".join(text.split())


def test_formatting_is_what_its_name_says():
    text = "if x:\n    return 1\r\n"
    assert {name: change(text) for name, change in CHANGES.items()} == {
        "indent by 2": "if x:\n  return 1\r\n",
        "indent by tab": "if x:\n\treturn 1\r\n",
        "trailing space": "if x: \n    return 1 \r\n",
        "blank lines": "if x:\n\n    return 1\r\n\r\n",
        "CRLF": "if x:\r\n    return 1\r\n",
    }


def test_drift_counts_tokens_that_are_not_the_same_afterwards(cl100k):
    texts = pa.array(["    return xyz"])
    same = measure_drift(cl100k, texts, lambda text: text)
    assert (same.changed, same.ratio, same.changed_share) == (0, 1.0, 0.0)
    tab = measure_drift(cl100k, texts, CHANGES["indent by tab"])
    before, after = tokens_of(cl100k, "    return xyz"), tokens_of(cl100k, "\treturn xyz")
    assert (tab.tokens_before, tab.tokens_after) == (len(before), len(after))
    assert tab.changed == 1
    assert tab.content_tokens == len(before) - 1
    nothing = measure_drift(cl100k, pa.array(["  "]), lambda text: "")
    assert (nothing.content_tokens, nothing.changed_share) == (0, None)


def documents(*rows) -> pa.Table:
    ids, languages, texts = zip(*rows, strict=True)
    return pa.table(
        {
            "document_id": pa.array([bytes([n]) * 16 for n in ids], pa.binary(16)),
            "language": pa.array(languages, pa.string()),
            "text": pa.array(texts, pa.string()),
        }
    )


def test_the_sample_does_not_depend_on_shards():
    rows = [(5, "A", "aaa"), (2, "A", "bb"), (9, None, "c"), (1, "A", "too long"), (3, "A", "dd"), (4, "A", None)]
    expected = {"A": ["bb", "dd"], "unknown": ["c"]}
    for cut in range(1, len(rows)):
        found = sample_texts(iter([documents(*rows[:cut]), documents(*rows[cut:])]), 6)
        assert {name: values.to_pylist() for name, values in found.items()} == expected
    with pytest.raises(NotFoundError, match="no text to measure"):
        check_sample(sample_texts(iter([documents((1, "A", ""))]), 6))


def test_a_report_is_written_as_json_plots_and_one_page(report, tmp_path):
    pytest.importorskip("matplotlib")
    write_report(report, tmp_path / "report")
    names = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert names == [
        "bytes-per-token.png", "formatting.png", "parallel-premium.png", "premium.png", "report.html", "report.json",
        "token-length.png", "vocabulary-size.png",
    ]  # fmt: skip
    value = json.loads((tmp_path / "report/report.json").read_text())
    assert value["vocabularies"][0]["languages"]["en"]["bytes_per_token"] > 3
    page = (tmp_path / "report/report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r"<script|(?:src|href)=\"(?!data:)|https?://|url\(", page)
    assert all((tmp_path / "report" / name).read_bytes()[:4] == b"\x89PNG" for name in names if name.endswith("png"))
    write_report(report, tmp_path / "report")


def test_names_in_the_page_are_escaped(trained, tmp_path):
    pytest.importorskip("matplotlib")
    hostile = {"<script>alert(1)</script>$x$\x1b[31m": pa.array(["some text"])}
    found = make_report([trained], hostile, reference=trained)
    write_report(found, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]\n", "line 1 is no object of strings"),
        ('{"en": 1}\n', "line 1 is no object"),
        ("{\n", "write one JSON object per line"),
        ('{"de": "a"}\n', "has no language 'en'; it has: de"),
        ("", "it has: nothing"),
        ('{"en": "a", "de": "b"}\n{"en": "a"}\n', "a line has"),
    ],
)
def test_parallel_text_that_is_none_says_what_to_write(tmp_path, content, message):
    path = tmp_path / "parallel.jsonl"
    path.write_text(content)
    with pytest.raises(SourceError, match=message):
        read_parallel(path, "en")


def test_parallel_text_is_read_by_language(tmp_path):
    path = tmp_path / "parallel.jsonl"
    path.write_text('{"en": "a\u2028b", "de": "ü"}\n\n{"de": "x", "en": "y"}\n', encoding="utf-8")
    assert {k: v.to_pylist() for k, v in read_parallel(path, "en").items()} == {
        "de": ["ü", "x"],
        "en": ["a\u2028b", "y"],
    }


def test_a_vocabulary_that_cannot_be_opened_says_what_to_do(tmp_path):
    with pytest.raises(RecipeError, match="no file and none of"):
        open_vocabulary("gpt9")
    ranks = tmp_path / "some.tiktoken"
    ranks.write_bytes(open_vocabulary("cl100k_base").vocabulary.content)
    with pytest.raises(RecipeError, match=r"PATH\?split=NAME"):
        open_vocabulary(str(ranks))
    assert open_vocabulary(f"{ranks}?split=cl100k").split == "cl100k"


OPTIONS = {
    "vocabulary": (), "source": (), "corpus": None, "reference": "cl100k_base", "parallel": None,
    "reference_language": "en", "target_premium": 1.0, "max_language_mb": 1.0, "to": None, "site": None, "store": None,
    "workers": None, "local": True, "as_json": True,
}  # fmt: skip


def test_the_report_of_a_folder_and_of_a_published_version_agree(published, trained, tmp_path, capsys):
    chosen = {"vocabulary": (trained.name,), "reference": trained.name}
    show_report(**OPTIONS | chosen | {"corpus": "tiny", "store": str(published.store)})
    kept = json.loads(capsys.readouterr().out)
    line = f"{published.source}?max_document_bytes=50000"
    show_report(**OPTIONS | chosen | {"source": (line,), "store": str(tmp_path / "store")})
    read = json.loads(capsys.readouterr().out)
    python = [value["vocabularies"][0]["languages"]["Python"]["tokens"] for value in (kept, read)]
    assert 0 < python[0] < python[1]
    assert set(kept["sample_bytes"]) <= set(read["sample_bytes"])


def test_the_report_is_shown_as_tables(published, trained, capsys):
    chosen = {"vocabulary": (trained.name,), "reference": trained.name}
    show_report(**OPTIONS | chosen | {"corpus": "tiny", "store": str(published.store), "as_json": False})
    shown = capsys.readouterr().out
    assert f"token premium against {trained.name}" in shown
    assert re.search(r"^Python +1\.000", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either --source"),
        ({"source": ("x",), "corpus": "y"}, "either --source"),
        ({"source": ("x",), "target_premium": 0.0}, "--target-premium"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, message):
    with pytest.raises(RecipeError, match=message):
        show_report(**OPTIONS | values)
