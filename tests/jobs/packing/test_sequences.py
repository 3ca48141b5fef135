"""Training sequences from published files alone, against a slow twin that follows the index row by row."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.packing.methods import pack_rows
from jobs.packing.packings import METHODS, Method, PackingConfig, packing_of
from jobs.packing.sequences import Version, open_version
from pipeline import catalog
from pipeline.errors import CorruptShardError, NotFoundError
from pipeline.parquet import parquet_bytes
from pipeline.storage import LocalStorage
from schemas.corpus import DATA, PACKING, SEQUENCES
from schemas.manifest import FileEntry, Manifest, Record

PADDING = 99
Domains = dict[str, list[list[int]]]


def data_of(documents: list[list[int]], domain: str) -> pa.Table:
    values = {
        "document_id": [
            hashlib.blake2b(f"{domain}{n}".encode(), digest_size=16).digest() for n in range(len(documents))
        ],
        "tokens": documents,
        "num_tokens": [len(d) for d in documents],
        "group": list(range(len(documents))),
    }
    return pa.table(values, schema=DATA)


def write_table(folder: Path, path: str, table: pa.Table, rows_per_group: int = 3) -> Record:
    data = bytes(parquet_bytes(table, rows_per_group=rows_per_group))
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)
    lists = [len(row) for row in table[1].to_pylist()]
    tokens = sum(table["num_tokens"].to_pylist())
    return Record(
        key=path,
        step="step",
        file=path,
        sha256=hashlib.sha256(data).hexdigest(),
        file_bytes=len(data),
        rows=table.num_rows,
        base=path,
        exact=True,
        libraries={},
        counters={"tokens": tokens, "pieces": sum(lists)},
    )


def write_version(folder: Path, domains: Domains, *configs: PackingConfig) -> Manifest:
    """A version's folder with these packings."""
    paths = {domain: f"data/{domain}/part-00000.parquet" for domain in domains}
    data = {domain: data_of(documents, domain) for domain, documents in domains.items()}
    files, packings = [], []
    for domain, path in paths.items():
        made = write_table(folder, path, data[domain])
        common = {name: getattr(made, name) for name in ("key", "sha256", "file_bytes", "rows")}
        files.append(FileEntry(path=path, tokens=made.counters["tokens"], **common))
    for config in configs:
        records = []
        for number, (domain, path) in enumerate(paths.items()):
            sizes = (data[domain][name].to_numpy() for name in ("num_tokens", "group"))
            index = pack_rows(*sizes, method=config.method, sequence_length=config.sequence_length, key=number)
            records.append(write_table(folder, path.replace("data", f"packings/{config.name}"), index))
        packings.append(packing_of(config.name, config, PADDING, list(paths.values()), records))
        (folder / f"packings/{config.name}/packing.json").write_bytes(catalog.packing_bytes(packings[-1]))
    manifest = Manifest(
        name="mill",
        version="1",
        identity="x",
        recipe="tiny",
        parameters={},
        vocabulary="cl100k_base",
        end_of_document=PADDING,
        documents=sum(file.rows for file in files),
        tokens=sum(file.tokens for file in files),
        domains={},
        languages={},
        licenses={},
        files=files,
        packings=packings,
        sources=[],
        funnel=[],
        steps=[],
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return manifest


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [[n % 7] * (3 * n + 1) for n in range(20)]
    write_version(tmp_path, {"c": documents, "go": documents}, PackingConfig(sequence_length=16))
    return tmp_path


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


def replaced(column: str, change: Callable[[list[list[int]]], object]) -> Callable[[pa.Table], pa.Table]:
    def damage(table: pa.Table) -> pa.Table:
        lists = table[column].to_pylist()
        change(lists)
        return table.set_column(
            table.schema.get_field_index(column), PACKING.field(column), pa.array(lists, PACKING.field(column).type)
        )

    return damage


DAMAGES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "document": (
        replaced("document", lambda rows: rows[1].__setitem__(0, 20)),
        "row 1: piece of .* document 20 is not",
    ),
    "negative": (
        replaced("document", lambda rows: rows[0].__setitem__(0, -1)),
        "row 0: piece of .* is not in the data",
    ),
    "start": (
        replaced("start", lambda rows: rows[2].__setitem__(0, 1 << 30)),
        "row 2: piece of .* from token 1073741824",
    ),
    "length": (replaced("length", lambda rows: rows[0].__setitem__(0, 2**31 - 1)), "row 0: piece of 2147483647 tokens"),
    "empty": (replaced("length", lambda rows: rows[0].__setitem__(0, 0)), "row 0: piece of 0 tokens"),
    "lists": (replaced("length", lambda rows: rows[0].append(1)), "lists of equal lengths"),
    "null": (replaced("start", lambda rows: rows.__setitem__(0, None)), "without nulls"),  # type: ignore[call-overload]
    "rows": (lambda table: table.slice(1), "must have 37 rows"),
    "columns": (lambda table: table.rename_columns(["a", "b", "c", "d"]), "has other columns than document, start"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_index_is_refused(name: str, folder: Path) -> None:
    damage, message = DAMAGES[name]
    path = folder / "packings/best-fit-16/c/part-00000.parquet"
    path.write_bytes(parquet_bytes(damage(pq.read_table(path))))
    with pytest.raises(CorruptShardError, match=message):
        next(open_version(folder).sequences("best-fit-16"))


def test_a_row_longer_than_the_packing_says_is_refused(folder: Path) -> None:
    path = folder / "packings/best-fit-16/packing.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sequence_length": 15}))
    with pytest.raises(CorruptShardError, match="has 16 tokens; expected 1 to 15"):
        next(open_version(folder).sequences("best-fit-16"))


def test_data_that_is_not_what_the_manifest_says_is_refused(folder: Path) -> None:
    path = folder / "data/c/part-00000.parquet"
    whole = pq.read_table(path)
    for damaged in (whole.slice(1), pa.concat_tables([whole, whole]), whole.take(pa.array([0] * 20))):
        path.write_bytes(parquet_bytes(damaged.cast(DATA)))
        with pytest.raises(CorruptShardError, match="the manifest says 20 rows and 590 tokens"):
            next(open_version(folder).sequences("best-fit-16"))
    for name in ("manifest.json", "packings/best-fit-16/packing.json"):
        written = (folder / name).read_text()
        for bad in ("../../up/data/part-00000.parquet", "/etc/passwd", "x"):
            listed = json.loads(written)
            listed["files"][0]["path"] = bad
            (folder / name).write_text(json.dumps(listed))
            with pytest.raises(CorruptShardError, match=r"json lists '.*'; expected .*/DOMAIN/part"):
                next(open_version(folder).sequences("best-fit-16"))
        (folder / name).write_text(written)
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CorruptShardError, match="cannot be read"):
        next(open_version(folder).sequences("best-fit-16"))
    (folder / "packings/best-fit-16/packing.json").write_text("{}")
    with pytest.raises(CorruptShardError, match=r"packing\.json is not what this version of gristmill writes"):
        next(open_version(folder).sequences("best-fit-16"))


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
