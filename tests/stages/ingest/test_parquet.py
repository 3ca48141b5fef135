import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SourceError
from stages.ingest import parquet
from stages.ingest.parquet import ParquetConfig
from stages.ingest.raw import Limits
from tests.builders import scan_all
from tests.stages.ingest.planned import read_planned, summary

CORPORA = Path(__file__).parents[3].parent / "shared/corpora"
TEXTS = ["one", "zwei ü", None, "", "last"]
EXPECTED = [b"one", "zwei ü".encode(), None, b"", b"last"]


def read(folder: Path, table: pa.Table, *, write: dict[str, object] | None = None, **config: object) -> pa.Table:
    pq.write_table(table, folder / "a.parquet", **(write or {}))
    return read_planned(parquet.SOURCE, ParquetConfig(paths=(str(folder / "a.parquet"),), **config), folder)


def scan_error(folder: Path, table: pa.Table, **config: str) -> str:
    with pytest.raises(SourceError) as caught:
        read(folder, table, **config)
    return str(caught.value)


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)  # fmt: skip
def test_text_of_any_type(tmp_path: Path, kind: pa.DataType) -> None:
    table = read(tmp_path, pa.table({"text": pa.array(TEXTS, pa.string()).cast(kind)}))
    problems = [None, None, "broken-record", None, None]
    members = ["0", "1", "2", "3", "4"]
    rows = zip(members, EXPECTED, problems, strict=True)
    assert summary(table) == [("a.parquet", member, content, problem) for member, content, problem in rows]
    assert table["size"].to_pylist() == [len(text or b"") for text in EXPECTED]
    digests = [None if text is None else hashlib.sha256(text).digest() for text in EXPECTED]
    assert table["content_hash"].to_pylist() == digests


def test_columns_are_mapped(tmp_path: Path) -> None:
    source = pa.table(
        {
            "code": [{"text": "x"}, {"text": "y"}, None],
            "repo": pa.array(["o/r", None, "pypi:p"]).dictionary_encode(),
            "rev": ["1", None, "2"],
            "file": ["/a/../b.py", None, "ok.py"],
            "n": [7, 8, None],
            "lang": pa.array(["C", None, "Go"], pa.string_view()),
            "lic": ["MIT", None, None],
        }
    )
    table = read(
        tmp_path, source, text_column="code.text", origin_column="repo", revision_column="rev", path_column="file",
        id_column="n", language_column="lang", license_column="lic",
    )  # fmt: skip
    assert table.drop_columns(["size", "content_hash", "content", "problem"]).to_pydict() == {
        "origin": ["source:o/r", "file:a.parquet", "pypi:p"],
        "revision": ["1", "", "2"],
        "path": ["a/b.py", "a.parquet", "ok.py"],
        "member": ["7", "8", "2"],
        "language": ["C", None, "Go"],
        "license": ["MIT", None, None],
        "license_from": ["column", None, None],
    }
    assert table["content"].to_pylist() == [b"x", b"y", None]


def test_a_path_names_a_row_alone_and_a_missing_one_is_numbered(tmp_path: Path) -> None:
    table = read(tmp_path, pa.table({"text": ["x", "y"], "path": ["a", None]}), path_column="path")
    assert [row[:2] for row in summary(table)] == [("a", None), ("a.parquet", "1")]


def test_damaged_names_become_text(tmp_path: Path) -> None:
    names = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a\xff", b"b"], pa.binary()).buffers())
    table = read(tmp_path, pa.table({"text": ["x", "y"], "path": names}), path_column="path")
    assert table["path"].to_pylist() == ["a\N{REPLACEMENT CHARACTER}", "b"]


def test_large_texts_are_not_kept(tmp_path: Path) -> None:
    table = read(tmp_path, pa.table({"text": ["x" * 10, "y" * 11]}), limits=Limits(max_document_bytes=10))
    assert table["problem"].to_pylist() == [None, "oversize"]
    assert table["size"].to_pylist() == [10, 11]


@pytest.mark.parametrize("rows_per_group", [10, 100, 1_000])
@pytest.mark.parametrize("dictionary", [True, False])
def test_row_groups_are_joined_and_cut(tmp_path: Path, rows_per_group: int, dictionary: bool) -> None:
    texts = [f"{number} " + "text " * (number % 50) for number in range(1_000)]
    write = {"row_group_size": rows_per_group, "use_dictionary": dictionary}
    limits = Limits(shard_bytes=20_000)
    table = read(tmp_path, pa.table({"text": texts}), write=write, limits=limits)
    assert table["content"].to_pylist() == [text.encode() for text in texts]
    assert table["member"].to_pylist() == [str(number) for number in range(1_000)]
    units = scan_all(parquet.SOURCE, ParquetConfig(paths=(str(tmp_path / "a.parquet"),), limits=limits), tmp_path)
    assert len(units) == (1 if rows_per_group == 1_000 else 10 if rows_per_group == 100 else len(units))
    sizes = [part.bytes + part.rows * 128 for unit in units for part in unit.parts]
    assert max(sizes) <= 22_000
    assert len(sizes) > 8


def test_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, pa.table({"text": pa.array([], pa.string())})).num_rows == 0


def test_columns_that_are_missing_or_of_the_wrong_type_are_errors(tmp_path: Path) -> None:
    table = pa.table({"content": ["x"], "n": [1], "nested": [{"a": 1}], "list": [["x"]]})
    message = scan_error(tmp_path, table)
    listed = "content (string), n (int64), nested (struct<a: int64>), list (list<element: string>)"
    assert "a.parquet has no column 'text' (text_column)" in message
    assert f"the columns are: {listed}; name one of them" in message
    message = scan_error(tmp_path, table, text_column="n")
    assert "text_column='n' is int64, expected strings or bytes" in message
    assert "set text_column to" in message
    assert "'nested.b'" in scan_error(tmp_path, table, text_column="nested.b")
    assert "is int64" in scan_error(tmp_path, table, text_column="nested.a")
    assert "'none' (the column for path)" in scan_error(tmp_path, table, text_column="content", path_column="none")
    assert "expected strings or numbers" in scan_error(tmp_path, table, text_column="content", path_column="list")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"x" * 500 + b"PAR1", b"no parquet" * 100])
def test_what_is_no_parquet_is_one_row(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(data)
    table = read_planned(parquet.SOURCE, ParquetConfig(paths=(str(tmp_path / "a.parquet"),)), tmp_path)
    assert summary(table) == [("a.parquet", None, None, "corrupt")]
    assert table["size"].to_pylist() == [len(data)]


def test_a_damaged_page_costs_the_rows_after_it(tmp_path: Path) -> None:
    texts = [f"{number} " + "text" * 2_500 for number in range(4_000)]
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts}), file, row_group_size=1_000, compression="none", use_dictionary=False)
    third = pq.read_metadata(file).row_group(2).column(0).data_page_offset
    data = bytearray(file.read_bytes())
    data[third : third + 40] = b"\xff" * 40
    file.write_bytes(data)
    table = read_planned(parquet.SOURCE, ParquetConfig(paths=(str(file),)), tmp_path)
    assert table.num_rows == 4_000
    assert table["member"].to_pylist() == [str(number) for number in range(4_000)]
    problems = table["problem"].to_pylist()
    read_rows = problems.index("corrupt")
    assert 1_000 <= read_rows <= 2_000
    assert problems == [None] * read_rows + ["corrupt"] * (4_000 - read_rows)


def test_a_small_file_cannot_fill_the_memory(tmp_path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), pa.array(["x" * 500_000]))
    limits = Limits(shard_bytes=1_000_000)
    table = read(tmp_path, pa.table({"text": texts}), limits=limits)
    (unit,) = scan_all(parquet.SOURCE, ParquetConfig(paths=(str(tmp_path / "a.parquet"),), limits=limits), tmp_path)
    problems = table["problem"].to_pylist()
    assert (tmp_path / "a.parquet").stat().st_size < 600_000
    assert set(problems) == {None, "bomb"}
    assert table.filter(pa.compute.is_valid(table["content"]))["size"].to_pylist() == [500_000] * problems.count(None)
    assert problems.count(None) == 8 * len(unit.parts) == 16


def test_the_content_of_the_file_is_its_identity(tmp_path: Path) -> None:
    identities = []
    for folder, text in (("x", "a"), ("y", "a"), ("z", "b")):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"text": [text]}), tmp_path / folder / "a.parquet")
        (unit,) = scan_all(parquet.SOURCE, ParquetConfig(paths=(str(tmp_path / folder),)), tmp_path)
        identities.append(unit.identity)
    assert identities[0] == identities[1] != identities[2]


@pytest.mark.skipif(not CORPORA.exists(), reason="the test corpora are not here")
def test_real_code(tmp_path: Path) -> None:
    config = ParquetConfig(
        paths=(str(CORPORA / "code/scala.parquet"), str(CORPORA / "code/cpp.parquet")),
        text_column="content", origin_column="repo", revision_column="commit", path_column="path",
        language_column="language", license_column="license", limits=Limits(shard_bytes=8_000_000),
    )  # fmt: skip
    table = read_planned(parquet.SOURCE, config, tmp_path)
    names = ["cpp", "scala"]
    expected = pa.concat_tables([pq.read_table(CORPORA / f"code/{name}.parquet") for name in names])
    assert table["content"].to_pylist() == [text.encode() for text in expected["content"].to_pylist()]
    assert table["path"].to_pylist() == expected["path"].to_pylist()
    assert table["size"].to_pylist() == expected["size"].to_pylist()
    assert table["member"].null_count == table.num_rows
