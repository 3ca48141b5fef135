import zipfile
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from stages.ingest.pypi import SOURCE, PypiConfig
from tests.builders import LocalContext, read_all, scan_all


@pytest.mark.parametrize(
    "package",
    ["numpy", "numpy>=1", "numpy==1.*", "-r x==1", "--index-url==x", "a @ file:///x", "a[b]==1", "a==1 b", ""],
)
def test_only_exact_versions_are_taken(package: str) -> None:
    with pytest.raises(ValueError, match="must be NAME==VERSION"):
        PypiConfig(packages=(package,))


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="packages is empty"):
        PypiConfig(packages=())


def test_a_wheel_kept_from_an_earlier_run_is_read_without_network(tmp_path: Path) -> None:
    kept = LocalContext(tmp_path).downloads("pypi") / "some-name==1.0"
    kept.mkdir()
    with zipfile.ZipFile(kept / "some_name-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_name/__init__.py", "a = 1\n")
        wheel.writestr("some_name-1.0.dist-info/METADATA", "Name: Some.Name\nVersion: 1.0\nLicense: MIT\n")
    table = read_all(SOURCE, PypiConfig(packages=("Some.Name==1.0", "some-name==1.0")), tmp_path)
    first = table.to_pylist()[0]
    assert table.num_rows == 2
    assert (first["origin"], first["revision"], first["license"], first["license_from"]) == (
        "pypi:some-name", "1.0", "MIT", "metadata",
    )  # fmt: skip
    assert b"a = 1\n" in table["content"].to_pylist()


@pytest.mark.network
def test_a_wheel_is_fetched_and_read(tmp_path: Path) -> None:
    table = read_all(SOURCE, PypiConfig(packages=("six==1.17.0",)), tmp_path)
    assert "six.py" in table["path"].to_pylist()
    assert set(table["license"].to_pylist()) == {"MIT"}


@pytest.mark.network
def test_a_version_that_does_not_exist_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"six==99\.0 could not be fetched; check its name(?s:.*)No matching distribution"
    ):
        scan_all(SOURCE, PypiConfig(packages=("six==99.0",)), tmp_path)
