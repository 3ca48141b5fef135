import bz2
import gzip
import itertools
import json
import lzma
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceError
from stages.ingest import jsonl
from stages.ingest.jsonl import JsonlConfig
from stages.ingest.lines import split_lines
from stages.ingest.raw import Limits
from stages.ingest.streams import Stream
from tests.builders import read_units, scan_all
from tests.stages.ingest.planned import read_planned, summary

CORPORA = Path(__file__).parents[3].parent / "shared/corpora"
PACKERS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
LINES = b'{"text": "one"}\n\n{"text": "zwei \\u00fc", "n": 2}\r\n  \n{"text": ""}'


DEFAULT = Limits()


def configured(
    folder: Path, data: bytes, name: str = "a.jsonl", limits: Limits = DEFAULT, **columns: str
) -> JsonlConfig:
    (folder / name).write_bytes(data)
    return JsonlConfig(paths=(str(folder / name),), limits=limits, **columns)


def read(folder: Path, data: bytes, name: str = "a.jsonl", limits: Limits = DEFAULT, **columns: str) -> pa.Table:
    return read_planned(jsonl.SOURCE, configured(folder, data, name, limits, **columns), folder)


def records(count: int) -> bytes:
    return b"".join(b'{"text": "record %d %s"}\n' % (number, b"x" * (number % 97)) for number in range(count))


@pytest.mark.parametrize("suffix", PACKERS)
def test_reads_lines_and_counts_blank_ones(tmp_path: Path, suffix: str) -> None:
    name = f"a.jsonl{suffix}"
    table = read(tmp_path, PACKERS[suffix](LINES), name)
    texts = {"1": b"one", "3": "zwei ü".encode(), "5": b""}
    assert summary(table) == [(name, member, content, None) for member, content in texts.items()]
    assert set(table["origin"].to_pylist()) == {f"file:{name}"}
    assert table["license_from"].null_count == 3


def test_columns_are_mapped(tmp_path: Path) -> None:
    record = {"body": {"text": "t"}, "id": 7, "repo": "o/r", "rev": "abc", "file": "/src/../a.py"}
    record |= {"lang": "C", "lic": "MIT"}
    other = {"body": {"text": "u"}, "repo": "git:https://x", "file": "../b"}
    data = (json.dumps(record) + "\n" + json.dumps(other)).encode()
    table = read(
        tmp_path, data, text_column="body.text", id_column="id", origin_column="repo", revision_column="rev",
        path_column="file", language_column="lang", license_column="lic",
    )  # fmt: skip
    assert table.drop_columns(["size", "content_hash"]).to_pylist() == [
        {
            "origin": "source:o/r", "revision": "abc", "path": "src/a.py", "member": "7", "language": "C",
            "license": "MIT", "license_from": "column", "content": b"t", "problem": None,
        },
        {
            "origin": "git:https://x", "revision": "", "path": "b", "member": "2", "language": None,
            "license": None, "license_from": None, "content": b"u", "problem": None,
        },
    ]  # fmt: skip


def test_a_column_whose_name_has_a_dot_is_found(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"a.b": "x", "a": {"b": "y"}}', text_column="a.b")["content"].to_pylist() == [b"x"]


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[1]", b'"text"', b'{"text": 5}', b'{"text": null}', b'{"other": "x"}', b'{"text": "\xff"}',
        b'{"text": "\\ud800"}', b"[" * 5000, b'{"n": ' + b"9" * 5000 + b"}", b'{"text": "a"} x', b"\0\0",
    ],
)  # fmt: skip
def test_broken_records_are_rows(tmp_path: Path, line: bytes) -> None:
    table = read(tmp_path, b'{"text": "fine"}\n' + line + b'\n{"text": "too"}\n')
    assert table["problem"].to_pylist() == [None, "broken-record", None]
    assert table["member"].to_pylist() == ["1", "2", "3"]
    assert table["size"].to_pylist()[1] == len(line)


def test_odd_json_that_is_usable_is_used(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"text": "bom"}', b'{"text": "nan", "x": NaN, "y": -Infinity}', b'{"text": "a", "text": "last"}',
        b'{"text": "half a pair elsewhere", "id": "\\ud800", "x": NaN}', b'{"text": "pair \\ud83d\\ude00"}',
    ]  # fmt: skip
    table = read(tmp_path, b"\n".join(lines), id_column="id")
    expected = ["bom", "nan", "last", "half a pair elsewhere", "pair 😀"]
    assert table["content"].to_pylist() == [text.encode() for text in expected]
    assert table["member"].to_pylist() == ["1", "2", "3", "?", "5"]


def test_long_lines_are_counted_but_not_kept(tmp_path: Path) -> None:
    long = b'{"text": "' + b"x" * 3_000_000 + b'"}'
    data = b'{"text": "a"}\n' + long + b'\n{"text": "b"}\n' + long
    table = read(tmp_path, data, limits=Limits(max_document_bytes=100))
    assert table["problem"].to_pylist() == [None, "oversize", None, "oversize"]
    assert table["size"].to_pylist() == [1, len(long), 1, len(long)]


def test_a_long_line_takes_no_memory() -> None:
    blocks = itertools.chain((b"x" * 1_000_000 for _ in range(100)), itertools.repeat(b""))
    tracemalloc.start()
    try:
        assert list(split_lines(Stream(lambda _: next(blocks), "plain", DEFAULT), 1_000)) == [(None, 100_000_000)]
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz", ".bz2"])
def test_a_truncated_stream_keeps_its_whole_lines(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix](records(60_000))
    name = f"a.jsonl{suffix}"
    table = read(tmp_path, packed[: len(packed) * 9 // 10], name)
    whole = table.slice(0, table.num_rows - 1)
    assert summary(table)[-1] == (name, None, None, "truncated")
    assert whole["problem"].null_count == whole.num_rows < 60_000
    assert whole.num_rows > 0 or suffix == ".bz2"


def test_a_bomb_stops_with_a_row(tmp_path: Path) -> None:
    data = gzip.compress(b'{"text": "a"}\n' + b"\n" * 5_000_000)
    assert summary(read(tmp_path, data, "a.jsonl.gz"))[-1] == ("a.jsonl.gz", None, None, "bomb")


def test_garbage_is_rows_or_a_row(tmp_path: Path) -> None:
    assert read(tmp_path, b"no json\nat all\n")["problem"].to_pylist() == ["broken-record"] * 2
    assert summary(read(tmp_path, b"\x1f\x8bgarbage", "a.gz")) == [("a.gz", None, None, "corrupt")]
    assert read(tmp_path, b"").num_rows == 0
    assert read(tmp_path, b"\n\n \n").num_rows == 0


def test_a_file_without_the_text_column_is_an_error(tmp_path: Path) -> None:
    config = configured(tmp_path, b'broken\n{"content": "x", "n": 1}\n' * 200)
    with pytest.raises(SourceError) as caught:
        scan_all(jsonl.SOURCE, config, tmp_path)
    message = str(caught.value)
    assert all(part in message for part in ("a.jsonl", "'text'", "content (str), n (int)", "set text_column to"))
    with pytest.raises(SourceError, match="'n'; the columns are: content"):
        scan_all(jsonl.SOURCE, configured(tmp_path, b'{"content": "x", "n": 1}', text_column="n"), tmp_path)


def test_a_plain_file_is_cut_into_units_and_a_packed_one_into_parts(tmp_path: Path) -> None:
    data = records(2_000)
    limits = Limits(shard_bytes=50_000)
    plain = configured(tmp_path, data, limits=limits)
    packed = configured(tmp_path, gzip.compress(data), "a.jsonl.gz", limits)
    units, (unit,) = scan_all(jsonl.SOURCE, plain, tmp_path), scan_all(jsonl.SOURCE, packed, tmp_path)
    assert len(units) > 5
    assert [part for each in units for part in each.parts] == list(unit.parts)
    assert all(part.bytes <= 50_000 for part in unit.parts)
    assert sum(part.bytes for part in unit.parts) == len(data) - 2_000
    tables = [read_planned(jsonl.SOURCE, config, tmp_path) for config in (plain, packed)]
    assert tables[0]["content"].equals(tables[1]["content"])
    assert tables[0]["member"].to_pylist() == [str(number) for number in range(1, 2_001)]


def test_lines_added_to_a_plain_file_leave_the_units_before(tmp_path: Path) -> None:
    limits = Limits(shard_bytes=50_000)
    before = scan_all(jsonl.SOURCE, configured(tmp_path, records(2_000), limits=limits), tmp_path)
    after = scan_all(jsonl.SOURCE, configured(tmp_path, records(2_500), limits=limits), tmp_path)
    assert [unit.identity for unit in after[: len(before) - 1]] == [unit.identity for unit in before[:-1]]
    assert len(after) > len(before)


def test_what_is_mapped_is_part_of_identity(tmp_path: Path) -> None:
    data = b'{"text": "a", "t": "b"}'
    mappings: list[dict[str, str]] = [{}, {"text_column": "t"}, {"id_column": "t"}]
    configs = [configured(tmp_path, data, **mapping) for mapping in mappings]
    assert len({scan_all(jsonl.SOURCE, config, tmp_path)[0].identity for config in configs}) == 3


def test_a_file_that_changed_is_an_error(tmp_path: Path) -> None:
    for data in (records(5), records(5_000)):
        config = configured(tmp_path, gzip.compress(records(1_000)), "a.jsonl.gz")
        units = scan_all(jsonl.SOURCE, config, tmp_path)
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data))
        with pytest.raises(SourceError, match="changed since it was scanned"):
            read_units(jsonl.SOURCE, config, units, tmp_path)


@pytest.mark.parametrize("columns", [{"text_column": ""}, {"id_column": ""}])
def test_empty_column_names_are_rejected(columns: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must n"):
        JsonlConfig(paths=("a",), **columns)


@given(st.lists(st.binary(max_size=30)), st.integers(0, 12))
def test_split_lines_is_split_whatever_the_blocks(blocks: list[bytes], max_bytes: int) -> None:
    blocks = [block for block in blocks if block]
    rest = itertools.chain(blocks, itertools.repeat(b""))
    found = list(split_lines(Stream(lambda _: next(rest), "plain", Limits()), max_bytes))
    lines = b"".join(blocks).split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    assert found == [(line if len(line) <= max_bytes else None, len(line)) for line in lines]


@pytest.mark.skipif(not CORPORA.exists(), reason="the test corpora are not here")
def test_real_text(tmp_path: Path) -> None:
    config = JsonlConfig(
        paths=(str(CORPORA / "text/text.jsonl.zst"),), id_column="id", license_column="license",
        limits=Limits(shard_bytes=16_000_000),
    )  # fmt: skip
    table = read_planned(jsonl.SOURCE, config, tmp_path)
    assert table.num_rows == 13_877
    assert table["problem"].null_count == table.num_rows
    with zstandard.open(CORPORA / "text/text.jsonl.zst", "rt", encoding="utf-8", newline="\n") as file:
        expected = [json.loads(line) for line in file]
    assert table["content"].to_pylist() == [record["text"].encode() for record in expected]
    assert table["member"].to_pylist() == [record["id"] for record in expected]
    assert pc.all(pc.equal(table["license_from"], "column")).as_py()
