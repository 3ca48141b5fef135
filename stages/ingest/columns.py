"""Columns of Parquet files: found by plain or dotted name, and checked for what they are mapped to."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import SourceError
from stages.ingest.records import RecordConfig, is_text


def check_columns(config: RecordConfig, path: Path, file: pq.ParquetFile) -> int:
    """The index of the text column's leaf. Raises `SourceError` if a column is missing or of the wrong type."""
    schema = file.schema_arrow
    kind = _find_type(config.text_column, "text_column", path, schema)
    if not is_text(_plain(kind)):
        raise SourceError(
            f"{path}: text_column={config.text_column!r} is {kind}, expected strings or bytes; "
            f"the columns are: {_listed(schema)}; set text_column to the one with the text"
        )
    for name, column in config.mapped().items():
        kind = _find_type(column, f"the column for {name}", path, schema)
        if pa.types.is_nested(_plain(kind)):
            raise SourceError(
                f"{path}: column {column!r} for {name} is {kind}, expected strings or numbers; name another"
            )
    paths = [file.metadata.schema.column(index).path for index in range(len(file.metadata.schema))]
    return paths.index(config.text_column)


def _find_type(column: str, role: str, path: Path, schema: pa.Schema) -> pa.DataType:
    if column in schema.names:
        return schema.field(column).type
    head, *rest = column.split(".")
    kind = schema.field(head).type if head in schema.names else None
    for name in rest:
        found = kind is not None and pa.types.is_struct(kind) and kind.get_field_index(name) >= 0
        kind = kind.field(name).type if kind is not None and found else None
    if kind is None:
        raise SourceError(
            f"{path} has no column {column!r} ({role}); the columns are: {_listed(schema)}; name one of them"
        )
    return kind


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind


def _listed(schema: pa.Schema) -> str:
    return f"{', '.join(f'{field.name} ({field.type})' for field in schema) or 'none':.1000}"


def pick(batch: pa.RecordBatch, column: str) -> pa.Array:
    """The column under a plain or dotted name."""
    if column in batch.schema.names:
        return batch.column(column)
    head, *rest = column.split(".")
    return pc.struct_field(batch.column(head), rest)
