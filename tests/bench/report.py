"""Figures with their targets, as a table for people and a JSON document for machines."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

_LIBRARIES = ("ray", "pyarrow", "numpy", "numba", "gigatoken", "duckdb")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """The median of a quantity over the runs of a bench."""

    bench: str
    name: str
    unit: str
    runs: tuple[float, ...]
    target: float | None = None
    """None for what is only reported."""
    better: Literal["less", "more"] = "less"
    note: str = ""
    sound: bool = True
    """False for a ratio of wall times that were taken while the machine was busy with anything else."""

    @property
    def value(self) -> float:
        """Median of the runs."""
        return median(self.runs)

    @property
    def verdict(self) -> str:
        """`met`, `missed`, `disturbed`, or nothing without a target."""
        if self.target is None:
            return ""
        if not self.sound:
            return "disturbed"
        is_met = self.value <= self.target if self.better == "less" else self.value >= self.target
        return "met" if is_met else "missed"


def document(figures: Sequence[Figure], skipped: Sequence[str], *, quick: bool, repeat: int) -> dict[str, object]:
    """Everything that was measured, with what is needed to compare it."""
    return {
        "date": date.today().isoformat(),
        "machine": {
            "cpus": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "architecture": platform.machine(),
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in _LIBRARIES},
        "quick": quick,
        "repeat": repeat,
        "figures": [asdict(f) | {"value": f.value, "verdict": f.verdict} for f in figures],
        "skipped": list(skipped),
    }


def write_json(path: Path, content: dict[str, object]) -> None:
    """The document as a file."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def print_table(figures: Sequence[Figure], skipped: Sequence[str], console: Console) -> None:
    """One line per figure: the median, the least and the most of the runs, the target and the verdict."""
    table = Table(box=None, pad_edge=False)
    for head in ("bench", "figure"):
        table.add_column(head)
    for head in ("median", "least", "most", "target"):
        table.add_column(head, justify="right")
    for head in ("unit", "", "note"):
        table.add_column(head, overflow="fold")
    for figure in figures:
        sign = {"less": "<=", "more": ">="}[figure.better]
        target = "" if figure.target is None else f"{sign} {figure.target:g}"
        numbers = [f"{number:.4g}" for number in (figure.value, min(figure.runs), max(figure.runs))]
        table.add_row(figure.bench, figure.name, *numbers, target, figure.unit, figure.verdict, figure.note)
    console.print(table)
    for line in skipped:
        console.print(f"skipped: {line}", highlight=False)
