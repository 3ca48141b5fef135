import os
import sys
import sysconfig
import venv
from email.message import Message
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from stages.ingest.interpreter import Distribution, find_distributions, find_interpreter, recorded_files


def install(site: Path, folder: str, metadata: str = "", record: bytes | None = None) -> None:
    (site / folder).mkdir(parents=True)
    (site / folder / ("METADATA" if folder.endswith(".dist-info") else "PKG-INFO")).write_text(metadata)
    if record is not None:
        (site / folder / "RECORD").write_bytes(record)


def distribution(site: Path, folder: str) -> Distribution:
    return Distribution("x", "1", site, folder, Message())


def test_the_running_interpreter_names_its_own_folders() -> None:
    found = find_interpreter(sys.executable)
    assert found.version == sys.version.split()[0]
    assert found.stdlib == Path(sysconfig.get_paths()["stdlib"]).resolve()
    assert Path(sysconfig.get_paths()["purelib"]).resolve() in found.site_packages


def test_a_virtual_environment_is_read_without_running_what_is_in_it(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    executable = tmp_path / "env/bin/python"
    (site,) = find_interpreter(str(executable)).site_packages
    assert site.is_relative_to(tmp_path.resolve() / "env")
    marker = tmp_path / "marker"
    run = f"open({str(marker)!r}, 'w').close()"
    (site / "evil.pth").write_text(f"import os; {run}\n")
    for name in ("sitecustomize.py", "usercustomize.py", "json.py"):
        (site / name).write_text(run)
    find_interpreter(str(executable))
    assert not marker.exists()


def test_what_is_no_interpreter_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere.*give the path of a python executable"):
        find_interpreter(str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="'/bin/true' does not run as Python 3"):
        find_interpreter("/bin/true")


def test_distributions_are_sorted_and_the_first_of_a_version_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    install(first, "Zope.Interface-1.0.dist-info", "Name: Zope.Interface\nVersion: 1.0\n")
    install(second, "zope_interface-1.0.dist-info", "Name: zope_interface\nVersion: 1.0\n")
    install(second, "zope_interface-0.9.dist-info", "Name: zope_interface\nVersion: 0.9\n")
    install(first, "a-1.egg-info", "Name: a\nVersion: 1\n")
    found = find_distributions((first, second))
    assert [(one.name, one.version, one.site) for one in found] == [
        ("a", "1", first), ("zope-interface", "0.9", second), ("zope-interface", "1.0", first),
    ]  # fmt: skip


@pytest.mark.parametrize("metadata", ["", "Name: ../evil\n", "Name: \nVersion:\n", "\0\0"])
def test_a_distribution_without_usable_metadata_is_named_by_its_folder(tmp_path: Path, metadata: str) -> None:
    install(tmp_path, "Some_Thing-2.1.dist-info", metadata)
    install(tmp_path, "odd.dist-info", metadata)
    found = find_distributions((tmp_path,))
    assert [(one.name, one.version) for one in found] == [("odd", ""), ("some-thing", "2.1")]


def test_recorded_files_stay_in_site_packages(tmp_path: Path) -> None:
    record = (
        b"b.py,sha256=x,1\r\n\"a,b.py\",,\n../../bin/tool,,\n/etc/passwd,,\nx/../../out.py,,\n..,,\n,,\n\nb.py,,\n"
        b"pkg/./c.py,,\npkg/,,\nnul\0.py,,\ncaf\xe9.py,,\npkg/../d.py,,\n"
    )  # fmt: skip
    install(tmp_path, "x-1.dist-info", "", record)
    found = list(recorded_files(distribution(tmp_path, "x-1.dist-info")))
    assert found == ["a,b.py", "b.py", os.fsdecode(b"caf\xe9.py"), "d.py", "pkg/c.py"]


def test_a_record_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    install(tmp_path, "none-1.dist-info")
    with pytest.raises(FileNotFoundError):
        recorded_files(distribution(tmp_path, "none-1.dist-info"))
    install(tmp_path, "bad-1.dist-info", "", b'"' + b"x" * 200_000)
    with pytest.raises(ValueError, match=r"bad-1\.dist-info/RECORD is no table"):
        recorded_files(distribution(tmp_path, "bad-1.dist-info"))
