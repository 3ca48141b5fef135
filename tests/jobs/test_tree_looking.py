"""`gristmill ast show` and the recipe `trees`: a file, a document of a version, what is said without a tree, tokens."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.manifest import Manifest
from tests.jobs.conftest import write, write_mixed
from tests.jobs.invoke import documents_of, invoke

SOURCE = '# é\nimport os\n\n\nclass A:\n    """Doc."""\n\n    def f(self, x=1):\n        return "\\x1b[31m"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "a.py", SOURCE)
    return tmp_path / "a.py"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trees@1` over a mixed folder."""
    folder = tmp_path_factory.mktemp("trees")
    source = f"{write_mixed(folder / 'mixed')}?max_document_bytes=50000&shard_bytes=20000"
    ended = invoke("run", "trees", "--local", "--source", source, "--store", folder / "store", "--max-errors", 0)
    assert ended.code == 0, ended.err
    return folder / "store"


def test_a_file_is_shown_with_concepts_and_units(file: Path) -> None:
    shown = invoke("ast", "show", file).out.splitlines()
    assert shown[0] == "module  source  1:1"
    assert "  class_definition  declaration.class  5:1" in shown
    assert "      function_definition  declaration.function  8:5" in shown
    assert '        name: identifier  expression.identifier  8:9  "f"' in shown
    assert any(line.split() == ["8-9", "method", "A.f", "(self,", "x=1)"] for line in shown)
    assert any(line.split() == ["5-9", "class", "A", '"""Doc."""'] for line in shown)
    assert any(line.split() == ["2", "os"] for line in shown)
    assert shown[-1].endswith("0 errors, 0 missing, lossless")
    assert "\x1b" not in "".join(shown)


def test_options_choose_what_is_shown(file: Path) -> None:
    named, all_nodes = (invoke("ast", "show", file, *more).out for more in ([], ["--anonymous"]))
    assert '"import"  2:1' in all_nodes
    assert '"import"' not in named
    shallow = invoke("ast", "show", file, "--depth", 1).out
    assert "class_definition" in shallow
    assert "function_definition" not in shallow
    units = invoke("ast", "show", file, "--units").out
    assert "A.f" in units
    assert "class_definition" not in units
    assert invoke("ast", "show", file, "--sexp").out.startswith(
        "(module (comment) (import_statement name: (dotted_name"
    )


def test_json_holds_nodes_and_units_with_their_text(file: Path) -> None:
    shown = invoke("ast", "show", file, "--json").json
    assert (shown["language"], shown["grammar"], shown["ast_status"]) == ("Python", "python", "parsed")
    assert len(shown["nodes"]) == shown["ast_nodes"]
    root, comment = shown["nodes"][:2]
    assert (root["kind"], root["concept"], root["parent"], root["end"]) == ("module", "source", None, len(SOURCE) + 1)
    assert (comment["kind"], comment["parent"]) == ("comment", 0)
    method = shown["units"][-1]
    assert (method["qualified_name"], method["lines"], method["parameters"]) == ("A.f", "8-9", "(self, x=1)")


def test_the_language_of_a_file_may_be_given(tmp_path: Path) -> None:
    write(tmp_path / "header.inc", "class A { int f() const; };\n")
    shown = invoke("ast", "show", tmp_path / "header.inc", "--language", "C++")
    assert "C++ by cpp" in shown.out
    wrong = invoke("ast", "show", tmp_path / "header.inc", "--language", "Klingon")
    assert wrong.code == 7
    assert "no-grammar" in wrong.err
    assert "C++" in wrong.err


def test_errors_of_a_broken_file_are_visible(tmp_path: Path) -> None:
    write(tmp_path / "a.c", "int f() { return 1 }\n")
    shown = invoke("ast", "show", tmp_path / "a.c").out
    assert '";"  MISSING' in shown
    assert "1 missing, lossless" in shown


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("gone.py", None, 3, "No such file"),
        ("image.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), 3, "binary"),
        ("notes.xyz", b"", 7, "no-grammar"),
    ],
)
def test_a_file_without_a_tree_is_an_error_that_says_why(
    tmp_path: Path, name: str, content: bytes | None, code: int, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    ended = invoke("ast", "show", tmp_path / name)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err


def test_a_document_of_a_version_is_shown_as_the_file_it_was(store: Path) -> None:
    shown = invoke("ast", "show", "code/m03.py", "--corpus", "trees", "--store", store)
    file = invoke("ast", "show", store.parent / "mixed/code/m03.py")
    assert shown.out == file.out


def test_the_recipe_drops_what_has_no_tree_or_errors_with_a_reason(store: Path) -> None:
    manifest = invoke("show", "trees", "--store", store, "--json").json
    reasons = {entry["step"]: entry["reasons"] for entry in manifest["funnel"]}
    assert reasons["select"]["parsed"] > 0
    assert "no-text" in reasons["syntax"]
    (picture,) = invoke("why", "trees", "picture.png", "--store", store, "--json").json
    assert picture["steps"]["syntax"] == {"ast_status": "no-text"} | dict.fromkeys(
        ("grammar", "grammar_version", "ast_nodes", "ast_errors", "ast_missing", "ast_depth", "ast_lossless")
    )
    assert "parsed" in picture["steps"]["select"]["reasons"]


def test_the_recipe_lays_tokens_beside_trees(store: Path) -> None:
    shown = invoke("tokenizer", "alignment", "trees", "--store", store, "--json").json
    languages = {row["language"]: row for row in shown["languages"]}
    assert languages["Python"]["documents"] > 30
    assert languages["Python"]["identifiers"] > 0
    assert languages["all"]["statuses"].keys() == {"aligned", "no-text"}


def test_the_recipe_leaves_holes_and_orders_imports(tmp_path: Path) -> None:
    for name, following in zip("abcd", "bcd_", strict=True):
        write(tmp_path / f"in/{name}.py", f"import {following}\n\n\ndef f(x):\n    return x + {following}.y\n")
    line = ["run", "trees", "--local", "--json", "--source", tmp_path / "in", "--store", tmp_path / "s"]
    ended = invoke(*line, "--fim", "node", "--order-imports", "--vocabulary", "o200k_base", "--sequence-length", 64)
    assert ended.code == 0, ended.err
    manifest = Manifest.model_validate(ended.json["manifest"])
    rows = {row["document_id"]: row for row in documents_of(tmp_path / "s", manifest).to_pylist()}
    assert {row["fim_mode"] for row in rows.values()} > {"none"}
    data = pq.read_table(tmp_path / "s/corpora/trees/1/data/python/part-00000.parquet").to_pylist()
    assert [rows[row["document_id"]]["path"] for row in data] == ["d.py", "c.py", "b.py", "a.py"]
    for row in data:
        holes = [token for token in row["tokens"] if token >= 200_019]  # o200k_base has no sentinels of its own
        is_whole = rows[row["document_id"]]["fim_mode"] == "none"
        assert sorted(holes) == ([] if is_whole else [200_019, 200_020, 200_021])
    assert invoke("tokenizer", "alignment", "trees", "--store", tmp_path / "s").code == 7


def test_a_version_without_trees_says_how_to_get_them(tmp_path: Path) -> None:
    write(tmp_path / "in/a.py", "x = 1\n")
    assert invoke("run", "tiny", "--local", "--source", tmp_path / "in", "--store", tmp_path / "s").code == 0
    ended = invoke("ast", "show", "a.py", "--corpus", "tiny", "--store", tmp_path / "s")
    assert ended.code == 7
    assert "gristmill run trees" in ended.err
