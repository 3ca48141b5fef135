"""Exports: whole or not there, the same from any batches, resumed file by file, checked by reading them again."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.export import transfer as transfers
from jobs.export.command import FORMATS
from jobs.export.layout import Format, Layout, Rows, Unit
from jobs.export.ragged import Ragged, Tally, ragged
from jobs.export.transfer import MARKER, transfer, verify
from pipeline.errors import CorruptShardError, PublishError, RecipeError, SiteError
from schemas.corpus import SEQUENCES
from tests.jobs.export.rows import batches_of, make_rows, units_of

UNITS = [*units_of([30, 1, 12]), *units_of([7], "text")]
ALL = ("tokens", "document_id", "document_start", "document_offset", "cu_seqlens", "loss_mask")


def layout_of(fmt: Format, row_tokens: int = 700) -> Layout:
    """All columns where the format has them, files cut small."""
    columns = ("tokens",) if fmt.name == "megatron" else ALL
    return Layout(columns=columns, row_tokens=row_tokens, part_bytes=1 << 16)


def export(fmt: Format, to: Path, *, step: int = 5, layout: Layout | None = None, identity: str = "x") -> int:
    """Units that were there before."""
    layout = layout or layout_of(fmt)
    _, kept = transfer(
        fmt, layout, UNITS, lambda u: batches_of(u, layout.row_tokens, step), to, {"of": identity}, lambda *_: None
    )
    return kept


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=list(FORMATS))
def fmt(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


def test_an_export_is_the_same_from_any_batches(fmt: Format, tmp_path: Path) -> None:
    for row_tokens in (700, 0):
        layout = layout_of(fmt, row_tokens)
        export(fmt, tmp_path / f"small{row_tokens}", step=1, layout=layout)
        export(fmt, tmp_path / f"large{row_tokens}", step=1000, layout=layout)
        assert contents(tmp_path / f"small{row_tokens}") == contents(tmp_path / f"large{row_tokens}")


def test_what_is_there_already_stays(fmt: Format, tmp_path: Path) -> None:
    assert export(fmt, tmp_path / "out") == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert export(fmt, tmp_path / "out") == len(UNITS)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    with pytest.raises(PublishError, match="holds another export"):
        export(fmt, tmp_path / "out", identity="y")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


class StoppedError(Exception):
    """As if the process had been killed."""


@pytest.mark.parametrize("stopped_at", [0, 1, 2, 3])
def test_a_stopped_export_goes_on_with_the_next_file(fmt: Format, tmp_path: Path, stopped_at: int) -> None:
    layout, stop = layout_of(fmt), UNITS[stopped_at]

    def until(unit: Unit) -> Iterator[Rows]:
        batches = batches_of(unit, 700, 1)
        yield next(batches)
        if unit is stop:
            raise StoppedError
        yield from batches

    with pytest.raises(StoppedError):
        transfer(fmt, layout, UNITS, until, tmp_path / "out", {"of": "x"}, lambda *_: None)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.partial").exists() == (stopped_at > 0)
    if stopped_at:
        with pytest.raises(PublishError, match="unfinished export of something else"):
            export(fmt, tmp_path / "out", identity="y")
    assert export(fmt, tmp_path / "out") == stopped_at
    export(fmt, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_two_at_once_are_refused(fmt: Format, tmp_path: Path) -> None:
    def twice(unit: Unit) -> Iterator[Rows]:
        with pytest.raises(PublishError, match="another process is writing"):
            export(fmt, tmp_path / "out")
        return batches_of(unit, 700, 5)

    transfer(fmt, layout_of(fmt), UNITS, twice, tmp_path / "out", {"of": "x"}, lambda *_: None)
    export(fmt, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("moment", ["_claim", "_locked"])
def test_what_another_process_finishes_meanwhile_is_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    fmt, step = FORMATS["mds"], getattr(transfers, moment)

    def late(*given: object) -> object:
        monkeypatch.undo()
        if moment == "_claim":
            step(*given)
        export(fmt, tmp_path / "out")
        return step(*given) if moment == "_locked" else None

    monkeypatch.setattr(transfers, moment, late)
    assert export(fmt, tmp_path / "out") == len(UNITS)
    export(fmt, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_a_stop_before_the_last_rename_is_made_good(fmt: Format, tmp_path: Path) -> None:
    export(fmt, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.partial")
    (tmp_path / ".out.partial/.progress").mkdir()
    assert export(fmt, tmp_path / "out") == len(UNITS)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out/.progress").exists()


def test_reading_again_notices_any_changed_byte(fmt: Format, tmp_path: Path) -> None:
    layout = layout_of(fmt)
    export(fmt, tmp_path / "out")
    assert [unit.rows for unit in verify(fmt, layout, tmp_path / "out")] == [30, 1, 12, 7]
    rng = np.random.default_rng(0)
    for path in sorted((tmp_path / "out").rglob("*")):
        if not path.is_file() or path.name in (MARKER, "README.md", "index.json"):
            continue
        data = path.read_bytes()
        for at in (0, len(data) - 1, *rng.integers(0, len(data), 3).tolist()):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            if fmt.name == "datasets" and verifies(fmt, layout, tmp_path / "out"):
                continue  # statistics and the like: bytes of Parquet that hold no value
            with pytest.raises(CorruptShardError, match=r"read.* back"):
                verify(fmt, layout, tmp_path / "out")
        path.write_bytes(data)
    assert len(verify(fmt, layout, tmp_path / "out")) == len(UNITS)


def verifies(fmt: Format, layout: Layout, to: Path) -> bool:
    """Whether it reads back; only then may a changed byte not matter."""
    try:
        verify(fmt, layout, to)
    except CorruptShardError:
        return False
    return True


def test_reading_again_notices_a_changed_value_and_a_lost_file(fmt: Format, tmp_path: Path) -> None:
    layout = layout_of(fmt)
    export(fmt, tmp_path / "out")
    unit = verify(fmt, layout, tmp_path / "out")[-1]
    (tmp_path / "out" / unit.parts[0].file).unlink()
    with pytest.raises(CorruptShardError, match=unit.source):
        verify(fmt, layout, tmp_path / "out")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    fmt = FORMATS["mds"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(PublishError, match="holds no export of gristmill"):
        export(fmt, tmp_path / "mine")
    (tmp_path / "mine" / MARKER).write_text("[]")
    with pytest.raises(PublishError, match="is not of gristmill"):
        export(fmt, tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError, match="holds no export of gristmill"):
        export(fmt, tmp_path / "file")
    with pytest.raises(SiteError, match="cannot write"):
        export(fmt, tmp_path / "file/out")
    (tmp_path / ".other.partial").mkdir()
    (tmp_path / ".other.partial/notes.txt").write_text("mine")
    with pytest.raises(PublishError, match="is in the way"):
        export(fmt, tmp_path / "other")
    (tmp_path / "empty").mkdir()
    assert export(fmt, tmp_path / "empty") == 0


def test_a_file_with_other_rows_than_announced_is_refused(fmt: Format, tmp_path: Path) -> None:
    def short(unit: Unit) -> Iterator[Rows]:
        return batches_of(units_of([5])[0], 700, 2)

    with pytest.raises((CorruptShardError, ValueError), match="rows"):
        transfer(fmt, layout_of(fmt), units_of([6]), short, tmp_path / "out", {}, lambda *_: None)
    with pytest.raises((CorruptShardError, ValueError), match="rows"):
        transfer(fmt, layout_of(fmt), units_of([4]), short, tmp_path / "other", {}, lambda *_: None)
    assert not (tmp_path / "out").exists()


def test_an_export_that_fails_before_its_first_file_leaves_room_for_another(fmt: Format, tmp_path: Path) -> None:
    def broken(unit: Unit) -> Iterator[Rows]:
        raise StoppedError

    with pytest.raises(StoppedError):
        transfer(fmt, layout_of(fmt), UNITS, broken, tmp_path / "out", {"of": "x"}, lambda *_: None)
    assert list(tmp_path.iterdir()) == []
    assert export(fmt, tmp_path / "out", identity="y") == 0


@pytest.mark.parametrize("fitting", [0, 1])
def test_ids_that_do_not_fit_two_bytes_are_refused(tmp_path: Path, fitting: int) -> None:
    """Also after files with ids that fit: going on there would never end well."""

    def batches(unit: Unit) -> Iterator[Rows]:
        return batches_of(unit, 64, 50, highest=100 if unit.number < fitting else 70_000)

    units, to = units_of([50, 50]), tmp_path / "out"
    layout = Layout(columns=("tokens",), row_tokens=64, id_type="uint16")
    with pytest.raises(RecipeError, match="do not fit uint16; use int32"):
        transfer(FORMATS["megatron"], layout, units, batches, to, {"of": "uint16"}, lambda *_: None)
    assert list(tmp_path.iterdir()) == []
    transfer(FORMATS["megatron"], layout_of(FORMATS["megatron"], 64), units, batches, to, {}, lambda *_: None)
    assert (to / MARKER).exists()


def test_rows_are_dealt_to_files_of_equal_size(tmp_path: Path) -> None:
    layout = Layout(columns=ALL, row_tokens=64, files_per_part=4)
    transfer(
        FORMATS["datasets"],
        layout,
        units_of([30, 2]),
        lambda u: batches_of(u, 64, 7),
        tmp_path / "out",
        {},
        lambda *_: None,
    )
    files = sorted((tmp_path / "out/data/python").iterdir())
    assert [pq.read_metadata(file).num_rows for file in files] == [7, 8, 7, 8, 0, 1, 0, 1]
    verify(FORMATS["datasets"], layout, tmp_path / "out")


def test_row_groups_hold_a_million_tokens(tmp_path: Path) -> None:
    layout = Layout(columns=("tokens",), row_tokens=4096)
    transfer(
        FORMATS["datasets"],
        layout,
        units_of([700]),
        lambda u: batches_of(u, 4096, 99),
        tmp_path / "out",
        {},
        lambda *_: None,
    )
    parquet = pq.ParquetFile(tmp_path / "out/data/python/part-00000.parquet")
    assert [parquet.metadata.row_group(n).num_rows for n in range(parquet.num_row_groups)] == [256, 256, 188]


def test_a_tally_is_the_same_for_any_batching() -> None:
    rows = make_rows(40, 0, seed=3)
    digests = []
    for step in (1, 7, 40):
        tally = Tally(ALL)
        for start in range(0, 40, step):
            tally.add({name: column.rows(start, min(40, start + step)) for name, column in rows.items()})
        digests.append((tally.rows, tally.tokens, tally.digests()))
    assert digests[0] == digests[1] == digests[2]
    moved = Ragged(rows["tokens"].offsets + (np.arange(41) == 1), rows["tokens"].values)
    other = Tally(ALL)
    other.add({**rows, "tokens": moved})
    assert other.digests()["tokens"] != digests[0][2]["tokens"]


def test_columns_come_from_any_slice_and_chunks_of_a_table() -> None:
    values = {
        "tokens": [[1, 2], [3], [4, 5, 6]],
        "document_id": [[b"a" * 16], [b"b" * 16, b"c" * 16], [b"d" * 16]],
        "document_start": [[0], [0, 1], [0]],
        "document_offset": [[0], [0, 1], [0]],
        "cu_seqlens": [[0, 2], [0, 1], [0, 3]],
        "loss_mask": [[True, False], [True], [True, True, False]],
    }
    table = pa.table(values, schema=SEQUENCES)
    table = pa.concat_tables([table.slice(1, 1), table.slice(2, 1)])
    assert ragged(table, "tokens").values.tolist() == [3, 4, 5, 6]
    assert ragged(table, "tokens").offsets.tolist() == [0, 1, 4]
    assert ragged(table, "loss_mask").values.tolist() == [1, 1, 1, 0]
    assert ragged(table, "document_id").values.tobytes() == b"b" * 16 + b"c" * 16 + b"d" * 16
    assert ragged(table, "document_id").lengths.tolist() == [32, 16]
    assert ragged(table.slice(0, 0), "tokens").offsets.tolist() == [0]
    documents = pa.table({"document_id": pa.array([b"a" * 16, b"b" * 16], pa.binary(16))}).slice(1)
    assert ragged(documents, "document_id").values.tobytes() == b"b" * 16
    with pytest.raises(CorruptShardError, match="1 nulls"):
        ragged(pa.table({"tokens": pa.array([[1], None], pa.list_(pa.int32()))}), "tokens")
    with pytest.raises(CorruptShardError, match="1 nulls"):
        ragged(pa.table({"tokens": pa.array([[1, None]], pa.list_(pa.int32()))}), "tokens")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"columns": ("document_id",)}, "expected tokens"),
        ({"columns": ("tokens", "tokens")}, "each once"),
        ({"columns": ("tokens", "text")}, "expected tokens"),
        ({"columns": ("tokens",), "part_bytes": 10}, "part_bytes must be"),
        ({"columns": ("tokens",), "part_bytes": 1 << 31}, "part_bytes must be"),
        ({"columns": ("tokens",), "files_per_part": 0}, "files_per_part must be"),
        ({"columns": ("tokens",), "id_type": "int64"}, "id_type must be"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Layout(row_tokens=0, **settings)  # type: ignore[arg-type]


def test_the_marker_says_what_is_there(tmp_path: Path) -> None:
    export(FORMATS["litdata"], tmp_path / "out")
    said = json.loads((tmp_path / "out" / MARKER).read_text())
    assert said["of"] == "x"
    for unit in said["units"]:
        for part in unit["parts"]:
            assert (tmp_path / "out" / part["file"]).stat().st_size == part["bytes"]
