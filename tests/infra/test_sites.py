"""The site files that ship as examples are valid and complete."""

import tomllib
from pathlib import Path

import pytest

from pipeline.errors import SiteError
from pipeline.site_file import Site, load_site

SITES = Path(__file__).resolve().parents[2] / "infra/sites"


def test_examples_are_there() -> None:
    assert sorted(path.name for path in SITES.iterdir()) == ["cluster.toml", "laptop.toml", "llm.toml", "s3.toml"]


@pytest.mark.parametrize("name", ["cluster.toml", "laptop.toml", "llm.toml", "s3.toml"])
def test_site_file_says_what_it_holds(name: str) -> None:
    written = tomllib.loads((SITES / name).read_text())
    site = load_site(SITES / name).model_dump()
    for section, values in written.items():
        for key, value in values.items():
            if (section, key) != ("store", "path"):
                assert site[section][key] == value


def test_laptop_is_the_default_but_for_its_folder() -> None:
    site = load_site(SITES / "laptop.toml")
    assert site.model_copy(update={"store": Site().store}) == Site()
    assert site.store.path == str(Path("~/gristmill").expanduser())


def test_cluster_joins_and_keeps_remotely() -> None:
    site = load_site(SITES / "cluster.toml")
    assert (site.ray.address, site.store.path) == ("auto", "s3://corpora/gristmill")
    assert load_site(SITES / "s3.toml").store.endpoint == "http://localhost:9000"


def test_an_endpoint_is_checked(tmp_path: Path) -> None:
    assert load_site(SITES / "laptop.toml").llm.url == ""
    assert load_site(SITES / "llm.toml").llm.url == "http://localhost:8000/v1"
    path = tmp_path / "site.toml"
    for url in ("http://[::1]:8000/v1/", "https://api.example.org"):
        path.write_text(f"[llm]\nurl = {url!r}\n")
        assert load_site(path).llm.url == url.rstrip("/")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("url = 'localhost:8000'", "must be http"),
        ("url = 'ftp://host/v1'", "must be http"),
        ("url = 'http:///v1'", "must be http"),
        ("url = 'http://user:secret@host/v1'", "must be http"),
        ("url = 'http://host/v1?key=1'", "must be http"),
        ("url = 'http://host/a b'", "must be http"),
        ("url = 'http://host:x/v1'", "llm.url"),
        ("api_key = 'secret'", "did you mean 'api_key_env'"),
        ("timeout_s = 0", "llm.timeout_s"),
        ("max_in_flight = 0", "llm.max_in_flight"),
    ],
)
def test_a_wrong_endpoint_is_refused(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(f"[llm]\n{line}\n")
    with pytest.raises(SiteError, match=message) as refused:
        load_site(path)
    assert "secret" not in str(refused.value)
