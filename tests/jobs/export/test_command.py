"""`gristmill export` of a published version: every token of it in every format, and what the command says."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.export import command
from jobs.export.command import FORMATS, ExportConfig, check_export, export, export_version
from jobs.export.ragged import ragged
from jobs.export.transfer import MARKER, verify
from jobs.packing import provenance
from jobs.packing.sequences import Version, open_version
from pipeline.errors import CorruptShardError, NotFoundError, PublishError, RecipeError
from pipeline.fingerprint import canonical
from stages.tokenization.encode import EncodeConfig
from tests.jobs.conftest import SEQUENCE_LENGTH, Published
from tests.jobs.invoke import corpus_folder

PACKING = f"best-fit-{SEQUENCE_LENGTH}"


@pytest.fixture(scope="module")
def version(published: Published) -> Version:
    return open_version(corpus_folder(published.store, published.manifest))


def rows_of(version: Version, to: Path, config: ExportConfig) -> dict[str, list[bytes]]:
    """Values of every column, row by row, as the export's own reader finds them."""
    layout = config.layout(config.contents(version))
    found: dict[str, list[bytes]] = {name: [] for name in layout.columns}
    for unit in verify(config.fmt, layout, to):
        for rows in config.fmt.read(layout, to, config.fmt.folder.format(domain=unit.domain), unit):
            for name, column in rows.items():
                cut = zip(column.offsets.tolist(), column.offsets.tolist()[1:], strict=False)
                found[name] += [column.values[start:stop].tobytes() for start, stop in cut]
    return found


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("packing", [PACKING, ""])
def test_every_token_of_a_version_is_in_its_export(version: Version, tmp_path: Path, name: str, packing: str) -> None:
    config = ExportConfig(format=name, packing=packing)
    units, kept = export(version, tmp_path / "out", config)
    assert kept == 0
    found = rows_of(version, tmp_path / "out", config)
    expected: dict[str, list[bytes]] = {column: [] for column in found}
    for table in version.sequences(packing) if packing else version.documents():
        for column in found:
            values = ragged(table, column)
            cut = zip(values.offsets.tolist(), values.offsets.tolist()[1:], strict=False)
            expected[column] += [values.values[start:stop].tobytes() for start, stop in cut]
    assert found == expected
    if not packing:
        assert sum(unit.tokens for unit in units) == version.manifest.tokens


def test_domains_and_columns_can_be_chosen(version: Version, tmp_path: Path) -> None:
    config = ExportConfig(format="mds", packing=PACKING, domains=("markdown",), columns=("tokens", "document_id"))
    units, _ = export(version, tmp_path / "out", config)
    assert {unit.domain for unit in units} == {"markdown"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [MARKER, "markdown"]
    assert set(rows_of(version, tmp_path / "out", config)) == {"tokens", "document_id"}
    with pytest.raises(PublishError, match="holds another export"):
        export(version, tmp_path / "out", ExportConfig(format="mds", packing=PACKING))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"format": "tfrecord"}, "expected one of megatron, mds, litdata, datasets"),
        ({"format": "mds", "columns": ("loss_mask",)}, "the others need a packing"),
        ({"format": "mds", "packing": "x", "columns": ("text",)}, "column 'text': there are tokens"),
        ({"format": "megatron", "columns": ("tokens", "document_id")}, "holds tokens only"),
        ({"format": "mds", "id_type": "uint16"}, "is of the format megatron, not mds"),
        ({"format": "mds", "files_per_part": 2}, "is of the format datasets, not mds"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ExportConfig(**settings)


def test_two_bytes_per_token_where_the_ids_fit(version: Version, tmp_path: Path) -> None:
    manifest = version.manifest
    assert command._id_type(manifest) == "int32"
    assert command._id_type(manifest.model_copy(update={"vocabulary": "unknown", "end_of_document": 2})) == "int32"
    small = manifest.model_copy(update={"vocabulary": "cl100k_base", "end_of_document": 2})
    assert command._id_type(small) == "int32"
    path = tmp_path / "bytes.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256)))
    chosen = EncodeConfig(
        vocabulary=str(path), vocabulary_sha256=hashlib.sha256(path.read_bytes()).hexdigest(), split="cl100k"
    )
    (tokens,) = (entry for entry in manifest.steps if entry.name == "tokens")
    step = tokens.model_copy(update={"config": canonical([("encode", 1, chosen)])})
    own = manifest.model_copy(update={"vocabulary": str(path), "end_of_document": 256, "steps": [step]})
    assert command._id_type(own) == "uint16"
    path.unlink()
    provenance._pieces_of.cache_clear()
    assert command._id_type(own) == "int32", "it is not at hand"


@pytest.mark.parametrize(
    ("changes", "padding", "highest"),
    [
        ({}, 0, 100_276),
        ({"vocabulary": "unknown"}, 0, 100_257),
        ({"vocabulary": "unknown", "end_of_document": 2}, 65_536, 65_536),
    ],
)
def test_ids_that_do_not_fit_are_known_from_the_manifest(
    version: Version, changes: dict[str, Any], padding: int, highest: int
) -> None:
    config = ExportConfig(format="megatron", packing=PACKING, id_type="uint16")
    contents = config.contents(version)
    assert contents.packing is not None
    manifest = version.manifest.model_copy(update=changes)
    other = replace(
        contents,
        version=replace(version, manifest=manifest),
        packing=contents.packing.model_copy(update={"padding": padding}),
    )
    with pytest.raises(ValueError, match=f"have ids up to {highest}, which do not fit uint16"):
        config.layout(other)
    small = manifest.model_copy(update={"vocabulary": "unknown", "end_of_document": 2})
    assert config.layout(replace(contents, version=replace(version, manifest=small), packing=None)).id_type == "uint16"


Command = Callable[..., None]


@pytest.fixture
def run(published: Published) -> Command:
    """The command with its defaults."""

    def call(fmt: str, to: Path, **changes: Any) -> None:
        given: dict[str, Any] = {
            "corpus": "tiny@1", "fmt": fmt, "packing": PACKING, "to": to, "domain": (), "column": (),
            "part_bytes": None, "files_per_part": None, "id_type": None, "check": False, "site": None,
            "store": str(published.store), "as_json": False,
        }  # fmt: skip
        export_version(**given | changes)

    return call


def test_the_command_says_what_it_wrote(
    run: Command, version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_REPORT_SECONDS", 0.0)
    run("litdata", tmp_path / "out", check=True)
    said = capsys.readouterr()
    assert f"tiny@1 as litdata: {tmp_path}/out, verified" in said.out
    assert "python" in said.out
    assert f"of {len(version.manifest.files)} files" in said.err
    run("litdata", tmp_path / "out", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["written"], told["kept"], told["verified"]) == (0, len(version.manifest.files), False)
    sequences = Counter({row["domain"]: row["rows"] for row in told["domains"]})
    assert sequences == {file.data.split("/")[1]: file.rows for file in version.files(PACKING)}


def test_the_command_refuses_what_is_not_there(run: Command, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="has no packing 'none'"):
        run("mds", tmp_path / "out", packing="none")
    with pytest.raises(NotFoundError, match="has no domain 'cobol'"):
        run("mds", tmp_path / "out", domain=("cobol",))
    with pytest.raises(RecipeError, match="holds tokens only"):
        run("megatron", tmp_path / "out", column=("tokens", "loss_mask"))
    with pytest.raises(RecipeError, match="part_bytes must be"):
        run("mds", tmp_path / "out", part_bytes=5)
    with pytest.raises(RecipeError, match="tokens of cl100k_base have ids up to 100276, which do not fit uint16; use"):
        run("megatron", tmp_path / "out", id_type="uint16")
    assert list(tmp_path.iterdir()) == []
    run("megatron", tmp_path / "out", id_type="int32")


def test_the_command_notices_what_does_not_read_back(
    run: Command, version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("megatron", tmp_path / "out", check=True)
    path = tmp_path / "out/python.bin"
    tokens = np.fromfile(path, "<i4")
    tokens[100] += 1
    tokens.tofile(path)
    with pytest.raises(CorruptShardError, match=r"data/python/part-00000.parquet reads back .* differ: tokens"):
        run("megatron", tmp_path / "out", check=True)
    with pytest.raises(CorruptShardError):
        check_export(version, tmp_path / "out", ExportConfig(format="megatron", packing=PACKING))


def test_files_for_many_ranks_hold_equal_rows(run: Command, tmp_path: Path) -> None:
    run("datasets", tmp_path / "out", files_per_part=4, check=True)
    for domain in (tmp_path / "out/data").iterdir():
        counts = [pq.read_metadata(path).num_rows for path in domain.iterdir()]
        assert len(counts) == 4
        assert max(counts) - min(counts) <= 1
