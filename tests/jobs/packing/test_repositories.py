"""Repositories that stay together and texts that are rearranged, from a recipe of a user to sequences and traces."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jobs.packing.provenance import trace
from jobs.packing.sequences import Version, open_version
from pipeline.storage import LocalStorage
from pipeline.store import Store
from schemas.manifest import Manifest
from tests.jobs.conftest import write
from tests.jobs.invoke import documents_of, encoding, invoke

RECIPE = '''
"""Repositories in the order of their imports, half of their files with a hole."""

from jobs.packing.packings import PackingConfig
from jobs.packing.files import FilesConfig
from jobs.publish import Corpus, CorpusConfig, corpus
from jobs.repository_order import repository_order
from jobs.sources import parse_sources
from pipeline.annotate import annotate
from pipeline.ingest import ingest
from pipeline.stage import configured
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.parse import syntax
from stages.tokenization.fim import FimConfig, fim_stage


def together(source: list[str]) -> Corpus:
    """All that is readable."""
    documents = ingest(*parse_sources(source), stages=chain())
    parsed = annotate(syntax.STAGE.name, documents, stages=[configured(syntax.STAGE, syntax.SyntaxConfig())])
    rules = SelectConfig(predicates=(Predicate(name="readable", sql="problem IS NULL"),))
    decisions = annotate("select", documents, stages=[select_stage(rules, [documents.schema])])
    tokens = annotate("tokens", documents, stages=[fim_stage(FimConfig(rate=0.7))])
    published = CorpusConfig(
        name="together",
        vocabulary="cl100k_base",
        files=FilesConfig(end_of_document=100257),
        packings=(PackingConfig(sequence_length=64), PackingConfig(method="document", sequence_length=64)),
    )
    return corpus(documents, decisions, tokens, published, order=repository_order(documents, parsed))
'''


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with five repositories of four files each; every file imports the one after it by name."""
    folder = tmp_path_factory.mktemp("together")
    line: list[object] = ["--local", "--json", "--store", folder / "store"]
    for repository in range(5):
        for number, name in enumerate("abcd"):
            following = f"import {'abcd'[number + 1]}\n\n" if number < 3 else ""
            body = f"def in_{name}(grün):\n    return {repository} + grün  # {'ö' * number} {repository}\n\n" * (
                number + 1
            )
            write(folder / f"input{repository}" / f"{name}.py", following + body)
        line += ["--source", folder / f"input{repository}"]
    recipe = folder / "recipe_of_repositories.py"
    write(recipe, RECIPE)
    ended = invoke("run", f"{recipe}:together", *line)
    assert ended.code == 0, ended.err
    return folder / "store"


@pytest.fixture(scope="module")
def version(store: Path) -> Version:
    return open_version(LocalStorage(store), "together")


@pytest.fixture(scope="module")
def sources(store: Path, version: Version) -> dict[bytes, dict[str, Any]]:
    """Everything that is known of each document, by id."""
    table = documents_of(store, version.manifest)
    return {row["document_id"]: row for row in table.to_pylist()}


def test_a_repository_is_one_run_behind_its_imports(version: Version, sources: dict[bytes, dict[str, Any]]) -> None:
    with version.open("data/python/part-00000.parquet") as parquet:
        rows = parquet.read().to_pylist()
    names = [(sources[row["document_id"]]["origin"], sources[row["document_id"]]["path"]) for row in rows]
    assert [path for _, path in names] == ["d.py", "c.py", "b.py", "a.py"] * 5
    assert [row["group"] for row in rows] == [n // 4 for n in range(20)]
    assert len({origin for origin, _ in names}) == 5
    assert [origin for origin, _ in names] != sorted(origin for origin, _ in names)
    for packed in version.sequences("best-fit-64"):
        for row in packed.to_pylist():
            found = [sources[document_id] for document_id in row["document_id"]]
            for before, after in pairwise(found):
                if before["origin"] == after["origin"]:
                    assert before["path"] > after["path"]


def test_a_trace_leads_through_rearranged_texts(
    store: Path, version: Version, sources: dict[bytes, dict[str, Any]]
) -> None:
    program, opened = encoding(), Store(LocalStorage(store))
    modes = {row["fim_mode"] for row in sources.values()}
    assert modes == {"none", "psm", "spm"}
    (table,) = version.sequences("document-64")
    whole: dict[str, list[int]] = {}
    for number, row in enumerate(table.to_pylist()):
        (piece,) = trace(opened, version, "document-64", "python", number)["pieces"]
        text = sources[row["document_id"][0]]["text"].encode()
        tokens = [token for token in row["tokens"] if token < 100_256]
        assert b"".join(text[a:b] for a, b in piece["bytes"]) == program.decode_bytes(tokens)
        whole.setdefault(piece["document_id"], []).extend(n for a, b in piece["bytes"] for n in range(a, b))
    for document_id, found in whole.items():
        assert sorted(found) == list(range(len(sources[bytes.fromhex(document_id)]["text"].encode())))


def test_the_manifest_says_what_was_used(version: Version) -> None:
    manifest: Manifest = version.manifest
    assert [packing.name for packing in manifest.packings] == ["best-fit-64", "document-64"]
    roles = {entry.name: entry.role for entry in manifest.steps}
    assert roles["repository-order"] == "sidecar"
    assert roles["packing-best-fit-64"] == roles["packing-document-64"] == "packing"
