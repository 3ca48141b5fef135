"""Builds documents: RAW rows and what the row-local ingest stages say about them become rows of DOCUMENT.

Reads RAW beside the columns of decode, language and license; writes DOCUMENT, same rows, same order.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import SourceError
from pipeline.stage import Configured, Counts, Stage, Transform, configured
from schemas.columns import columns
from schemas.documents import DOCUMENT, ID
from stages.ingest import decode, language
from stages.ingest import license as spdx
from stages.ingest.distinct import Column

_ID_BYTES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentConfig:
    """Nothing to set: a document's id and columns are the same in every corpus."""


def chain() -> tuple[Configured[Any], ...]:
    """The stages from RAW to DOCUMENT, in order, with their defaults."""
    return (
        configured(decode.STAGE, decode.DecodeConfig()),
        configured(language.STAGE, language.LanguageConfig()),
        configured(spdx.STAGE, spdx.LicenseConfig()),
        configured(STAGE, DocumentConfig()),
    )


def assemble(marked: pa.Table) -> pa.Table:
    """DOCUMENT from RAW beside what decode, language and license wrote.

    Raises `SourceError` if two rows of the shard have the same origin, revision, path and member.
    """
    ids = document_ids(marked)
    _check_unique(marked, ids)
    return marked.add_column(0, "document_id", ids).select(DOCUMENT.names).cast(DOCUMENT)


def document_ids(raw: pa.Table) -> Column:
    """blake2b-128 of origin, revision, path and member, each after its length; no member differs from an empty one."""
    columns = (raw[name].to_pylist() for name in ("origin", "revision", "path", "member"))
    keys = (_key(*values) for values in zip(*columns, strict=True))
    return pa.array([hashlib.blake2b(key, digest_size=_ID_BYTES).digest() for key in keys], ID)


def _key(origin: str, revision: str, path: str, member: str | None) -> bytes:
    parts = [part.encode() for part in (origin, revision, path, member) if part is not None]
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def _check_unique(raw: pa.Table, ids: Column) -> None:
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    twice, times = Counter(ids.to_pylist()).most_common(1)[0]
    row = raw.select(["origin", "revision", "path", "member"]).slice(ids.to_pylist().index(twice), 1).to_pylist()[0]
    raise SourceError(
        f"{times} documents of one shard are named {row}; names must be unique within a source: "
        "let the reader put what tells them apart (archive member, line number) into `member`"
    )


def _open(config: DocumentConfig) -> Transform:
    return assemble


def _count(table: pa.Table) -> Counts:
    has_text = pc.is_valid(table["text"])
    readable = table["size"].filter(has_text)
    problems = Counter(table["problem"].drop_null().to_pylist())
    return {
        "bytes": pc.sum(table["size"]).as_py() or 0,
        "out_rows": len(readable),
        "out_bytes": pc.sum(readable).as_py() or 0,
        **{f"reason:{name}": count for name, count in sorted(problems.items())},
    }


_MARKED = [field for field in DOCUMENT if field.name != "document_id"]

STAGE: Stage[DocumentConfig] = Stage(
    name="document",
    version=1,
    reads=columns(*_MARKED),
    writes=DOCUMENT,
    open=_open,
    count=_count,
)
