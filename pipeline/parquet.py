"""The one writer and the one reader of Parquet and Arrow files, so that the same table gives the same bytes."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES = 16_000_000
"""In-memory bytes of a row group of a shard: small enough to read one column of a few documents."""

_ENCODINGS = {"delta": "DELTA_BINARY_PACKED", "split": "BYTE_STREAM_SPLIT"}


def parquet_bytes(table: pa.Table, *, rows_per_group: int | None = None) -> pa.Buffer:
    """The table as a Parquet file: zstd level 1, no dictionaries for numbers and lists, fixed row groups.

    `combine_chunks` comes first because chunk borders change the pages. Strings keep dictionary pages (provenance
    columns repeat); documents' `text` and token lists do not (dictionaries make their zstd worse). A field inside a
    list or struct may ask for an encoding by its metadata: `parquet` = `dictionary`, `delta` or `split`.
    """
    table = table.combine_chunks()
    per_row = max(1, table.nbytes // max(1, table.num_rows))
    rows = rows_per_group or max(1, min(131_072, ROW_GROUP_BYTES // per_row))
    asked = {path: way for field in table.schema for path, way in _asked(field, field.name)}
    repeated = [f.name for f in table.schema if pa.types.is_string(f.type) and f.name != "text"]
    out = pa.BufferOutputStream()
    writer = pq.ParquetWriter(
        out,
        table.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[*repeated, *(path for path, way in asked.items() if way == "dictionary")],
        column_encoding={path: _ENCODINGS[way] for path, way in asked.items() if way in _ENCODINGS},
        write_statistics=[
            f.name for f in table.schema if not pa.types.is_nested(f.type) and f.name not in ("text", "raw")
        ],
        data_page_version="1.0",
        version="2.6",
        store_schema=True,
    )
    with writer:
        if table.num_rows:  # `datasets` stumbles over a row group without rows
            writer.write_table(table, rows)
    return out.getvalue()


def _asked(field: pa.Field, path: str) -> Iterator[tuple[str, str]]:
    """Parquet paths of the leaves of a field that ask for an encoding."""
    if pa.types.is_list(field.type):
        yield from _asked(field.type.value_field, f"{path}.list.element")
    elif pa.types.is_struct(field.type):
        for child in field.type:
            yield from _asked(child, f"{path}.{child.name}")
    elif field.metadata and b"parquet" in field.metadata:
        yield path, field.metadata[b"parquet"].decode()


def read_parquet(file: pa.NativeFile, columns: list[str] | None = None) -> pa.Table:
    """Columns of a Parquet file in the order asked for, on the calling thread."""
    table = pq.ParquetFile(file, memory_map=False, pre_buffer=False).read(columns=columns, use_threads=False)
    return table if columns is None else table.select(columns)


def spill_bytes(batches: list[pa.Table], schema: pa.Schema) -> pa.Buffer:
    """An Arrow IPC file with one zstd record batch per partition, so that a reader seeks to its own."""
    out = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1), use_threads=False)
    with pa.ipc.new_file(out, schema, options=options) as writer:
        for table in batches:
            writer.write_batch(one_batch(table, schema))
    return out.getvalue()


def one_batch(table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """The table as exactly one record batch, also when it is empty."""
    columns = [table[name].combine_chunks() for name in schema.names]
    arrays = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def read_spill(file: pa.NativeFile, partition: int) -> pa.RecordBatch:
    """Record batch `partition` of a spill file."""
    options = pa.ipc.IpcReadOptions(use_threads=False)
    return pa.ipc.open_file(file, options=options).get_batch(partition)
