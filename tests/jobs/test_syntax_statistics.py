"""Statistics of trees: the counts of the job, the figures that follow from them, and how they are shown."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.packing.files import FilesConfig
from jobs.publish import CorpusConfig, corpus, publish
from jobs.sources import parse_sources
from jobs.syntax_looking import MLCPD_ZERO_ERROR, show_statistics, statistics_of
from jobs.syntax_statistics import syntax_statistics
from pipeline.annotate import annotate
from pipeline.dataset import Dataset
from pipeline.errors import NotFoundError, ShardsFailedError
from pipeline.ingest import ingest
from pipeline.stage import configured
from schemas.ast import AST, CONCEPTS, ERROR, ERROR_KIND, GRAMMARS_KEY, MISSING, NAMED
from schemas.syntax_statistics import MEASURES, SYNTAX_STATISTICS
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.parse import syntax
from stages.tokenization import encode
from tests import machine
from tests.jobs.conftest import write

LANGUAGES = ("Python", "JavaScript")
DOCUMENT = pa.schema([("language", pa.string()), ("text", pa.string())])
KINDS = {"p": ["end", "file", "name", "+", "name"], "q": ["end", "unit", "name", "++"]}
"""Two small grammars. The second `name` of p is anonymous."""
GRAMMARS = {"Pea": "p", "Queue": "q"}
CONCEPT = {name: number for number, name in enumerate(CONCEPTS)}
FILE, NAME = CONCEPT["source"], CONCEPT["expression.identifier"]
NONE, WORD, SIGN = CONCEPT["none"], CONCEPT["token.keyword"], CONCEPT["token.operator"]

Node = tuple[int, int, int]
"""Kind, concept, flags."""
File = tuple[str | None, str | None, str, list[Node]]
"""Language, text, status and nodes."""


def tree(language: str, text: str, *nodes: Node) -> File:
    return language, text, "parsed", list(nodes)


FILES: list[File] = [
    tree("Pea", "a + b\n", (1, FILE, NAMED), (2, NAME, NAMED), (3, SIGN, 0), (2, NAME, NAMED)),
    tree("Pea", "name é\r\nx", (1, FILE, NAMED), (4, WORD, 0), (ERROR_KIND, CONCEPT["error"], NAMED | ERROR)),
    tree("Queue", "q++\n\n", (1, FILE, NAMED), (2, NAME, NAMED), (3, SIGN, 0), (2, NAME, NAMED | MISSING)),
    tree("Pea", "", (1, FILE, NAMED)),
    ("Pea", None, "no-text", []),
    ("Pea", "huge\n", "timeout", []),
    (None, "what\n", "no-grammar", []),
]


def documents_table(files: Sequence[File]) -> pa.Table:
    return pa.table([[f[0] for f in files], [f[1] for f in files]], schema=DOCUMENT)


def syntax_table(files: Sequence[File], kinds: dict[str, list[str]] = KINDS) -> pa.Table:
    rows = []
    for language, _, status, nodes in files:
        row: dict[str, Any] = dict.fromkeys(AST.names) | {"ast_status": status}
        if status == "parsed":
            row |= {"grammar": GRAMMARS[language or ""], "ast_nodes": len(nodes), "ast_lossless": len(nodes) < 4}
            row["ast_errors"] = sum(bool(flags & ERROR) for _, _, flags in nodes)
            row["ast_missing"] = sum(bool(flags & MISSING) for _, _, flags in nodes)
            for column, name in enumerate(("node_kind", "node_concept", "node_flags")):
                row[name] = [node[column] for node in nodes]
        rows.append(row)
    names = {name: {"version": "1", "kinds": kinds, "fields": [""]} for name, kinds in kinds.items()}
    return pa.Table.from_pylist(rows, AST).replace_schema_metadata({GRAMMARS_KEY: json.dumps(names).encode()})


def given_shards(*shards: Sequence[File]) -> tuple[Dataset, Dataset]:
    documents = machine.given("documents", *map(documents_table, shards))
    return documents, machine.given("syntax", *map(syntax_table, shards), beside=documents)


def run(store: Path, *shards: Sequence[File]) -> pa.Table:
    made = syntax_statistics(*given_shards(*shards))
    (table,) = machine.run(machine.site_of(store), made).tables(made)
    assert table.schema.equals(SYNTAX_STATISTICS, check_metadata=True)
    return table


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def table_of(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SYNTAX_STATISTICS)


def counted(files: Sequence[File]) -> list[tuple[Any, ...]]:
    """The slow obvious twin: one node after the other."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for language, text, status, nodes in files:
        lines = (text or "").split("\n")
        lines = lines if lines[-1] else lines[:-1]
        stripped = [line.removesuffix("\r") if text and n < text.count("\n") else line for n, line in enumerate(lines)]
        errors, missing = (sum(bool(flags & bit) for _, _, flags in nodes) for bit in (ERROR, MISSING))
        is_parsed = status == "parsed"
        for measure, count in {
            "files": 1,
            "bytes": len((text or "").encode()),
            "lines": len(lines),
            "line_bytes": sum(len(line.encode()) for line in stripped),
            "errors": errors,
            "missing": missing,
            "without_errors": is_parsed and not errors and not missing,
            "lossless": is_parsed and len(nodes) < 4,
        }.items():
            counts[language, status, measure, None, None, None] += count
        for kind, concept, flags in nodes:
            name = "ERROR" if kind == ERROR_KIND else KINDS[GRAMMARS[language or ""]][kind]
            counts[language, status, "nodes", name, list(CONCEPTS)[concept], bool(flags & NAMED)] += 1
    rows = [(*key, count) for key, count in counts.items() if count]
    return sorted(rows, key=lambda row: [(value is None, value or "") for value in row[:5]] + [(False, bool(row[5]))])


def test_counts_of_a_small_corpus(tmp_path: Path) -> None:
    table = run(tmp_path, FILES[:3], FILES[3:5], FILES[5:])
    assert rows_of(table) == counted(FILES)
    parsed = [row[2:] for row in rows_of(table) if row[:2] == ("Pea", "parsed")]
    assert parsed == [
        ("bytes", None, None, None, 16),
        ("errors", None, None, None, 1),
        ("files", None, None, None, 3),
        ("line_bytes", None, None, None, 13),
        ("lines", None, None, None, 3),
        ("lossless", None, None, None, 2),
        ("nodes", "+", "token.operator", False, 1),
        ("nodes", "ERROR", "error", True, 1),
        ("nodes", "file", "source", True, 3),
        ("nodes", "name", "expression.identifier", True, 2),
        ("nodes", "name", "token.keyword", False, 1),
        ("without_errors", None, None, None, 2),
    ]
    assert [row[1:] for row in rows_of(table) if row[0] is None] == [
        ("no-grammar", "bytes", None, None, None, 5),
        ("no-grammar", "files", None, None, None, 1),
        ("no-grammar", "line_bytes", None, None, None, 4),
        ("no-grammar", "lines", None, None, None, 1),
    ]
    assert set(table["measure"].to_pylist()) == set(MEASURES)


def test_figures_of_a_small_corpus(tmp_path: Path) -> None:
    found = statistics_of(run(tmp_path, FILES))
    pea, queue, unknown = found.languages
    assert [row.language for row in found.languages] == ["Pea", "Queue", "unknown"]
    assert (pea.files, pea.trees, pea.bytes, pea.lines, pea.nodes) == (5, 3, 16, 3, 8)
    assert pea.statuses == {"no-text": 1, "parsed": 3, "timeout": 1}
    assert (pea.mean_lines, pea.mean_nodes, pea.nodes_per_line) == (1, 8 / 3, 8 / 3)
    assert (pea.mean_line_bytes, pea.mean_errors) == (13 / 3, 1 / 3)
    assert (pea.zero_error_share, pea.lossless_share) == (2 / 3, 2 / 3)
    # file 3, name 3, + 1, ERROR 1 of 8
    assert pea.entropy_bits == pytest.approx(2 * 3 / 8 * math.log2(8 / 3) + 2 * 1 / 8 * 3)
    assert (queue.mean_errors, queue.zero_error_share, queue.lossless_share) == (1, 0, 0)
    assert queue.entropy_bits == 1.5
    assert (unknown.files, unknown.trees, unknown.mean_nodes, unknown.entropy_bits) == (1, 0, None, None)
    assert (found.total.language, found.total.files, found.total.trees) == ("all", 7, 4)
    assert (found.total.nodes, found.total.mean_errors) == (12, 0.5)
    # Pea: file 3, name 3, + 1, ERROR 1; Queue: unit 1, name 2, ++ 1
    assert found.kinds.languages == found.concepts.languages == ["Pea", "Queue"]
    assert found.kinds.cosine[0][1] == pytest.approx(6 / math.sqrt(20 * 6))
    # Pea: source 3, identifier 2, error 1; Queue: source 1, identifier 2
    assert found.concepts.cosine[0][1] == pytest.approx(7 / math.sqrt(14 * 5))
    for similarity in (found.kinds, found.concepts):
        assert similarity.cosine[0][1] == similarity.cosine[1][0]
        assert similarity.cosine[0][0] == similarity.cosine[1][1] == 1.0


def test_nodes_without_a_concept_and_tokens_do_not_make_languages_alike() -> None:
    shared = [("y", "none", True, 7), (";", "token.operator", False, 9)]
    rows = [
        (language, "parsed", "nodes", *row)
        for language, own in (("A", "source"), ("B", "comment"))
        for row in [("x", own, True, 1), *shared]
    ]
    found = statistics_of(table_of(rows))
    assert found.concepts.cosine == [[1.0, 0.0], [0.0, 1.0]]
    assert found.kinds.cosine[0][1] == 1.0


def test_what_mlcpd_says_stands_beside() -> None:
    rows = [(name, "parsed", "files", None, None, None, 1) for name in ("C", "Rust")]
    found = statistics_of(table_of(rows))
    assert [row.mlcpd_zero_error_share for row in found.languages] == [0.421, None]
    assert len(MLCPD_ZERO_ERROR) == 10


nodes = st.tuples(st.sampled_from([1, 2, 3, ERROR_KIND]), st.sampled_from([FILE, NAME, NONE, WORD]), st.integers(0, 31))
texts = st.text(alphabet="aé\r\n", max_size=8)
trees = st.tuples(st.sampled_from(list(GRAMMARS)), texts, st.just("parsed"), st.lists(nodes, min_size=1, max_size=6))
others = st.tuples(
    st.sampled_from([None, *GRAMMARS]), st.none() | texts, st.sampled_from(["no-text", "crash"]), st.just([])
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(trees | others, min_size=1, max_size=8), data=st.data())
def test_every_cut_gives_the_same_bytes_as_the_obvious_loop(
    files: list[File], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(files)), max_size=3)) - {len(files)})
    shards = [files[start:end] for start, end in zip([0, *cuts], [*cuts, len(files)], strict=True)]
    stored = []
    for parts in (shards, [files], [[file] for file in reversed(files)]):
        made = syntax_statistics(*given_shards(*parts))
        ran = machine.run(machine.site_of(tmp_path_factory.mktemp("store")), made)
        (record,) = ran.plan.records(made)
        stored.append(record.sha256)
        assert rows_of(ran.tables(made)[0]) == counted(files)
    assert len(set(stored)) == 1


def test_a_corpus_without_trees_or_documents(tmp_path: Path) -> None:
    found = statistics_of(run(tmp_path, FILES[4:]))
    assert [(row.language, row.files, row.trees) for row in found.languages] == [("Pea", 2, 0), ("unknown", 1, 0)]
    assert found.total.entropy_bits is None
    assert found.kinds.languages == found.concepts.cosine == []
    nothing = run(tmp_path / "nothing", [])
    assert nothing.num_rows == 0
    assert statistics_of(nothing).languages == []


def test_trees_without_the_names_of_their_kinds_are_refused(tmp_path: Path) -> None:
    documents = machine.given("documents", documents_table(FILES))
    nameless = machine.given("syntax", syntax_table(FILES, {"p": KINDS["p"]}), beside=documents)
    with pytest.raises(ShardsFailedError, match="do not name the kinds of grammar 'q'"):
        machine.run(machine.site_of(tmp_path), syntax_statistics(documents, nameless))


def test_the_same_program_in_two_languages(tmp_path: Path) -> None:
    """Concepts say that the programs are the same, names of kinds that the grammars are not."""
    texts = ["def add(a, b):\n    return a + b\n", "function add(a, b) {\n    return a + b\n}\n"]
    tables = [pa.table([[language], [text]], schema=DOCUMENT) for language, text in zip(LANGUAGES, texts, strict=True)]
    documents = machine.given("documents", *tables)
    trees = annotate("syntax", documents, stages=[configured(syntax.STAGE, syntax.SyntaxConfig())])
    made = syntax_statistics(documents, trees)
    (table,) = machine.run(machine.site_of(tmp_path), made).tables(made)
    found = statistics_of(table)
    # named: source, function, its name, parameters, a, b, block, return, binary, a, b
    # anonymous: function ( , ) { return + } and def ( , ) : return +
    assert [(row.language, row.lines, row.nodes) for row in found.languages] == [
        ("JavaScript", 3, 11 + 8),
        ("Python", 2, 11 + 7),
    ]
    assert found.concepts.cosine[0][1] == 1.0
    # names in both: 5 times identifier, return_statement, ( , ) return +; in one of them alone: 8 and 7
    assert found.kinds.cosine[0][1] == pytest.approx((25 + 6) / math.sqrt((25 + 6 + 8) * (25 + 6 + 7)))


PROGRAMS = {
    "code/add.py": "def add(a, b):\n    return a + b\n",
    "code/broken.py": "def (:\n",
    "code/empty.py": "",
    "notes.txt": "no program\n",
}


def publish_programs(folder: Path, *, with_statistics: bool = True) -> tuple[Path, pa.Table]:
    """A store with `programs@1`, and the trees of its documents."""
    for path, text in PROGRAMS.items():
        write(folder / "input" / path, text)
    documents = ingest(*parse_sources([f"{folder / 'input'}?shard_bytes=30"]), stages=chain())
    syntax_of = annotate("syntax", documents, stages=[configured(syntax.STAGE, syntax.SyntaxConfig())])
    rules = SelectConfig(predicates=(Predicate(name="readable", sql="problem IS NULL"),))
    decisions = annotate("select", documents, stages=[select_stage(rules, [documents.schema])])
    tokens = annotate("tokens", documents, stages=[configured(encode.STAGE, encode.EncodeConfig())])
    made = corpus(
        documents,
        decisions,
        tokens,
        CorpusConfig(name="programs", vocabulary="cl100k_base", files=FilesConfig(end_of_document=100257)),
        marks=(syntax_of,),
        reports=(syntax_statistics(documents, syntax_of),) if with_statistics else (),
    )
    ran = machine.run(machine.site_of(folder / "store"), *made.targets)
    publish(ran.plan, made, "programs", {})
    return folder / "store", pa.concat_tables(ran.tables(syntax_of), promote_options="permissive")


def shown(store: Path, *, as_json: bool) -> str:
    with CliRunner().isolation() as (out, _, _):
        show_statistics(corpus="programs", site=None, store=str(store), as_json=as_json)
        return bytes(out.getvalue()).decode()


def test_statistics_of_a_published_version(tmp_path: Path) -> None:
    store, trees = publish_programs(tmp_path)
    found = json.loads(shown(store, as_json=True))
    assert list(found) == ["corpus", "languages", "total", "kinds", "concepts"]
    assert found["corpus"] == "programs@1"
    python = next(row for row in found["languages"] if row["language"] == "Python")
    nodes = [n for n in trees["ast_nodes"].to_pylist() if n is not None]
    assert (python["files"], python["trees"], python["nodes"]) == (3, 3, sum(nodes))
    assert (python["lines"], python["bytes"]) == (3, sum(len(t) for p, t in PROGRAMS.items() if p.endswith(".py")))
    assert python["zero_error_share"] == pytest.approx(2 / 3)
    assert python["mlcpd_zero_error_share"] == 0.9863
    assert python["lossless_share"] == 1
    assert found["total"]["files"] == len(PROGRAMS)
    assert found["kinds"] == {"languages": ["Python"], "cosine": [[1.0]]}
    text = " ".join(shown(store, as_json=False).split())
    assert f"programs@1: 3 trees of 4 files, {sum(nodes):,} nodes" in text
    assert "66.67 % 98.63 % 100.00 %" in text
    assert "files without a tree language files reasons Text 1 no-grammar 1" in text


def test_a_version_without_statistics_says_what_to_do(tmp_path: Path) -> None:
    store, _ = publish_programs(tmp_path, with_statistics=False)
    with pytest.raises(NotFoundError, match=r"programs@1 has no step 'syntax-statistics'; gristmill run trees"):
        shown(store, as_json=False)
