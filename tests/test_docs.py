"""What the documentation shows is what happens: its `console` and `python` blocks run, its links lead somewhere.

A page's blocks run in order in a folder of their own, which the pages call /tmp/tour. Each shown line must occur in the
real output, in order; `...` stands for anything, and so do durations.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN_FOLDER = "/tmp/tour"
ON_RAY = ("run ", "tokenizer train ", "mixture search ", "mixture realise ")
"""How commands begin that start Ray unless they get `--local`."""


def blocks(page: Path, *languages: str) -> Iterator[tuple[str, str, str]]:
    """Language, file name (from `<!-- file: NAME -->` above it) and text of the fenced blocks."""
    pattern = r"(?:<!-- file: (?P<file>\S+) -->\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```$"
    for found in re.finditer(pattern, page.read_text(), re.MULTILINE | re.DOTALL):
        if found["language"] in languages:
            yield found["language"], found["file"] or "", found["text"]


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block with the lines shown under each."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.replace("\\\n", " ").splitlines()
        yield command, [line for line in shown if line.strip()]


def run(command: str, folder: Path) -> str:
    """Standard output and error of a command; `gristmill` runs in this process and without Ray."""
    if not command.startswith("gristmill "):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout
    arguments = shlex.split(command)[1:]
    if " ".join(arguments).startswith(ON_RAY) and "--help" not in arguments:
        arguments.append("--local")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0 or "error: " in result.output, (command, result.output, result.exc_info)
    return result.output


def as_pattern(line: str, folder: Path) -> str:
    text = " ".join(line.replace(SHOWN_FOLDER, str(folder)).split())
    escaped = re.escape(text).replace(re.escape("..."), ".*")
    return re.sub(r"\d+\\\.\d\\ s\b", r"\\d+\\.\\d s", escaped)


def check_shown(command: str, shown: list[str], output: str, folder: Path) -> None:
    """Raise AssertionError at the first shown line that does not come in the output after those before it."""
    left = [" ".join(line.split()) for line in output.splitlines()]
    for line in shown:
        pattern = as_pattern(line, folder)
        while left and not re.fullmatch(pattern, left[0]):
            left.pop(0)
        assert left, f"after {command!r} the page shows {line!r}; the output was:\n{output}"
        left.pop(0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    path, modules = [*sys.path], {*sys.modules}
    yield tmp_path
    sys.path[:] = path
    for name in [
        n for n, m in sys.modules.items() if n not in modules and str(tmp_path) in str(getattr(m, "__file__", ""))
    ]:
        del sys.modules[name]


@pytest.mark.parametrize("page", [p for p in PAGES if any(blocks(p, "console", "python"))], ids=lambda p: p.stem)
def test_page_runs(page: Path, folder: Path) -> None:
    for language, file, text in blocks(page, "console", "python", "toml"):
        if file:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        elif language == "python":
            exec(compile(text, str(page), "exec"), {})
        elif language == "console":
            for command, shown in steps(text):
                check_shown(command, shown, run(command, folder), folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"
