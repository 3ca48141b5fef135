import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SourceError
from stages.ingest import hub
from stages.ingest.hub import HubConfig
from stages.ingest.raw import Limits
from tests.builders import scan_all
from tests.stages.ingest.planned import read_planned

ROWS = 1_500
SMALL = Limits(shard_bytes=60_000)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))


def texts() -> Iterator[str]:
    return (f"document {number} " * (number % 20) for number in range(ROWS))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    folder.mkdir()
    records = [json.dumps({"text": text, "meta": {"file": f"f/{n}"}, "more": [1]}) for n, text in enumerate(texts())]
    (folder / "a.jsonl").write_text("\n".join(records[:700]))
    (folder / "b.jsonl").write_text("\n".join(records[700:]))
    return folder


def fetched(folder: Path) -> list[Path]:
    return sorted(folder.glob("downloads/*/part-*.parquet"))


def test_streams_a_local_dataset_into_shards(dataset: Path, tmp_path: Path) -> None:
    config = HubConfig(name=str(dataset), limits=SMALL)
    table = read_planned(hub.SOURCE, config, tmp_path)
    assert table["content"].to_pylist() == [text.encode() for text in texts()]
    assert table["member"].to_pylist() == [str(number) for number in range(ROWS)]
    assert set(table["origin"].to_pylist()) == {"hub:books"}
    assert set(table["path"].to_pylist()) == {"train"}
    assert len(fetched(tmp_path)) > 2
    assert pq.read_schema(fetched(tmp_path)[0]).names == ["text"]


def test_dotted_columns(dataset: Path, tmp_path: Path) -> None:
    table = read_planned(hub.SOURCE, HubConfig(name=str(dataset), path_column="meta.file", max_rows=3), tmp_path)
    assert table["path"].to_pylist() == ["f/0", "f/1", "f/2"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_builders_read_files(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"x.{kind}"
    rows = [f"row {number}" for number in range(10)]
    if kind == "csv":
        with file.open("w", newline="") as out:
            csv.writer(out).writerows([["text"], *([row] for row in rows)])
    else:
        pq.write_table(pa.table({"text": rows}), file)
    table = read_planned(hub.SOURCE, HubConfig(name=kind, data_files=(str(file),)), tmp_path)
    assert table["content"].to_pylist() == [row.encode() for row in rows]


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_fetch_that_was_cut_off_continues_with_the_same_result(dataset: Path, tmp_path: Path, kept: int) -> None:
    config = HubConfig(name=str(dataset), limits=SMALL)
    whole = [(unit.identity, unit.parts) for unit in scan_all(hub.SOURCE, config, tmp_path)]
    files = fetched(tmp_path)
    assert len(files) > kept + 1
    (files[0].parent / "finished.json").unlink()
    for file in files[kept:]:
        file.unlink()
    (files[0].parent / "part-000009.tmp").write_bytes(b"half a file")
    stamps = [file.stat().st_mtime_ns for file in files[:kept]]
    assert [(unit.identity, unit.parts) for unit in scan_all(hub.SOURCE, config, tmp_path)] == whole
    assert [file.stat().st_mtime_ns for file in files[:kept]] == stamps


def test_a_finished_fetch_is_not_repeated(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = HubConfig(name=str(dataset), max_rows=10)
    units = scan_all(hub.SOURCE, config, tmp_path)
    monkeypatch.setattr(hub, "_stream", lambda *_: pytest.fail("streamed again"))
    assert scan_all(hub.SOURCE, config, tmp_path) == units


def test_a_local_dataset_that_changed_is_fetched_again(dataset: Path, tmp_path: Path) -> None:
    config = HubConfig(name=str(dataset), max_rows=1)
    scan_all(hub.SOURCE, config, tmp_path)
    (dataset / "a.jsonl").write_text('{"text": "new"}')
    (dataset / "b.jsonl").write_text('{"text": "newer"}')
    assert read_planned(hub.SOURCE, config, tmp_path)["content"].to_pylist() == [b"new"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "nobody/nothing"}, "cannot be streamed.*check these names and the network"),
        ({"split": "nope"}, "nope.*train"),
        ({"text_column": "body"}, r"no column 'body'; the columns are: text \(string\).*name one of them"),
        ({"text_column": "more"}, "expected strings or bytes"),
    ],
)
def test_what_cannot_be_streamed_is_an_error(
    dataset: Path, tmp_path: Path, changes: dict[str, str], expected: str
) -> None:
    with pytest.raises(SourceError, match=expected):
        scan_all(hub.SOURCE, HubConfig(**{"name": str(dataset), **changes}), tmp_path)


@pytest.mark.parametrize("fields", [{"name": ""}, {"name": "a", "split": ""}, {"name": "a", "max_rows": 0}])
def test_unusable_configs_are_rejected(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        HubConfig(**fields)
