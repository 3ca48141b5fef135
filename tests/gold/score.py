"""Units and concepts against labels written by hand from the source alone, without a parser.

`LANGUAGE.jsonl` holds the labels of 16 files of the code corpus beside the repository; the files themselves are not
copied. The first half was open while the tables were written (`tuning`), the second was not (`held-out`).
What counts as what is defined in docs/syntax-trees.md.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from schemas.ast import CONCEPTS, NAMED
from stages.parse.parse import Parsed, parse_source

LABELS = Path(__file__).parent
CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "code"
LANGUAGES = tuple(sorted(path.stem for path in LABELS.glob("*.jsonl")))
LINE_TOLERANCE = 2
"""Lines by which a label and a node may differ: where a decorated construct begins is a matter of taste."""

_LABELLED = """
declaration.class declaration.decorator declaration.enum declaration.enum_member declaration.function
declaration.import declaration.macro declaration.module declaration.parameter declaration.type
declaration.type_parameter declaration.variable
statement.assignment statement.case statement.conditional statement.context statement.exception statement.handler
statement.jump statement.loop statement.match statement.return
expression.async expression.binary expression.call expression.cast expression.collection expression.comprehension
expression.conditional expression.index expression.lambda expression.literal expression.member expression.unary
expression.yield
comment macro.directive
"""
LABELLED = frozenset(_LABELLED.split())
"""Concepts that the labels cover: constructs. Names, types, lists and blocks are too many to label by hand."""

_CONCEPTS = tuple(CONCEPTS)
Mark = tuple[object, int]
"""What was found, and on which line."""


@dataclass(frozen=True, slots=True)
class Score:
    """Hits and misses of one comparison."""

    hits: int = 0
    missed: int = 0
    wrong: int = 0

    @property
    def recall(self) -> float:
        """Share of the labels that were found."""
        return self.hits / max(1, self.hits + self.missed)

    @property
    def precision(self) -> float:
        """Share of what was found that is labelled."""
        return self.hits / max(1, self.hits + self.wrong)

    def __add__(self, other: "Score") -> "Score":
        return Score(self.hits + other.hits, self.missed + other.missed, self.wrong + other.wrong)


@dataclass(frozen=True, slots=True)
class Compared:
    """One file: its scores, and what differs, for people."""

    id: str
    split: str
    units: Score
    concepts: Score
    parts: Score
    """Parameters, return types and documentation of the units that were found."""
    differences: list[str]


def compare(language: str) -> Iterator[Compared]:
    """All labelled files of a language. Raises ValueError if a file of the corpus has changed."""
    sources = _sources(language)
    for line in (LABELS / f"{language}.jsonl").read_text().splitlines():
        labels = json.loads(line)
        source = sources[labels["id"]]
        if hashlib.sha256(source).hexdigest() != labels["sha256"]:
            raise ValueError(f"{labels['id']} is not the file that was labelled")
        yield _compare_file(labels, parse_source(source, language))


def _sources(language: str) -> dict[str, bytes]:
    rows: dict[str, bytes] = {}
    for path in sorted(p for p in CORPUS.glob("*.parquet") if p.stem.partition("-")[0] == language):
        table = pq.read_table(path, columns=["id", "content"])
        rows |= dict(
            zip(table["id"].to_pylist(), (text.encode() for text in table["content"].to_pylist()), strict=True)
        )
    return rows


def _compare_file(labels: dict[str, Any], parsed: Parsed) -> Compared:
    found, parts = _units(parsed)
    wanted = [((u["kind"], u["qualified"], u["end"]), u["line"]) for u in labels["units"]]
    wanted += [(("import", i["module"], tuple(i["names"])), i["line"]) for i in labels["imports"]]
    units, differences = _match(wanted, found)
    concepts = Score()
    seen = _concept_lines(parsed)
    for concept in sorted(LABELLED):
        marks = [(concept, line) for line in labels["concepts"].get(concept, [])]
        score, more = _match(marks, [(concept, line) for line in seen.get(concept, [])])
        concepts, differences = concepts + score, differences + more
    right, wrong_parts = _compare_parts(labels["units"], parts)
    return Compared(labels["id"], labels["split"], units, concepts, right, differences + wrong_parts)


def _match(wanted: Sequence[Mark], found: Sequence[Mark]) -> tuple[Score, list[str]]:
    """Pairs of equal marks at most `LINE_TOLERANCE` lines apart, taken in order."""
    by_mark: dict[object, list[int]] = {}
    for mark, line in found:
        by_mark.setdefault(mark, []).append(line)
    missed = []
    for mark, line in sorted(wanted, key=lambda pair: pair[1]):
        lines = sorted(by_mark.get(mark, []))
        near = next((other for other in lines if abs(other - line) <= LINE_TOLERANCE), None)
        if near is None:
            missed.append(f"missed {mark} on line {line}")
        else:
            by_mark[mark].remove(near)
    wrong = [f"wrong {mark} on line {line}" for mark, lines in by_mark.items() for line in lines]
    return Score(len(wanted) - len(missed), len(missed), len(wrong)), missed + wrong


Parts = dict[tuple[str, str | None, int], tuple[str | None, str | None, bool]]


def _units(parsed: Parsed) -> tuple[list[Mark], Parts]:
    marks: list[Mark] = []
    parts: Parts = {}
    for unit in parsed.units:
        if unit.kind == "import":
            marks.append((("import", unit.module, tuple(unit.names or ())), _line(parsed, unit.start)))
            continue
        start = unit.name_range[0] if unit.name_range[0] is not None and unit.kind != "lambda" else unit.start
        key = (unit.kind, unit.qualified_name, _line(parsed, unit.end - 1))
        marks.append((key, _line(parsed, start)))
        texts = (_text(parsed, place) for place in (unit.parameters, unit.returns))
        parts[key] = (*texts, unit.doc[0] is not None)
    return marks, parts


def _compare_parts(units: Iterable[dict[str, Any]], found: Parts) -> tuple[Score, list[str]]:
    hits, differences = 0, []
    for unit in units:
        key = (unit["kind"], unit["qualified"], unit["end"])
        if key not in found:
            continue
        expected = (unit["parameters"], unit["returns"], unit["doc"])
        for name, right, got in zip(("parameters", "returns", "doc"), expected, found[key], strict=True):
            if _squeezed(right) == _squeezed(got):
                hits += 1
            else:
                differences.append(f"{name} of {key}: {got!r}, labelled {right!r}")
    return Score(hits, len(differences), len(differences)), differences


def _squeezed(value: object) -> object:
    return "".join(value.split()) if isinstance(value, str) else value


def _text(parsed: Parsed, place: tuple[int | None, int | None]) -> str | None:
    return None if place[0] is None else parsed.source[place[0] : place[1]].decode()


def _line(parsed: Parsed, byte: int) -> int:
    return parsed.source.count(b"\n", 0, byte) + 1


def _concept_lines(parsed: Parsed) -> dict[str, list[int]]:
    tree, lines = parsed.tree, {}
    for node in range(len(tree)):
        concept = _CONCEPTS[tree.concept[node]]
        if concept in LABELLED and tree.flags[node] & NAMED:
            lines.setdefault(concept, []).append(_line(parsed, tree.start[node]))
    return lines


def by_concept(differences: Iterable[str]) -> Counter[str]:
    """How often each mark differs."""
    return Counter(difference.split(" on line")[0] for difference in differences)
