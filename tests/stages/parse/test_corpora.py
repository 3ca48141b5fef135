"""Every file of the corpora beside the repository, whole and damaged: rebuilt, and printed as tree-sitter prints it."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stages.ingest.charset import decode
from stages.parse.loaded import grammar_of, load_grammar
from stages.parse.parse import parse_source
from stages.parse.reading import s_expression

CORPORA = Path(__file__).parents[4] / "shared" / "corpora"
GRAMMARS = ("c", "cpp", "csharp", "go", "java", "javascript", "python", "ruby", "scala", "typescript")

pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="no corpora beside the repository")


def sources(grammar: str) -> Iterator[bytes]:
    for path in sorted(path for path in (CORPORA / "code").glob("*.parquet") if path.stem.partition("-")[0] == grammar):
        for text in pq.read_table(path, columns=["content"])["content"]:
            yield text.as_buffer().to_pybytes()


def damaged(source: bytes, generator: random.Random) -> bytes:
    """The source without some bytes, which may be parts of characters, and with some others in between."""
    data = bytearray(source[:20_000])
    for _ in range(1 + len(data) // 400):
        at = generator.randrange(len(data) + 1)
        data[at : at + generator.randrange(4)] = generator.choice([b"", b"", b"(", b'"', b"\xff", b"\0", b"}", b"#"])
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("grammar", GRAMMARS)
def test_every_file_is_rebuilt_and_printed_as_tree_sitter_prints_it(grammar: str) -> None:
    parser, generator = load_grammar(grammar).parser, random.Random(7)
    for number, whole in enumerate(sources(grammar)):
        for source in (whole, damaged(whole, generator)):
            parsed = parse_source(source, grammar)
            assert parsed.is_lossless, (grammar, number)
            assert s_expression(parsed.tree) == str(parser.parse(source).root_node), (grammar, number)


def test_files_with_bad_bytes_are_rebuilt_as_bytes_and_as_the_text_that_is_kept() -> None:
    folder = CORPORA / "bad_bytes"
    entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for entry in entries:
        content, grammar = (folder / entry["file"]).read_bytes(), grammar_of().get(entry["language"], "c")
        assert parse_source(content, grammar).is_lossless, entry["file"]
        if (decoded := decode(content)) is not None:
            assert parse_source(decoded.text.encode(), grammar).is_lossless, entry["file"]
    assert len(entries) == 49
