"""Alignment by language: the counts of the job, the figures that follow, and how they are shown."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from jobs.packing.files import FilesConfig
from jobs.publish import CorpusConfig, corpus, publish
from jobs.sources import parse_sources
from jobs.tokenizers.alignment import alignment_of, alignment_statistics, show_alignment
from pipeline.annotate import annotate
from pipeline.dataset import Dataset
from pipeline.errors import NotFoundError
from pipeline.ingest import ingest
from pipeline.stage import configured
from schemas.alignment import ALIGNMENT, ALIGNMENT_MEASURES, ALIGNMENT_STATISTICS
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.parse import syntax
from stages.tokenization import align, encode, lexemes
from tests import machine
from tests.jobs.conftest import write

COUNTS = ("aligned_tokens", "leaves", "whole_leaves", "identifiers", "identifier_tokens")

File = tuple[str | None, str, int | None, tuple[int, int, int, int, int] | None]
"""Language, status, tokens, counts."""

FILES: list[File] = [
    ("Pea", "aligned", 10, (8, 6, 4, 2, 5)),
    ("Pea", "aligned", 5, (5, 4, 4, 1, 1)),
    ("Pea", "no-tree", 7, None),
    ("Queue", "aligned", 4, (2, 3, 1, 0, 0)),
    (None, "no-text", None, None),
    ("Queue", "lossy", 3, None),
]


def given_shards(*shards: Sequence[File]) -> tuple[Dataset, Dataset, Dataset]:
    documents = machine.given(
        "documents", *(pa.table({"language": pa.array([f[0] for f in s], pa.string())}) for s in shards)
    )
    tokens = [pa.table({"num_tokens": pa.array([f[2] for f in shard], pa.int32())}) for shard in shards]
    sidecars = []
    for shard in shards:
        rows = []
        for _, status, _, counts in shard:
            row: dict[str, Any] = dict.fromkeys(ALIGNMENT.names) | {"alignment_status": status}
            rows.append(row | dict(zip(COUNTS, counts or [None] * 5, strict=True)))
        sidecars.append(pa.Table.from_pylist(rows, ALIGNMENT))
    return (
        documents,
        machine.given("tokens", *tokens, beside=documents),
        machine.given("alignment", *sidecars, beside=documents),
    )


def run(store: Path, *shards: Sequence[File]) -> pa.Table:
    made = alignment_statistics(*given_shards(*shards))
    (table,) = machine.run(machine.site_of(store), made).tables(made)
    assert table.schema.equals(ALIGNMENT_STATISTICS, check_metadata=True)
    return table


def counted(files: Sequence[File]) -> list[tuple[Any, ...]]:
    """The slow obvious twin."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for language, status, tokens, values in files:
        measures = {"documents": 1, "tokens": tokens or 0} | dict(zip(COUNTS, values or [0] * 5, strict=True))
        for measure, count in measures.items():
            counts[language, status, measure] += count
    rows = [(*key, count) for key, count in counts.items() if count]
    return sorted(rows, key=lambda row: (row[0] is None, row[0] or "", row[1], row[2]))


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_counts_of_a_small_corpus_in_any_shards(tmp_path: Path) -> None:
    assert rows_of(run(tmp_path / "one", FILES)) == counted(FILES)
    assert rows_of(run(tmp_path / "three", FILES[4:], FILES[:1], FILES[1:4])) == counted(FILES)
    assert {row[2] for row in counted(FILES)} == set(ALIGNMENT_MEASURES)


def test_figures_of_a_small_corpus(tmp_path: Path) -> None:
    pea, queue, unknown, total = alignment_of(run(tmp_path, FILES))
    assert [row.language for row in (pea, queue, unknown, total)] == ["Pea", "Queue", "unknown", "all"]
    assert pea.statuses == {"aligned": 2, "no-tree": 1}
    assert (pea.documents, pea.tokens, pea.leaves, pea.identifiers) == (2, 15, 10, 3)
    assert (pea.aligned_share, pea.whole_share) == (13 / 15, 8 / 10)
    assert (pea.tokens_per_identifier, pea.merged_share) == (2, 3 / 15)
    assert (queue.statuses, queue.tokens_per_identifier) == ({"aligned": 1, "lossy": 1}, None)
    assert (unknown.documents, unknown.aligned_share, unknown.whole_share) == (0, None, None)
    assert (total.documents, total.tokens, total.statuses["aligned"]) == (3, 19, 3)


def test_nothing_gives_nothing() -> None:
    (total,) = alignment_of(ALIGNMENT_STATISTICS.empty_table())
    assert (total.language, total.tokens, total.aligned_share) == ("all", 0, None)


PROGRAMS = {
    "code/add.py": "def add_numbers(first_one, second_one):\n    return first_one.added(second_one)\n",
    "code/add.js": "function addNumbers(firstOne, secondOne) { return firstOne.added(secondOne) }\n",
    "notes.txt": "no program\n",
}


def parsed_programs(folder: Path) -> tuple[Dataset, Dataset]:
    """Documents and trees."""
    for path, text in PROGRAMS.items():
        write(folder / "input" / path, text)
    documents = ingest(*parse_sources([str(folder / "input")]), stages=chain())
    trees = annotate("syntax", documents, stages=[configured(syntax.STAGE, syntax.SyntaxConfig())])
    return documents, trees


def publish_programs(folder: Path, *, with_statistics: bool = True) -> Path:
    """A store with `programs@1`."""
    documents, trees = parsed_programs(folder)
    rules = SelectConfig(predicates=(Predicate(name="readable", sql="problem IS NULL"),))
    decisions = annotate("select", documents, stages=[select_stage(rules, [documents.schema])])
    tokens = annotate("tokens", documents, stages=[configured(encode.STAGE, encode.EncodeConfig())])
    laid = annotate("alignment", documents, trees, tokens, stages=[configured(align.STAGE, align.AlignConfig())])
    made = corpus(
        documents,
        decisions,
        tokens,
        CorpusConfig(name="programs", vocabulary="cl100k_base", files=FilesConfig(end_of_document=100257)),
        marks=(trees, laid) if with_statistics else (),
        reports=(alignment_statistics(documents, tokens, laid),) if with_statistics else (),
    )
    ran = machine.run(machine.site_of(folder / "store"), *made.targets)
    publish(ran.plan, made, "programs", {})
    return folder / "store"


def shown(store: Path, *, as_json: bool) -> str:
    with CliRunner().isolation() as (out, _, _):
        show_alignment(corpus="programs", site=None, store=str(store), as_json=as_json)
        return bytes(out.getvalue()).decode()


def test_alignment_of_a_published_version(tmp_path: Path) -> None:
    store = publish_programs(tmp_path)
    found = json.loads(shown(store, as_json=True))
    assert (found["corpus"], found["vocabulary"]) == ("programs@1", "cl100k_base")
    rows = {row["language"]: row for row in found["languages"]}
    assert list(rows) == ["JavaScript", "Python", "Text", "all"]
    assert rows["Python"]["identifiers"] == 6
    assert 0.5 < rows["Python"]["aligned_share"] < 1
    assert rows["Text"]["statuses"] == {"no-tree": 1}
    text = shown(store, as_json=False)
    assert "programs@1: tokens of cl100k_base beside the syntax trees" in text
    assert "not aligned: no-tree 1" in text
    assert "Text" not in text
    python = next(line.split() for line in text.splitlines() if line.startswith("Python"))
    assert python[1:3] == ["1", str(rows["Python"]["tokens"])]


def test_tokens_made_by_lexeme_are_all_aligned(tmp_path: Path) -> None:
    documents, trees = parsed_programs(tmp_path)
    tokens = annotate("tokens", documents, trees, stages=[lexemes.lexemes_stage(lexemes.LexemesConfig())])
    laid = annotate("alignment", documents, trees, tokens, stages=[configured(align.STAGE, align.AlignConfig())])
    made = alignment_statistics(documents, tokens, laid)
    rows = alignment_of(machine.run(machine.site_of(tmp_path / "store"), made).tables(made)[0])
    assert [(row.language, row.aligned_share, row.whole_share) for row in rows[:2]] == [
        ("JavaScript", 1, 1),
        ("Python", 1, 1),
    ]


def test_a_version_without_statistics_is_said_so(tmp_path: Path) -> None:
    store = publish_programs(tmp_path, with_statistics=False)
    with pytest.raises(
        NotFoundError, match="has no step 'alignment-statistics'; gristmill run trees without --fim makes"
    ):
        shown(store, as_json=False)
