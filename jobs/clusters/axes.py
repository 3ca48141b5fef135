"""Domains crossed with other axes: language, kind, quality.

For code one clustering of all is the weak link; clusters within each language and quality are what mixtures need.
Reads `domain` and the columns of the axes. Writes `crossed_domain`, null where `domain` is.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.placement import domain_name
from pipeline.stage import Configured, Stage, Transform, configured
from schemas.columns import columns

CROSSED = columns(pa.field("crossed_domain", pa.string()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """A column that domains are crossed with."""

    column: str
    edges: tuple[float, ...] = ()
    """Of a numeric column (float32), the borders between its levels, ascending: level 0 lies below the first. None: a
    string column, whose values are the levels."""

    def __post_init__(self) -> None:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"edges of {self.column} must ascend, got {self.edges}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossConfig:
    """The axes, in the order of the parts of a name."""

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        if not self.axes:
            raise ValueError("axes must name at least one column")


def cross_stage(config: CrossConfig) -> Configured[CrossConfig]:
    """The stage for these axes: `python-http-client` of level 2 of `quality` becomes `quality2-python-http-client`."""
    kinds = [pa.field(axis.column, pa.float32() if axis.edges else pa.string()) for axis in config.axes]
    reads = columns(pa.field("domain", pa.string()), *kinds)
    return configured(Stage(name="cross-domains", version=2, reads=reads, writes=CROSSED, open=_open), config)


def _open(config: CrossConfig) -> Transform:
    def cross(table: pa.Table) -> pa.Table:
        parts = [_levels(axis, table[axis.column]) for axis in config.axes]
        crossed = pc.binary_join_element_wise(*parts, table["domain"], "-")
        return pa.table([crossed], schema=CROSSED)

    return cross


def _levels(axis: Axis, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The level of each row as a part of a name; `other` for null and NaN."""
    if axis.edges:
        has_level = pc.fill_null(pc.invert(pc.is_nan(column)), False)
        level = np.searchsorted(axis.edges, pc.fill_null(column, 0).to_numpy().astype(np.float64), side="right")
        names = pa.chunked_array([pa.array([f"{domain_name(axis.column)}{n}" for n in range(len(axis.edges) + 1)])])
        named = names.take(pa.array(level))
        return pc.if_else(has_level, named, f"{domain_name(axis.column)}-other")
    values = pc.unique(column)
    names = pa.chunked_array([pa.array([domain_name(value) for value in values.to_pylist()], pa.string())])
    return names.take(pc.index_in(column, values))
