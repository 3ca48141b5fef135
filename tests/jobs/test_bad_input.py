"""Hostile and broken input through the whole command: every document keeps a row with its reason, or the command says
which file is at fault and what to do about it."""

import gzip
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
import zstandard

from schemas.manifest import Manifest
from tests.jobs.conftest import write
from tests.jobs.invoke import check_nothing_lost, corpus_folder, documents_of, invoke, run_tiny
from tests.machine import ROOT, gristmill
from tests.stages.ingest.archives import add, tar_bytes

BAD_BYTES = ROOT.parent / "shared" / "corpora" / "bad_bytes"


def test_odd_files_of_a_folder(tmp_path: Path) -> None:
    source = tmp_path / "input"
    contents = {
        "good.py": b"print('good')\n",
        "latin.py": "# déjà vu, naïve café, Straße, señor\n".encode("latin-1") * 20,
        "utf16.py": "print('two bytes each')\n".encode("utf-16"),
        "bom.py": b"\xef\xbb\xbfprint('mark')\n",
        "damaged.py": b"print('fine')\n" * 50 + b"\xff\xfe\xfa\n" + b"print('fine')\n" * 50,
        "nul.py": b"x = 1\0\0\0\0\x01\x02" * 100,
        "zeros.txt": bytes(10_000),
        "empty.py": b"",
        "empty.txt": b"",
        "crlf.py": b"a = 1\r\nb = 2\r\n",
        "new\nline.py": b"print('name')\n",
        "over.py": b"x = 1\n" * 20_000,
    }
    source.mkdir()
    for name, content in contents.items():
        (source / name).write_bytes(content)
    (source / os.fsdecode(b"not-utf8-\xff.py")).write_bytes(b"print('odd name')\n")
    (source / "nowhere.py").symlink_to("gone.py")
    (source / "loop.py").symlink_to("loop.py")
    (source / "folder-loop").symlink_to(".")
    (source / "outside.py").symlink_to("/etc/passwd")
    (source / "good-link.py").symlink_to("good.py")
    os.mkfifo(source / "pipe.py")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(source / "socket.py"))
    manifest = run_tiny(tmp_path / "store", f"{source}?max_document_bytes=100000")
    problems = check_nothing_lost(tmp_path / "store", manifest)
    assert len(problems) == len(list(source.iterdir()))
    assert {path: problem for path, problem in problems.items() if problem} == {
        "nul.py": "binary",
        "zeros.txt": "binary",
        "over.py": "oversize",
        "nowhere.py": "broken-link",
        "loop.py": "broken-link",
        "outside.py": "broken-link",
        "folder-loop": "link",
        "good-link.py": "link",
        "pipe.py": "link",
        "socket.py": "link",
    }
    table = documents_of(tmp_path / "store", manifest)
    texts = dict(zip(table["path"].to_pylist(), table["text"].to_pylist(), strict=True))
    assert texts["utf16.py"] == "print('two bytes each')\n"
    assert texts["crlf.py"] == "a = 1\r\nb = 2\r\n"
    for row in table.filter(pc.is_valid(table["text"])).select(["path", "text", "encoding", "raw"]).to_pylist():
        if row["path"] in contents:
            assert (row["raw"] or row["text"].encode(row["encoding"])) == contents[row["path"]]


@pytest.mark.skipif(not BAD_BYTES.is_dir(), reason="needs the corpus bad_bytes")
@pytest.mark.parametrize("executor", ["--local", pytest.param("--workers=2", marks=pytest.mark.ray)])
def test_real_bad_bytes(executor: str, tmp_path: Path) -> None:
    line = ("run", "tiny", executor, "--json", "--store", tmp_path / "store", "--source", BAD_BYTES)
    ended = gristmill(*line)
    assert ended.code == 0, ended.err
    manifest = Manifest.model_validate(ended.json["manifest"])
    problems = check_nothing_lost(tmp_path / "store", manifest)
    assert set(problems) == {path.name for path in BAD_BYTES.iterdir()}
    table = documents_of(tmp_path / "store", manifest)
    sizes = dict(zip(table["path"].to_pylist(), table["size"].to_pylist(), strict=True))
    assert sizes == {path.name: path.stat().st_size for path in BAD_BYTES.iterdir()}
    for row in table.select(["path", "text", "encoding", "raw"]).to_pylist():
        if row["text"] is not None:
            content = (BAD_BYTES / row["path"]).read_bytes()
            assert (row["raw"] or row["text"].encode(row["encoding"])) == content, row["path"]


@pytest.mark.parametrize("size", [100_000_000, pytest.param(1_000_000_000, marks=pytest.mark.slow)])
def test_a_huge_single_line(size: int, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    with (source / "line.json").open("wb") as file:
        for _ in range(size // 1_000_000):
            file.write(b"0123456789" * 100_000)
    write(source / "good.py", "print('good')\n")
    manifest = run_tiny(tmp_path / "store", source)
    assert check_nothing_lost(tmp_path / "store", manifest) == {"good.py": None, "line.json": "oversize"}
    assert manifest.documents == 1
    raised = run_tiny(tmp_path / "store", f"{source}?max_document_bytes={size}")
    assert check_nothing_lost(tmp_path / "store", raised) == {"good.py": None, "line.json": None}
    assert {e.step: e.reasons for e in raised.funnel}["select"] == {"short-lines": 1}


def test_hostile_archives(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        add(tar, "../../etc/evil.py", b"print('out')\n")
        add(tar, "/tmp/absolute.py", b"print('absolute')\n")
        add(tar, "fine.py", b"print('fine')\n")
        add(tar, "link.py", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    (source / "traversal.tar").write_bytes(out.getvalue())
    with zipfile.ZipFile(source / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb.txt", bytes(50_000_000))
        packed.writestr("../up.py", b"print('up')\n")
        packed.writestr("inside.py", b"print('inside')\n")
    good = gzip.compress(tar_bytes({f"m{n}.py": os.urandom(2000).hex().encode() for n in range(20)}))
    (source / "truncated.tar.gz").write_bytes(good[: len(good) // 2])
    (source / "garbage.zip").write_bytes(b"this is no archive" * 100)
    (source / "garbage.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + os.urandom(500))
    (source / "empty.tar.gz").write_bytes(b"")
    (source / "bomb.tar.gz").write_bytes(gzip.compress(tar_bytes({"zeros.txt": bytes(30_000_000), "z.py": b"z = 1\n"})))
    manifest = run_tiny(tmp_path / "store", f"archive:{source}/*")
    problems = check_nothing_lost(tmp_path / "store", manifest)
    table = documents_of(tmp_path / "store", manifest)
    origins = set(table["origin"].to_pylist())
    assert {path.name for path in source.iterdir()} <= {origin.partition(":")[2] for origin in origins}
    found = list(problems.values())
    for problem in ("unsafe-path", "bomb", "truncated", "corrupt", "link"):
        assert problem in found, problems
    assert {"fine.py", "inside.py"} <= set(table.filter(table["keep"])["path"].to_pylist())
    assert not any(path.startswith(("/", "..")) for path in table["path"].to_pylist())
    assert not (tmp_path / "etc").exists()


def test_broken_lines_of_jsonl(tmp_path: Path) -> None:
    rows = [
        json.dumps({"text": "one good text"}).encode(),
        b"{not json",
        b"",
        b"[1, 2]",
        json.dumps({"other": "no text"}).encode(),
        json.dumps({"text": 17}).encode(),
        json.dumps({"text": None}).encode(),
        b'{"text": "bytes \xff\xfe"}',
        b'{"text": "nul \\u0000 inside"}',
        b'{"text": "\\ud800 alone"}',
        json.dumps({"text": "the last, without a newline"}).encode(),
    ]
    (tmp_path / "lines.jsonl").write_bytes(b"\n".join(rows))
    manifest = run_tiny(tmp_path / "store", f"jsonl:{tmp_path}/lines.jsonl")
    problems = check_nothing_lost(tmp_path / "store", manifest)
    assert len(problems) == len([row for row in rows if row])
    assert sum(problem == "broken-record" for problem in problems.values()) >= 5
    table = documents_of(tmp_path / "store", manifest)
    kept = table.filter(table["keep"])["text"].to_pylist()
    assert {"one good text", "the last, without a newline"} <= set(kept)


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_truncated_stream_of_jsonl(suffix: str, tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"text": f"text {n} " + os.urandom(40).hex()}).encode() + b"\n" for n in range(500))
    packed = gzip.compress(lines) if suffix == "gz" else zstandard.compress(lines)
    (tmp_path / f"cut.jsonl.{suffix}").write_bytes(packed[: len(packed) // 2])
    (tmp_path / f"whole.jsonl.{suffix}").write_bytes(packed)
    manifest = run_tiny(tmp_path / "store", f"jsonl:{tmp_path}/*.jsonl.{suffix}")
    problems = check_nothing_lost(tmp_path / "store", manifest)
    cut = {name: problem for name, problem in problems.items() if name.startswith("cut.")}
    assert list(cut.values()).count("truncated") == 1
    assert len([name for name in problems if name.startswith("whole.")]) == 500


MISTAKEN_TABLES = {
    "missing": (pa.table({"body": ["a"]}), "text"),
    "integers": (pa.table({"text": [1, 2]}), "text"),
    "lists": (pa.table({"text": [["a"]]}), "text"),
}


@pytest.mark.parametrize("name", MISTAKEN_TABLES)
def test_a_parquet_file_without_the_column(name: str, tmp_path: Path) -> None:
    table, column = MISTAKEN_TABLES[name]
    pq.write_table(table, tmp_path / f"{name}.parquet")
    ended = invoke("run", "tiny", "--local", "--store", tmp_path / "store", "--source", tmp_path / f"{name}.parquet")
    assert ended.code == 3
    assert f"{name}.parquet" in ended.err
    assert column in ended.err
    assert "Traceback" not in ended.err


def test_damaged_parquet_files(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    texts = [f"text {n} " + os.urandom(200).hex() for n in range(2000)]
    pq.write_table(pa.table({"text": texts}), source / "good.parquet")
    data = (source / "good.parquet").read_bytes()
    (source / "cut.parquet").write_bytes(data[: len(data) // 2])
    (source / "garbage.parquet").write_bytes(os.urandom(3000))
    (source / "empty.parquet").write_bytes(b"")
    flipped = bytearray(data)
    flipped[len(data) // 3 : len(data) // 3 + 2000] = os.urandom(2000)
    (source / "flipped.parquet").write_bytes(bytes(flipped))
    manifest = run_tiny(tmp_path / "store", f"parquet:{source}/*.parquet")
    check_nothing_lost(tmp_path / "store", manifest)
    table = documents_of(tmp_path / "store", manifest)
    reasons = {}
    for path, problem in zip(table["path"].to_pylist(), table["problem"].to_pylist(), strict=True):
        reasons.setdefault(path, set()).add(problem)
    assert set(reasons) == {path.name for path in source.iterdir()}
    assert reasons["good.parquet"] == {None}
    assert all(None not in reasons[name] for name in ("cut.parquet", "garbage.parquet", "empty.parquet"))
    assert "corrupt" in reasons["flipped.parquet"]


def test_only_empty_files_make_an_empty_corpus_that_loads(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py"):
        write(tmp_path / "input" / name, "")
    manifest = run_tiny(tmp_path / "store", tmp_path / "input")
    check_nothing_lost(tmp_path / "store", manifest)
    assert (manifest.documents, manifest.tokens) == (0, 0)
    datasets = pytest.importorskip("datasets")
    folder = str(corpus_folder(tmp_path / "store", manifest))
    assert list(datasets.load_dataset(folder, split="train", streaming=True)) == []
    assert pads.dataset(f"{folder}/data", format="parquet").count_rows() == 0


needs_setpriv = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads everything, and setpriv is missing"
)


@needs_setpriv
def test_what_the_system_refuses_to_read(tmp_path: Path) -> None:
    source = tmp_path / "input"
    write(source / "good.py", "print('good')\n")
    write(source / "secret.py", "print('secret')\n")
    write(source / "locked/inside.py", "print('inside')\n")
    (source / "secret.py").chmod(0)
    (source / "locked").chmod(0)
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
    line = [sys.executable, "-m", "jobs.cli", "run", "tiny", "--local", "--json", "--store", str(tmp_path / "store")]
    try:
        done = subprocess.run(
            [*prefix, *line, "--source", str(source)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    finally:
        (source / "locked").chmod(0o755)
    if "setpriv:" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    manifest = Manifest.model_validate(json.loads(done.stdout)["manifest"])
    problems = check_nothing_lost(tmp_path / "store", manifest)
    assert problems == {"good.py": None, "secret.py": "unreadable", "locked": "unreadable"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "gristmill-test", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("executor", ["--local", pytest.param("--workers=2", marks=pytest.mark.ray)])
def test_a_full_disk_ends_the_run_and_space_lets_it_go_on(executor: str, small_disk: Path, tmp_path: Path) -> None:
    source = tmp_path / "input"
    for number in range(16):
        write(source / f"m{number}.txt", os.urandom(150_000).hex())
    line = ("run", "tiny", executor, "--store", small_disk / "store", "--source", f"{source}?shard_bytes=100000")
    line = (*line, "--max-line-chars", 1_000_000)
    ended = gristmill(*line)
    assert ended.code == 5, ended.err
    assert f"no space left on the disk of {small_disk}" in ended.err
    assert "free some and run the same command again" in ended.err
    assert "Traceback" not in ended.err
    assert not list((small_disk / "store").rglob("*/.*-*"))
    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
    again = gristmill(*line, "--local", "--json")
    assert again.code == 0, again.err
    assert again.json["steps"]["documents"]["resumed"] > 0
    fresh = run_tiny(tmp_path / "fresh", f"{source}?shard_bytes=100000", max_line_chars=1_000_000)
    assert again.json["manifest"]["identity"] == fresh.identity


def test_a_file_that_changes_between_scan_and_reading_fails_its_shard_only(tmp_path: Path) -> None:
    """The scan lists the files; one shrinks before it is read."""
    for number in range(4):
        write(tmp_path / f"input/m{number}.py", f"x = {number}\n" * 100)
    recipe = tmp_path / "changing.py"
    write(recipe, CHANGING)
    line = ("run", f"{recipe}:changing", "--local", "--store", tmp_path / "store", "--source", tmp_path / "input")
    ended = gristmill(*line)
    assert ended.code == 4
    assert "1 shard(s) failed, all others are committed" in ended.err
    assert "m2.py" in ended.err
    assert "Traceback" not in ended.err
    assert len(list((tmp_path / "store").glob("records/documents-*/*"))) == 3


CHANGING = """
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jobs.publish import Corpus
from jobs.recipes.tiny import tiny
from pipeline.ingest import Input
from pipeline.source import ScanContext, Unit
from stages.ingest import folder


def scan(config: folder.FolderConfig, context: ScanContext) -> Iterator[Unit]:
    units = list(folder.SOURCE.scan(config, context))
    Path(config.path, "m2.py").write_text("changed")
    yield from units


def changing(source: str) -> Corpus:
    made = tiny(source=[f"{source}?shard_bytes=500"])
    (given,) = made.documents.details["inputs"]
    changed = Input(source=replace(given.source, scan=scan), config=given.config)
    made.documents.details["inputs"] = (changed,)
    return made
"""


def test_the_sum_of_all_sources_adds_up(tmp_path: Path) -> None:
    write(tmp_path / "input/a.py", "print('a')\n")
    pq.write_table(pa.table({"text": ["b", None, ""]}), tmp_path / "rows.parquet")
    (tmp_path / "lines.jsonl").write_text('{"text": "c"}\n{"text": ""}\n{broken\n')
    (tmp_path / "packed.zip").write_bytes(b"PK")
    sources = (tmp_path / "input", tmp_path / "rows.parquet", tmp_path / "lines.jsonl", tmp_path / "packed.zip")
    manifest = run_tiny(tmp_path / "store", *sources)
    check_nothing_lost(tmp_path / "store", manifest)
    assert sum(source.documents for source in manifest.sources) == 1 + 3 + 3 + 1
    table = documents_of(tmp_path / "store", manifest)
    assert sorted(table.filter(table["keep"])["text"].to_pylist()) == ["b", "c", "print('a')\n"]
    assert pc.sum(table["size"]).as_py() == sum(source.bytes for source in manifest.sources)
