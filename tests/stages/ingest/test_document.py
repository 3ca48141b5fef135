import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotate import extend
from pipeline.errors import SourceError
from schemas.documents import DOCUMENT, RAW
from stages.ingest.document import assemble, chain, document_ids
from tests.golden import digest

Name = tuple[str, str, str, str | None]


def raw_rows(names: list[Name], content: bytes = b"print(1)\n") -> pa.Table:
    rows = [
        {
            "origin": origin, "revision": revision, "path": path, "member": member, "size": len(content),
            "content": content, "content_hash": hashlib.sha256(content).digest(),
        }
        for origin, revision, path, member in names
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=RAW)


def documents(raw: pa.Table) -> pa.Table:
    """RAW through the whole chain, as ingest runs it."""
    table = written = raw
    for stage in chain():
        written = stage.open()(table)
        table = extend(table, written)
    return written


def test_documents_of_the_default_chain() -> None:
    raw = raw_rows([("pypi:a", "1.0", "a.py", None), ("pypi:a", "1.0", "b.tar", "c/d.rb")])
    unread = {"origin": "pypi:a", "revision": "1.0", "path": "big.py", "size": 10**9, "problem": "oversize"}
    raw = pa.concat_tables([raw, pa.Table.from_pylist([unread], schema=RAW)])
    out = documents(raw)
    assert out.schema.equals(DOCUMENT)
    out.validate(full=True)
    assert out["language"].to_pylist() == ["Python", "Ruby", "Python"]
    assert out["text"].to_pylist() == ["print(1)\n", "print(1)\n", None]
    assert out["problem"].to_pylist() == [None, None, "oversize"]
    assert out["text_hash"].to_pylist() == raw["content_hash"].to_pylist()
    assert digest(out) == "da1f88c191227fc2bedb2e8c7cd10a151df6524980a43f9a71bf2337cd698ec9"


def test_documents_of_no_rows_is_empty() -> None:
    out = documents(RAW.empty_table())
    assert out.schema.equals(DOCUMENT)
    assert out.num_rows == 0


def test_document_ids_are_the_stated_digest() -> None:
    ids = document_ids(raw_rows([("o", "", "p", "m")])).to_pylist()
    key = b"".join(len(part).to_bytes(8, "little") + part for part in (b"o", b"", b"p", b"m"))
    assert ids == [hashlib.blake2b(key, digest_size=16).digest()]


@given(st.lists(st.tuples(*[st.text(max_size=3)] * 3, st.none() | st.text(max_size=3)), min_size=2, unique=True))
def test_document_ids_of_different_names_differ(names: list[Name]) -> None:
    assert len(set(document_ids(raw_rows(names)).to_pylist())) == len(names)


def test_assemble_names_the_document_that_stands_twice() -> None:
    raw = raw_rows([("o", "1", "a.py", None), ("o", "1", "b.py", "x"), ("o", "1", "b.py", "x")])
    blank = pa.table(
        {name: pa.nulls(3, DOCUMENT.field(name).type) for name in ("text", "text_hash", "encoding", "raw")}
    )
    with pytest.raises(SourceError, match=r"2 documents of one shard are named .*'path': 'b.py', 'member': 'x'"):
        assemble(extend(raw, blank))
