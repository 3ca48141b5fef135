"""`ls`, `show`, `diff` and `why`: what they find, and what they say."""

import json
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.jobs.conftest import Published, write, write_mixed
from tests.jobs.invoke import documents_of, encoding, invoke, run_tiny


def test_looking_creates_nothing(tmp_path: Path) -> None:
    for line in (["ls"], ["show", "tiny"], ["diff", "a", "b"], ["why", "a", "b"]):
        assert invoke(*line, "--store", tmp_path / "gone").code == 7
    assert not list(tmp_path.iterdir())


def test_ls_and_show(published: Published) -> None:
    (listed,) = invoke("ls", "--store", published.store, "--json").json
    assert listed["corpus"] == "tiny@1"
    assert listed["tokens"] == published.manifest.tokens
    assert listed["complete"]
    assert Path(listed["path"]).is_dir()
    assert "tiny@1" in invoke("ls", "--store", published.store).out
    shown = invoke("show", "tiny", "--store", published.store, "--json").json
    assert shown == published.manifest.model_dump() | {"added_packings": []}
    text = invoke("show", "tiny@1", "--store", published.store).out
    assert f"{published.manifest.tokens:,} tokens of cl100k_base" in text
    assert "broken-link 1" in text
    (packing,) = published.manifest.packings
    assert f"packing best-fit-64: {packing.sequences:,} sequences of 64 tokens" in text


def test_ls_of_an_empty_store(tmp_path: Path) -> None:
    assert "nothing is published" in invoke("ls", "--store", tmp_path).out
    assert invoke("ls", "--store", tmp_path, "--json").json == []


def test_names_that_do_not_exist(published: Published) -> None:
    for line, message in {
        ("show", "tinny"): "no corpus 'tinny'",
        ("show", "tiny@9"): "tiny has no version '9'; it has: 1",
        ("show", "../tiny"): "no corpus '../tiny'",
        ("diff", "tiny", "tiny@9"): "tiny has no version '9'",
        ("why", "tiny", "gone.py"): "no document 'gone.py' in tiny@1",
        ("why", "tiny", "0" * 32): f"no document '{'0' * 32}' in tiny@1",
        ("why", "tiny", "[z-a]*"): "no document '[z-a]*'",
    }.items():
        ended = invoke(*line, "--store", published.store)
        assert (ended.code, ended.out) == (7, "")
        assert message in ended.err


def test_why_finds_a_document_by_every_name(published: Published) -> None:
    def explain(name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = invoke("why", "tiny", name, "--store", published.store, "--json").json
        return found

    (by_path,) = explain("docs/unicode.md")
    assert explain("folder:mixed/docs/unicode.md") == [by_path]
    assert explain(by_path["document_id"]) == [by_path]
    assert explain("*nicode.md") == [by_path]
    assert explain("folder:*/unicode.m?") == [by_path]
    assert [e["steps"]["documents"]["path"] for e in explain("app/[id].tsx")] == ["app/[id].tsx"]
    assert len(explain("code/m0[0-4].py")) == 5
    assert len(explain("code/*")) == 20
    text = invoke("why", "tiny", "code/*", "--store", published.store)
    assert "more documents match; the first 20 are shown" in text.err


def test_why_names_where_the_tokens_are(published: Published) -> None:
    program = encoding()
    table = documents_of(published.store, published.manifest)
    kept = table.filter(table["keep"]).select(["path", "text"]).to_pylist()
    for document in kept[::5]:
        (entry,) = invoke("why", "tiny", document["path"], "--store", published.store, "--json").json
        row = pq.read_table(entry["tokens"]["url"]).slice(entry["tokens"]["row"], 1).to_pylist()[0]
        assert row["document_id"].hex() == entry["document_id"]
        assert row["tokens"][-1] == published.manifest.end_of_document
        assert program.decode(row["tokens"][:-1]) == document["text"]


FATES = {
    "same/second.py": ["unique"],
    "large.txt": ["readable"],
    "picture.png": ["readable"],
    "broken.py": ["readable"],
    "empty.py": ["not-empty"],
    "wide.py": ["short-lines"],
}


@pytest.mark.parametrize("path", FATES)
def test_why_says_why_a_document_was_dropped(path: str, published: Published) -> None:
    (entry,) = invoke("why", "tiny", path, "--store", published.store, "--json").json
    assert entry["tokens"] is None
    assert entry["steps"]["select"] == {"keep": False, "reasons": FATES[path]}
    text = invoke("why", "tiny", path, "--store", published.store).out
    assert "published: no, the document was dropped" in text
    if path == "large.txt":
        assert "oversize: larger than max_document_bytes; raise it to read the document" in text
    if path == "same/second.py":
        first = invoke("why", "tiny", "same/first.py", "--store", published.store, "--json").json[0]
        assert entry["steps"]["duplicates"]["duplicate_of"] == first["document_id"]
        assert first["tokens"] is not None


def test_why_spells_out_control_characters_of_names(tmp_path: Path) -> None:
    name = "evil\x1b[2J\x1b]0;owned\x07.py"
    write(tmp_path / "input" / name, "print('evil')\n")
    run_tiny(tmp_path / "store", tmp_path / "input")
    text = invoke("why", "tiny", "evil*", "--store", tmp_path / "store").out
    assert "\x1b" not in text
    assert "\\x1b[2J" in text


def test_diff_names_what_changed(tmp_path: Path) -> None:
    source, store = write_mixed(tmp_path / "input"), tmp_path / "store"
    first = run_tiny(store, source)
    write(source / "code/m03.py", "print('changed')\n")
    write(source / "code/added.py", "print('added')\n")
    (source / "code/m04.py").unlink()
    (source / "same/first.py").unlink()
    second = run_tiny(store, source, max_line_chars=30_000)
    found = invoke("diff", "tiny@1", "tiny@2", "--store", store, "--json").json
    assert found["documents"] == {
        "only_in_a": 2, "only_in_b": 1, "in_both": 46, "changed_content": 1, "kept_only_in_a": 0, "kept_only_in_b": 2
    }  # fmt: skip
    names = {kind: {e["name"] for e in examples} for kind, examples in found["examples"].items()}
    assert names == {
        "only_in_a": {"folder:input/code/m04.py", "folder:input/same/first.py"},
        "only_in_b": {"folder:input/code/added.py"},
        "changed_content": {"folder:input/code/m03.py"},
        "kept_only_in_b": {"folder:input/same/second.py", "folder:input/wide.py"},
    }
    assert found["tokens"] == {"a": first.tokens, "b": second.tokens}
    assert found["parameters"] == {"max_line_chars": {"a": 10_000, "b": 30_000}}
    assert found["reasons"]["select/short-lines"] == {"a": 1, "b": 0}
    text = invoke("diff", "tiny@1", "tiny", "--store", store).out
    assert "documents only in b: 1\n  folder:input/code/added.py" in text
    assert "parameters max_line_chars: 10000 -> 30000" in text
    same = invoke("diff", "tiny@2", "tiny@2", "--store", store, "--json").json
    assert same["identical"]
    assert same["examples"] == same["domains"] == same["reasons"] == {}


def test_json_is_one_document_on_standard_output(published: Published) -> None:
    table = documents_of(published.store, published.manifest)
    path = table["path"][pc.index(table["keep"], True).as_py()].as_py()
    for line in (["ls"], ["show", "tiny"], ["diff", "tiny", "tiny"], ["why", "tiny", path]):
        ended = invoke(*line, "--store", published.store, "--json")
        assert (ended.code, ended.err) == (0, "")
        json.loads(ended.out)
