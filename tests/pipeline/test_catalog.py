import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import catalog
from pipeline.errors import CorruptShardError, NotFoundError, PublishError
from pipeline.storage import LocalStorage
from schemas.manifest import Manifest, Packing


def manifest(identity: str, version: str = "", name: str = "mill") -> Manifest:
    return Manifest(
        name=name,
        version=version,
        identity=identity,
        recipe="tiny",
        parameters={},
        vocabulary="cl100k_base",
        end_of_document=1,
        documents=0,
        tokens=0,
        domains={},
        languages={},
        licenses={},
        files=[],
        packings=[],
        sources=[],
        funnel=[],
        steps=[],
    )


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path)
    storage.write("shards/one", b"data")
    return storage


def publish(storage: LocalStorage, wanted: Manifest) -> Manifest:
    return catalog.publish(storage, wanted, {"README.md": b"card"}, {"data/a/part-00000.parquet": "shards/one"})


def test_versions_count_up_and_the_same_content_is_published_once(storage: LocalStorage) -> None:
    published = [publish(storage, manifest(identity)).version for identity in ("x", "y", "x", "z")]
    assert published == ["1", "2", "1", "3"]
    assert catalog.versions(storage, "mill") == ["1", "2", "3"]
    assert storage.read("corpora/mill/2/data/a/part-00000.parquet") == b"data"
    assert storage.read("corpora/mill/2/README.md") == b"card"
    assert catalog.load(storage, "mill@2").identity == "y"
    assert catalog.load(storage, "mill").version == "3"


def test_numbers_are_ordered_as_numbers_and_named_versions_come_last(storage: LocalStorage) -> None:
    for version in ("10", "9", "alpha", "2"):
        publish(storage, manifest(version, version))
    assert catalog.versions(storage, "mill") == ["2", "9", "10", "alpha"]
    assert publish(storage, manifest("new")).version == "11"


def test_a_taken_version_is_never_overwritten(storage: LocalStorage) -> None:
    publish(storage, manifest("x", "v1"))
    with pytest.raises(PublishError, match="mill@v1 is published with other content; choose another version") as caught:
        publish(storage, manifest("y", "v1"))
    assert caught.value.exit_code == 6
    assert publish(storage, manifest("x", "v1")).identity == "x"


def test_a_claim_without_its_files_is_completed_by_the_same_content(storage: LocalStorage) -> None:
    claimed = manifest("x", "1")
    assert storage.create("catalog/mill/1.json", claimed.model_dump_json().encode())
    assert not catalog.is_complete(storage, claimed)
    assert publish(storage, manifest("other")).version == "2"
    assert publish(storage, manifest("x")).version == "1"
    assert catalog.is_complete(storage, claimed)


def test_racing_publishers_get_versions_of_their_own(storage: LocalStorage) -> None:
    barrier = threading.Barrier(6)

    def race(number: int) -> str:
        barrier.wait()
        return publish(storage, manifest(str(number))).version

    with ThreadPoolExecutor(6) as pool:
        versions = list(pool.map(race, range(6)))
    assert sorted(versions) == ["1", "2", "3", "4", "5", "6"]
    assert all(catalog.load(storage, f"mill@{v}").identity == str(n) for n, v in enumerate(versions))


def packing(identity: str) -> Packing:
    return Packing(
        name="mine",
        identity=identity,
        method="best-fit",
        sequence_length=8,
        seed=0,
        padding=1,
        sequences=0,
        tokens=0,
        pieces=0,
        files=[],
    )


def test_of_racing_packings_of_one_name_one_wins(storage: LocalStorage) -> None:
    version, barrier = publish(storage, manifest("x")), threading.Barrier(6)

    def race(number: int) -> str:
        barrier.wait()
        try:
            sources = {"packings/mine/a/part-00000.parquet": "shards/one"}
            assert catalog.publish_packing(storage, version, packing(str(number % 3)), sources) in (True, False)
        except PublishError as error:
            return str(error)
        return str(number % 3)

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(race, range(6)))
    losers = [end for end in ends if "mill@1 has another packing mine: best-fit, 8 tokens, seed 0" in end]
    winners = [end for end in ends if end not in losers]
    assert len(winners) == 2
    (found,) = catalog.packings(storage, version)
    assert {found.identity} == {*winners}
    assert catalog.is_packing_complete(storage, version, "mine")
    assert catalog.versions(storage, "mill") == ["1"]
    assert storage.read("corpora/mill/1/packings/mine/a/part-00000.parquet") == b"data"


def test_a_packing_of_an_incomplete_version_is_refused(storage: LocalStorage) -> None:
    claimed = manifest("x", "1")
    assert storage.create("catalog/mill/1.json", claimed.model_dump_json().encode())
    with pytest.raises(PublishError, match="mill@1 is incomplete: run its recipe again first"):
        catalog.publish_packing(storage, claimed, packing("x"), {})


def test_names_that_do_not_exist_name_those_that_do(storage: LocalStorage) -> None:
    with pytest.raises(NotFoundError, match=r"no corpus 'mill' in .*; published here: none"):
        catalog.load(storage, "mill")
    publish(storage, manifest("x"))
    with pytest.raises(NotFoundError, match=r"no corpus 'mil' in .*; published here: mill"):
        catalog.load(storage, "mil")
    with pytest.raises(NotFoundError, match="mill has no version '7'; it has: 1"):
        catalog.load(storage, "mill@7")
    with pytest.raises(NotFoundError, match=r"no corpus '\.\./shards'"):
        catalog.load(storage, "../shards")


@pytest.mark.parametrize("value", ["", "A", "-a", "a/b", "..", "a" * 101, "ä", "a\n"])
def test_bad_names(value: str) -> None:
    with pytest.raises(ValueError, match=r"name .* must be 1 to 100 of a-z 0-9"):
        catalog.check_name("name", value)


def test_a_damaged_manifest_is_named(storage: LocalStorage) -> None:
    publish(storage, manifest("x"))
    storage.write("catalog/mill/1.json", b'{"name": "mill"}')
    with pytest.raises(CorruptShardError, match=r"catalog/mill/1\.json is not a manifest"):
        catalog.load(storage, "mill")
