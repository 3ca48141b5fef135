"""How whole-corpus jobs split their rows: how many partitions, and which one a digest or id belongs to."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.store import Shard


def num_partitions(shards: Sequence[Shard], rows_per_partition: int) -> int:
    """Partitions that hold at most about `rows_per_partition` of the planned rows."""
    return max(1, -(-sum(shard.rows or 0 for shard in shards) // rows_per_partition))


def partition_by_prefix(keys: pa.ChunkedArray, partitions: int) -> pa.Array:
    """Equal ranges of the first two bytes of fixed-size binary keys, as int32. Keys must not be null."""
    flat = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    width = flat.type.byte_width
    raw = np.frombuffer(flat.buffers()[1], np.uint8)[flat.offset * width : (flat.offset + len(flat)) * width]
    prefix = raw.reshape(-1, width)[:, :2].astype(np.int64) @ np.array([256, 1])
    return pa.array((prefix * partitions >> 16).astype(np.int32))
