"""`ast export`: which documents, in which files, again after an interruption; MLCPD's own files as documents."""

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs import mlcpd
from jobs.mlcpd import MARKER, ExportConfig, Exported, export, export_mlcpd
from jobs.sources import parse_source
from pipeline.errors import NotFoundError, PublishError, SiteError
from pipeline.site_file import StoreSite
from pipeline.storage import open_storage
from pipeline.store import Store
from schemas.manifest import Manifest
from stages.ingest import language
from stages.parse.mlcpd import MLCPD, from_mlcpd
from tests.builders import read_all
from tests.jobs.conftest import Published, write_mixed
from tests.jobs.invoke import documents_of, invoke

RECIPE = '''
from jobs.packing.files import FilesConfig
from jobs.publish import Corpus, CorpusConfig, corpus
from jobs.sources import parse_sources
from pipeline.annotate import annotate
from pipeline.ingest import ingest
from pipeline.stage import configured
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.parse.syntax import STAGE, SyntaxConfig
from stages.tokenization import encode
from stages.tokenization.vocabulary import load_vocabulary


def with_trees(source: list[str] = []) -> Corpus:
    """Documents with trees."""
    documents = ingest(*parse_sources(source), stages=chain())
    syntax = annotate("syntax", documents, stages=[configured(STAGE, SyntaxConfig())])
    rules = SelectConfig(predicates=(Predicate(name="small", sql="size < 700"),))
    decisions = annotate("select", documents, stages=[select_stage(rules, [documents.schema])])
    tokens = annotate("tokens", documents, stages=[configured(encode.STAGE, encode.EncodeConfig())])
    files = FilesConfig(end_of_document=load_vocabulary("cl100k_base").special_token())
    config = CorpusConfig(name="trees", vocabulary="cl100k_base", files=files)
    return corpus(documents, decisions, tokens, config, marks=(syntax,))
'''


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """`trees@1`: several shards, the larger documents dropped."""
    folder = tmp_path_factory.mktemp("trees")
    source, recipe = write_mixed(folder / "mixed"), folder / "recipe_with_trees.py"
    (source / "wide.py").write_text("x = '" + "é" * 1400 + "'\n", encoding="utf-8")
    recipe.write_text(RECIPE)
    line = f"{source}?max_document_bytes=50000&shard_bytes=9000"
    asked = ("run", f"{recipe}:with_trees", "--local", "--json", "--store", folder / "store", "--source", line)
    ended = invoke(*asked)
    assert ended.code == 0, ended.err
    return Published(folder / "store", source, Manifest.model_validate(ended.json["manifest"]))


def run(trees: Published, to: Path, **settings: object) -> dict[str, Exported]:
    config = ExportConfig(**settings)  # type: ignore[arg-type]
    return export(Store(open_storage(StoreSite(path=str(trees.store)))), trees.manifest, to, config, lambda *_: None)


def documents(trees: Published, *, everything: bool = False) -> pa.Table:
    """Python's documents in their order."""
    table = documents_of(trees.store, trees.manifest)
    wanted = pc.and_(pc.equal(table["language"], "Python"), pc.is_valid(table["text"]))
    return table.filter(wanted if everything else pc.and_(wanted, table["keep"]))


def files(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_kept_documents_are_exported_by_language(trees: Published, tmp_path: Path) -> None:
    done = run(trees, tmp_path / "out")
    expected = documents(trees)
    assert 0 < expected.num_rows < documents(trees, everything=True).num_rows
    table = pq.read_table(tmp_path / "out/python_parsed_1.parquet")
    assert table.schema.equals(MLCPD)
    assert table["code"].to_pylist() == expected["text"].to_pylist()
    assert set(table["language"].to_pylist()) == {"python"}
    assert done["python"] == Exported(
        language="python",
        rows=expected.num_rows,
        files_written=1,
        trees=expected.num_rows,
        nodes=pc.sum(expected["ast_nodes"]).as_py(),
        errors=pc.sum(expected["ast_errors"]).as_py() + pc.sum(expected["ast_missing"]).as_py(),
        bytes=(tmp_path / "out/python_parsed_1.parquet").stat().st_size,
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        MARKER,
        *(f"{name}_parsed_1.parquet" for name in done),
    }
    back = from_mlcpd(table, "published")
    for name in ("node_kind", "node_to_parent", "node_start", "node_length", "node_field", "node_flags"):
        assert back[name].to_pylist() == expected[name].to_pylist()


def test_dropped_documents_are_exported_on_request(trees: Published, tmp_path: Path) -> None:
    run(trees, tmp_path, everything=True)
    table = pq.read_table(tmp_path / "python_parsed_1.parquet")
    assert table["code"].to_pylist() == documents(trees, everything=True)["text"].to_pylist()


def test_files_have_a_limit_and_are_the_same_again(trees: Published, tmp_path: Path) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    done = run(trees, whole, rows_per_file=4)
    rows = [pq.read_table(whole / f"python_parsed_{n + 1}.parquet") for n in range(done["python"].files_written)]
    assert [table.num_rows for table in rows[:-1]] == [4] * (len(rows) - 1)
    assert pa.concat_tables(rows)["code"].to_pylist() == documents(trees)["text"].to_pylist()

    class StoppedError(Exception):
        pass

    def stop(finished: int, total: int) -> None:
        if finished > total // 2:
            raise StoppedError

    config = ExportConfig(rows_per_file=4)
    store = Store(open_storage(StoreSite(path=str(trees.store))))
    with pytest.raises(StoppedError):
        export(store, trees.manifest, again, config, stop)
    before = {path: path.stat().st_mtime_ns for path in again.glob("*.parquet")}
    assert 0 < len(before) < len(files(whole))
    resumed = run(trees, again, rows_per_file=4)
    assert sum(language.files_kept for language in resumed.values()) == len(before)
    assert sum(language.files_written for language in resumed.values()) == len(files(whole)) - len(before)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert files(again) == files(whole)
    assert [path.name for path in again.iterdir() if path.name.startswith(".")] == []
    (again / "python_parsed_2.parquet").unlink()
    assert sum(language.files_written for language in run(trees, again, rows_per_file=4).values()) == 1
    assert files(again) == files(whole)


def test_a_folder_of_something_else_is_refused(trees: Published, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PublishError, match="is not empty and holds no export"):
        run(trees, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    run(trees, tmp_path / "out")
    with pytest.raises(PublishError, match="holds another export"):
        run(trees, tmp_path / "out", everything=True)
    (tmp_path / "out" / MARKER).write_text("{")
    with pytest.raises(PublishError, match="holds another export"):
        run(trees, tmp_path / "out")
    with pytest.raises(SiteError, match="cannot write"):
        run(trees, tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="rows_per_file must be at least 1"):
        ExportConfig(rows_per_file=0)


def test_a_version_without_trees_is_refused(published: Published, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="tiny@1 has no step 'syntax'; it has marks, "):
        run(published, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_reports_what_it_did(
    trees: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlcpd, "_REPORT_SECONDS", 0.0)
    asked = {"corpus": "trees", "to": tmp_path, "everything": False, "site": None, "store": str(trees.store)}
    export_mlcpd(**asked, as_json=False)
    said = capsys.readouterr()
    assert "python" in said.out
    assert f"trees@1 in MLCPD's format: {tmp_path}" in said.out
    assert "exported" in said.err
    export_mlcpd(**asked, as_json=True)
    told = json.loads(capsys.readouterr().out)
    (row,) = [row for row in told["languages"] if row["language"] == "python"]
    assert (row["files_written"], row["files_kept"], row["rows"]) == (0, 1, documents(trees).num_rows)


def test_mlcpds_files_are_documents_like_any_others(tmp_path: Path) -> None:
    names = ["c-sharp", "cpp", "python", "typescript", "c", "go", "java", "javascript", "ruby", "scala"]
    rows = pa.table({"language": names, "code": [f"text of {name}" for name in names]})
    pq.write_table(rows, tmp_path / "all_parsed_1.parquet")
    given = parse_source(f"parquet:{tmp_path}/*_parsed_*.parquet?text_column=code&language_column=language")
    raw = read_all(given.source, given.config, tmp_path / "work")
    assert [content.decode() for content in raw["content"].to_pylist()] == rows["code"].to_pylist()
    table = raw.append_column("text", raw["content"].cast(pa.string()))
    named = language.STAGE.open(language.LanguageConfig(magika=False))(table.select(language.READS.names))
    assert named["language"].to_pylist() == [
        "C#", "C++", "Python", "TypeScript", "C", "Go", "Java", "JavaScript", "Ruby", "Scala"
    ]  # fmt: skip
