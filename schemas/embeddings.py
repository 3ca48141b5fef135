"""Arrow schema of embeddings, row-aligned with `documents`."""

import pyarrow as pa

from schemas.columns import columns

MODEL_KEY = b"gristmill:embedding"
"""Key of the metadata of the field `embedding`. Value: JSON of what the vectors depend on: vectors can be compared if
these are equal, and only then. How they are stored is left out: any storage will do."""

STORAGES = {"float16": pa.float16(), "int8": pa.int8()}
"""How a vector is stored: float16 of unit length, or int8 with its largest component at 127 or -127."""


def embeddings(dimensions: int, storage: str, model: bytes) -> pa.Schema:
    """The schema of vectors of one model; `model` is the value under `MODEL_KEY`.

    embedding: the vector, of which the direction alone counts; null where the document has no text or no token, or the
    model gave NaN or infinity.
    """
    kind = pa.list_(STORAGES[storage], dimensions)
    return columns(pa.field("embedding", kind, metadata={MODEL_KEY: model}))


def model_of(schema: pa.Schema) -> bytes:
    """What the vectors of a schema depend on. Raises ValueError for a schema without vectors of a known model."""
    position = schema.get_field_index("embedding")
    model = b"" if position < 0 else (schema.field(position).metadata or {}).get(MODEL_KEY, b"")
    if not model:
        raise ValueError(
            f"no column `embedding` of a known model among {schema.names}; pass what a stage of `embed` wrote"
        )
    return model
