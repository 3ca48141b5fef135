"""Vocabularies by name or path: what is hashed, which engine, and recipes that take them."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.inspection import step
from jobs.packing.sequences import open_version
from jobs.vocabularies import open_named
from stages.tokenization.encode import EncodeConfig
from stages.tokenization.engines import Reference
from stages.tokenization.training.methods import SUPERBPE
from stages.tokenization.training.superwords import SuperwordConfig
from stages.tokenization.vocabulary import load_vocabulary
from tests.jobs.conftest import write
from tests.jobs.invoke import corpus_folder, invoke, run_tiny
from tests.stages.tokenization.test_encode import save_trained

TEXT = "def add(a, b):\n    return a + b\n"


@pytest.fixture
def superwords(tmp_path: Path) -> Path:
    path, config = tmp_path / "super.json", SuperwordConfig(vocabulary_size=280)
    counts = SUPERBPE.count(pa.array([TEXT * 20]), pa.array([bytes(16)], pa.binary(16)), config.cuts)
    path.write_bytes(SUPERBPE.train(counts, config, ["<|endoftext|>"]))
    return path


def test_a_file_is_named_by_path_and_content_and_gets_an_exact_engine(tmp_path: Path, superwords: Path) -> None:
    assert open_named("o200k_base").encoding() == EncodeConfig(vocabulary="o200k_base")
    trained = save_trained(tmp_path / "tokenizer.json")
    assert open_named(trained.vocabulary).encoding() == trained
    encoding = open_named(str(superwords)).encoding()
    assert (encoding.engine, encoding.vocabulary) == ("units", str(superwords))
    assert encoding.vocabulary_sha256 == hashlib.sha256(superwords.read_bytes()).hexdigest()
    ranks = tmp_path / "cl100k.tiktoken"
    ranks.write_bytes(load_vocabulary("cl100k_base").content)
    encoding = open_named(f"{ranks}?split=cl100k").encoding()
    assert (encoding.vocabulary, encoding.split, encoding.engine) == (str(ranks), "cl100k", "gigatoken")


def test_what_is_no_vocabulary_is_refused(tmp_path: Path) -> None:
    for name, content, said in (
        ("gone.json", None, r"vocabulary '.*gone\.json' is no file and none of cl100k_base"),
        ("ranks", b"", r"write PATH\?split=NAME for ranks \(r50k, cl100k"),
        ("bad.json", b"[", "is not a tokenizer.json"),
        ("empty.json", b"{}", "Hugging Face tokenizers cannot load"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=said):
            open_named(str(tmp_path / name)).encoding()


@pytest.mark.parametrize("kind", ["words", "superwords"])
def test_tiny_takes_a_vocabulary_that_was_trained(kind: str, tmp_path: Path, superwords: Path) -> None:
    path = str(superwords) if kind == "superwords" else save_trained(tmp_path / "tokenizer.json").vocabulary
    write(tmp_path / "input/add.py", TEXT)
    manifest = run_tiny(tmp_path / "store", tmp_path / "input", vocabulary=path)
    named = open_named(path)
    assert manifest.vocabulary == path
    (table,) = open_version(corpus_folder(tmp_path / "store", manifest)).documents()
    end = named.vocabulary.special_token()
    assert table["tokens"].to_pylist() == [[*Reference(named.vocabulary).encode_text(TEXT), end]]
    (encoding,) = (entry.config for entry in manifest.steps if entry.name == "tokens")
    assert named.sha256 in str(encoding)
    assert step(manifest, "documents").keys


@pytest.mark.parametrize("fim", ["none", "document"])
def test_trees_take_a_vocabulary_that_was_trained(fim: str, tmp_path: Path) -> None:
    path = save_trained(tmp_path / "tokenizer.json").vocabulary
    write(tmp_path / "input/add.py", TEXT)
    line = ("run", "trees", "--local", "--json", "--store", tmp_path / "store", "--source", tmp_path / "input")
    ended = invoke(*line, "--vocabulary", path, "--fim", fim)
    assert ended.code == 0, ended.err
    manifest = ended.json["manifest"]
    assert (manifest["vocabulary"], manifest["documents"]) == (path, 1)
    assert manifest["end_of_document"] == open_named(path).vocabulary.special_token()


def test_a_vocabulary_that_is_not_there_ends_a_recipe_at_once(tmp_path: Path) -> None:
    for recipe in ("tiny", "trees"):
        ended = invoke("plan", recipe, "--store", tmp_path / "store", "--vocabulary", "gone.json", "--source", tmp_path)
        assert ended.code == 2
        assert f"recipe {recipe}: vocabulary 'gone.json' is no file" in ended.err
