"""The order of the files of each repository, every file behind those that it imports: two exchanges.

Reads the documents' places and the units of their trees; writes the sidecar `REPOSITORY`. Memory: of a map the units of
a shard; of the first reduce about 3 kB per file of a partition, which holds whole repositories, and per import of the
repository at hand; of the second 30 bytes per document of a shard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.partitions import num_partitions
from jobs.repository_imports import Files, resolve
from pipeline.dataset import Dataset
from pipeline.exchange import PARTITION, Aligned, Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from schemas.repository import REPOSITORY

_IMPORT = pa.struct([("module", pa.string()), ("names", pa.list_(pa.string()))])
_FILE = columns(
    pa.field("origin", pa.string()),
    pa.field("revision", pa.string()),
    pa.field("path", pa.string()),
    pa.field("language", pa.string()),
    pa.field("size", pa.int64()),
    pa.field("shard", pa.int32()),
    pa.field("row", pa.int32()),
    pa.field("symbols", pa.list_(pa.string())),
    pa.field("imports", pa.list_(_IMPORT)),
)
_RANK = columns(pa.field("shard", pa.int32()), pa.field("row", pa.int32()), *REPOSITORY)
_DOCUMENT = ("origin", "revision", "path", "member", "language", "text_hash", "size")

_BY_NAME = ("C#", "Java", "Kotlin", "PHP", "Scala")
"""Languages whose imports name what a file declares, not where it lies."""
_TYPES = ("class", "struct", "interface", "trait", "enum", "function")
_MAX_IMPORTS, _MAX_SYMBOLS = 256, 256
"""Of a file; more are left out, so that a generated file costs no more than others."""
_MAX_IMPORT_CHARS = 4096
"""Of a module and its names; a longer import is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositoryConfig:
    """What is bounded."""

    max_files: int = 50_000
    """A repository with more files is in the order of its paths: its imports are not read."""
    max_run_bytes: int = 16_000_000
    """Content of one run of files with the same `repository_key`; a larger repository is cut into several."""
    rows_per_partition: int = 200_000
    """Documents per partition of the first exchange, about: a repository is never split."""

    def __post_init__(self) -> None:
        for name in ("max_files", "max_run_bytes", "rows_per_partition"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def repository_order(documents: Dataset, syntax: Dataset, config: RepositoryConfig | None = None) -> Dataset:
    """The sidecar `REPOSITORY`. `syntax` has the column `units` that the stage `syntax` writes."""
    config = config or RepositoryConfig()
    ranked = exchange(
        Exchange(name="repository-files", version=1, spills=_FILE, writes=_RANK, reduce=_rank),
        config,
        [Feed(map=_list_files, datasets=(documents, syntax), columns=(_DOCUMENT, ("units",)))],
        partitions=lambda shards, _: num_partitions(shards, config.rows_per_partition),
    )
    back = Exchange(name="repository-order", version=1, spills=_RANK, writes=REPOSITORY, reduce=_place)
    return exchange(
        back,
        config,
        [Feed(map=_to_shard, datasets=(ranked,), columns=(tuple(_RANK.names),))],
        partitions=Aligned(datasets=(documents,), columns=(("size",),)),
    )


def import_order(edges: Sequence[Sequence[int]], files: int) -> list[int]:
    """The numbers below `files` so that each stands behind all that it leads to, by way of higher numbers too.

    Strongly connected components as Tarjan finds them (SIAM J. Comput. 1972): a component behind those that it leads
    to. Inside one, the nodes of a cycle, the order is that in which a walk from the lowest number on leaves them.
    """
    unmet = len(edges)
    number, low, left_before = [unmet] * unmet, [unmet] * unmet, [0] * unmet
    order: list[int] = []
    left: list[int] = []  # nodes that the walk has left and whose component is open
    is_open = bytearray(unmet)
    count = 0
    for root in range(files):
        path = [] if number[root] < unmet else [(root, iter(edges[root]))]
        while path:
            node, targets = path[-1]
            if number[node] == unmet:
                number[node] = low[node] = count
                left_before[node], is_open[node], count = len(left), 1, count + 1
            for target in targets:
                if number[target] == unmet:
                    path.append((target, iter(edges[target])))
                    break
                if is_open[target]:
                    low[node] = min(low[node], number[target])
            else:
                path.pop()
                left.append(node)
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    component = left[left_before[node] :]
                    del left[left_before[node] :]
                    for member in component:
                        is_open[member] = 0
                    order += [member for member in component if member < files]
    return order


def _list_files(config: RepositoryConfig, place: Place, table: pa.Table) -> pa.Table:
    """The documents that are files with text, with what they import and declare, by repository."""
    rows = table.num_rows
    lists = {"symbols": _symbols(table), "imports": _imports(table)}
    for name, values in lists.items():
        table = table.append_column(_FILE.field(name), values)
    table = table.append_column("shard", pa.array(np.full(rows, place.index, np.int32)))
    table = table.append_column("row", pa.array(np.arange(rows, dtype=np.int32)))
    # what a reader numbers, such as the lines of a file of records, is no file of a repository
    files = table.filter(pc.and_(pc.is_null(table["member"]), pc.is_valid(table["text_hash"])))
    named = pc.binary_join_element_wise(files["origin"], files["revision"], "\0").combine_chunks().dictionary_encode()
    targets = [_digest(name) % place.partitions for name in named.dictionary.to_pylist()]
    return files.append_column(PARTITION, pa.array(targets, pa.int32()).take(named.indices))


def _digest(*parts: str) -> int:
    joined = b"".join(len(part).to_bytes(8, "little") + part.encode() for part in parts)
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class _Units:
    """The units of a shard end to end."""

    rows: int
    row: npt.NDArray[np.int64]
    """The row of each unit."""
    first: npt.NDArray[np.int64]
    """The row's first unit, for each unit."""
    fields: "pa.StructArray"

    def __getitem__(self, name: str) -> "pa.Array[Any]":
        return pc.struct_field(self.fields, name)


def _units(table: pa.Table) -> _Units:
    units = table["units"].combine_chunks()
    sizes = pc.fill_null(pc.list_value_length(units), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(len(sizes)), sizes)
    return _Units(len(sizes), row, (np.cumsum(sizes) - sizes)[row], units.flatten())


def _imports(table: pa.Table) -> "pa.ListArray[Any]":
    units = _units(table)
    names = units["names"].cast(pa.list_(pa.string()))
    chars = pc.add(pc.binary_length(units["module"]), pc.binary_length(pc.binary_join(names, "")))
    wanted = pc.and_(pc.equal(units["kind"], "import"), pc.less_equal(chars, _MAX_IMPORT_CHARS))
    index, offsets = _first_of_each(units, wanted, _MAX_IMPORTS)
    imports = pa.StructArray.from_arrays([units["module"].take(index), names.take(index)], fields=list(_IMPORT))
    return pa.ListArray.from_arrays(offsets, imports)


def _symbols(table: pa.Table) -> "pa.ListArray[Any]":
    """Qualified names, joined by `.`, of what files of the languages that import by name declare at their top."""
    units = _units(table)
    kinds, names, parents = units["kind"], units["qualified_name"], units["parent"]
    is_top = parents.is_null().to_numpy(zero_copy_only=False)
    parent = units.first + pc.fill_null(parents, 0).to_numpy(zero_copy_only=False)
    is_module = pc.equal(kinds, "module").to_numpy(zero_copy_only=False)
    by_name = pc.is_in(table["language"].combine_chunks(), pa.array(_BY_NAME)).to_numpy(zero_copy_only=False)
    wanted = pc.is_in(kinds, pa.array(_TYPES)).to_numpy(zero_copy_only=False) & (is_top | is_module[parent])
    wanted &= by_name[units.row] & names.is_valid().to_numpy(zero_copy_only=False)
    index, offsets = _first_of_each(units, pa.array(wanted), _MAX_SYMBOLS)
    packages = np.full(units.rows, -1)  # a package declared at the top holds what stands beside it
    declared = np.flatnonzero(is_top & is_module)[::-1]
    packages[units.row[declared]] = declared
    position = np.where(is_top, packages[units.row], -1)[index.to_numpy()]
    package = names.take(pa.array(position, mask=position < 0))
    whole = pc.binary_join_element_wise(package, names.take(index), ".", null_handling="skip")
    return pa.ListArray.from_arrays(offsets, pc.replace_substring(whole, "\\", "."))


def _first_of_each(units: _Units, wanted: "pa.Array[Any]", limit: int) -> "tuple[pa.Array[Any], pa.Array[Any]]":
    """Of the wanted units, the first so many of each row: their places, and where each row's begin."""
    index = np.flatnonzero(pc.fill_null(wanted, False).to_numpy(zero_copy_only=False))
    row = units.row[index]
    index = index[np.arange(len(index)) - np.searchsorted(row, row) < limit]
    counts = np.bincount(units.row[index], minlength=units.rows)
    return pa.array(index, pa.int64()), pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))


def _rank(config: RepositoryConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    """One repository after the other."""
    order = [(name, "ascending") for name in ("origin", "revision", "path", "shard", "row")]
    rows = rows.sort_by(order).combine_chunks()
    keys, ranks = np.zeros(rows.num_rows, np.uint64), np.zeros(rows.num_rows, np.int32)
    counters = dict.fromkeys(("files", "repositories", "imports", "imports_resolved", "repositories_by_path"), 0)
    for start, end in _repositories(rows):
        files = rows.slice(start, end - start)
        name = [files[column][0].as_py() for column in ("origin", "revision")]
        counters["files"] += files.num_rows
        counters["repositories"] += 1
        if files.num_rows > config.max_files:
            counters["repositories_by_path"] += 1
            behind = np.arange(files.num_rows)
        else:
            edges, imports, resolved = _edges(files)
            counters["imports"] += imports
            counters["imports_resolved"] += resolved
            behind = np.array(import_order(edges, files.num_rows))
        runs = _runs(files["size"].to_numpy()[behind], config.max_run_bytes)
        digests = np.array([_digest(*name, str(run)) for run in range(runs[-1] + 1)], np.uint64)
        ranks[start + behind], keys[start + behind] = np.arange(files.num_rows), digests[runs]
    ranked = [rows["shard"], rows["row"], pa.array(keys), pa.array(ranks)]
    return Reduced(table=pa.table(ranked, schema=_RANK), counters=counters)


def _repositories(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """Where the rows of each repository begin and end."""
    if not rows.num_rows:
        return
    same = [pc.equal(rows[name].slice(1), rows[name].slice(0, rows.num_rows - 1)) for name in ("origin", "revision")]
    borders = np.flatnonzero(~pc.and_(*same).to_numpy()) + 1
    yield from zip([0, *borders.tolist()], [*borders.tolist(), rows.num_rows], strict=True)


def _edges(table: pa.Table) -> tuple[list[list[int]], int, int]:
    """What every file and group of a repository leads to; how many imports there are, and how many were resolved."""
    files = Files(table["path"].to_pylist(), table["symbols"].to_pylist())
    languages = table["language"].to_pylist()
    edges: list[list[int]] = []
    total = resolved = 0
    for file, imports in enumerate(table["imports"].to_pylist()):
        targets: set[int] = set()
        for entry in imports:
            found = resolve(files, file, languages[file], entry["module"], entry["names"] or ())
            total, resolved = total + 1, resolved + bool(found)
            targets.update(found)
        edges.append(sorted(targets))
    return edges + files.groups, total, resolved


def _runs(sizes: npt.NDArray[np.int64], max_bytes: int) -> npt.NDArray[np.int64]:
    """The number of the run of each file: files in order, as many as fit, at least one."""
    runs, run, used = np.zeros(len(sizes), np.int64), 0, 0
    for number, size in enumerate(sizes.tolist()):
        if used and used + size > max_bytes:
            run, used = run + 1, 0
        runs[number], used = run, used + size
    return runs


def _to_shard(config: RepositoryConfig, place: Place, table: pa.Table) -> pa.Table:
    return table.append_column(PARTITION, table["shard"])


def _place(config: RepositoryConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    assert base is not None
    index = rows["row"].to_numpy()
    nothing = np.ones(base.num_rows, np.bool_)
    nothing[index] = False
    columns_by_name = []
    for field in REPOSITORY:
        values = np.zeros(base.num_rows, field.type.to_pandas_dtype())
        values[index] = rows[field.name].to_numpy()
        columns_by_name.append(pa.array(values, field.type, mask=nothing))
    counters = {"bytes": pc.sum(base["size"]).as_py() or 0, "files": len(index)}
    return Reduced(table=pa.table(columns_by_name, schema=REPOSITORY), counters=counters)
