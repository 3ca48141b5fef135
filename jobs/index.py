"""The id index of a corpus: from a document id to its shard and row, and to the published file and row of its tokens.

Reads ids and decisions of the documents and the ids of the published files. Writes `INDEX` shards by ranges of
the id. Memory of a reduce: about 200 bytes per document of a partition.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.partitions import num_partitions, partition_by_prefix
from pipeline.dataset import Dataset
from pipeline.errors import SourceError
from pipeline.exchange import Exchange, Feed, Place, Reduced, exchange
from schemas.columns import columns
from schemas.corpus import INDEX
from schemas.documents import ID, SHA256

_ENTRY = columns(
    pa.field("document_id", ID),
    pa.field("content_hash", SHA256),
    pa.field("keep", pa.bool_()),
    pa.field("place", pa.int32()),
    pa.field("row", pa.int32()),
    pa.field("is_document", pa.bool_()),
)
"""An entry of the documents, or of the published files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexConfig:
    """How the index is cut."""

    rows_per_partition: int = 2_000_000


def build_index(documents: Dataset, decisions: Dataset, files: Dataset, config: IndexConfig | None = None) -> Dataset:
    """The index over `documents` (with the sidecar that holds `keep`) and the published files."""
    config = config or IndexConfig()
    return exchange(
        Exchange(name="index", version=2, spills=_ENTRY, writes=INDEX, reduce=_merge),
        config,
        [
            Feed(
                map=_from_documents,
                datasets=(documents, decisions),
                columns=(("document_id", "content_hash"), ("keep",)),
            ),
            Feed(map=_from_files, datasets=(files,), columns=(("document_id",),)),
        ],
        partitions=lambda shards, _: num_partitions(shards, config.rows_per_partition),
    )


def _from_documents(config: IndexConfig, place: Place, table: pa.Table) -> pa.Table:
    count = table.num_rows
    entries = {
        "document_id": table["document_id"],
        "content_hash": table["content_hash"],
        "keep": table["keep"],
        "place": pa.array(np.full(count, place.index, np.int32)),
        "row": pa.array(np.arange(count, dtype=np.int32)),
        "is_document": pa.array(np.ones(count, bool)),
        "partition": partition_by_prefix(table["document_id"], place.partitions),
    }
    return pa.table(entries)


def _from_files(config: IndexConfig, place: Place, table: pa.Table) -> pa.Table:
    count = table.num_rows
    entries = {
        "document_id": table["document_id"],
        "content_hash": pa.nulls(count, SHA256),
        "keep": pa.nulls(count, pa.bool_()),
        "place": pa.array(np.full(count, place.index, np.int32)),
        "row": pa.array(np.arange(count, dtype=np.int32)),
        "is_document": pa.array(np.zeros(count, bool)),
        "partition": partition_by_prefix(table["document_id"], place.partitions),
    }
    return pa.table(entries)


def _merge(config: IndexConfig, place: Place, rows: pa.Table, base: pa.Table | None) -> Reduced:
    documents = rows.filter(rows["is_document"]).sort_by([("document_id", "ascending")]).combine_chunks()
    _check_unique(documents["document_id"])
    files = rows.filter(pc.invert(rows["is_document"])).combine_chunks()
    found = pc.index_in(documents["document_id"], files["document_id"].combine_chunks())
    table = {
        "document_id": documents["document_id"],
        "content_hash": documents["content_hash"],
        "shard": documents["place"],
        "row": documents["row"],
        "keep": documents["keep"],
        "file": files["place"].take(found),
        "file_row": files["row"].take(found),
    }
    return Reduced(table=pa.table(table, schema=INDEX))


def _check_unique(ids: pa.ChunkedArray) -> None:
    """Raise SourceError if two of the sorted ids are equal."""
    repeated = ids[1:].filter(pc.equal(ids[1:], ids[: max(0, len(ids) - 1)]))
    if len(repeated):
        raise SourceError(
            f"{len(repeated)} documents share origin, revision, path and member with another, such as id "
            f"{repeated[0].as_py().hex()}; give one of their sources another name with ?origin=NAME"
        )
