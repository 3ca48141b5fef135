"""Schemas from fields of any type."""

from typing import Any

import pyarrow as pa


def columns(*fields: "pa.Field[Any]") -> pa.Schema:
    """A schema of these fields, in order."""
    return pa.schema(fields)
