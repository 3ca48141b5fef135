"""The site files that ship as examples are valid and complete."""

import tomllib
from pathlib import Path

import pytest

from pipeline.site_file import Site, load_site

SITES = Path(__file__).resolve().parents[2] / "infra/sites"


def test_examples_are_there() -> None:
    assert sorted(path.name for path in SITES.iterdir()) == ["cluster.toml", "laptop.toml", "s3.toml"]


@pytest.mark.parametrize("name", ["cluster.toml", "laptop.toml", "s3.toml"])
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
