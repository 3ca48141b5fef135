"""The GPT proxy: a small decoder, trained once over a stream of tokens or bytes and judged by bits per byte.

Reads a stream and validation sets, writes checkpoints. Needs torch (the extra `train`), imported on use.
"""

from dataclasses import asdict, dataclass
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np

from jobs.mixtures.space import Floats
from jobs.proxies.pools import Ids, Validation
from pipeline.errors import RecipeError


@dataclass(frozen=True, kw_only=True, slots=True)
class GptConfig:
    """A proxy that is trained. Its budget is of tokens, never of time."""

    proxy_tokens: int
    """Length of the training stream, in units."""
    layers: int = 3
    width: int = 128
    heads: int = 4
    context: int = 128
    """Units that the model sees at once."""
    batch_tokens: int = 1024
    """Units per step; a multiple of `context`."""
    learning_rate: float = 3e-3
    """The highest. Rates of 1e-5 to 1e-6 made proxies of 125M parameters rank recipes as 1B models do (arXiv
    2512.24503); a model of a million parameters learns nothing at such rates within a million units."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises from 0."""
    cooldown: float = 0.5
    """Share of the steps in which it falls to 0 at the end."""
    weight_decay: float = 0.1
    """Of the blocks; embeddings do not decay."""
    unit: Literal["tokens", "bytes"] = "bytes"
    """With large vocabularies the output layer is most of a small model; bytes have 257 ids."""
    seed: int = 0
    """Of the first weights, and of the order in which the stream is mixed."""

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("layers", "width", "heads", "context", "batch_tokens")}
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name} is {count}; give at least 1")
        if self.width % (2 * self.heads):
            raise ValueError(f"width={self.width} must be a multiple of 2 * heads = {2 * self.heads}")
        if self.batch_tokens % self.context:
            raise ValueError(f"batch_tokens={self.batch_tokens} must be a multiple of context={self.context}")
        if self.proxy_tokens <= self.batch_tokens:
            raise ValueError(f"proxy_tokens={self.proxy_tokens} must be more than batch_tokens={self.batch_tokens}")
        if not (self.warmup >= 0 and self.cooldown >= 0 and self.warmup + self.cooldown <= 1):
            raise ValueError(
                f"warmup={self.warmup} and cooldown={self.cooldown} are shares of all steps; at most 1 in all"
            )
        if not (self.learning_rate > 0 and self.weight_decay >= 0):
            raise ValueError(
                f"learning_rate={self.learning_rate} and weight_decay={self.weight_decay} must be positive"
            )
        if self.unit not in ("tokens", "bytes"):
            raise ValueError(f"unit is {self.unit!r}; give tokens or bytes")


def learning_rate_at(config: GptConfig, step: int, steps: int) -> float:
    """Rate of a step: rises evenly, stays, falls evenly to 0 (Hägele et al., arXiv 2405.18392)."""
    rising = (step + 1) / (config.warmup * steps + 1)
    falling = (steps - step) / (config.cooldown * steps + 1)
    return config.learning_rate * min(1.0, rising, falling)


def train_gpt(
    config: GptConfig,
    stream: Ids,
    vocabulary_size: int,
    validation: Validation,
    *,
    checkpoint: Path | None = None,
    checkpoint_every: int = 500,
    device: str = "cpu",
) -> Floats:
    """float64[sets]: bits per byte of each validation set after one pass over the stream.

    The same device, libraries and number of threads give the same bits. `checkpoint` is a file that is written every
    `checkpoint_every` steps and read if it is there, so that a run that was stopped goes on to the same result; in the
    end it is removed. Raises
    RecipeError without torch, SourceError for a checkpoint of another run, ValueError for ids outside the vocabulary
    and where training diverged.
    """
    for tokens in (stream, validation.tokens):
        if not (tokens.min() >= 0 and tokens.max() < vocabulary_size):
            raise ValueError(
                f"token ids go from {tokens.min()} to {tokens.max()}; the vocabulary has {vocabulary_size}"
            )
    if len(stream) <= config.batch_tokens:
        raise ValueError(f"the stream has {len(stream)} units, not more than batch_tokens={config.batch_tokens}")
    try:
        import_module("torch")
    except ModuleNotFoundError as error:
        raise RecipeError(
            "GPT proxies need torch: install the extra gristmill[train], or use n-gram proxies"
        ) from error
    model = import_module("jobs.proxies.gpt_model")
    identity = _identity(config, stream, vocabulary_size)
    bits: Floats = model.train_and_measure(
        config, stream, vocabulary_size, validation, checkpoint, checkpoint_every, identity, device
    )
    if not np.isfinite(bits).all():
        raise ValueError(
            f"a proxy diverged (bits per byte {bits.tolist()}); lower learning_rate={config.learning_rate}"
        )
    return bits


def _identity(config: GptConfig, stream: Ids, vocabulary_size: int) -> str:
    """What a checkpoint belongs to."""
    digest = blake2b(repr((sorted(asdict(config).items()), vocabulary_size)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(stream, "<i4").data)
    return digest.hexdigest()
