"""Files of a version that are damaged or not what the manifest says are refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.packing.sequences import open_version
from pipeline.errors import CorruptShardError, NotFoundError
from pipeline.parquet import parquet_bytes
from schemas.corpus import DATA, PACKING


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


@pytest.mark.parametrize("name", ["data/go/part-00000.parquet", "packings/best-fit-16/c/part-00000.parquet"])
def test_verifying_notices_any_changed_byte(name: str, folder: Path) -> None:
    version = open_version(folder)
    version.verify()
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CorruptShardError, match=rf"{name} has SHA-256"):
        version.verify()
    (folder / name).unlink()
    with pytest.raises(NotFoundError, match="is not there"):
        version.verify()


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
    whole_bytes = bytes(parquet_bytes(whole))
    for data in (
        b"PAR1 and nothing else",
        whole_bytes[:200],
        whole_bytes[:4] + bytes(len(whole_bytes) // 2 - 4) + whole_bytes[len(whole_bytes) // 2 :],
        whole_bytes.replace(b"document_id", b"docum\xfant_id"),
    ):
        path.write_bytes(data)
        with pytest.raises(CorruptShardError, match="cannot be read"):
            next(open_version(folder).sequences("best-fit-16"))
    (folder / "packings/best-fit-16/packing.json").write_text("{}")
    with pytest.raises(CorruptShardError, match=r"packing\.json is not what this version of gristmill writes"):
        next(open_version(folder).sequences("best-fit-16"))
