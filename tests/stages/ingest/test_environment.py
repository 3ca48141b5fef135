import os
import sys
import venv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.errors import SourceError
from stages.ingest.environment import SOURCE, EnvironmentConfig
from stages.ingest.interpreter import find_interpreter
from tests.builders import read_all, scan_all


class Environment:
    """A virtual environment of its own, filled by hand."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.executable = str(folder / "bin/python")
        (self.site,) = find_interpreter(self.executable).site_packages

    def install(self, name: str, version: str, metadata: str, files: dict[str, bytes], record: str = "") -> None:
        info = f"{name}-{version}.dist-info"
        files = files | {f"{info}/METADATA": f"Name: {name}\nVersion: {version}\n{metadata}".encode()}
        lines = "".join(f"{file},,\n" for file in files)
        for file, content in (files | {f"{info}/RECORD": f"{lines}{info}/RECORD,,\n{record}".encode()}).items():
            (self.site / file).parent.mkdir(parents=True, exist_ok=True)
            (self.site / file).write_bytes(content)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    made = Environment(tmp_path / "env")
    made.install("Alpha", "1.0", "License: MIT\n", {"alpha/__init__.py": b"raise SystemExit\n", "alpha/x.so": b"\0"})
    made.install("beta_b", "2", "", {"beta/b.py": b"b = 1\n"}, record="../../../bin/beta,,\n/etc/passwd,,\n")
    return made


def read(environment: Environment, tmp_path: Path, **settings: object) -> pa.Table:
    settings = {"interpreter": environment.executable, "stdlib": False} | settings
    return read_all(SOURCE, EnvironmentConfig(**settings), tmp_path / "store")  # type: ignore[arg-type]


def problems(table: pa.Table) -> dict[str, str]:
    rows = zip(table["path"].to_pylist(), table["problem"].to_pylist(), strict=True)
    return {path: problem for path, problem in rows if problem}


def test_files_of_distributions_carry_name_version_and_license(environment: Environment, tmp_path: Path) -> None:
    rows = read(environment, tmp_path).select(["origin", "revision", "path", "license", "license_from"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("pypi:alpha", "1.0", "Alpha-1.0.dist-info/METADATA", "MIT", "metadata"),
        ("pypi:alpha", "1.0", "alpha/__init__.py", "MIT", "metadata"),
        ("pypi:beta-b", "2", "beta/b.py", None, None),
        ("pypi:beta-b", "2", "beta_b-2.dist-info/METADATA", None, None),
    ]


def test_identity_does_not_depend_on_what_the_installer_wrote(environment: Environment, tmp_path: Path) -> None:
    config = EnvironmentConfig(interpreter=environment.executable, stdlib=False, packages=("alpha",))
    before = scan_all(SOURCE, config, tmp_path)
    record = environment.site / "Alpha-1.0.dist-info/RECORD"
    record.write_text(record.read_text() + "Alpha-1.0.dist-info/INSTALLER,,\nalpha/__pycache__/x.pyc,,\n")
    (environment.site / "Alpha-1.0.dist-info/INSTALLER").write_text("other")
    assert scan_all(SOURCE, config, tmp_path) == before


def test_distributions_are_chosen_by_any_spelling(environment: Environment, tmp_path: Path) -> None:
    table = read(environment, tmp_path, packages=("Beta.B",), include=("*.py",))
    assert table["path"].to_pylist() == ["beta/b.py"]
    with pytest.raises(SourceError, match=r"packages \['gamma'\] are not installed in .*install them there"):
        read(environment, tmp_path, packages=("gamma", "alpha"))


def test_missing_files_and_records_are_rows(environment: Environment, tmp_path: Path) -> None:
    (environment.site / "alpha/__init__.py").unlink()
    (environment.site / "beta_b-2.dist-info/RECORD").unlink()
    table = read(environment, tmp_path)
    assert problems(table) == {"alpha/__init__.py": "unreadable", "beta_b-2.dist-info/RECORD": "unreadable"}


def test_a_damaged_record_is_a_row(environment: Environment, tmp_path: Path) -> None:
    (environment.site / "beta_b-2.dist-info/RECORD").write_bytes(b'"never closed')
    assert problems(read(environment, tmp_path)) == {"beta_b-2.dist-info/RECORD": "corrupt"}


def test_links_out_of_site_packages_are_not_followed(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key.txt").write_text("secret")
    environment.install("gamma", "1", "", {}, record="way/key.txt,,\nalias.py,,\n")
    (environment.site / "way").symlink_to(tmp_path / "secret")
    (environment.site / "alias.py").symlink_to("beta/b.py")
    table = read(environment, tmp_path, packages=("gamma",))
    assert problems(table) == {"alias.py": "link", "way/key.txt": "broken-link"}


def test_nothing_is_imported(environment: Environment, tmp_path: Path) -> None:
    before = set(sys.modules)
    assert read(environment, tmp_path).num_rows == 4
    assert not {"alpha", "beta"} & (set(sys.modules) - before)


def test_the_standard_library_is_read_without_what_is_installed_in_it(tmp_path: Path) -> None:
    config = EnvironmentConfig(installed=False, include=("/json/", "/site-packages/", "/config-*/"))
    table = read_all(SOURCE, config, tmp_path)
    assert {"json/__init__.py", "json/decoder.py"} <= set(table["path"].to_pylist())
    assert pc.all(pc.starts_with(table["path"], "json/")).as_py()
    assert set(table["origin"].to_pylist()) == {"python:stdlib"}
    assert set(table["revision"].to_pylist()) == {".".join(map(str, sys.version_info[:3]))}
    assert set(table["license"].to_pylist()) == {"PSF-2.0"}


def test_this_environment_is_read(tmp_path: Path) -> None:
    table = read_all(SOURCE, EnvironmentConfig(stdlib=False, packages=("pytest", "hypothesis")), tmp_path)
    licenses = set(zip(table["origin"].to_pylist(), table["license"].to_pylist(), strict=True))
    assert licenses == {("pypi:pytest", "MIT"), ("pypi:hypothesis", "MPL-2.0")}
    assert "pytest/__init__.py" in table["path"].to_pylist()
    pytest_file = sys.modules["pytest"].__file__
    assert pytest_file is not None
    assert Path(pytest_file).read_bytes() in table["content"].to_pylist()


def test_configs_that_read_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves nothing to read"):
        EnvironmentConfig(stdlib=False, installed=False)
    with pytest.raises(ValueError, match="set installed=True"):
        EnvironmentConfig(installed=False, packages=("numpy",))


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="give the path of a python executable"):
        scan_all(SOURCE, EnvironmentConfig(interpreter=os.fspath(tmp_path / "python")), tmp_path)
