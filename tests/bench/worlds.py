"""Worlds with a known best mixture: domains are unigram distributions, the loss is exact, proxies count tokens.

A mixture a of domains p_k is measured as CE(Q, sum_k a_k p_k) with Q = sum_k beta_k p_k: convex, least at a = beta, and
the regret is KL(Q || p_a). A proxy sees `proxy_tokens` drawn tokens, smoothed by adding 1/2, so its noise is that of
training on few tokens.
"""

from dataclasses import dataclass, replace

import numpy as np

from jobs.mixtures.evaluate import Outcome, run_method
from jobs.mixtures.method import Method
from jobs.mixtures.space import Floats, MixtureSpace

_VOCABULARY = 1000
_TILT = 1.5
"""Deviation of the log of what a domain makes of each word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Domains, what they are wanted for, and how well a proxy sees it."""

    space: MixtureSpace
    words: Floats
    """float64[K, V]: the distribution of each domain."""
    target: Floats
    """float64[V]: what is to be predicted."""
    shares: Floats
    """float64[K]: the mixture that the target is of; the best one unless the target is outside, or caps bind."""
    proxy_tokens: int = 50_000
    pools: Floats | None = None
    """float64[K]: tokens there are of each domain, per proxy_tokens; what is repeated teaches less. None: no limit."""
    noise_by_domain: Floats | None = None
    """float64[K]: further noise (nats) of a proxy of each domain alone. None: none."""

    def loss(self, mixtures: Floats) -> Floats:
        """float64[N, K] -> the exact loss of each, in nats."""
        seen = self._seen(np.atleast_2d(mixtures))
        losses: Floats = -(np.log(seen) @ self.target)
        return losses

    def measure(self, mixtures: Floats, generator: np.random.Generator) -> Floats:
        """float64[N, K] -> float64[N, 1]: what proxies say of each."""
        return (self._proxies(mixtures, generator) @ -self.target + self._further(mixtures, generator))[:, None]

    def measure_domains(self, mixtures: Floats, generator: np.random.Generator) -> Floats:
        """float64[N, K]: the loss on every domain, for methods that look at them."""
        return self._proxies(mixtures, generator) @ -self.words.T + self._further(mixtures, generator)[:, None]

    def best(self) -> Floats:
        """float64[K]: the best mixture within the caps, by multiplicative descent on the exact loss (convex)."""
        weights = self.space.project(self.shares)
        step, loss = 0.5, float(self.loss(weights)[0])
        for _ in range(4000):
            slope = self._slope(weights)
            moved = self.space.project(np.maximum(weights, 1e-12) * np.exp(-step * (slope - slope.min())))
            found = float(self.loss(moved)[0])
            if found > loss:
                step /= 2
                if step < 1e-7:
                    break
                continue
            weights, loss, step = moved, found, step * 1.05
        return weights

    def relative_regret(self, mixture: Floats) -> float:
        """How much of the distance from the uniform mixture to the best one is left: 0 is best, 1 is uniform."""
        least = float(self.loss(self.best())[0])
        return (float(self.loss(mixture)[0]) - least) / (float(self.loss(self.space.uniform)[0]) - least)

    def _seen(self, mixtures: Floats) -> Floats:
        """What a model of endless size learns of a mixture: the words, less of what is repeated."""
        if self.pools is None:
            return mixtures @ self.words
        useful = mixtures if self.pools is None else self.pools * -np.expm1(-mixtures / self.pools)
        rest = np.maximum(1.0 - useful.sum(axis=1, keepdims=True), 0.0) / self.words.shape[1]
        return useful @ self.words + rest

    def _slope(self, weights: Floats) -> Floats:
        ratio = self.target / self._seen(weights[None])[0]
        if self.pools is None:
            return -(self.words @ ratio)
        learned = np.exp(-weights / self.pools)
        return -learned * (self.words @ ratio - ratio.mean())

    def _proxies(self, mixtures: Floats, generator: np.random.Generator) -> Floats:
        seen = self._seen(mixtures)
        counts = np.stack([generator.multinomial(self.proxy_tokens, row / row.sum()) for row in seen]) + 0.5
        logs: Floats = np.log(counts / counts.sum(axis=1, keepdims=True))
        return logs

    def _further(self, mixtures: Floats, generator: np.random.Generator) -> Floats:
        if self.noise_by_domain is None:
            return np.zeros(len(mixtures))
        return generator.standard_normal(len(mixtures)) * (mixtures**2 @ self.noise_by_domain)


def make_world(domains: int, seed: int, *, max_epochs: float = 1e9) -> World:
    """A world of Zipf's law tilted by each domain, with token counts that say nothing of the target."""
    generator = np.random.default_rng([seed, domains])
    words = np.exp(_TILT * generator.standard_normal((domains, _VOCABULARY))) / np.arange(1, _VOCABULARY + 1)
    words /= words.sum(axis=1, keepdims=True)
    shares = generator.dirichlet(np.full(domains, 0.5))
    tokens = np.maximum(1, np.rint(generator.dirichlet(np.full(domains, 2.0)) * 1_000_000).astype(np.int64))
    names = tuple(f"domain-{number:02d}" for number in range(domains))
    space = MixtureSpace(
        domains=names, tokens=tuple(int(t) for t in tokens), target_tokens=1_000_000, max_epochs=max_epochs
    )
    return World(space=space, words=words, target=shares @ words, shares=shares)


def with_duplicates(world: World) -> World:
    """The second half of the domains are copies of the first: only sums of weights can be known."""
    half = len(world.words) // 2
    words = np.concatenate([world.words[:half], world.words[: len(world.words) - half]])
    return replace(world, words=words, target=world.shares @ words)


def with_junk(world: World) -> World:
    """The last domain is noise, of no use to the target."""
    words = world.words.copy()
    words[-1] = np.full(words.shape[1], 1.0 / words.shape[1])
    shares = np.append(world.shares[:-1] / world.shares[:-1].sum(), 0.0)
    return replace(world, words=words, shares=shares, target=shares @ words)


def with_pools(world: World, epochs: float = 4.0) -> World:
    """Domains hold what their token counts say: caps bind, and what is repeated teaches less and less."""
    space = replace(world.space, max_epochs=epochs)
    pools = np.array(space.tokens, np.float64) / space.target_tokens
    return replace(world, space=space, pools=2.0 * pools)


def with_uneven_noise(world: World) -> World:
    """Proxies of nearly one domain are up to 25 times as noisy as mixed ones (Marin, issue 7067)."""
    return replace(world, noise_by_domain=np.linspace(0.0016, 0.041, len(world.words)))


def with_target_outside(world: World, seed: int = 0) -> World:
    """A fifth of the target is in no domain."""
    generator = np.random.default_rng([seed, 99])
    other = np.exp(_TILT * generator.standard_normal(world.words.shape[1])) / np.arange(1, world.words.shape[1] + 1)
    return replace(world, target=0.8 * world.target + 0.2 * other / other.sum())


VARIANTS = {
    "duplicates": with_duplicates,
    "junk": with_junk,
    "finite pools": with_pools,
    "uneven noise": with_uneven_noise,
    "target outside": with_target_outside,
}


def search_world(world: World, method: Method, seed: int, *, by_domain: bool = False) -> Outcome:
    """One search. DoReMi is told the loss of every domain; the others, unless `by_domain`, that of the target alone."""
    if by_domain or method.name == "doremi":
        return run_method(
            method, world.space, world.measure_domains, seed=seed, target_weights=world.shares / world.shares.sum()
        )
    return run_method(method, world.space, world.measure, seed=seed)
