"""Arrow schemas of clusters: what a clustering is, and what each document is told of it."""

import pyarrow as pa

from schemas.columns import columns
from schemas.embeddings import MODEL_KEY

CLUSTERING_KEY = b"gristmill:clustering"
"""Key of the schema's metadata of `clusters`. Value: JSON of the quality figures, the alarms and the tree of merges."""

ASSIGNMENT = columns(
    pa.field("cluster", pa.int32()),
    pa.field("cluster_distance", pa.float32()),
    pa.field("cluster_margin", pa.float32()),
    pa.field("domain", pa.string()),
)
"""The cluster of each document, row-aligned with `documents`; all null where it has no embedding.

cluster: the nearest centroid by cosine; of equals the lowest number.
cluster_distance: 1 - cosine, 0 to 2. cluster_margin: how much farther the second nearest centroid is; 0 for a tie.
domain: name of the domain that the cluster belongs to.
"""


def clusters(dimensions: int, model: bytes) -> pa.Schema:
    """One row per cluster, in the order of their numbers. `model` says which embeddings they are of (`MODEL_KEY`).

    centroid: float32 of unit length. domain: its domain's name. keywords: what its texts say more often than others.
    documents, bytes: of the corpus, estimated from the sample. sampled: documents of the sample in it.
    mean_distance: mean of 1 - cosine over those. origin_share: share of the most frequent origin among them.
    """
    return columns(
        pa.field("cluster", pa.int32(), nullable=False),
        pa.field("centroid", pa.list_(pa.float32(), dimensions), nullable=False, metadata={MODEL_KEY: model}),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("keywords", pa.list_(pa.string()), nullable=False),
        pa.field("documents", pa.float64(), nullable=False),
        pa.field("bytes", pa.float64(), nullable=False),
        pa.field("sampled", pa.int64(), nullable=False),
        pa.field("mean_distance", pa.float32(), nullable=False),
        pa.field("origin_share", pa.float32(), nullable=False),
    )
