"""`gristmill domains` on a small version of `climb`, with what users and terminals do to it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from jobs.cli import main
from jobs.clusters import domains_command
from tests.jobs.conftest import write
from tests.jobs.invoke import invoke
from tests.machine import Ended

TOPICS = {
    "kitchen": "Knead the dough {n}, whisk the butter, bake the bread, season the soup and taste the sauce.\n",
    "heaven": "Planet {n} orbits its star; the telescope sees a comet, a nebula and a distant galaxy.\n",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `climb@1`: two domains of four clusters."""
    source, store = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("store")
    for name, sentence in TOPICS.items():
        for number in range(12):
            write(source / f"{name}{number}.txt", sentence.format(n=number) * (4 + number))
    line = ("run", "climb", "--local", "--store", store, "--source", source, "--clusters", 4, "--domains", 2)
    ended = invoke(*line, "--max-share", 0.7, "--sequence-length", 128)
    assert ended.code == 0, ended.err
    return store


@pytest.fixture(scope="module")
def bundle(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    assert invoke("domains", "export", "climb", "--store", store, "--to", folder).code == 0
    return folder


def label(bundle: Path, text: bytes, *more: str) -> Ended:
    """The command with this on standard input."""
    result = CliRunner().invoke(main, ["domains", "label", str(bundle), "-", *more], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize("levels", ["1000", "4,3", "1", "2,2", "-2"])
def test_levels_that_the_tree_does_not_have_are_one_line(store: Path, levels: str) -> None:
    ended = invoke("domains", "show", "climb", "--store", store, "--levels", levels)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert f"--levels '{levels}'" in ended.err
    assert "must ascend, from 2 to at most 4" in ended.err


def test_a_place_that_cannot_be_written_is_one_line(store: Path, tmp_path: Path) -> None:
    write(tmp_path / "file", "")
    ended = invoke("domains", "export", "climb", "--store", store, "--to", tmp_path / "file" / "bundle")
    assert (ended.code, ended.err.count("\n")) == (5, 1)
    assert "Not a directory; choose another folder" in ended.err


def test_weights_of_crossed_domains_are_not_taken(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = invoke("domains", "show", "climb", "--store", store, "--json").json
    first, second = sorted(row["name"] for row in shown["domains"])
    export = ("domains", "export", "climb", "--store", store, "--json", "--to")
    monkeypatch.setattr(domains_command, "RESULT_STEP", "clusters")
    for number, (name, has_weights) in enumerate([(first, True), (f"python-{first}", False)]):
        found = SimpleNamespace(weights={name: 0.25, second: 0.75})
        monkeypatch.setattr(domains_command, "stored_result", lambda store, manifest, found=found: found)
        folder = tmp_path / str(number)
        ended = invoke(*export, folder)
        assert (ended.code, ended.json["has_weights"], ended.err == "") == (0, has_weights, has_weights)
        assert json.loads((folder / "bundle.json").read_text())["weights"] == (found.weights if has_weights else {})
    assert ended.err == (
        f"climb@1 mixed python-{first} and others, not the domains of the clusters: the bundle is without weights\n"
    )


def test_lines_are_texts_and_neither_markup_nor_escape_sequences(bundle: Path) -> None:
    texts = ["see [/b] here", "a[red]b", "\x1b[31mred", "page\fbreak\u2028line", "", "last"]
    found = label(bundle, "\n".join(texts).encode(), "--json")
    assert [row["text"] for row in found.json] == texts
    shown = label(bundle, "\r\n".join(texts).encode())
    assert all(part in shown.out for part in ("see [/b] here", "a[red]b", "\\x1b[31mred", "page\\x0cbreak"))
    assert "\x1b" not in shown.out
    assert label(bundle, b"", "--json").json == []
    assert [row["text"] for row in label(bundle, b"\n\n", "--json").json] == ["", ""]


def test_a_line_that_is_not_utf_8_is_named(bundle: Path) -> None:
    ended = label(bundle, b"good\nna\xefve\n")
    assert (ended.code, ended.err) == (3, "error: cannot read standard input: line 2 is not UTF-8\n")


def test_strict_needs_thresholds(bundle: Path, tmp_path: Path) -> None:
    strange = b"SELECT name FROM users"
    assert label(bundle, strange, "--json").json[0]["domain"] is not None
    assert label(bundle, strange, "--json", "--strict").json[0]["domain"] is None
    shutil.copytree(bundle, tmp_path / "bundle")
    content = json.loads((bundle / "bundle.json").read_text())
    (tmp_path / "bundle/bundle.json").write_text(json.dumps(content | {"thresholds": {}}))
    ended = label(tmp_path / "bundle", strange, "--strict")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "has no thresholds; label without --strict" in ended.err


def test_a_damaged_bundle_is_one_line(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    write(tmp_path / "bundle/bundle.json", "[]")
    ended = label(tmp_path / "bundle", b"text")
    assert (ended.code, ended.err.count("\n"), "Traceback" in ended.err) == (2, 1, False)
