"""Both storages keep the same contract; the bucket is a real S3 server on this machine."""

import errno
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from pipeline import catalog
from pipeline.errors import CorruptShardError, SiteError
from pipeline.site_file import StoreSite
from pipeline.storage import LocalStorage, ObjectStorage, Storage, open_storage
from pipeline.store import Made, Shard, Store
from tests.machine import ROOT, gristmill, made_of, write_sources

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server with the bucket `mill`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket="mill")
    client.close()
    yield url
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> StoreSite:
    """A place of one's own in the bucket."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return StoreSite(path=f"s3://mill/tests/{secrets.token_hex(8)}", endpoint=endpoint)


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(StoreSite(path=str(tmp_path / "store")))
    return open_storage(request.getfixturevalue("bucket"))


def test_what_is_written_is_read(storage: Storage) -> None:
    storage.write("a/b/one", b"first")
    storage.write("a/b/one", pa.py_buffer(b"second, longer"))
    assert storage.read("a/b/one") == b"second, longer"
    with storage.open("a/b/one") as file:
        file.seek(8)
        assert file.read(6) == b"longer"
    storage.write("empty", b"")
    assert storage.read("empty") == b""


def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from pipeline.storage import LocalStorage;"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL); LocalStorage(Path(sys.argv[1])).write('a/b', b'x')"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_a_file_system_without_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return opened(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", refuse)
    storage = LocalStorage(tmp_path)
    storage.write("a/b", b"first")
    storage.write("a/b", b"second")
    assert (storage.create("a/b", b"third"), storage.create("a/c", b"third")) == (False, True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == {"b": b"second", "c": b"third"}


def test_what_is_not_there(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read("nothing")
    with pytest.raises(FileNotFoundError):
        storage.open("a/nothing")
    assert storage.files("no/folder") == storage.folders("no/folder") == []
    storage.delete("nothing")


def test_listing_one_level_sorted(storage: Storage) -> None:
    for name in ("top/z", "top/a", "top/deep/x", "top/deeper/y/z", "topmost/q"):
        storage.write(name, b".")
    assert storage.files("top") == ["a", "z"]
    assert storage.folders("top") == ["deep", "deeper"]
    assert storage.files("top/deep") == ["x"]


def test_deleted_is_gone(storage: Storage) -> None:
    storage.write("a/one", b"1")
    storage.write("a/two", b"2")
    storage.delete("a/one")
    storage.delete("a/one")
    assert storage.files("a") == ["two"]


def test_a_copy_is_a_second_name(storage: Storage) -> None:
    storage.write("a/one", b"first")
    storage.copy("a/one", "b/two")
    storage.copy("a/one", "b/two")
    storage.delete("a/one")
    assert storage.read("b/two") == b"first"
    storage.write("a/other", b"other")
    storage.copy("a/other", "b/two")
    assert storage.read("b/two") == b"other"


def test_a_name_is_created_once(storage: Storage) -> None:
    assert storage.create("claims/1", b"mine")
    assert not storage.create("claims/1", b"yours")
    assert storage.read("claims/1") == b"mine"
    assert storage.files("claims") == ["1"]


def test_of_racing_creators_one_wins(storage: Storage) -> None:
    barrier = threading.Barrier(8)

    def claim(number: int) -> bool:
        barrier.wait()
        return storage.create("claims/raced", str(number).encode() * 1000)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(8)))
    assert sum(won) == 1
    assert storage.read("claims/raced") == str(won.index(True)).encode() * 1000


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("a/one", b"first")
    with pytest.raises(TypeError):
        storage.write("a/one", "not bytes")  # type: ignore[arg-type]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["one"]
    assert storage.read("a/one") == b"first"


def test_leftovers_of_a_killed_writer_are_not_listed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("a/one", b"first")
    (tmp_path / "a/.one.123-abcd").write_bytes(b"half")
    assert storage.files("a") == ["one"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    (tmp_path / "a").mkdir()
    opened = os.open

    def full(path: Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            return opened("/dev/full", os.O_WRONLY)
        return opened(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(SiteError, match=r"no space left on the disk of .*a/one; free some and run the same command"):
        storage.write("a/one", b"first")
    with pytest.raises(SiteError, match="no space left"):
        storage.create("a/one", b"first")
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SiteError, match=r"cannot write .*; choose another store\.path"):
        LocalStorage(tmp_path / "store")


@pytest.mark.parametrize("path", ["gs://bucket/x", "http://host/x"])
def test_an_unknown_kind_of_store(path: str) -> None:
    with pytest.raises(SiteError, match="expected a folder or s3://bucket/prefix"):
        open_storage(StoreSite(path=path))


def test_a_bucket_needs_a_name_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SiteError, match="expected s3://bucket/prefix"):
        ObjectStorage(StoreSite(path="s3://"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(SiteError, match="put its keys into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        ObjectStorage(StoreSite(path="s3://mill", endpoint="http://127.0.0.1:1"))


@pytest.mark.parametrize("kind", ["parquet", "spill"])
@pytest.mark.parametrize("damage", [b"", b"PAR1 garbage", None])
def test_a_damaged_shard_names_its_file_and_the_remedy(storage: Storage, kind: str, damage: bytes | None) -> None:
    store, table = Store(storage), pa.table({"a": list(range(2000))})
    shard, made = Shard(step="step-1", key="k", base="k"), Made(libraries={}, counters={})
    if kind == "parquet":
        record = store.commit(shard, table, made)
    else:
        record = store.commit_spill(shard, [table], table.schema, made)
    whole = storage.read(record.file)
    storage.write(record.file, whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(
        CorruptShardError, match=r"step-1/k\.(parquet|arrow) does not .* delete .*records/step-1/k\.json"
    ):
        _ = store.read(shard) if kind == "parquet" else store.read_partition(shard, 0)


def test_a_whole_run_in_a_bucket(bucket: StoreSite, tmp_path: Path) -> None:
    write_sources(tmp_path / "source")
    site = tmp_path / "site.toml"
    site.write_text(f'[store]\npath = "{bucket.path}"\nendpoint = "{bucket.endpoint}"\n')
    arguments = ["run", "tiny", "--source", "source?shard_bytes=20000", "--local", "--json"]
    ended = gristmill(*arguments, "--site", site, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert ended.code == 0, ended.err
    local = gristmill(*arguments, "--store", "store", cwd=tmp_path)
    assert local.code == 0, local.err
    storage = open_storage(bucket)
    for name in made_of(tmp_path / "store"):
        assert storage.read(name) == (tmp_path / "store" / name).read_bytes(), name
    manifest = catalog.load(storage, "tiny")
    system = pafs.S3FileSystem(
        endpoint_override=bucket.endpoint, access_key="test", secret_key="secret", region="us-east-1"
    )
    folder = f"{bucket.path.removeprefix('s3://')}/{catalog.folder(manifest)}/data"
    rows = pq.read_table(folder, filesystem=system)
    assert sum(len(tokens) for tokens in rows["tokens"]) == manifest.tokens > 0
    again = gristmill(*arguments, "--site", site, cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert again.json["shards_made"] == 0
