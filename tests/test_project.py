"""The project file, the pins, the Makefile and the console script agree with each other."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
TOP_LEVEL = {
    "Makefile", "README.md", "CONTRIBUTING.md", "docs", "infra", "jobs", "pipeline", "pyproject.toml", "schemas",
    "stages", "tests",
}  # fmt: skip


def read_pins() -> dict[str, str]:
    lines = (ROOT / "infra/constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def needed_by(requirements: list[str]) -> dict[str, str]:
    """Installed version of everything that the requirements bring, by canonical name."""
    found: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    queue = [(Requirement(text), "") for text in requirements]
    while queue:
        requirement, extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        installed = distribution(name)
        found[name] = installed.version
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in done:
                done.add((name, wanted))
                queue += [(Requirement(text), wanted) for text in installed.requires or ()]
    return found


def test_pins_are_exact_versions_and_nothing_else() -> None:
    lines = (ROOT / "infra/constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in pins), pins
    assert len(read_pins()) == len(pins)


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *EXTRAS["dev"]])
def test_requirement_and_all_that_it_needs_are_pinned(text: str) -> None:
    pins = read_pins()
    try:
        needed = needed_by([text])
    except PackageNotFoundError as error:
        pytest.fail(f"{error.name} is not installed; make the environment with make env")
    installed = {name: version.partition("+")[0] for name, version in needed.items()}  # torch 2.13.0+cpu is 2.13.0
    assert {name: pins.get(name) for name in needed} == installed


def test_the_core_needs_no_torch() -> None:
    heavy = {"torch", "sentence-transformers", "vllm", "transformers", "faiss-gpu-cu12"}
    assert not heavy & needed_by(PROJECT["dependencies"]).keys()


def test_optional_engines_are_extras() -> None:
    assert set(EXTRAS) == {"gpu", "embed", "train", "llm", "cluster", "graph", "report", "dev"}
    assert [Requirement(text).name for text in EXTRAS["embed"]] == ["sentence-transformers", "torch"]
    assert [Requirement(text).name for text in EXTRAS["train"]] == ["torch", "torchdata", "safetensors"]
    assert [Requirement(text).name for text in EXTRAS["llm"]] == ["vllm"]
    assert [Requirement(text).name for text in EXTRAS["gpu"]] == ["faiss-gpu-cu12"]


def test_build_requirements_are_exact() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert all("==" in text for text in build), build


def test_console_script() -> None:
    script = Path(sys.executable).parent / "gristmill"
    version = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert (version.returncode, version.stdout.strip()) == (0, f"gristmill, version {PROJECT['version']}")
    shown = subprocess.run([script, "run", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "tiny" in shown.stdout


def test_top_level_is_fixed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git work tree")
    names = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_make_help_names_every_command() -> None:
    shown = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert re.findall(r"^  make (\w+)", shown.stdout, re.MULTILINE) == phony[1].split()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("*ensurepip*|*pip*) exit 1", "apt-get install python3-venv"),
        ("*version_info*) echo 'error: Python 3.11 or later is needed' >&2; exit 1", "Python 3.11 or later"),
    ],
)
def test_make_says_what_is_missing(tmp_path: Path, answers: str, expected: str) -> None:
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\ncase "$*" in {answers};; esac\n')
    python.chmod(0o755)
    venv = tmp_path / "venv"
    made = subprocess.run(["make", f"PYTHON={python}", f"VENV={venv}", "env"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode != 0
    assert expected in made.stderr
    assert not venv.exists()
