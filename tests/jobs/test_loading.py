"""A published version opens in the tools that people use, and holds exactly the tokens of the kept documents."""

from importlib.metadata import version
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from jobs.card import configs
from schemas.corpus import DATA
from schemas.manifest import Manifest, Packing
from stages.tokenization.classes import class_table_digest
from stages.tokenization.vocabulary import load_vocabulary
from tests.jobs.conftest import Published, write, write_mixed
from tests.jobs.invoke import corpus_folder, documents_of, encoding, invoke, run_tiny

TOKENS_PER_ROW_GROUP = 1 << 20

RECIPE = '''
"""A recipe of a user: no selection but what can be read, several files per domain."""

from jobs.packing.packings import PackingConfig
from jobs.packing.files import FilesConfig
from jobs.publish import Corpus, CorpusConfig, corpus
from jobs.sources import parse_sources
from pipeline.annotate import annotate
from pipeline.ingest import ingest
from pipeline.stage import configured
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.tokenization import encode


def several_files(source: str, tokens_per_file: int, sequence_length: int = 0) -> Corpus:
    """Everything readable, empty files too."""
    documents = ingest(*parse_sources([source]), stages=chain())
    rules = SelectConfig(predicates=(Predicate(name="readable", sql="problem IS NULL"),))
    decisions = annotate("select", documents, stages=[select_stage(rules, [documents.schema])])
    encoder = configured(encode.STAGE, encode.EncodeConfig(vocabulary="o200k_base"))
    tokens = annotate("tokens", documents, stages=[encoder])
    files = FilesConfig(end_of_document=199999, tokens_per_file=tokens_per_file)
    method = "best-fit" if sequence_length else "document"
    packing = PackingConfig(method=method, sequence_length=sequence_length)
    published = CorpusConfig(name="several", vocabulary="o200k_base", files=files, packings=(packing,))
    return corpus(documents, decisions, tokens, published)
'''


@pytest.fixture(scope="module", params=[0, 100])
def several(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A store and a version by a user's recipe, whose domains have several files."""
    folder = tmp_path_factory.mktemp("several")
    recipe = folder / f"recipe_of_a_test_{request.param}.py"
    write(recipe, RECIPE)
    source = write_mixed(folder / "input")
    options = ["--tokens-per-file", 1500, "--sequence-length", request.param, "--source", f"{source}?shard_bytes=20000"]
    ended = invoke("run", f"{recipe}:several_files", "--local", "--json", "--store", folder / "store", *options)
    return folder / "store", Manifest.model_validate(ended.json["manifest"])


def test_datasets_loads_all_of_it_and_one_domain(published: Published, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder, manifest = str(corpus_folder(published.store, published.manifest)), published.manifest
    whole = datasets.load_dataset(folder, split="train", cache_dir=str(tmp_path))
    assert whole.features["tokens"] == datasets.List(datasets.Value("int32"))
    assert sum(len(tokens) for tokens in whole["tokens"]) == manifest.tokens
    assert len(whole) == sum(file.rows for file in manifest.files)
    assert sorted(datasets.get_dataset_config_names(folder)) == sorted(["default", *manifest.domains])
    for domain, count in manifest.domains.items():
        part = datasets.load_dataset(folder, domain, split="train", cache_dir=str(tmp_path))
        assert sum(len(tokens) for tokens in part["tokens"]) == count


def test_every_domain_is_a_config_whatever_yaml_makes_of_its_name() -> None:
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load("\n".join(configs(["python", "no", "123", "default", "1e3"])))["configs"]
    paths = {entry["config_name"]: [file["path"] for file in entry["data_files"]] for entry in found}
    assert paths == {
        "default": ["data/*/*.parquet"],
        "domain-default": ["data/default/*.parquet"],
        **{name: [f"data/{name}/*.parquet"] for name in ("python", "no", "123", "1e3")},
    }


def test_datasets_streams(published: Published) -> None:
    datasets = pytest.importorskip("datasets")
    folder = str(corpus_folder(published.store, published.manifest))
    streamed = list(datasets.load_dataset(folder, split="train", streaming=True))
    assert sum(len(row["tokens"]) for row in streamed) == published.manifest.tokens
    assert list(streamed[0]) == DATA.names
    one = datasets.load_dataset(folder, "markdown", split="train", streaming=True)
    assert sum(len(row["tokens"]) for row in one) == published.manifest.domains["markdown"]


def test_duckdb_reads_it(published: Published) -> None:
    files = f"{corpus_folder(published.store, published.manifest)}/data/*/*.parquet"
    columns = "any_value(typeof(tokens)), sum(len(tokens)), count(*)"
    kind, tokens, rows = duckdb.connect().execute(f"SELECT {columns} FROM read_parquet('{files}')").fetchall()[0]
    assert (kind, tokens) == ("INTEGER[]", published.manifest.tokens)
    assert rows == sum(file.rows for file in published.manifest.files)


def test_pyarrow_reads_it(published: Published) -> None:
    dataset = pads.dataset(corpus_folder(published.store, published.manifest) / "data", format="parquet")
    assert dataset.schema.equals(DATA)
    table = dataset.to_table(columns=["tokens"])
    assert len(table["tokens"].combine_chunks().flatten()) == published.manifest.tokens


def test_the_manifest_says_what_encoded(published: Published) -> None:
    described = published.manifest.tokenizer
    assert described["vocabulary"] == load_vocabulary("cl100k_base").digest
    assert described["character_classes"] == class_table_digest()
    assert described["engine"] == "gigatoken"
    assert described["libraries"]["tiktoken"] == version("tiktoken")  # type: ignore[index]


def test_the_folder_holds_what_the_manifest_lists(published: Published) -> None:
    folder = corpus_folder(published.store, published.manifest)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    listed = {file.path for file in published.manifest.files}
    for packing in published.manifest.packings:
        listed |= {f"packings/{packing.name}/packing.json", *(file.path for file in packing.files)}
        written = Packing.model_validate_json((folder / f"packings/{packing.name}/packing.json").read_bytes())
        assert written == packing
    assert found == listed | {"README.md", "manifest.json", "summary.parquet"}
    assert Manifest.model_validate_json((folder / "manifest.json").read_bytes()) == published.manifest
    assert sum(published.manifest.domains.values()) == published.manifest.tokens


def test_parquet_is_made_for_streaming_readers(tmp_path: Path) -> None:
    for part in range(100):
        lines = "".join(f"{n} {n * 7919 % 10007}\n" for n in range(part * 2500, part * 2500 + 2500))
        write(tmp_path / f"input/numbers{part}.txt", lines)
    manifest = run_tiny(tmp_path / "store", tmp_path / "input")
    assert manifest.tokens > TOKENS_PER_ROW_GROUP
    (file,) = manifest.files
    parquet = pq.ParquetFile(corpus_folder(tmp_path / "store", manifest) / file.path)
    groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
    assert len(groups) == -(-manifest.tokens // TOKENS_PER_ROW_GROUP)
    for group in groups:
        tokens = group.column(1)
        assert tokens.path_in_schema == "tokens.list.element"
        assert tokens.num_values <= 1.02 * TOKENS_PER_ROW_GROUP
        assert tokens.compression == "ZSTD"
        assert not {"PLAIN_DICTIONARY", "RLE_DICTIONARY"} & set(tokens.encodings)


def test_rows_give_back_every_kept_document_once(published: Published) -> None:
    check_documents(published.store, published.manifest)
    texts = documents_of(published.store, published.manifest)
    special = texts.filter(pc.equal(texts["path"], "docs/special.md"))
    assert special["tokens"][0].as_py() == encoding().encode_ordinary(special["text"][0].as_py())


def test_rows_of_several_files_give_back_every_kept_document_once(several: tuple[Path, Manifest]) -> None:
    store, manifest = several
    assert sum(file.path.startswith("data/python/") for file in manifest.files) > 1
    check_documents(store, manifest)
    datasets = pytest.importorskip("datasets")
    streamed = datasets.load_dataset(str(corpus_folder(store, manifest)), split="train", streaming=True)
    assert sum(len(row["tokens"]) for row in streamed) == manifest.tokens
    table = documents_of(store, manifest)
    assert "empty.py" in table.filter(table["keep"])["path"].to_pylist()


def check_documents(store: Path, manifest: Manifest) -> None:
    """Every kept document stands in the files exactly once and whole, every dropped one nowhere."""
    table = documents_of(store, manifest)
    wanted = {
        row["document_id"]: [*row["tokens"], manifest.end_of_document]
        for row in table.select(["document_id", "tokens", "keep"]).to_pylist()
        if row["keep"]
    }
    found: dict[bytes, list[int]] = {}
    for file in manifest.files:
        rows = pq.read_table(corpus_folder(store, manifest) / file.path).to_pylist()
        assert len(rows) == file.rows
        for row in rows:
            assert row["document_id"] not in found
            assert row["num_tokens"] == len(row["tokens"])
            found[row["document_id"]] = row["tokens"]
    assert found == wanted
    assert sum(len(tokens) for tokens in found.values()) == manifest.tokens
