"""Looking into published versions: one document's marks and tokens, the difference of two versions."""

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.partitions import partition_by_prefix
from pipeline import catalog
from pipeline.errors import NotFoundError
from pipeline.store import Shard, Store
from schemas.manifest import Manifest, StepEntry

HEAVY = frozenset({"text", "raw", "content"})
"""Columns that are not shown, beside lists of anything but names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A document of a version."""

    document_id: bytes
    shard: int
    row: int


def step(manifest: Manifest, role: str) -> StepEntry:
    """The only step of a role (`documents`, `files`, `index`)."""
    return next(entry for entry in manifest.steps if entry.role == role)


def named_step(manifest: Manifest, name: str) -> StepEntry | None:
    """The step of a name, if the version has one; of several, as of clusters that were named, the last made."""
    return next((entry for entry in reversed(manifest.steps) if entry.name == name), None)


def stage_settings(entry: StepEntry) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and settings of the stages of a step that is a chain."""
    for item in entry.config if isinstance(entry.config, list) else []:
        if isinstance(item, list) and len(item) == 3 and isinstance(item[2], Mapping):
            yield str(item[0]), item[2]


def read_report(
    store: Store, manifest: Manifest, name: str, schema: pa.Schema, made_by: str, *, without: str = ""
) -> pa.Table:
    """All rows of a report that the recipe `trees` makes. Raises NotFoundError for a version without it.

    `made_by` is the call that gives it to recipes of others, `without` an option under which `trees` leaves it out.
    """
    entry = named_step(manifest, name)
    if entry is None:
        raise NotFoundError(
            f"{manifest.name}@{manifest.version} has no step {name!r}; gristmill run trees "
            + (f"without {without} " if without else "")
            + f"makes a version that has it; so does a recipe of yours whose corpus reports {made_by}"
        )
    shards = [store.read(Shard(step=entry.folder, key=key, base=key)) for key in entry.keys]
    return pa.concat_tables([schema.empty_table(), *shards])


def find(store: Store, manifest: Manifest, document: str, limit: int) -> list[Found]:
    """Documents by id, name or glob of names, in corpus order. Raises NotFoundError if there is none.

    Names: path, origin/path, path/member, origin/path/member.
    """
    if re.fullmatch(r"[0-9a-f]{32}", document):
        entry = index_entry(store, manifest, bytes.fromhex(document))
        found = (
            []
            if entry is None
            else [Found(document_id=bytes.fromhex(document), shard=entry["shard"], row=entry["row"])]
        )
    else:
        found = list(islice(_scan(store, manifest, document), limit))
    if not found:
        raise NotFoundError(
            f"no document {document!r} in {manifest.name}@{manifest.version}; give a 32-digit id, a path as in the "
            "source, or a glob such as '*/decoder.py'"
        )
    return found


def index_entry(store: Store, manifest: Manifest, document_id: bytes) -> dict[str, int] | None:
    """The `INDEX` row of an id, from one row group; None if the version has no such document."""
    index = step(manifest, "index")
    prefix = int.from_bytes(document_id[:2], "big")
    key = index.keys[prefix * len(index.keys) >> 16]
    with store.storage.open(store.record(_shard(index, key)).file) as file:
        parquet = pq.ParquetFile(file)
        for group in range(parquet.num_row_groups):
            bounds = parquet.metadata.row_group(group).column(0).statistics
            if bounds is not None and bounds.has_min_max and not bounds.min <= document_id <= bounds.max:
                continue
            table = parquet.read_row_group(group, use_threads=False)
            rows = table.filter(pc.equal(table["document_id"], pa.scalar(document_id, pa.binary(16)))).to_pylist()
            if rows:
                return dict(rows[0])
    return None


def explain(store: Store, manifest: Manifest, found: Found) -> dict[str, object]:
    """Everything known of one document: its row in every step, and where its tokens are."""
    steps = {}
    for entry in manifest.steps:
        if entry.role in ("documents", "sidecar"):
            steps[entry.name] = _row(store, entry, found)
    place = index_entry(store, manifest, found.document_id)
    tokens = None
    if place is not None and place["file"] is not None:
        path = manifest.files[place["file"]].path
        url = store.storage.url(f"{catalog.folder(manifest)}/{path}")
        tokens = {"file": path, "row": place["file_row"], "url": url}
    return {
        "corpus": f"{manifest.name}@{manifest.version}",
        "document_id": found.document_id.hex(),
        "shard": found.shard,
        "row": found.row,
        "tokens": tokens,
        "steps": steps,
    }


def difference(store: Store, a: Manifest, b: Manifest, examples: int = 5) -> dict[str, Any]:
    """How version b differs from a: documents with examples, decisions, reasons, domains, settings."""
    counts = dict.fromkeys(
        ("only_in_a", "only_in_b", "in_both", "changed_content", "kept_only_in_a", "kept_only_in_b"), 0
    )
    shown: dict[str, list[dict[str, str]]] = {name: [] for name in counts if name != "in_both"}
    parts = max(len(step(a, "index").keys), len(step(b, "index").keys))
    for part in range(parts):
        left, right = _index_range(store, a, part, parts), _index_range(store, b, part, parts)
        for name, ids in _compare(left, right).items():
            counts[name] += len(ids)
            if name in shown:
                room = examples - len(shown[name])
                version = b if name.endswith("only_in_b") else a
                shown[name] += [_named(store, version, value) for value in ids.slice(0, room).to_pylist()]
    return {
        "a": f"{a.name}@{a.version}",
        "b": f"{b.name}@{b.version}",
        "identical": a.identity == b.identity,
        "documents": counts,
        "examples": {name: ids for name, ids in shown.items() if ids},
        "tokens": {"a": a.tokens, "b": b.tokens},
        "domains": _changes(a.domains, b.domains, absent=0),
        "languages": _changes(a.languages, b.languages, absent=0),
        "reasons": _changes(_reasons(a), _reasons(b), absent=0),
        "parameters": _changes(a.parameters, b.parameters),
        "steps": _changes(_settings(a), _settings(b)),
    }


def _named(store: Store, manifest: Manifest, document_id: bytes) -> dict[str, str]:
    """A document's id and its name for people."""
    entry = index_entry(store, manifest, document_id)
    assert entry is not None, document_id.hex()
    found = Found(document_id=document_id, shard=entry["shard"], row=entry["row"])
    row = _row(store, step(manifest, "documents"), found)
    name = "/".join(str(row[part]) for part in ("origin", "path", "member") if row[part])
    return {"document_id": document_id.hex(), "name": name}


def _scan(store: Store, manifest: Manifest, pattern: str) -> Iterator[Found]:
    documents = step(manifest, "documents")
    expression = f"^{re.escape(pattern)}$"
    if any(c in pattern for c in "*?["):
        expression += f"|^{_re2(fnmatch.translate(pattern))}"
    for number, key in enumerate(documents.keys):
        table = store.read(_shard(documents, key), ["document_id", "origin", "path", "member"])
        path = table["path"]
        full = pc.binary_join_element_wise(table["origin"], path, "/")
        member = pc.fill_null(table["member"], "")
        names = [path, full, *(pc.binary_join_element_wise(outer, member, "/") for outer in (path, full))]
        hits = [pc.match_substring_regex(values, expression) for values in names]
        rows = pc.indices_nonzero(reduce(pc.or_, hits)).to_pylist()
        ids = table["document_id"].take(pa.array(rows, pa.int64())).to_pylist()
        for row, document_id in zip(rows, ids, strict=True):
            yield Found(document_id=document_id, shard=number, row=row)


def _re2(expression: str) -> str:
    """Python's syntax, as `fnmatch` writes it, for RE2: no atomic group, no end of text, no look-ahead."""
    for python, re2 in (("(?>", "(?:"), ("\\Z", "$"), ("\\z", "$"), ("(?!)", "[^\\s\\S]")):
        expression = expression.replace(python, re2)
    return expression


def read_row(store: Store, entry: StepEntry, found: Found, columns: Callable[[pa.Schema], list[str]]) -> pa.Table:
    """One row of a step's shard, from one row group; `columns` chooses among those of the shard."""
    with store.storage.open(store.record(_shard(entry, entry.keys[found.shard])).file) as file:
        parquet, row = pq.ParquetFile(file), found.row
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if row < rows:
                names = columns(parquet.schema_arrow)
                return parquet.read_row_group(group, columns=names, use_threads=False).slice(row, 1)
            row -= rows
    raise NotFoundError(f"{entry.folder} has no row {found.row} in shard {found.shard}")


def _row(store: Store, entry: StepEntry, found: Found) -> dict[str, object]:
    """One row of a step's shard without its heavy columns."""
    values = read_row(store, entry, found, _light).to_pylist()[0]
    return {n: v.hex() if isinstance(v, bytes) else v for n, v in values.items() if n != "document_id"}


def _light(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if field.name not in HEAVY and not _is_heavy(field.type)]


def _is_heavy(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) and not pa.types.is_string(kind.value_type))


def _index_range(store: Store, manifest: Manifest, part: int, parts: int) -> pa.Table:
    """Index rows of the `part`-th of `parts` equal ranges of ids."""
    index = step(manifest, "index")
    own = len(index.keys)
    shards = range(part * own // parts, -(-(part + 1) * own // parts))
    columns = ["document_id", "content_hash", "keep"]
    table = pa.concat_tables([store.read(_shard(index, index.keys[i]), columns) for i in shards])
    return table.filter(pc.equal(partition_by_prefix(table["document_id"], parts), part)).combine_chunks()


def _compare(left: pa.Table, right: pa.Table) -> dict[str, pa.Array]:
    place = pc.index_in(left["document_id"], right["document_id"].combine_chunks())
    is_shared = pc.is_valid(place)
    shared, other = left.filter(is_shared), right.take(place.filter(is_shared))
    ids = shared["document_id"].combine_chunks()
    back = pc.index_in(right["document_id"], left["document_id"].combine_chunks())
    same = pc.fill_null(pc.equal(shared["content_hash"], other["content_hash"]), True)
    return {
        "only_in_a": left["document_id"].filter(pc.is_null(place)),
        "only_in_b": right["document_id"].filter(pc.is_null(back)),
        "in_both": ids,
        "changed_content": ids.filter(pc.invert(same)),
        "kept_only_in_a": ids.filter(pc.and_(shared["keep"], pc.invert(other["keep"]))),
        "kept_only_in_b": ids.filter(pc.and_(other["keep"], pc.invert(shared["keep"]))),
    }


def _changes(
    a: Mapping[str, object], b: Mapping[str, object], *, absent: object = None
) -> dict[str, dict[str, object]]:
    """Names whose values differ, with both values."""
    pairs = {name: {"a": a.get(name, absent), "b": b.get(name, absent)} for name in sorted({*a, *b})}
    return {name: pair for name, pair in pairs.items() if pair["a"] != pair["b"]}


def _reasons(manifest: Manifest) -> dict[str, int]:
    return {f"{e.step}/{name}": count for e in manifest.funnel for name, count in e.reasons.items()}


def _settings(manifest: Manifest) -> dict[str, object]:
    return {e.name: {"version": e.version, "config": e.config, "libraries": e.libraries} for e in manifest.steps}


def _shard(entry: StepEntry, key: str) -> Shard:
    return Shard(step=entry.folder, key=key, base=key)
