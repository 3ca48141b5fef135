"""The writer: encodings that fields ask for, and nothing else changed by them."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.parquet import parquet_bytes, read_parquet


def stored(name: str, kind: pa.DataType, encoding: str) -> pa.Field:
    return pa.field(name, kind, metadata={"parquet": encoding})


def encodings(data: pa.Buffer) -> dict[str, set[str]]:
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    return {column.path_in_schema: set(column.encodings) - {"RLE", "PLAIN"} for column in columns}


def test_fields_inside_lists_and_structs_get_the_encoding_they_ask_for():
    unit = pa.struct(
        [stored("name", pa.string(), "dictionary"), stored("end", pa.int32(), "delta"), ("plain", pa.int32())]
    )
    schema = pa.schema(
        [
            ("starts", pa.list_(stored("element", pa.int32(), "delta"))),
            ("lengths", pa.list_(stored("element", pa.uint8(), "split"))),
            ("units", pa.list_(pa.field("element", unit))),
            ("size", pa.int64()),
            ("origin", pa.string()),
        ]
    )
    units = [{"name": "f", "end": 3, "plain": 1}, {"name": None, "end": 9, "plain": 2}]
    rows = [
        {"starts": [1, 5], "lengths": [2, 200], "units": units, "size": 7, "origin": "a"},
        dict.fromkeys(schema.names),
    ]
    table = pa.Table.from_pylist(rows, schema=schema)
    data = parquet_bytes(table)
    assert encodings(data) == {
        "starts.list.element": {"DELTA_BINARY_PACKED"},
        "lengths.list.element": {"BYTE_STREAM_SPLIT"},
        "units.list.element.name": {"RLE_DICTIONARY"},
        "units.list.element.end": {"DELTA_BINARY_PACKED"},
        "units.list.element.plain": set(),
        "size": set(),
        "origin": {"RLE_DICTIONARY"},
    }
    assert read_parquet(pa.BufferReader(data)).equals(table)


def test_metadata_of_the_schema_is_stored():
    table = pa.table({"x": [1]}, metadata={"key": "value"})
    assert read_parquet(pa.BufferReader(parquet_bytes(table))).schema.metadata == {b"key": b"value"}
