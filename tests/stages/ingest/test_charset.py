import codecs
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.ingest.charset import LEGACY, SAMPLE_BYTES, decode

BAD_BYTES = Path(__file__).resolve().parents[4] / "shared" / "corpora" / "bad_bytes"

RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему. " * 3
GERMAN = "Größe"


def decoded(content: bytes) -> tuple[str, str, bool] | None:
    found = decode(content)
    return (found.text, found.encoding, found.exact) if found else None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ("", "utf-8", True)),
        (b"plain\r\n", ("plain\r\n", "utf-8", True)),
        ("Größe 字".encode(), ("Größe 字", "utf-8", True)),
        (b"\xef\xbb\xbfmarked", ("marked", "utf-8-sig", True)),
        ("marked".encode("utf-16"), ("marked", "utf-16", True)),
        (codecs.BOM_UTF16_BE + "marked".encode("utf-16-be"), ("marked", "utf-16", False)),
        (codecs.BOM_UTF32_LE + "marked".encode("utf-32-le"), ("marked", "utf-32", True)),
        ("int main() {}\n".encode("utf-16-le"), ("int main() {}\n", "utf-16-le", True)),
        ("int main() {}\n".encode("utf-16-be"), ("int main() {}\n", "utf-16-be", True)),
        ("int main() {}\n".encode("utf-32-be"), ("int main() {}\n", "utf-32-be", True)),
        (RUSSIAN.encode("utf-16-le"), (RUSSIAN, "utf-16-le", True)),
        (b"a text with a stray\0 byte in it", ("a text with a stray\0 byte in it", "utf-8", True)),
        (b"\x1b[31mred\x1b[0m log\n", ("\x1b[31mred\x1b[0m log\n", "utf-8", True)),
        (GERMAN.encode("latin-1"), (GERMAN, "cp1252", True)),
        ("une clé créée".encode("latin-1"), ("une clé créée", "cp1252", True)),
    ],
)
def test_decode_known_content_gives_text_encoding_and_exactness(
    content: bytes, expected: tuple[str, str, bool]
) -> None:
    assert decoded(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 100,
        b"\x01\x02\x03\x04" * 20 + b"text",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 20,
        b"\x7fELF\x02\x01\x01" + b"\0" * 50,
        b"PK\x03\x04 plain enough",
        bytes(range(256)) * 8,
        b"\xff\xfe" + bytes(range(1, 32)) * 10,
        b"\x00\x80\x01\x80\x02\x7f" * 40,
    ],
)
def test_decode_binary_content_gives_none(content: bytes) -> None:
    assert decode(content) is None


@pytest.mark.parametrize(
    ("template", "encoding", "text"),
    [
        ("# -*- coding: {} -*-\nname = '{}'\n", "koi8-r", "привет"),
        ("#!/usr/bin/env python\n# vim: set fileencoding={} :\nx = '{}'\n", "cp1251", "привет"),
        ('<?xml version="1.0" encoding="{}"?>\n<a>{}</a>', "iso-8859-7", "καλημέρα"),
        ('<html><head><meta charset="{}"></head>{}</html>', "shift_jis", "日本語"),
        ('<meta http-equiv="Content-Type" content="text/html; charset={}"><p>{}', "windows-1255", "שלום"),
        ("(setq x 1) ; -*- coding: {}-unix -*-\n{}", "latin-1", "Größe"),
    ],
)
def test_decode_declared_encoding_is_believed(template: str, encoding: str, text: str) -> None:
    source = template.format(encoding, text)
    found = decode(source.encode(encoding))
    assert found is not None
    assert found.text == source
    assert found.exact


@pytest.mark.parametrize(
    "name", ["unicode_escape", "utf-7", "zlib", "punycode", "rot13", "no-such-codec", "utf-8", "x"]
)
def test_decode_declared_codec_that_is_no_legacy_encoding_is_ignored(name: str) -> None:
    found = decode(f"# coding: {name}\nx = 'Gr".encode() + b"\xf6\xdfe'\n")
    assert found is not None
    assert (found.encoding, found.text.splitlines()[1]) == ("cp1252", "x = 'Größe'")


def test_decode_damaged_utf8_keeps_the_good_characters() -> None:
    text = "Größe und Länge, über alles\n" * 4
    assert decoded(text.encode() + b"\xe2\x82 cut \xff") == (text + "\ufffd cut \ufffd", "utf-8", False)


@pytest.mark.parametrize("encoding", ["cp1251", "koi8_r", "cp1253", "euc_jp", "shift_jis", "gb18030", "big5", "euc_kr"])
def test_decode_detects_undeclared_encodings(encoding: str) -> None:
    text = {
        "cp1253": "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί. " * 4,
        "euc_jp": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 4,
        "shift_jis": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 4,
        "gb18030": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心。" * 4,
        "big5": "人人生而自由,在尊嚴和權利上一律平等。他們賦有理性和良心。" * 4,
        "euc_kr": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. " * 4,
    }.get(encoding, RUSSIAN)
    found = decode(text.encode(encoding))
    assert found is not None
    assert found.text == text


def test_decode_far_non_ascii_part_of_a_large_document_is_seen() -> None:
    text = "int x;\n" * SAMPLE_BYTES + RUSSIAN
    found = decode(text.encode("cp1251"))
    assert found is not None
    assert found.text == text


def test_decode_late_byte_of_one_long_line_is_seen() -> None:
    text = "x=1;" * SAMPLE_BYTES + "Größe"
    assert decoded(text.encode("cp1252")) == (text, "cp1252", True)


def test_decode_long_russian_text_is_known_from_a_sample() -> None:
    text = RUSSIAN * 400
    assert decoded(text.encode("koi8_r")) == (text, "koi8_r", True)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_decode_any_bytes_can_be_rebuilt(content: bytes) -> None:
    found = decode(content)
    if found and found.exact:
        assert found.text.encode(found.encoding) == content


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=80), st.sampled_from(LEGACY))
def test_decode_legacy_text_can_be_rebuilt(text: str, encoding: str) -> None:
    content = (text + "\nx").encode(encoding, "ignore")
    found = decode(content)
    assert found is None or not found.exact or found.text.encode(found.encoding) == content


@pytest.mark.skipif(not BAD_BYTES.is_dir(), reason="the shared corpora are not here")
def test_decode_damaged_files_all_become_text() -> None:
    expected = {"latin-1": "cp1252", "UTF-16": "utf-16", "truncated": "utf-8", "NUL": "utf-8"}
    for line in (BAD_BYTES / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        content = (BAD_BYTES / entry["file"]).read_bytes()
        found = decode(content)
        assert found is not None, entry["file"]
        assert not found.exact or found.text.encode(found.encoding) == content
        for mark, encoding in expected.items():
            if mark in entry["made"]:
                assert found.encoding.removesuffix("-sig") == encoding, entry["file"]


@pytest.mark.skipif(not BAD_BYTES.is_dir(), reason="the shared corpora are not here")
@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("big5", "big5"),
        ("euc_cn", "gb18030"),  # a superset of EUC-CN
        ("euc_jp", "euc_jp"),
        ("euc_kr", "euc_kr"),
        ("gb18030", "gb18030"),
        ("sjis", "shift_jis"),
        ("mule_internal", "utf-8"),  # Python has no codec for it: ASCII and U+FFFD, with the bytes kept
    ],
)
def test_decode_natural_files_in_the_encoding_of_their_name(name: str, encoding: str) -> None:
    found = decode((BAD_BYTES / f"natural-postgres-{name}.sql.bin").read_bytes())
    assert found is not None
    assert found.encoding == encoding
