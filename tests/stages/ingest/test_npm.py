import io
import tarfile
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from stages.ingest.npm import SOURCE, NpmConfig
from tests.builders import LocalContext, read_all, scan_all


@pytest.mark.parametrize(
    "package",
    ["react", "react@latest", "react@^18.0.0", "react@18", "git+ssh://x@1.0.0", "../x@1.0.0", "file:x@1.0.0",
     "--registry=x@1.0.0", "@scope/../x@1.0.0", "a/b@1.0.0", "http://x/y.tgz", ""],
)  # fmt: skip
def test_only_exact_versions_are_taken(package: str) -> None:
    with pytest.raises(ValueError, match="must be NAME@VERSION"):
        NpmConfig(packages=(package,))


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="packages is empty"):
        NpmConfig(packages=())


def test_an_archive_kept_from_an_earlier_run_is_read_without_network(tmp_path: Path) -> None:
    kept = LocalContext(tmp_path).downloads("npm") / "@scope+name@1.0.0-rc.1"
    kept.mkdir()
    with tarfile.open(kept / "scope-name-1.0.0-rc.1.tgz", "w:gz") as archive:
        for name, content in {"package/package.json": b'{"license": "ISC"}', "package/a.js": b"a"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    table = read_all(SOURCE, NpmConfig(packages=("@scope/name@1.0.0-rc.1",)), tmp_path)
    assert set(table["origin"].to_pylist()) == {"npm:@scope/name"}
    assert set(table["revision"].to_pylist()) == {"1.0.0-rc.1"}
    assert set(table["license"].to_pylist()) == {"ISC"}
    assert b"a" in table["content"].to_pylist()


@pytest.mark.network
def test_a_package_is_fetched_and_read(tmp_path: Path) -> None:
    table = read_all(SOURCE, NpmConfig(packages=("left-pad@1.3.0",)), tmp_path)
    assert "package/index.js" in table["path"].to_pylist()
    assert len(set(table["license"].to_pylist())) == 1


@pytest.mark.network
def test_a_version_that_does_not_exist_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"left-pad@99\.0\.0 could not be fetched; check its name(?s:.*)No matching version"
    ):
        scan_all(SOURCE, NpmConfig(packages=("left-pad@99.0.0",)), tmp_path)
