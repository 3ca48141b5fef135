"""Domains arranged in a tree: labels from the root down, and places for new clusters.

The tree of merges is cut at a few widths; each cut's groups are nodes, named like domains. A vector is labelled level
by level, each time among the children of the node before, so that a path never contradicts itself, as independent
labels per level do. A new cluster is attached under the node that its centroid is led to.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.clusters.job import read_clustering, read_codebook
from jobs.clusters.names import name_domains
from stages.embed.vectors import Floats

Longs = npt.NDArray[np.int64]

ROOT = 0
"""The node of everything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taxonomy:
    """Nodes in an order in which parents come before children; node 0 is the root."""

    names: tuple[str, ...]
    parents: Longs
    """int64[N]: the parent of each node; -1 for the root."""
    centroids: Floats
    """float32[N, d] of unit length: the weighted mean direction of what lies below."""
    clusters: Longs
    """int64[N]: the cluster that a leaf stands for; -1 for inner nodes."""

    def children(self, node: int) -> Longs:
        """In ascending order."""
        return np.flatnonzero(self.parents == node)

    def path(self, node: int) -> list[int]:
        """Nodes from below the root down to this one."""
        found: list[int] = []
        while node != ROOT:
            found.append(node)
            node = int(self.parents[node])
        return found[::-1]

    def label(self, vectors: Floats) -> Longs:
        """int64[n]: the leaf that each of float32[n, d] is led to: at each node to the child of the largest cosine, of
        equals the first."""
        at = np.full(len(vectors), ROOT, np.int64)
        for node in range(len(self.names)):
            below, here = self.children(node), np.flatnonzero(at == node)
            if len(below) and len(here):
                at[here] = below[np.argmax(vectors[here] @ self.centroids[below].T, axis=1)]
        return at

    def attach(self, centroid: Floats, name: str, cluster: int) -> "Taxonomy":
        """With one leaf more, float32[d] of unit length, beside the leaf that its centroid is led to.

        Raises ValueError for a name that is taken. Centroids of inner nodes stay, so labels of others change only where
        the new leaf is nearer.
        """
        if name in self.names:
            raise ValueError(f"{name!r} is a node already; choose another name")
        parent = self.parents[self.label(centroid[None])[0]]
        return replace(
            self,
            names=(*self.names, name),
            parents=np.append(self.parents, parent),
            centroids=np.concatenate([self.centroids, centroid[None]]),
            clusters=np.append(self.clusters, cluster),
        )


def build_taxonomy(clustered: pa.Table, widths: Sequence[int]) -> Taxonomy:
    """The tree of a shard of clusters: the root, a level of nodes for each width, ascending, and the clusters.

    The widest level is at most the number of clusters. Names of inner nodes are made of the keywords most of their
    clusters share; a leaf is named after its cluster's keywords.
    """
    codebook, report = read_codebook(clustered), read_clustering(clustered)
    keywords, weight = clustered["keywords"].to_pylist(), clustered["documents"].to_numpy()
    count = len(codebook.domains)
    if list(widths) != sorted(set(widths)) or not widths or not 1 < widths[0] <= widths[-1] <= count:
        raise ValueError(f"widths={tuple(widths)} must ascend, from 2 to at most {count}")
    names, parents, members = ["all"], [-1], [np.arange(count)]
    above = np.zeros(count, np.int64)
    for groups in [*(cut_tree(report["tree"], count, width) for width in widths), np.arange(count)]:
        rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        named = name_domains([shared_keywords([keywords[k] for k in row]) for row in rows], [None] * len(rows), 2)
        first = len(names)
        for row, name in zip(rows, named, strict=True):
            names.append(name if name not in names else f"{name}-{len(names)}")
            parents.append(int(above[row[0]]))
            members.append(row)
        for number, row in enumerate(rows):
            above[row] = first + number
    sums = np.stack([(codebook.centroids[row] * np.maximum(weight[row], 1e-9)[:, None]).sum(axis=0) for row in members])
    leaves = np.full(len(names), -1, np.int64)
    leaves[len(names) - count :] = np.arange(count)
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30)
    return Taxonomy(
        names=tuple(names),
        parents=np.array(parents),
        centroids=np.ascontiguousarray(sums / lengths, np.float32),
        clusters=leaves,
    )


def cut_tree(merges: Sequence[Mapping[str, Any]], count: int, width: int) -> Longs:
    """int64[K]: the group of each cluster after all but the last `width` - 1 merges, named by its lowest cluster."""
    groups = {node: [node] for node in range(count)}
    for number, merge in enumerate(merges[: count - width]):
        groups[count + number] = groups.pop(merge["left"]) + groups.pop(merge["right"])
    found = np.empty(count, np.int64)
    for members in groups.values():
        found[members] = min(members)
    return found


def shared_keywords(keywords: Sequence[Sequence[str]]) -> list[str]:
    """Words by how many clusters have them, those that come first in their lists first."""
    counts = Counter(word for words in keywords for word in words)
    rank: dict[str, int] = {}
    for words in keywords:
        for place, word in enumerate(words):
            rank[word] = min(rank.get(word, place), place)
    return sorted(counts, key=lambda word: (-counts[word], rank[word], word))
