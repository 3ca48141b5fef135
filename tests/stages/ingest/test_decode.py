import hashlib

import pyarrow as pa

from pipeline.stage import configured
from stages.ingest.decode import READS, STAGE, DecodeConfig
from tests.contract import check_stage
from tests.golden import digest

CONTENTS = [
    b"plain ascii\n", None, b"", "Größe 字\r\n".encode(), b"\xef\xbb\xbfmarked", "wide".encode("utf-16"),
    "Größe".encode("latin-1"), "Größe Länge über".encode() + b"\xe2\x82 cut", b"\0" * 90, b"one \0 stray NUL in a text",
    b"\x89PNG\r\n\x1a\n\0\0\0\xff", b"int main() {}\n", None, b"\xff",
]  # fmt: skip


def raw_rows(contents: list[bytes | None]) -> pa.Table:
    hashes = [None if content is None else hashlib.sha256(content).digest() for content in contents]
    problems = ["oversize" if content is None else None for content in contents]
    return pa.table({"content": contents, "content_hash": hashes, "problem": problems}, schema=READS)


def test_decode_keeps_the_laws() -> None:
    out = check_stage(configured(STAGE, DecodeConfig()), raw_rows(CONTENTS))
    assert digest(out) == "bad550246a390b5f6fb4c21417e63f07f7990946261f10c177cdea2c1836b0f9"


def test_decode_rebuilds_every_document_with_text() -> None:
    out = configured(STAGE, DecodeConfig()).open()(raw_rows(CONTENTS)).to_pylist()
    for content, row in zip(CONTENTS, out, strict=True):
        assert (row["text"] is None) == (row["problem"] is not None) == (row["encoding"] is None)
        if row["text"] is not None:
            assert (row["raw"] or row["text"].encode(row["encoding"])) == content
            assert row["text_hash"] == hashlib.sha256(row["text"].encode()).digest()
            assert (row["raw"] is not None) == (row["text"].encode(row["encoding"]) != content)


def test_decode_problems_of_readers_stay_and_binary_is_added() -> None:
    out = configured(STAGE, DecodeConfig()).open()(raw_rows([b"text", None, b"\0" * 90]))
    assert out["problem"].to_pylist() == [None, "oversize", "binary"]
    assert out["text_hash"].null_count == 2


def test_decode_clean_columns_share_the_memory_of_the_content() -> None:
    rows = raw_rows([b"plain " * 1000] * 3)
    out = configured(STAGE, DecodeConfig()).open()(rows)
    assert out["text"].chunk(0).buffers()[2].address == rows["content"].chunk(0).buffers()[2].address
