"""The command as people use it: help, mistakes, exit codes, what it prints."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.conftest import Published, write, write_mixed
from tests.jobs.invoke import invoke, run_tiny
from tests.machine import ROOT, gristmill, made_of

COMMANDS = ("run", "plan", "ls", "show", "diff", "why", "completion")


@pytest.mark.parametrize("line", [(), *((name,) for name in COMMANDS), ("run", "tiny"), ("plan", "tiny")])
def test_help_of_every_command(line: tuple[str, ...]) -> None:
    ended = invoke(*line, "--help")
    assert ended.code == 0
    assert ended.out.startswith("Usage: gristmill")


def test_help_names_exit_codes_and_examples() -> None:
    text = invoke("--help").out
    assert "130 interrupted" in text
    assert "gristmill run tiny" in text


def test_help_of_a_recipe_describes_each_parameter_once() -> None:
    text = invoke("run", "tiny", "--help").out
    parameters, options = text.split("Parameters of the recipe:")[1].split("\nOptions:")
    assert "--sequence-length" in parameters
    assert "--store" in options
    assert text.count("tokens of a training sequence") == 1
    assert "[default: 2048]" in parameters


def test_version() -> None:
    ended = gristmill("--version")
    assert (ended.code, ended.out) == (0, "gristmill, version 0.1.0\n")


MISTAKES: dict[tuple[str, ...], tuple[int, str]] = {
    ("runn",): (2, "Did you mean 'run'?"),
    ("run", "tinny"): (2, "no recipe 'tinny'; known: climb, tiny, trees, or give path/to/recipe.py:function"),
    ("run", "tiny", "--sequnce-length", "3"): (2, "Did you mean '--sequence-length'?"),
    ("run", "tiny", "--sequence-length", "long"): (2, "'long' is not a valid integer"),
    ("run", "tiny", "--vocabulary", "gpt"): (2, "vocabulary 'gpt' is no file and none of cl100k_base, o200k_base"),
    ("run", "tiny", "--workers", "0"): (2, "Invalid value for '--workers'"),
    ("run", "tiny", "--sequence-length", "1"): (2, "sequence_length must be 0 (one row per document) or at least 2"),
    ("run", "tiny", "--name", "Not A Name"): (2, "name 'Not A Name' must be 1 to 100 of a-z 0-9"),
    ("run", "tiny", "--source", "foldr:x"): (3, "did you mean 'folder'?"),
    ("run", "tiny", "--source", "."): (3, "the sources hold no documents"),
    ("run", "tiny", "--source", ".?exclud=x"): (3, "unknown setting 'exclud'; did you mean 'exclude'?"),
    ("run", "tiny", "--source", ".?max_document_bytes=many"): (3, "must be a whole number, got 'many'"),
    ("run", "tiny", "--source", "folder:gone"): (3, "gone does not exist"),
    ("run", "tiny", "--source", "jsonl:gone.jsonl"): (3, "gone.jsonl"),
    ("run", "tiny", "--source", "env:no-such-distribution"): (3, "['no-such-distribution'] are not installed"),
    ("run", "tiny", "--site", "gone.toml"): (5, "cannot read site file gone.toml"),
    ("plan", "tiny", "--store", "/proc/nothing"): (5, "cannot write /proc/nothing"),
    ("plan", "tiny", "--store", "ftp://host/x"): (5, "expected a folder or s3://bucket/prefix"),
    ("ls", "--store", "gone"): (7, "there is no store at"),
    ("show",): (2, "Missing argument 'CORPUS'"),
    ("completion", "tcsh"): (2, "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
}


@pytest.mark.parametrize("line", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_clear_message(line: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, message = MISTAKES[line]
    ended = invoke(*line, "--local") if line[:2] == ("run", "tiny") else invoke(*line)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stor]\n", "unknown key 'stor'; did you mean 'store'?"),
        ("[store]\npaht = 'x'\n", "unknown key 'store.paht'; did you mean 'path'?"),
        ("[execution]\nworkers = 'two'\n", "execution.workers: Input should be a valid integer"),
        ("[store\n", "is not TOML"),
    ],
)
def test_a_site_file_with_a_mistake(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(text)
    for line in (["run", "tiny"], ["plan", "tiny"], ["ls"], ["show", "tiny"]):
        ended = invoke(*line, "--site", tmp_path / "site.toml")
        assert ended.code == 5
        assert message in ended.err
        assert "site.toml" in ended.err


def test_a_ray_address_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "site.toml").write_text(f"[ray]\naddress = '{address}'\n")
    source = write_mixed(tmp_path / "input")
    ended = invoke("run", "tiny", "--site", tmp_path / "site.toml", "--store", tmp_path / "s", "--source", source)
    assert ended.code == 5
    assert f"Ray at {address} does not answer" in ended.err


RECIPES = {
    "fails_to_load": ("import nothing_of_this_name\n", 2, "failed to load: ModuleNotFoundError"),
    "not_python": ("def not_python( -> None: ...\n", 2, "failed to load: SyntaxError"),
    "without_function": ("def other() -> int: ...\n", 2, "has no function 'without_function'; it has: other"),
    "untyped": ("def untyped(x): ...\n", 2, "parameter 'x' of recipe"),
    "unknown_type": ("def unknown_type(x: 'Gone' = 1): ...\n", 2, "unknown type: name 'Gone' is not defined"),
    "odd_type": ("def odd_type(x: dict): ...\n", 2, "has type <class 'dict'>; use one of str, int"),
    "taken_option": ("def taken_option(store: str = ''): ...\n", 2, "['store'], which are options of the command"),
    "wrong_result": ("def wrong_result() -> int:\n    return 3\n", 2, "returned int; it must return a jobs.publish"),
    "refuses": ("def refuses() -> int:\n    raise ValueError('depth must be 1')\n", 2, "depth must be 1"),
    "json": ("def json() -> int: ...\n", 2, "cannot be imported as 'json': rename it"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_with_a_mistake(name: str, tmp_path: Path) -> None:
    text, code, message = RECIPES[name]
    write(tmp_path / f"{name}.py", text)
    ended = invoke("run", tmp_path / f"{name}.py", "--local", "--store", tmp_path / "store")
    assert ended.code == code
    assert message in ended.err
    assert name in ended.err


def test_a_recipe_that_raises_shows_its_traceback_once(tmp_path: Path) -> None:
    write(tmp_path / "raises.py", "def raises() -> int:\n    return {}['missing']\n")
    ended = gristmill("run", tmp_path / "raises.py", "--local", "--store", tmp_path / "store")
    assert ended.code == 1
    assert ended.err.count("Traceback") == 1
    assert ended.err.endswith("KeyError: 'missing'\n")


EXPLODES = """
from dataclasses import replace

import pyarrow as pa

from jobs.publish import Corpus
from jobs.recipes.tiny import tiny
from pipeline.stage import configured
from stages.filter import lines


def explode(config: lines.LinesConfig):
    inner = lines.STAGE.open(config)

    def transform(table: pa.Table) -> pa.Table:
        if "boom" in table["text"].to_pylist():
            raise KeyError("a stage of a user")
        return inner(table)

    return transform


def explodes(source: str) -> Corpus:
    made = tiny(source=[f"{source}?shard_bytes=3"])
    (marks,) = [d for d in made.sidecars if d.name == "marks"]
    marks.details["stages"] = (configured(replace(lines.STAGE, name="exploding", open=explode), lines.LinesConfig()),)
    return made
"""


def test_a_stage_that_raises_fails_its_shard_and_shows_its_traceback_once(tmp_path: Path) -> None:
    for name, text in {"a.py": "a = 1\n", "b.py": "boom", "c.py": "boom", "d.py": "d = 1\n"}.items():
        write(tmp_path / "input" / name, text)
    write(tmp_path / "explodes.py", EXPLODES)
    line = ("run", tmp_path / "explodes.py", "--local", "--store", tmp_path / "store", "--source", tmp_path / "input")
    ended = invoke(*line)
    assert ended.code == 4
    assert ended.err.count("Traceback") == 1
    assert ended.err.count("retrying marks") == 4
    assert "2 shard(s) failed, all others are committed; mend the cause and run the same again" in ended.err
    assert "KeyError: 'a stage of a user'" in ended.err.splitlines()[-1]
    assert len(list((tmp_path / "store").glob("records/marks-*/*"))) == 2


def test_debug_shows_where_a_known_error_comes_from(tmp_path: Path) -> None:
    ended = invoke("--debug", "ls", "--store", tmp_path / "gone")
    assert ended.code == 7
    assert ended.err.count("Traceback") == 1
    assert ended.err.splitlines()[-1].startswith("error: there is no store at")


def test_plan_counts_before_and_after(tmp_path: Path) -> None:
    source, store = write_mixed(tmp_path / "input"), tmp_path / "store"
    line = ("plan", "tiny", "--local", "--store", store, "--source", source)
    before = {step["step"]: step for step in invoke(*line, "--json").json["steps"]}
    assert before["documents"] | {"bytes": 0} == {
        "step": "documents", "spill": False, "shards": 1, "committed": 0, "to_do": 1, "documents": 48, "bytes": 0
    }  # fmt: skip
    assert before["files"]["shards"] is None
    assert not list(store.glob("records/*"))
    text = invoke(*line).out
    assert "unknown: depends on counts of steps that have not run" in text
    run_tiny(store, source)
    after = invoke(*line, "--json").json["steps"]
    assert sum(step["to_do"] for step in after) == 0
    assert all(step["committed"] == step["shards"] for step in after if not step["spill"])


def test_a_second_run_does_no_work(published: Published) -> None:
    line = f"{published.source}?max_document_bytes=50000&shard_bytes=20000"
    before = made_of(published.store)
    again = invoke("run", "tiny", "--local", "--store", published.store, "--source", line, "--sequence-length", 64)
    assert again.code == 0
    assert "nothing was left to do" in again.out
    assert again.err == ""
    assert made_of(published.store) == before
    assert [entry["corpus"] for entry in invoke("ls", "--store", published.store, "--json").json] == ["tiny@1"]


def test_a_version_that_is_taken(published: Published, tmp_path: Path) -> None:
    write(tmp_path / "other/a.py", "print('other')\n")
    ended = invoke(
        "run", "tiny", "--local", "--store", published.store, "--source", tmp_path / "other", "--version", "1"
    )
    assert ended.code == 6
    assert "tiny@1 is published with other content; choose another version" in ended.err


def test_run_without_a_terminal_prints_plain_lines(tmp_path: Path) -> None:
    write(tmp_path / "input/a.py", "print('a')\n")
    ended = invoke("run", "tiny", "--local", "--store", tmp_path / "store", "--source", tmp_path / "input")
    assert "documents: 1/1 shards, 1 documents, 0 dropped" in ended.err
    assert "\x1b" not in ended.err + ended.out
    assert f"tiny@1  {tmp_path}/store/corpora/tiny/1" in ended.out


COMPLETIONS = {
    "gristmill pl": {"plan"},
    "gristmill run ti": {"tiny"},
    "gristmill run tiny --se": {"--sequence-length", "--seed"},
    "gristmill plan tiny --packing ": {"best-fit", "concatenate", "document"},
    "gristmill show --store STORE ti": {"tiny@1"},
    "gristmill run broken.py --": {"--help"},
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_recipes_options_and_corpora(published: Published, tmp_path: Path) -> None:
    write(tmp_path / "broken.py", "import nothing_of_this_name\n")
    write(tmp_path / "gristmill", f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m jobs.cli "$@"\n')
    (tmp_path / "gristmill").chmod(0o755)
    script = ['eval "$(gristmill completion bash)"']
    for line in COMPLETIONS:
        words = " ".join(f"'{word}'" for word in line.replace("STORE", str(published.store)).split(" "))
        script += [f"COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)) COMPREPLY=()"]
        script += ["_gristmill_completion gristmill", 'echo "${COMPREPLY[*]}"']
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert [set(line.split()) for line in done.stdout.splitlines()] == list(COMPLETIONS.values())
