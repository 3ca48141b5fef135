"""`gristmill mixture realise`: the published mixture, what all other commands see of it, and what is refused."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from jobs import inspection
from jobs.cli_mixture import mixture
from jobs.packing.provenance import trace
from jobs.packing.sequences import Version, open_version
from pipeline.storage import LocalStorage
from pipeline.store import Shard, Store
from schemas.corpus import MIXED
from schemas.manifest import Manifest, MixtureDomain
from tests.jobs.conftest import Published
from tests.jobs.invoke import documents_of, encoding, invoke
from tests.machine import Ended, digests, made_of

WEIGHTS = {"markdown": 0.55, "python": 0.45, "tsx": 0.0}
TOKENS = 6_000


@pytest.fixture(scope="module")
def home(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of our own that has the published version and its mixture, and with weights.json."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(published.store, folder / "store")
    (folder / "weights.json").write_text(json.dumps({"weights": WEIGHTS, "objective": 1.2}))
    ended = realise(folder)
    assert ended.code == 0, ended.err
    assert "shards made" in ended.out
    return folder


def realise(home: Path, *more: object, weights: str = "weights.json", tokens: int = TOKENS) -> Ended:
    line = ["realise", "tiny@1", "--weights", home / weights, "--tokens", tokens, "--sequence-length", 64]
    line += ["--store", home / "store", *more] + ([] if "--workers" in more else ["--local"])
    result = CliRunner().invoke(mixture, [str(a) for a in line], prog_name="gristmill")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def opened(home: Path, reference: str = "mixed@1") -> Version:
    return open_version(LocalStorage(home / "store"), reference)


def domains_of(manifest: Manifest) -> dict[str, MixtureDomain]:
    assert manifest.mixture is not None
    return {own.domain: own for own in manifest.mixture.domains}


def test_the_manifest_says_what_was_planned_and_what_is_there(home: Path, published: Published) -> None:
    version = opened(home)
    version.verify()
    manifest = version.manifest
    assert manifest.mixture is not None
    assert manifest.recipe == "mixture realise"
    assert manifest.parameters["weights"] == WEIGHTS
    assert manifest.mixture.source == "tiny@1"
    assert manifest.mixture.source_identity == published.manifest.identity
    domains = documents_of(home / "store", published.manifest)
    by_id = dict(zip(domains["document_id"].to_pylist(), domains["domain"].to_pylist(), strict=True))
    tokens: Counter[str] = Counter()
    copies: Counter[bytes] = Counter()
    for table in version.documents():
        for row in table.to_pylist():
            tokens[by_id[row["document_id"]]] += len(row["tokens"])
            copies[row["document_id"]] += 1
    for own in domains_of(manifest).values():
        ids = [document_id for document_id in copies if by_id[document_id] == own.domain]
        assert own.realised == tokens[own.domain]
        assert own.available == published.manifest.domains[own.domain]
        assert abs(own.realised - own.planned) <= 0.005 * own.planned
        assert own.epochs == own.realised / own.available
        assert (own.documents, own.copies) == (len(ids), sum(copies[i] for i in ids))
    assert sum(own.planned for own in manifest.mixture.domains) == TOKENS
    assert manifest.domains == {name: n for name, n in sorted(tokens.items()) if n}
    assert manifest.tokens == sum(tokens.values())
    assert domains_of(manifest)["markdown"].epochs > 1 > domains_of(manifest)["python"].epochs > 0
    assert manifest.languages.keys() == {"Markdown", "Python"}
    assert "## Mixture of tiny@1" in version.storage.read("corpora/mixed/1/README.md").decode()


def test_the_same_again_makes_nothing_and_another_seed_is_another_version(home: Path) -> None:
    before = digests(home / "store" / "corpora")
    again = realise(home)
    assert "nothing was left to do" in again.out
    assert digests(home / "store" / "corpora") == before
    taken = realise(home, "--seed", 1, "--version", "1")
    assert taken.code == 6
    assert "mixed@1 is published with other content" in taken.err
    other = realise(home, "--seed", 1, "--name", "other", "--json")
    assert other.json["corpus"] == "other@1"
    assert other.json["mixture"]["seed"] == 1
    assert other.json["manifest"]["identity"] != opened(home).manifest.identity


def test_another_store_gets_the_same_bytes(home: Path, published: Published, tmp_path: Path) -> None:
    shutil.copytree(published.store, tmp_path / "store")
    shutil.copy(home / "weights.json", tmp_path)
    assert realise(tmp_path).code == 0
    ours = made_of(tmp_path / "store")
    assert {name: made_of(home / "store").get(name) for name in ours} == ours


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_make_the_same_bytes(home: Path, published: Published, tmp_path: Path) -> None:
    shutil.copytree(published.store, tmp_path / "store")
    shutil.copy(home / "weights.json", tmp_path)
    assert realise(tmp_path, "--workers", 2).code == 0
    ours = made_of(tmp_path / "store")
    assert {name: made_of(home / "store").get(name) for name in ours} == ours


def test_every_sequence_leads_back_to_the_bytes_of_its_sources(home: Path) -> None:
    version, program = opened(home), encoding()
    store = Store(version.storage)
    table = documents_of(home / "store", opened(home, "tiny@1").manifest)
    texts = dict(zip(table["document_id"].to_pylist(), table["text"].to_pylist(), strict=True))
    sizes = dict(zip(table["document_id"].to_pylist(), table["num_tokens"].to_pylist(), strict=True))
    rows = [row for t in version.sequences("best-fit-64") for row in t.to_pylist()]
    assert sum(sum(row["loss_mask"]) for row in rows) == version.manifest.tokens
    cut = 0
    for number in range(len(rows)):
        found = trace(store, version, "best-fit-64", "mixture", number)
        for piece, document_id in zip(found["pieces"], rows[number]["document_id"], strict=True):
            assert piece["document_id"] == document_id.hex()
            tokens = rows[number]["tokens"][slice(*piece["position"])]
            if piece["is_end"]:
                assert tokens.pop() == version.manifest.end_of_document
            data = b"".join(texts[document_id].encode()[slice(*pair)] for pair in piece["bytes"])
            assert data == program.decode_bytes(tokens)
            cut += piece["is_end"] and piece["num_tokens"] <= sizes[document_id]
    assert cut == sum(own.cut > 0 for own in domains_of(version.manifest).values()) > 0


def test_why_says_how_often_a_document_is_there(home: Path) -> None:
    version = opened(home)
    store, manifest = Store(version.storage), version.manifest
    copies: Counter[str] = Counter()
    places: dict[str, int] = {}
    for number, document_id in enumerate(i for t in version.documents() for i in t["document_id"].to_pylist()):
        copies[document_id.hex()] += 1
        places.setdefault(document_id.hex(), number)
    left_out = 0
    for found in inspection.find(store, manifest, "*", 100):
        told = inspection.explain(store, manifest, found)
        own, name = told["steps"]["mixture"], found.document_id.hex()  # type: ignore[index]
        assert (own["copies"] or 0) == copies[name]
        assert own["keep"] == (copies[name] > 0)
        assert (told["tokens"]["row"] if told["tokens"] else None) == places.get(name)  # type: ignore[index]
        left_out += own["copies"] == 0
    (entry,) = [entry for entry in manifest.funnel if entry.step == "mixture"]
    assert entry.rows_out == len(copies)
    assert entry.rows_in - entry.rows_out == left_out == sum(entry.reasons.values())
    assert entry.reasons["weight-0"] == 1
    marks = next(e for e in manifest.steps if e.name == "mixture")
    rows = [store.read(Shard(step=marks.folder, key=key, base=key)) for key in marks.keys]
    assert sum(pc.sum(table["copies"]).as_py() or 0 for table in rows) == manifest.documents
    assert all(table.schema.equals(MIXED) for table in rows)


def test_other_commands_read_it(home: Path) -> None:
    store = ["--store", home / "store"]
    assert "recipe mixture realise: source=tiny@1" in invoke("show", "mixed@1", *store).out
    assert "reasons mixture/not-drawn: 0 -> " in invoke("diff", "tiny@1", "mixed@1", *store).out
    assert "packing document: " in invoke("pack", "mixed@1", "--method", "document", "--sequence-length", 0, *store).out
    exported = invoke("export", "mixed@1", "--format", "datasets", "--to", home / "rows", "--verify", *store)
    assert exported.code == 0, exported.err
    assert "mixture" in exported.out


def test_a_mixture_is_not_mixed_again(home: Path) -> None:
    line = ["realise", "mixed@1", "--weights", home / "weights.json", "--tokens", 5, "--store", home / "store"]
    result = CliRunner().invoke(mixture, [str(a) for a in line], prog_name="gristmill")
    assert result.exit_code == 2
    assert "mixed@1 is a mixture itself, of tiny@1" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory; give a file that can be read"),
        ("{", "is not JSON as expected"),
        ('{"python": 1, "python": 0}', "is not JSON as expected: 'python' is there twice"),
        ("[1]", 'expected {"DOMAIN": SHARE, ...}'),
        ("{}", 'expected {"DOMAIN": SHARE, ...}'),
        ('{"python": "1"}', "the share of python must be a number, got '1'"),
        ('{"python": true}', "the share of python must be a number, got True"),
        ('{"python": NaN, "markdown": 1, "tsx": 0}', "the share of python must be finite, got nan"),
        ('{"python": 0.6, "markdown": 0.3, "tsx": 0}', "weights must sum to 1, got 0.9"),
        ('{"python": 1.1, "markdown": -0.1, "tsx": 0}', "at least 0, got markdown -0.1"),
        ('{"python": 0.5, "cobol": 0.5}', "unknown cobol; missing markdown, tsx"),
        ('{"python": 0.1, "markdown": 0, "tsx": 0.9}', "more than max_epochs = 4; with these weights at most"),
    ],
)
def test_bad_weights_are_one_line(home: Path, text: str | None, message: str) -> None:
    if text is not None:
        (home / "bad.json").write_text(text)
    ended = realise(home, weights="none.json" if text is None else "bad.json")
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "tokens", "code", "message"),
    [
        ((), 0, 2, "tokens must be at least 1, got 0"),
        (("--name", "../up"), 10, 2, "name '../up' must be 1 to 100 of"),
        (("--version", "../up"), 10, 2, "version '../up' must be 1 to 100 of"),
        (("--max-epochs", 0), 10, 2, "max_epochs must be a number above 0"),
        (("--packing", "concatenate", "--sequence-length", 0), 10, 2, "sequence_length 0 needs the packing method"),
    ],
)
def test_bad_settings_are_one_line(home: Path, more: tuple[object, ...], tokens: int, code: int, message: str) -> None:
    ended = realise(home, *more, tokens=tokens)
    assert ended.code == code
    assert message in ended.err


def test_a_manifest_without_a_mixture_still_loads(published: Published) -> None:
    values = published.manifest.model_dump()
    del values["mixture"]
    assert Manifest.model_validate(values) == published.manifest
