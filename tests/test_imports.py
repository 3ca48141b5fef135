"""The import law: schemas <- pipeline <- stages <- jobs; only pipeline imports ray; absolute imports only."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = ("schemas", "pipeline", "stages", "jobs")
MODULES = sorted(path.relative_to(ROOT) for package in ORDER for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module with its level (0 for absolute), those inside functions too."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def test_all_packages_are_looked_at() -> None:
    assert {path.parts[0] for path in MODULES} == set(ORDER)
    assert len(MODULES) > 50


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_follow_the_law(path: Path) -> None:
    package = path.parts[0]
    forbidden = {*ORDER[ORDER.index(package) + 1 :], "tests", "ray"} - ({"ray"} if package == "pipeline" else set())
    for module, level in imports(path):
        assert level == 0, f"{path} imports {'.' * level}{module}; write the whole name"
        assert module.split(".")[0] not in forbidden, f"{path} imports {module}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "schemas"], ids=str)
def test_schemas_need_little(path: Path) -> None:
    known = {"schemas", "pyarrow", "pydantic", *sys.stdlib_module_names}
    assert {module.split(".")[0] for module, _ in imports(path)} <= known


def test_no_module_shadows_the_standard_library() -> None:
    names = {part.removesuffix(".py") for path in MODULES for part in path.parts}
    assert names & sys.stdlib_module_names == {"ast"}  # schemas.ast, as the field calls it; imports are absolute


def test_only_one_module_starts_ray() -> None:
    starters = [str(path) for path in MODULES if "ray.init(" in (ROOT / path).read_text(encoding="utf-8")]
    assert starters == ["pipeline/cluster.py"]
