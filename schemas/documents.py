"""Arrow schemas of documents: what readers emit (`RAW`) and what the corpus keeps (`DOCUMENT`).

A document is one source file, text or record with its provenance. `documents` is the base table; every other dataset of
a corpus is row-aligned with it.
"""

import pyarrow as pa

from schemas.columns import columns

ID = pa.binary(16)
"""blake2b-128 of (origin, revision, path, member)."""

SHA256 = pa.binary(32)

RAW = columns(
    pa.field("origin", pa.string(), nullable=False),
    pa.field("revision", pa.string(), nullable=False),
    pa.field("path", pa.string(), nullable=False),
    pa.field("member", pa.string()),
    pa.field("language", pa.string()),
    pa.field("license", pa.string()),
    pa.field("license_from", pa.string()),
    pa.field("size", pa.int64(), nullable=False),
    pa.field("content_hash", SHA256),
    pa.field("content", pa.binary()),
    pa.field("problem", pa.string()),
)
"""One row per document as a reader found it, before decoding.

origin: where it comes from, with a scheme: `pypi:numpy`, `npm:react`, `git:https://...`, `folder:NAME`, `file:NAME`.
revision: the version of the origin (release, commit); empty where the origin has none.
path: path inside the origin, `/`-separated, never absolute, no `..`.
member: what the path alone does not name: a path inside an archive, a row or line number. Null otherwise.
language, license, license_from: what the source itself says (a column, package metadata); null where it is silent.
size: bytes of the document in the source, also where they were not read.
content_hash: SHA-256 of the bytes; null where they were not read.
content: the bytes; null exactly where `problem` names why they could not be read.
problem: a reason of `PROBLEMS`, or null.
"""

DOCUMENT = columns(
    pa.field("document_id", ID, nullable=False),
    pa.field("origin", pa.string(), nullable=False),
    pa.field("revision", pa.string(), nullable=False),
    pa.field("path", pa.string(), nullable=False),
    pa.field("member", pa.string()),
    pa.field("language", pa.string()),
    pa.field("license", pa.string()),
    pa.field("license_from", pa.string()),
    pa.field("size", pa.int64(), nullable=False),
    pa.field("content_hash", SHA256),
    pa.field("text_hash", SHA256),
    pa.field("encoding", pa.string()),
    pa.field("text", pa.string()),
    pa.field("raw", pa.binary()),
    pa.field("problem", pa.string()),
)
"""The base table.

text: the decoded text without byte order mark, newlines as they were; null exactly where `problem` is set.
text_hash: SHA-256 of `text` as UTF-8; equal to `content_hash` for plain UTF-8. Null where `text` is.
encoding: Python codec that maps the source bytes to `text` (`utf-8-sig` means UTF-8 with a byte order mark).
raw: the source bytes, kept only where `text` encoded with `encoding` does not give them back (damaged UTF-8).
language: Linguist name (`Python`, `C++`). license: SPDX expression.
license_from: `metadata`, `file`, `header` or `column`.
"""

PROBLEMS = {
    "binary": "not text: NUL and control bytes, or an image, library or archive by its content",
    "oversize": "larger than max_document_bytes; raise it to read the document",
    "unreadable": "the operating system refused to open or read it; check its permissions",
    "broken-link": "a symbolic link to nothing, to a loop or out of the source folder",
    "unsafe-path": "an archive member with an absolute path or `..`; its archive was made to escape a folder",
    "bomb": "an archive member or stream that expands beyond max_expansion_ratio or max_archive_bytes, or overlaps",
    "truncated": "the compressed stream or archive ends early; fetch the file again",
    "corrupt": "the container cannot be read as what its name says; fetch the file again",
    "broken-record": "a line that is not a JSON object, or a record without a usable text field",
    "link": "a link whose target stands under its own name, or a device, socket or submodule",
    "encrypted": "an archive member behind a password; store it without one",
    "unsupported": "an archive member stored in a way that is not read (rare compression, sparse file); pack it again",
}
"""Why a document has no text. The key stands in `problem`; the value is shown to users."""
