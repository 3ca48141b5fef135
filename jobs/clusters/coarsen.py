"""Fine clusters merged into domains: agglomeration weighted by population, with a least and a largest share.

The height of a merge is Ward's for weighted points, p q / (p + q) * |a - b|^2, where p and q are shares of the
population and a and b the weighted means of the centroids below: it is what the merge adds to the spread within
domains. A domain of ten documents therefore does not weigh like one of ten million. Distance alone would chain, and a
fixed limit on it means nothing for unit vectors, of which most pairs are about sqrt(2) apart.
"""

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class CoarsenConfig:
    """How many domains, and how large they may be."""

    domains: int = 40
    """Merging stops at so many; fewer if some would be too small."""
    min_share: float = 0.005
    """Of the population; a smaller domain joins the nearest."""
    max_share: float = 0.25
    """No merge makes a domain larger. A cluster that is larger by itself stays alone, unless others are too small."""

    def __post_init__(self) -> None:
        if self.domains < 1 or not 0 <= self.min_share <= self.max_share <= 1:
            raise ValueError(f"needs domains >= 1 and 0 <= min_share <= max_share <= 1: {self}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """One step of the tree. Nodes 0 to K - 1 are clusters, node K + i is what merge i made."""

    left: int
    right: int
    height: float
    """What it adds to the spread within domains."""
    share: float
    """Of the population, in what it made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coarse:
    """Domains of clusters, largest first, and how they came to be."""

    domain: Longs
    """int64[K]: number of each cluster's domain."""
    shares: Doubles
    """float64[D]: of the population, descending."""
    merges: tuple[Merge, ...]
    """All merges down to one root: the first K - D made the domains."""


def coarsen(centroids: npt.NDArray[np.float32], population: Doubles, config: CoarsenConfig) -> Coarse:
    """Merge clusters float32[K, d] with populations float64[K], not all 0. Memory: 32 K^2 bytes; K^3 / 6
    comparisons (20 s for 5,000 clusters).
    """
    shares = population / population.sum()
    # a cluster without population merges at height 0 otherwise, with anything
    state = _State(centroids.astype(np.float64), np.maximum(shares, 1e-12))
    while state.alive > config.domains:
        left, right, height = state.lowest(config.max_share)
        if left < 0:
            break
        state.merge(left, right, height)
    while state.alive > 1 and (small := state.smallest())[1] < config.min_share:
        right = state.nearest(small[0], config.max_share)
        state.merge(min(small[0], right), max(small[0], right), state.height(small[0], right))
    groups = state.members.copy()
    while state.alive > 1:
        state.merge(*state.lowest(np.inf))
    return _ordered(groups, shares, tuple(state.merges))


def _ordered(groups: Longs, shares: Doubles, merges: tuple[Merge, ...]) -> Coarse:
    names, domain = np.unique(groups, return_inverse=True)
    sizes: Doubles = np.bincount(domain, shares, len(names)).astype(np.float64)
    order = np.lexsort((np.arange(len(names)), -sizes))
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return Coarse(domain=place[domain], shares=sizes[order], merges=merges)


class _State:
    """Domains so far, each in the place of its lowest cluster, with all heights between them."""

    def __init__(self, means: Doubles, shares: Doubles) -> None:
        self.means, self.shares, self.alive = means.copy(), shares.copy(), len(means)
        self.members = np.arange(len(means))
        self.merges: list[Merge] = []
        self._nodes = np.arange(len(means))
        squares = (means**2).sum(axis=1)
        distances = np.maximum(squares[:, None] + squares[None, :] - 2 * (means @ means.T), 0.0)
        self._heights = distances * (np.outer(shares, shares) / np.add.outer(shares, shares))
        np.fill_diagonal(self._heights, np.inf)

    def lowest(self, max_share: float) -> tuple[int, int, float]:
        """The pair of the lowest height that may merge, of equals the first; -1 if none may."""
        left, right = _lowest(self._heights, self.shares, max_share + 1e-9)
        return int(left), int(right), float(self._heights[left, right])

    def smallest(self) -> tuple[int, float]:
        """The domain of the least share."""
        at = int(np.argmin(np.where(self.shares > 0, self.shares, np.inf)))
        return at, float(self.shares[at])

    def nearest(self, at: int, max_share: float) -> int:
        """The domain whose mean is nearest, among those that the merge does not make too large, if there are any."""
        distances = ((self.means - self.means[at]) ** 2).sum(axis=1)
        distances[(self.shares == 0) | (np.arange(len(distances)) == at)] = np.inf
        allowed = np.where(self.shares + self.shares[at] <= max_share + 1e-9, distances, np.inf)
        return int(np.argmin(allowed if np.isfinite(allowed).any() else distances))

    def height(self, a: int, b: int) -> float:
        """Of a merge of these two."""
        return float(self._heights[a, b])

    def merge(self, left: int, right: int, height: float) -> None:
        """Put domain `right` into `left`, which is the lower."""
        p, q = self.shares[left], self.shares[right]
        self.means[left] = (p * self.means[left] + q * self.means[right]) / (p + q)
        self.shares[left], self.shares[right] = p + q, 0.0
        self.members[self.members == right] = left
        count = len(self.members) + len(self.merges)
        nodes = sorted((int(self._nodes[left]), int(self._nodes[right])))
        self.merges.append(Merge(left=nodes[0], right=nodes[1], height=height, share=float(p + q)))
        self._nodes[left] = count
        self.alive -= 1
        distances = ((self.means - self.means[left]) ** 2).sum(axis=1)
        weights = (p + q) * self.shares / (p + q + self.shares)
        heights = np.where(self.shares > 0, distances * weights, np.inf)
        heights[left] = np.inf
        self._heights[left], self._heights[:, left] = heights, heights
        self._heights[right], self._heights[:, right] = np.inf, np.inf


def _find_lowest(heights: Doubles, shares: Doubles, max_share: float) -> tuple[int, int]:
    """Places of the least height among pairs whose shares add up to no more than `max_share`; -1 if there is none."""
    least, left, right = np.inf, -1, -1
    for a in range(len(heights)):
        if shares[a] > 0:
            for b in range(a + 1, len(heights)):
                if heights[a, b] < least and shares[a] + shares[b] <= max_share:
                    least, left, right = heights[a, b], a, b
    return left, right


_lowest = numba.njit(cache=True)(_find_lowest)
