"""Lays the tokens of each text beside its syntax tree: byte, leaf, concept and identifier of every token.

Reads `text`, `tokens` and the tree of `schemas.ast.AST`; writes `schemas.alignment.ALIGNMENT`. Nothing is parsed or
encoded again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.stage import Counts, Resources, Stage, Transform
from schemas.alignment import ALIGNMENT, ALIGNMENT_STATUSES
from schemas.ast import AST, CONCEPTS
from schemas.columns import columns
from schemas.tokens import TOKENS
from stages.text_views import text_views
from stages.tokenization.align_kernels import COUNTS, Nodes, align_rows
from stages.tokenization.encode import EncodeConfig
from stages.tokenization.lists import fixed, is_null, list_array, list_views
from stages.tokenization.pieces import Pieces, pieces_of
from stages.tokenization.vocabulary import load_vocabulary

NODE_COLUMNS = ("node_concept", "node_to_parent", "node_start", "node_length", "node_flags")

IDENTIFIERS = (
    "expression.identifier",
    "type.reference",
    "declaration.parameter",
    "declaration.type_parameter",
    "declaration.declarator",
    "declaration.enum_member",
    "expression.argument",
    "pattern",
)
"""Concepts whose named leaves are identifiers: a language may name a bare parameter or type by what it is there."""

_STATUS = {name: number for number, name in enumerate(ALIGNMENT_STATUSES)}
_LISTS = ("token_start", "token_leaf", "token_concept", "token_group")


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignConfig:
    """The vocabulary that the tokens are of, as in `EncodeConfig`."""

    vocabulary: str = "cl100k_base"
    """A shipped vocabulary, or the path of a file that every worker can read."""
    vocabulary_sha256: str = ""
    """Hex digest of the file; required for a path."""
    split: str = ""
    """How text is cut into pieces: required for a rank file, empty otherwise."""

    def __post_init__(self) -> None:
        EncodeConfig(vocabulary=self.vocabulary, vocabulary_sha256=self.vocabulary_sha256, split=self.split)


def _open(config: AlignConfig) -> Transform:
    vocabulary = load_vocabulary(config.vocabulary, sha256=config.vocabulary_sha256, split=config.split)
    pieces = pieces_of(vocabulary)
    is_name = np.array([name in IDENTIFIERS for name in CONCEPTS] + [False] * (256 - len(CONCEPTS)))

    def align(table: pa.Table) -> pa.Table:
        batches = [_align_batch(batch, pieces, is_name) for batch in table.to_batches()]
        return pa.Table.from_batches(batches, schema=ALIGNMENT)

    return align


def _align_batch(batch: pa.RecordBatch, pieces: Pieces, is_name: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    status = _statuses(batch)
    text_offsets, text = text_views(batch["text"])
    token_offsets, tokens = list_views(batch["tokens"])
    nodes = [list_views(batch[name]) for name in NODE_COLUMNS]
    node_offsets, columns_of_nodes = np.stack([view[0] for view in nodes]), Nodes(*(view[1] for view in nodes))
    size = int(token_offsets[-1] - token_offsets[0])
    starts, leaves, groups = (np.empty(size, np.int32) for _ in range(3))
    concepts = np.empty(size, np.uint8)
    borders = np.zeros((2, batch.num_rows + 1), np.int64)
    counts = np.zeros((len(COUNTS), batch.num_rows), np.int32)
    align_rows(
        fixed(text_offsets, np.int32), fixed(text, np.uint8), token_offsets, tokens, node_offsets, columns_of_nodes,
        fixed(pieces.offsets, np.int64), fixed(pieces.data, np.uint8), is_name,
        status, borders, starts, leaves, concepts, groups, counts,
    )  # fmt: skip
    return _batch(status, borders, (starts, leaves, concepts, groups), counts)


def _statuses(batch: pa.RecordBatch) -> npt.NDArray[np.uint8]:
    """What can be said before looking into the columns. Raises ValueError where the columns of a tree disagree."""
    is_tree = ~is_null(batch["node_start"])
    sizes = [pc.fill_null(pc.list_value_length(batch[name]), -1) for name in NODE_COLUMNS]
    if any(not size.equals(sizes[0]) for size in sizes):
        raise ValueError(f"{', '.join(NODE_COLUMNS)} must have one element per node; their lengths differ")
    status = np.where(is_tree, _STATUS["aligned"], _STATUS["no-tree"])
    status[is_null(batch["tokens"])] = _STATUS["no-tokens"]
    status[is_null(batch["text"])] = _STATUS["no-text"]
    return status.astype(np.uint8)


def _batch(
    status: npt.NDArray[np.uint8],
    borders: npt.NDArray[np.int64],
    outs: Sequence[npt.NDArray[Any]],
    counts: npt.NDArray[np.int32],
) -> pa.RecordBatch:
    is_aligned = status == _STATUS["aligned"]
    is_spelt = is_aligned | (status == _STATUS["no-tree"]) | (status == _STATUS["unordered"])
    names = pa.array(list(ALIGNMENT_STATUSES)).take(pa.array(status))
    lists = [
        list_array(borders[min(number, 1)], out, ALIGNMENT.field(name).type, ~(is_aligned if number else is_spelt))
        for number, (name, out) in enumerate(zip(_LISTS, outs, strict=True))
    ]
    scalars = [pa.array(row, pa.int32(), mask=~is_aligned) for row in counts]
    return pa.record_batch([names, *lists, *scalars], schema=ALIGNMENT)


def group_runs(
    groups: "pa.ListArray[Any]",
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Runs of tokens to be merged: those of one identifier together, each other token alone.

    Given `token_group`; gives where each row's runs begin (one more than rows), where each run begins among the tokens
    of all rows end to end, and its length. `np.add.reduceat(vectors, start) / length[:, None]` is their mean.
    """
    offsets, flat = list_views(groups)
    sizes = np.where(is_null(groups), 0, np.diff(offsets)).astype(np.int64)
    flat = groups.flatten().to_numpy()
    first = np.concatenate([[0], np.cumsum(sizes)])
    begins = np.ones(len(flat), np.bool_)
    begins[1:] = (flat[1:] == 0) | (flat[1:] != flat[:-1])
    begins[first[:-1][sizes > 0]] = True
    start = np.flatnonzero(begins)
    return np.searchsorted(start, first), start, np.diff(np.append(start, len(flat)))


def _count(table: pa.Table) -> Counts:
    statuses = pc.value_counts(table["alignment_status"].combine_chunks()).to_pylist()
    reasons = {f"reason:{entry['values']}": entry["counts"] for entry in statuses if entry["values"] != "aligned"}
    aligned = table.filter(pc.equal(table["alignment_status"], "aligned"))
    sums = {name: pc.sum(aligned[name]).as_py() or 0 for name in COUNTS}
    tokens = pc.sum(pc.list_value_length(aligned["tokens"])).as_py() or 0
    out_bytes = pc.sum(pc.binary_length(aligned["text"])).as_py() or 0
    return reasons | sums | {"out_rows": aligned.num_rows, "out_bytes": out_bytes, "tokens": tokens}


STAGE: Stage[AlignConfig] = Stage(
    name="align",
    version=1,
    reads=columns(pa.field("text", pa.string()), TOKENS.field("tokens"), *(AST.field(name) for name in NODE_COLUMNS)),
    writes=ALIGNMENT,
    open=_open,
    resources=Resources(memory_bytes=2_000_000_000),
    count=_count,
)
