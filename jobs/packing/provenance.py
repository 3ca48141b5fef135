"""From a training sequence back to its sources: documents, ranges of their tokens, ranges of the bytes of their text.

Reads one row of a packing's index, the row groups of the documents in it, and what the store knows of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs import inspection
from jobs.looking import existing_storage, print_json, print_line, standard_output
from jobs.packing.sequences import Version, open_version
from jobs.vocabularies import pieces_named, recorded_vocabulary
from pipeline.errors import CorruptShardError, NotFoundError
from pipeline.store import Store
from schemas.fim import source_order
from schemas.manifest import Manifest, Packing, PackingFile, StepEntry
from stages.tokenization.pieces import Pieces

FIM_STAGE = "encode_fim"

_SOURCE = ("origin", "revision", "path", "member", "text")

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A piece of a document in a row."""

    position: int
    """Where in the row it begins."""
    document: int
    """Row of the data file."""
    start: int
    """First token in the document."""
    length: int


def show_trace(
    *,
    corpus: str,
    packing: str,
    file: str,
    row: int,
    token: int | None,
    site: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """`gristmill trace`."""
    opened = Store(existing_storage(site, store))
    found = trace(opened, open_version(opened.storage, corpus), packing, file, row, token)
    if as_json:
        print_json(found)
        return
    console = standard_output()
    used = f"{found['tokens']:,} tokens" + (f", then {found['padding']:,} of padding" if found["padding"] else "")
    print_line(console, f"{found['corpus']} {found['packing']}, {found['file']}, row {found['row']}: {used}", "bold")
    for piece in found["pieces"]:
        print_line(console, f"tokens {_range(piece['position'])}: {_name(piece)}")
        whole = f"of {piece['num_tokens']:,}" + (", with its end" if piece["is_end"] else "")
        ranges = piece["bytes"]
        unknown = "unknown, its tokens are not the bytes of its text"
        bytes_of = unknown if ranges is None else ", ".join(_range(pair) for pair in ranges) or "none"
        print_line(console, f"  id {piece['document_id']}, {piece['data']} row {piece['data_row']}")
        print_line(console, f"  tokens {_range(piece['document_tokens'])} {whole}; bytes of the text: {bytes_of}")


def trace(
    store: Store, version: Version, packing: str, file: str, row: int, token: int | None = None
) -> dict[str, Any]:
    """What stands in a row of a packing. `file` is a path of the version or its end, such as `python/part-00000`.

    With `token`, a position in the row, only what stands there: the piece is that one token. Raises NotFoundError for a
    file, row or position that is not there.
    """
    settings = version.packing(packing)
    entry = _file(version, settings, file)
    pieces = _pieces(version, entry, row)
    used = sum(piece.length for piece in pieces)
    if token is not None:
        pieces = [_at(pieces, token, used, max(used, settings.sequence_length))]
    documents = _documents(version, entry.data, [piece.document for piece in pieces])
    vocabulary = token_bytes(version.manifest)
    return {
        "corpus": version.name,
        "packing": packing,
        "file": entry.path,
        "row": row,
        "tokens": used,
        "padding": max(0, settings.sequence_length - used),
        "pieces": [
            _explain(store, version.manifest, entry, piece, documents[piece.document], vocabulary) for piece in pieces
        ],
    }


def token_borders(ids: Int32s, pieces: Pieces, data: bytes, *, is_whole: bool = True) -> npt.NDArray[np.int64] | None:
    """Byte of `data` where each token begins, and the end; None unless the bytes of all tokens are the data.

    Without `is_whole` they may be the beginning of the data. Special tokens, and ids that the vocabulary does not know,
    have no bytes. The space that SentencePiece puts before a text has none either.
    """
    known = np.where((ids >= 0) & (ids < len(pieces)), ids, 0)
    lengths = np.where(known == ids, pieces.lengths[known], 0).astype(np.int64)
    borders = np.concatenate([[0], np.cumsum(lengths)])
    size = int(borders[-1])
    if is_whole and size - len(data) not in (0, 1):
        return None
    places = np.repeat(pieces.offsets[known] - borders[:-1], lengths) + np.arange(size)
    found = pieces.data[places].tobytes()
    for added in (0, 1) if size else (0,):
        if found == b" " * added + data[: size - added] and (not is_whole or size - added == len(data)):
            begins: npt.NDArray[np.int64] = np.maximum(borders - added, 0)
            return begins
    return None


def text_ranges(order: Sequence[tuple[int, int]], start: int, end: int) -> list[list[int]]:
    """Where the bytes `start` to `end` stand in a text, when its ranges are laid end to end in this order."""
    found, at = [], 0
    for first, last in order:
        low, high = max(start, at), min(end, at + last - first)
        if low < high:
            found.append([first + low - at, first + high - at])
        at += last - first
    return found


def _explain(
    store: Store,
    manifest: Manifest,
    file: PackingFile,
    piece: Piece,
    document: tuple[bytes, Int32s],
    vocabulary: Pieces | None,
) -> dict[str, Any]:
    document_id, tokens = document
    end = piece.start + piece.length
    if not 0 <= piece.start < end <= len(tokens):
        raise CorruptShardError(
            f"{file.path} names tokens {piece.start} to {end} of row {piece.document}, which has {len(tokens)}"
        )
    entry = inspection.index_entry(store, manifest, document_id)
    if entry is None:
        raise CorruptShardError(f"{manifest.name}@{manifest.version} has no document {document_id.hex()} in its index")
    found = inspection.Found(document_id=document_id, shard=entry["shard"], row=entry["row"])
    source = _row(store, inspection.step(manifest, "documents"), found, _SOURCE)
    text = (source.pop("text") or "").encode()
    order = _order(store, manifest, found, len(text))
    data, ranges = b"".join(text[first:last] for first, last in order), None
    is_whole = manifest.mixture is None  # a mixture may have cut a document to meet its plan
    own = tokens[:-1]  # the last ends the document
    borders = None if vocabulary is None else token_borders(own, vocabulary, data, is_whole=is_whole)
    if borders is not None:
        ranges = text_ranges(order, int(borders[piece.start]), int(borders[min(end, len(tokens) - 1)]))
    return {
        "position": [piece.position, piece.position + piece.length],
        "document_id": document_id.hex(),
        "data": file.data,
        "data_row": piece.document,
        **source,
        "document_tokens": [piece.start, end],
        "num_tokens": len(tokens),
        "is_end": end == len(tokens),
        "bytes": ranges,
    }


def _order(store: Store, manifest: Manifest, found: inspection.Found, size: int) -> list[tuple[int, int]]:
    """Ranges of the text in the order of its tokens, which fill-in-the-middle changes."""
    for step in manifest.steps:
        if step.role == "sidecar" and any(name == FIM_STAGE for name, _ in inspection.stage_settings(step)):
            row = _row(store, step, found, ("fim_mode", "fim_start", "fim_end"))
            return source_order(row["fim_mode"] or "none", row["fim_start"], row["fim_end"], size)
    return [(0, size)]


def _row(store: Store, step: StepEntry, found: inspection.Found, names: Sequence[str]) -> dict[str, Any]:
    return dict(inspection.read_row(store, step, found, lambda _: list(names)).to_pylist()[0])


def _file(version: Version, packing: Packing, name: str) -> PackingFile:
    """The file that a user names: a path or its end, with or without suffix, or a domain that has one file."""
    wanted = "/" + name.removesuffix(".parquet").strip("/")
    found = []
    for file in packing.files:
        stems = [path.removesuffix(".parquet") for path in (file.path, file.data)]
        if any(f"/{stem}".endswith(wanted) for stem in (*stems, stems[1].rpartition("/")[0])):
            found.append(file)
    if len(found) != 1:
        known = ", ".join(file.data.removeprefix("data/").removesuffix(".parquet") for file in packing.files[:8])
        raise NotFoundError(f"{version.name} {packing.name} has {len(found)} files {name!r}; it has: {known}")
    return found[0]


def _pieces(version: Version, file: PackingFile, row: int) -> list[Piece]:
    index = version.read_index(file)
    if not 0 <= row < len(index):
        raise NotFoundError(f"{version.url(file.path)} has no row {row}; it has {len(index):,}, counted from 0")
    place = slice(int(index.borders[row]), int(index.borders[row + 1]))
    columns = (index.document[place].tolist(), index.start[place].tolist(), index.length[place].tolist())
    pieces, position = [], 0
    for document, start, length in zip(*columns, strict=True):
        pieces.append(Piece(position=position, document=document, start=start, length=length))
        position += length
    return pieces


def _at(pieces: Iterable[Piece], token: int, used: int, size: int) -> Piece:
    """The one token at a position of the row."""
    for piece in pieces:
        if 0 <= token - piece.position < piece.length:
            start = piece.start + token - piece.position
            return Piece(position=token, document=piece.document, start=start, length=1)
    what = "padding" if used <= token < size else "outside the row"
    raise NotFoundError(f"token {token} is {what}; tokens of documents are at 0 to {used - 1}")


def _documents(version: Version, path: str, rows: Iterable[int]) -> dict[int, tuple[bytes, Int32s]]:
    """Id and tokens of some rows of a data file, read by row groups."""
    wanted, found = sorted(set(rows)), {}
    for first, table in _groups_with(version, path, wanted):
        for row in wanted:
            if first <= row < first + table.num_rows:
                one = table.slice(row - first, 1)
                tokens = one["tokens"][0].values
                found[row] = (one["document_id"][0].as_py(), tokens.to_numpy())
    if len(found) < len(wanted):
        raise CorruptShardError(f"{version.url(path)} has no row {wanted[-1]}, which a packing names")
    return found


def _groups_with(version: Version, path: str, rows: list[int]) -> Iterator[tuple[int, pa.Table]]:
    with version.open(path) as parquet:
        first = 0
        for group in range(parquet.num_row_groups):
            count = parquet.metadata.row_group(group).num_rows
            if any(first <= row < first + count for row in rows):
                yield first, parquet.read_row_group(group, columns=["document_id", "tokens"], use_threads=False)
            first += count


def token_bytes(manifest: Manifest) -> Pieces | None:
    """Bytes of the tokens of a version; None where its vocabulary is not at hand or its tokens are no bytes."""
    return _pieces_of(manifest.vocabulary, *recorded_vocabulary(manifest))


@lru_cache(maxsize=1)
def _pieces_of(name: str, sha256: str, split: str) -> Pieces | None:
    try:
        return pieces_named(name, sha256, split)
    except ValueError:
        return None


def _name(piece: Mapping[str, Any]) -> str:
    revision = f" {piece['revision']}" if piece["revision"] else ""
    return f"{piece['origin']}{revision} {piece['path']} {piece['member'] or ''}".rstrip()


def _range(pair: list[int]) -> str:
    return f"{pair[0]:,} to {pair[1]:,}"
