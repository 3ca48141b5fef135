"""`pack` adds a packing to a published version; `trace` leads from a sequence to the bytes of its sources."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.packing.command import add_packing
from jobs.packing.packings import Method
from jobs.packing.provenance import show_trace, text_ranges, token_borders
from jobs.packing.sequences import Version, open_version
from pipeline import catalog
from pipeline.errors import CorruptShardError, NotFoundError, PublishError, RecipeError
from pipeline.storage import LocalStorage
from schemas.corpus import PACKING
from stages.tokenization.pieces import Pieces
from tests.jobs.conftest import Published
from tests.jobs.invoke import documents_of, encoding
from tests.machine import digests


@pytest.fixture(scope="module")
def store(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of our own with the published version."""
    folder = tmp_path_factory.mktemp("own") / "store"
    shutil.copytree(published.store, folder)
    return folder


def pack(store: Path, length: int, method: Method = "best-fit", name: str = "", seed: int = 0) -> None:
    add_packing(
        corpus="tiny@1",
        sequence_length=length,
        method=method,
        name=name,
        seed=seed,
        site=None,
        store=str(store),
        as_json=False,
    )


def trace(store: Path, capsys: pytest.CaptureFixture[str], row: int, token: int | None = None, **names: str) -> Any:
    chosen = {"corpus": "tiny", "packing": "best-fit-64", "file": "python/part-00000"} | names
    show_trace(**chosen, row=row, token=token, site=None, store=str(store), as_json=True)
    return json.loads(capsys.readouterr().out)


def opened(store: Path) -> Version:
    return open_version(LocalStorage(store), "tiny@1")


def tokens_of(version: Version, packing: str) -> dict[bytes, list[int]]:
    """Tokens by document, put together again from the sequences of a packing."""
    found: dict[bytes, dict[int, int]] = {}
    for table in version.sequences(packing):
        for row in table.to_pylist():
            for number, document_id in enumerate(row["document_id"]):
                start, end = row["cu_seqlens"][number : number + 2]
                place = row["document_offset"][number]
                piece = dict(enumerate(row["tokens"][start:end], place))
                assert not piece.keys() & found.setdefault(document_id, {}).keys()
                found[document_id] |= piece
    return {document_id: [tokens[n] for n in range(len(tokens))] for document_id, tokens in found.items()}


def test_every_packing_holds_every_token_once_and_the_data_is_not_touched(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(store / "corpora")
    pack(store, 128)
    assert "packing best-fit-128: " in capsys.readouterr().out
    pack(store, 100, "concatenate")
    pack(store, 32, "document")
    pack(store, 0, "document", name="whole.documents")
    after = digests(store / "corpora")
    assert {name: after[name] for name in before} == before
    version = opened(store)
    added = ["best-fit-128", "concatenate-100", "document-32", "whole.documents"]
    assert version.packings() == sorted([*added, "best-fit-64"])
    documents = {row["document_id"]: row["tokens"] for t in version.documents() for row in t.to_pylist()}
    for name in version.packings():
        assert tokens_of(version, name) == documents
    claimed = catalog.packings(version.storage, version.manifest)
    assert [packing.name for packing in claimed] == ["best-fit-64", *added]
    assert claimed[1:] == [version.packing(name) for name in added]


def test_the_same_packing_again_is_already_there(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack(store, 48)
    assert "nothing was left to do" not in capsys.readouterr().out
    before = digests(store)
    pack(store, 48)
    assert "nothing was left to do" in capsys.readouterr().out
    pack(store, 64)
    assert "nothing was left to do" in capsys.readouterr().out, "the recipe has published it"
    with pytest.raises(PublishError, match="tiny@1 has another packing best-fit-48: best-fit, 48 tokens, seed 0"):
        pack(store, 48, seed=1)
    with pytest.raises(PublishError, match="tiny@1 has another packing best-fit-64"):
        pack(store, 60, name="best-fit-64")
    left = {name: value for name, value in digests(store).items() if name.startswith(("corpora", "catalog"))}
    assert left == {name: value for name, value in before.items() if name.startswith(("corpora", "catalog"))}


def test_a_claim_without_its_files_is_completed(store: Path) -> None:
    pack(store, 56)
    folder = store / "corpora/tiny/1/packings/best-fit-56"
    whole = digests(folder)
    shutil.rmtree(folder)
    assert "best-fit-56" not in opened(store).packings()
    pack(store, 56)
    assert digests(folder) == whole


def test_bad_settings_are_refused(store: Path) -> None:
    for length, method, name, message in (
        (1, "best-fit", "", "sequence_length must be 0"),
        (0, "concatenate", "", "sequence_length 0 needs the packing method document"),
        (8, "best-fit", "../up", "name '../up' must be 1 to 100 of"),
    ):
        with pytest.raises(RecipeError, match=message):
            pack(store, length, method, name)  # type: ignore[arg-type]


def test_bytes_of_a_trace_are_the_bytes_of_its_tokens(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version, program = opened(store), encoding()
    table = documents_of(store, version.manifest)
    texts = dict(zip(table["document_id"].to_pylist(), table["text"].to_pylist(), strict=True))
    for domain in ("python", "markdown"):
        rows = [row for t in version.sequences("best-fit-64", [domain]) for row in t.to_pylist()]
        for number in range(0, len(rows), 7):
            row, found = rows[number], trace(store, capsys, number, file=domain)
            assert found["tokens"] == sum(row["loss_mask"])
            assert found["tokens"] + found["padding"] == 64
            for piece, document_id in zip(found["pieces"], row["document_id"], strict=True):
                assert piece["document_id"] == document_id.hex()
                tokens = row["tokens"][slice(*piece["position"])]
                end = tokens.pop() if piece["is_end"] else None
                assert end in (None, version.manifest.end_of_document)
                text = texts[document_id].encode()
                data = b"".join(text[slice(*pair)] for pair in piece["bytes"])
                assert data == program.decode_bytes(tokens)


def test_a_trace_of_one_token(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = opened(store)
    row = next(version.sequences("best-fit-64", ["python"])).to_pylist()[2]
    (piece,) = trace(store, capsys, 2, 5)["pieces"]
    assert piece["position"] == [5, 6]
    assert piece["document_tokens"][1] - piece["document_tokens"][0] == 1
    ((start, end),) = piece["bytes"]
    assert end - start == len(encoding().decode_single_token_bytes(row["tokens"][5]))
    data = pq.read_table(store / "corpora/tiny/1" / piece["data"]).slice(piece["data_row"], 1).to_pylist()[0]
    assert data["document_id"].hex() == piece["document_id"]
    assert data["tokens"][piece["document_tokens"][0]] == row["tokens"][5]


@pytest.mark.parametrize(("column", "value"), [("start", -1), ("length", 0), ("length", 1000)])
def test_a_piece_that_is_not_in_its_document_is_an_error(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, value: int
) -> None:
    own = tmp_path / "store"
    shutil.copytree(store, own, symlinks=True)
    path = own / "corpora/tiny/1/packings/best-fit-64/markdown/part-00000.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0][column][0] = value
    path.unlink()
    pq.write_table(pa.Table.from_pylist(rows, schema=PACKING), path)
    with pytest.raises(CorruptShardError, match=r"best-fit-64/markdown/part-00000.parquet names tokens"):
        trace(own, capsys, 0, file="markdown")


def test_what_a_trace_prints(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_trace(
        corpus="tiny@1", packing="best-fit-64", file="markdown/part-00000.parquet", row=0, token=None, site=None,
        store=str(store), as_json=False,
    )  # fmt: skip
    out = capsys.readouterr().out
    assert out.startswith("tiny@1 best-fit-64, packings/best-fit-64/markdown/part-00000.parquet, row 0: ")
    assert "bytes of the text: " in out


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"row": 100_000}, "has no row 100000; it has"),
        ({"row": 0, "file": "part-00000"}, "has [2-9] files 'part-00000'; it has: "),
        ({"row": 0, "file": "cobol"}, "has 0 files 'cobol'"),
        ({"row": 0, "packing": "gone"}, "tiny@1 has no packing 'gone'"),
        ({"row": 0, "token": 64}, "token 64 is outside the row"),
    ],
)
def test_what_is_not_there(
    wanted: dict[str, Any], message: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotFoundError, match=message):
        trace(store, capsys, **wanted)


def test_a_text_that_is_not_the_bytes_of_its_tokens_has_no_borders() -> None:
    pieces = Pieces(offsets=np.array([0, 1, 3, 3]), data=np.frombuffer(b"abc", np.uint8))

    def borders(ids: list[int], data: bytes) -> list[int] | None:
        found = token_borders(np.array(ids, np.int32), pieces, data)
        return None if found is None else found.tolist()

    assert borders([0, 1, 0], b"abca") == [0, 1, 3, 4]
    assert borders([7, 1, 2, 0], b"bca") == [0, 0, 2, 2, 3]
    assert borders([], b"") == [0]
    assert borders([0, 1, 0], b"abcb") is None
    assert borders([0, 1, 0], b"abc") is None
    spaced = Pieces(offsets=np.array([0, 2, 3]), data=np.frombuffer(b" ab", np.uint8))
    found = token_borders(np.array([0, 1], np.int32), spaced, b"ab")
    assert found is not None
    assert found.tolist() == [0, 1, 2]
    assert token_borders(np.array([0, 1], np.int32), spaced, b"ac") is None


def test_tokens_of_a_document_that_was_cut_are_the_beginning_of_its_text() -> None:
    pieces = Pieces(offsets=np.array([0, 2, 3]), data=np.frombuffer(b" ab", np.uint8))

    def borders(ids: list[int], data: bytes) -> list[int] | None:
        found = token_borders(np.array(ids, np.int32), pieces, data, is_whole=False)
        return None if found is None else found.tolist()

    assert borders([0, 1], b"ab and more") == [0, 1, 2]
    assert borders([0, 1], b" ab and more") == [0, 2, 3]
    assert borders([1], b"b") == [0, 1]
    assert borders([], b"any") == [0]
    assert borders([1], b"a text") is None
    assert borders([0, 1], b"a") is None


def test_ranges_of_a_text_whose_parts_stand_in_another_order() -> None:
    order = [(6, 10), (0, 4), (4, 6)]
    data = "".join("0123456789"[a:b] for a, b in order)
    for start in range(11):
        for end in range(start, 11):
            found = text_ranges(order, start, end)
            assert "".join("0123456789"[a:b] for a, b in found) == data[start:end]
