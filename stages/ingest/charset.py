"""Which encoding a document is in: bytes to text, with a way back.

The rules are tried in a fixed order and look at one document only. The work is bounded: what costs more than a pass
over the bytes sees a sample of at most `SAMPLE_BYTES`.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

import charset_normalizer
import numpy as np
from numpy.typing import NDArray

SAMPLE_BYTES = 32_768
"""Bytes around non-ASCII bytes that the evidence is drawn from."""

_STRETCH_BYTES = 4_096
_BEFORE_BYTES = 32

_HEAD_BYTES = 1_024
_TAIL_BYTES = 1_024

LEGACY = (
    "cp1252", "euc_jp", "shift_jis", "cp932", "big5", "cp950", "big5hkscs", "euc_kr", "cp949", "johab", "gb18030",
    "latin_1", "cp1251", "koi8_r", "koi8_u", "cp866", "cp1250", "iso8859_2", "cp1253", "iso8859_7", "cp1254",
    "iso8859_9", "cp1255", "iso8859_8", "cp1256", "iso8859_6", "cp1257", "iso8859_4", "iso8859_13", "cp1258", "cp874",
    "iso8859_5", "iso8859_15", "mac_roman", "mac_cyrillic", "cp437", "cp850", "cp852", "cp1125",
)  # fmt: skip
"""Encodings that detection may choose, and of several that read a document alike it takes the first."""

_DECLARABLE = frozenset(
    codecs.lookup(name).name for name in (*LEGACY, "gb2312", "gbk", "hz", "euc_jis_2004", "shift_jis_2004", "tis_620")
)
"""Encodings that a document's own declaration may name. Others (`unicode_escape`, `zlib`) are not text encodings."""

_WIDER = {
    "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949",
    "big5": "cp950", "tis-620": "cp874",
}  # fmt: skip
"""What files that declare the left often hold, as browsers read them (WHATWG Encoding Standard)."""

_DECLARATIONS = (
    re.compile(rb"\A(?:[^\r\n]*\r?\n)?[^\r\n]*coding[:=][ \t]*([-\w.]+)"),
    re.compile(rb"\A\s*<\?xml[^>]*\sencoding\s*=\s*[\"']([-\w.]+)"),
    re.compile(rb"<meta\s[^>]*charset\s*=\s*[\"']?\s*([-\w.]+)", re.IGNORECASE),
    re.compile(rb"\A@charset \"([-\w.]+)\""),
)
_MODELINES = (
    re.compile(rb"(?:vim?|ex):[^\r\n]*\b(?:fenc|fileencoding)=([-\w]+)"),
    re.compile(rb"Local Variables:[^\0]*?\bcoding: *([-\w]+)"),
)

_SIGNATURES = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x7fELF", b"MZ\x90", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh",
    b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!\x1a", b"%PDF-", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe", b"SQLite format 3\0", b"\0asm", b"OggS", b"ID3\x02", b"ID3\x03", b"ID3\x04", b"fLaC",
    b"wOFF", b"wOF2", b"\0\x01\0\0", b"OTTO", b"!<arch>\n", b"\xd0\xcf\x11\xe0", b"II*\0", b"MM\0*", b"\x93NUMPY",
)  # fmt: skip

_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_CUT_MULTIBYTE = re.compile(rb"\xe0[\xa0-\xbf]|[\xe1-\xef][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{1,2}")
_NON_ASCII = re.compile(rb"[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A document's text, and whether `text.encode(encoding)` gives its bytes back."""

    text: str
    encoding: str
    exact: bool


def decode(content: bytes) -> Decoded | None:
    """The text of a document, or None if it is binary. Newlines stay as they are; a byte order mark is removed."""
    marked = _marked_utf16(content)
    if marked:
        return marked
    if content.startswith(_SIGNATURES):
        return None
    unmarked = _unmarked_utf16(content) if b"\0" in content else None
    if unmarked:
        return unmarked
    controls = int(np.count_nonzero(is_control(np.frombuffer(content, np.uint8))))
    if _is_utf8(content):
        return None if is_control_heavy(controls, len(content)) else _decoded(content, _utf8_name(content), "strict")
    if controls * 100 > len(content):
        return None
    return _declared(content) or _damaged_utf8(content) or _western(content) or _detected(content) or _salvaged(content)


def is_control(values: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which bytes are control characters; white space and ESC, which terminal logs hold, are not counted."""
    found: NDArray[np.bool_] = (values < 9) | ((values > 13) & (values < 32) & (values != 27)) | (values == 127)
    return found


def is_control_heavy(controls: int, size: int) -> bool:
    """Whether valid UTF-8 with this many control characters is data rather than text with a stray one."""
    return controls * (10 if size >= 64 else 3) > size


def _decoded(content: bytes, encoding: str, errors: str) -> Decoded:
    text = content.decode(encoding, errors)
    exact = errors == "strict" and text.encode(encoding, "backslashreplace") == content
    return Decoded(text, encoding, exact)


def _strictly(content: bytes, encoding: str) -> Decoded | None:
    try:
        return _decoded(content, encoding, "strict")
    except UnicodeDecodeError:
        return None


def _is_utf8(content: bytes) -> bool:
    return _strictly(content, "utf-8") is not None


def _utf8_name(content: bytes) -> str:
    return "utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8"


def _marked_utf16(content: bytes) -> Decoded | None:
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        encoding = "utf-32"
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        return None
    found = _strictly(content, encoding) or _decoded(content, encoding, "replace")
    return found if _is_plausible(found.text) else None


def _unmarked_utf16(content: bytes) -> Decoded | None:
    """UTF-16 or UTF-32 without byte order mark: its NULs stand at one position of each unit."""
    values = np.frombuffer(content, np.uint8)
    for width in (2, 4):
        if len(values) % width:
            continue
        first, last = (int(np.count_nonzero(values[index::width] == 0)) for index in (0, width - 1))
        few, many = sorted((first, last))
        if many * 20 * width < len(values) or few * 50 > many:
            continue
        found = _strictly(content, f"utf-{width * 8}-{'le' if last > first else 'be'}")
        if found and _is_plausible(found.text):
            return found
    return None


def _is_plausible(text: str) -> bool:
    sample = text[:SAMPLE_BYTES]
    good = sum(char.isprintable() or char in "\t\n\r\f\v" for char in sample) - sample.count("\ufffd")
    return good * 20 >= len(sample) * 19


def _declared(content: bytes) -> Decoded | None:
    for name in _declarations(content):
        wider = _WIDER.get(name)
        c1_bytes = name == "iso8859-1" and re.search(rb"[\x80-\x9f]", content)
        order = (wider, name) if c1_bytes else (name, wider)
        for encoding in filter(None, order):
            found = _strictly(content, encoding)
            if found:
                return found
    return None


def _declarations(content: bytes) -> Iterator[str]:
    head, ends = content[:_HEAD_BYTES], content[:_HEAD_BYTES] + b"\n" + content[-_TAIL_BYTES:]
    found = [pattern.search(head) for pattern in _DECLARATIONS] + [pattern.search(ends) for pattern in _MODELINES]
    for match in filter(None, found):
        name = re.sub(r"-(?:unix|dos|mac)$", "", match[1].decode("ascii").lower())
        try:
            codec = codecs.lookup(name).name
        except LookupError:
            continue
        if codec in _DECLARABLE:
            yield codec


def _sample(content: bytes) -> bytes:
    """Stretches around non-ASCII bytes, from the start of the document, up to `SAMPLE_BYTES`; no character is cut."""
    if len(content) <= SAMPLE_BYTES:
        return content
    places = np.flatnonzero(np.frombuffer(content, np.uint8) >= 128)
    pieces, size, index, done = [], 0, 0, 0
    while index < len(places) and size < SAMPLE_BYTES:
        first = int(places[index])
        piece = _until_separator(content[first : first + _STRETCH_BYTES])
        index = int(np.searchsorted(places, first + len(piece)))
        pieces.append(content[max(done, first - _BEFORE_BYTES) : first] + piece)
        done = first + len(piece)
        size += len(pieces[-1])
    return b"\n".join(pieces)


def _until_separator(piece: bytes) -> bytes:
    """Up to the last space or newline, which are never part of a longer character; all of it where there is none."""
    end = max(piece.rfind(b" "), piece.rfind(b"\n")) + 1
    return piece[:end] if end else piece


def _damaged_utf8(content: bytes) -> Decoded | None:
    """UTF-8 with damage: a byte order mark or NUL, cut characters only, or far more good characters than bad bytes."""
    sample = _sample(content)
    broken: list[bytes] = _NON_ASCII.findall(_MULTIBYTE.sub(b" ", sample))
    whole = len(_MULTIBYTE.findall(sample))
    cut_only = all(_CUT_MULTIBYTE.fullmatch(run) for run in broken)
    certain = content.startswith(codecs.BOM_UTF8) or b"\0" in content or cut_only
    if certain or whole >= 3 * sum(map(len, broken)):
        return _decoded(content, _utf8_name(content), "replace")
    return None


def _western(content: bytes) -> Decoded | None:
    """Few and isolated non-ASCII bytes: Western European, for there is too little to tell more from."""
    runs: list[bytes] = _NON_ASCII.findall(_sample(content))
    single = [run for run in runs if len(run) == 1]
    letters = sum(run >= b"\xa0" for run in single)
    isolated = len(single) * 4 >= len(runs) * 3 and letters * 2 >= len(single)
    lower_case_pairs = all(len(run) <= 2 and min(run) >= 0xE0 for run in runs)
    if sum(map(len, runs)) >= 64 or not (isolated or lower_case_pairs):
        return None
    return _strictly(content, "cp1252")


def _detected(content: bytes) -> Decoded | None:
    matches = charset_normalizer.from_bytes(
        _sample(content), cp_isolation=list(LEGACY), preemptive_behaviour=False, enable_fallback=False
    )
    for match in matches:
        alike = [name for name in LEGACY if name == match.encoding or name in match.could_be_from_charset]
        for encoding in alike:
            found = _strictly(content, encoding)
            if found:
                return found
    return None


def _salvaged(content: bytes) -> Decoded | None:
    """Text in an encoding that Python does not know: its ASCII part, U+FFFD for the rest."""
    ascii_bytes = int(np.count_nonzero(np.frombuffer(content, np.uint8) < 128))
    return _decoded(content, _utf8_name(content), "replace") if ascii_bytes * 4 >= len(content) else None
