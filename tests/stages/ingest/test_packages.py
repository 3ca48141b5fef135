import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from stages.ingest import packages
from stages.ingest.packages import fetch_archive, read_package_json, read_wheel_metadata


def client(script: str) -> tuple[str, ...]:
    """A registry client of one's own: a Python script that runs in the folder to fill."""
    return (sys.executable, "-c", script)


def tarball(folder: Path, members: dict[str, bytes]) -> Path:
    file = folder / "package.tgz"
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def test_an_archive_is_fetched_once_per_version(tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"open('a.whl', 'w').write('x'); open({str(count)!r}, 'a').write('1')"
    folder = tmp_path / "downloads"
    folder.mkdir()
    first = fetch_archive("@scope/a@1.0.0", client(script), folder, "remedy")
    assert fetch_archive("@scope/a@1.0.0", client(script), folder, "remedy") == first
    assert first.read_text() == "x"
    assert count.read_text() == "1"
    assert fetch_archive("@scope/a@2.0.0", client(script), folder, "remedy") != first
    assert sorted(file.name for file in folder.iterdir()) == ["@scope+a@1.0.0", "@scope+a@2.0.0"]


def test_what_another_run_fetched_meanwhile_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "a==1"
    script = (
        "import os; open('a.whl', 'w').write('mine'); "
        f"os.mkdir({str(kept)!r}); open({str(kept / 'a.whl')!r}, 'w').write('theirs')"
    )
    assert fetch_archive("a==1", client(script), tmp_path, "remedy").read_text() == "theirs"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "import sys; print('early'); sys.exit('no such version')",
            r"could not be fetched; do this\. .*no such version",
        ),
        ("open('half.whl', 'w').write('x'); raise SystemExit(3)", "could not be fetched; do this"),
        ("pass", r"expected one archive in .*, found \[\]"),
        ("open('a', 'w'); open('b', 'w')", r"found \['a', 'b'\]"),
    ],
)
def test_a_failed_fetch_leaves_nothing_and_says_why(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(SourceError, match=f"(?s)package a==1.*{message}"):
        fetch_archive("a==1", client(script), tmp_path, "do this")
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_CLIENT_SECONDS", 0.2)
    with pytest.raises(SourceError, match=r"took over 0\.2 s; remedy"):
        fetch_archive("a==1", client("import time; time.sleep(60)"), tmp_path, "remedy")


def test_a_missing_client_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the client 'no-such-client' is not on PATH"):
        fetch_archive("a==1", ("no-such-client",), tmp_path, "remedy")


def test_metadata_is_read_out_of_a_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/deep.dist-info/METADATA", "Name: wrong\n")
        archive.writestr("a-1.dist-info/METADATA", "Name: a\nLicense: MIT\n")
    assert read_wheel_metadata(wheel)["License"] == "MIT"


def test_a_package_json_is_read_out_of_an_npm_archive(tmp_path: Path) -> None:
    content = json.dumps({"license": "MIT"}).encode()
    members = {"package/lib/package.json": b"{}", "package/index.js": b"", "odd-root/package.json": content}
    assert read_package_json(tarball(tmp_path, members)) == {"license": "MIT"}


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000, b""])
def test_a_package_json_that_is_none_says_nothing(tmp_path: Path, content: bytes) -> None:
    assert read_package_json(tarball(tmp_path, {"package/package.json": content})) == {}


def test_damaged_archives_say_nothing(tmp_path: Path) -> None:
    whole = tarball(tmp_path, {"package/a.js": bytes(range(256)) * 300, "package/package.json": b"{}"}).read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:20] + b"\0" * 40 + whole[60:], b"", b"PK\3\4"):
        file = tmp_path / "damaged"
        file.write_bytes(damaged)
        assert read_package_json(file) == {}
        assert not read_wheel_metadata(file).keys()


def test_the_search_for_a_package_json_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_MAX_SEARCHED_BYTES", 10_000)
    members = {"package/big": b"\0" * 20_000, "package/package.json": b'{"license": "MIT"}'}
    assert read_package_json(tarball(tmp_path, members)) == {}
