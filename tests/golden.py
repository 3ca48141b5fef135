"""Golden digests: SHA-256 over logical Arrow values, whatever the chunks, slices or bytes under nulls."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc


def digest(table: pa.Table) -> str:
    """Hex SHA-256 of a table's column names, types and values. `TypeError` for a type without a canonical form."""
    hasher = hashlib.sha256()
    for field, column in zip(table.schema, table.columns, strict=True):
        hasher.update(f"{field.name}\0{field.type}\0{field.nullable}\0".encode())
        _feed(hasher, pa.concat_arrays([pa.array([], column.type), *column.chunks]))
    return hasher.hexdigest()


def _feed(hasher: "hashlib._Hash", array: pa.Array) -> None:
    kind = array.type
    if pa.types.is_dictionary(kind):
        _feed(hasher, array.dictionary_decode())
        return
    hasher.update(len(array).to_bytes(8, "little"))
    hasher.update(pc.cast(array.is_valid(), pa.uint8()).to_numpy().tobytes())
    if pa.types.is_struct(kind):
        for child in array.flatten():
            _feed(hasher, child)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        _feed_numbers(hasher, pc.list_value_length(array))
        _feed(hasher, array.flatten())
    elif _is_bytes(kind):
        _feed_numbers(hasher, pc.binary_length(array))
        for value in pc.cast(array.drop_null(), pa.large_binary()):
            hasher.update(value.as_buffer())
    elif not pa.types.is_null(kind):
        _feed_numbers(hasher, _as_numbers(array))


def _is_bytes(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return text or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _as_numbers(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_boolean(kind):
        return pc.cast(array, pa.uint8())
    if pa.types.is_temporal(kind):
        return array.view(pa.int64() if kind.bit_width == 64 else pa.int32())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return array
    raise TypeError(f"no canonical form for {kind}; add one to tests/golden.py")


def _feed_numbers(hasher: "hashlib._Hash", array: pa.Array) -> None:
    hasher.update(array.drop_null().to_numpy(zero_copy_only=False).tobytes())
