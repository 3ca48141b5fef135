"""Training sequences from published files alone, against a slow twin that follows the index row by row."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.packing import sequences
from jobs.packing.packings import METHODS, Method, PackingConfig
from jobs.packing.sequences import Version, open_version
from pipeline import catalog
from pipeline.errors import NotFoundError
from pipeline.storage import LocalStorage
from schemas.corpus import SEQUENCES
from tests.jobs.packing.versions import PADDING, data_of, write_version


def slow_sequences(data: pa.Table, index: pa.Table, length: int) -> list[dict[str, Any]]:
    documents, rows = data.to_pylist(), []
    for entry in index.to_pylist():
        row: dict[str, Any] = {name: [] for name in SEQUENCES.names}
        for number, start, count in zip(entry["document"], entry["start"], entry["length"], strict=True):
            row["document_start"].append(len(row["tokens"]))
            row["cu_seqlens"].append(len(row["tokens"]))
            row["document_offset"].append(start)
            row["document_id"].append(documents[number]["document_id"])
            row["tokens"] += documents[number]["tokens"][start : start + count]
        row["loss_mask"] = [True] * len(row["tokens"])
        row["cu_seqlens"].append(len(row["tokens"]))
        if length > len(row["tokens"]):
            row["cu_seqlens"].append(length)
            row["loss_mask"] += [False] * (length - len(row["tokens"]))
            row["tokens"] += [PADDING] * (length - len(row["tokens"]))
        rows.append(row)
    return rows


lists = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=20), max_size=12)


@settings(max_examples=25, deadline=None)
@given(
    one=lists,
    other=lists,
    method=st.sampled_from(METHODS),
    length=st.sampled_from([0, 2, 5, 16, 64]),
    batch_rows=st.integers(1, 5),
)
def test_sequences_are_what_the_index_says(
    one: list[list[int]],
    other: list[list[int]],
    method: Method,
    length: int,
    batch_rows: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("version")
    config = PackingConfig(method=method if length else "document", sequence_length=length)
    write_version(folder, {"c": one, "go": other}, config)
    version = open_version(folder)
    for domain, documents in {"c": one, "go": other}.items():
        index = pq.read_table(folder / f"packings/{config.name}/{domain}/part-00000.parquet")
        tables = list(version.sequences(config.name, [domain], batch_rows=batch_rows))
        assert all(table.schema.equals(SEQUENCES) and 0 < table.num_rows <= batch_rows for table in tables)
        found = [row for table in tables for row in table.to_pylist()]
        assert found == slow_sequences(data_of(documents, domain), index, length)
        (file,) = version.files(config.name, [domain])
        rest = version.file_sequences(version.packing(config.name), file, first_row=2, batch_rows=batch_rows)
        assert [row for table in rest for row in table.to_pylist()] == found[2:]
    stored = [row["tokens"] for table in version.documents() for row in table.to_pylist()]
    assert stored == [*one, *other]


@pytest.mark.parametrize(
    ("length", "most", "sizes", "rows"),
    [(16, 39, [16, 9, 1, 5, 7], [2, 2, 1]), (0, 39, [20, 16, 30, 50, 8], [2, 1, 1, 1])],
)
def test_tables_of_long_sequences_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, most: int, sizes: list[int], rows: list[int]
) -> None:
    config = PackingConfig(method="document", sequence_length=length)
    write_version(tmp_path, {"c": [[n] * size for n, size in enumerate(sizes)]}, config)
    (whole,) = open_version(tmp_path).sequences(config.name)
    monkeypatch.setattr(sequences, "TABLE_TOKENS", most)
    tables = list(open_version(tmp_path).sequences(config.name))
    assert [table.num_rows for table in tables] == rows
    assert [row for table in tables for row in table.to_pylist()] == whole.to_pylist()


def test_a_version_is_opened_from_a_storage_too(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    storage = LocalStorage(tmp_path_factory.mktemp("store"))
    manifest = open_version(folder).manifest
    sources = {}
    for path in (path for path in folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        storage.write(f"shards/{name}", path.read_bytes())
        sources[name] = f"shards/{name}"
    packing = catalog.packing_bytes(manifest.packings[0])
    catalog.publish(storage, manifest, {"packings/best-fit-16/packing.json": packing}, sources)
    assert tables_of(open_version(storage, "mill@1")) == tables_of(open_version(folder))
    assert open_version(storage, "mill").name == "mill@1"
    assert open_version(storage.url(""), "mill@1").url("manifest.json").endswith("/corpora/mill/1/manifest.json")
    with pytest.raises(NotFoundError, match="no store at"):
        open_version(folder / "nothing", "mill@1")


def tables_of(version: Version) -> list[dict[str, Any]]:
    return [row for table in version.sequences("best-fit-16") for row in table.to_pylist()]


def test_names_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    version = open_version(folder)
    assert version.packings() == ["best-fit-16"]
    with pytest.raises(NotFoundError, match="mill@1 has no packing 'best-fit-8'; it has: best-fit-16"):
        next(version.sequences("best-fit-8"))
    with pytest.raises(NotFoundError, match="mill@1 has no domain 'rust'; it has: c, go"):
        next(version.sequences("best-fit-16", ["c", "rust"]))
    with pytest.raises(NotFoundError, match="mill@1 has no domain 'rust'"):
        next(version.documents(["rust"]))
    with pytest.raises(NotFoundError, match=r"gone holds no manifest\.json"):
        open_version(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
    with pytest.raises(ValueError, match="batch_rows must be at least 1"):
        next(version.sequences("best-fit-16", batch_rows=0))
    (folder / "data/c/part-00000.parquet").unlink()
    with pytest.raises(NotFoundError, match="is not there, though the manifest lists it"):
        next(version.sequences("best-fit-16"))


def test_a_row_of_many_tokens_is_copied_as_fast_as_memory(folder: Path) -> None:
    """Documents of 100,000 tokens end to end, cut at 4,096, come back as they were."""
    documents = [np.arange(100_000, dtype=np.int32).tolist(), [5] * 50_000]
    write_version(folder, {"c": documents}, PackingConfig(method="concatenate", sequence_length=4096))
    tables = list(open_version(folder).sequences("concatenate-4096", batch_rows=16))
    tokens = np.concatenate([table["tokens"].combine_chunks().values.to_numpy() for table in tables])
    mask = np.concatenate(
        [table["loss_mask"].combine_chunks().values.to_numpy(zero_copy_only=False) for table in tables]
    )
    assert tokens[mask].tolist() == documents[0] + documents[1]
