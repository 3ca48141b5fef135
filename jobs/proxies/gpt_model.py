"""A small decoder in torch and its training: RMSNorm, rotary positions, QK norm, squared ReLU, tied embeddings.

Imported by `gpt` when it is needed: torch is an extra. Writes checkpoints, which hold numbers only.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import linear

from jobs.folders import whole_file
from jobs.mixtures.space import Floats
from jobs.proxies.gpt import GptConfig, learning_rate_at
from jobs.proxies.pools import Ids, Validation
from pipeline.errors import SourceError

_ROTARY_BASE = 10_000.0
_MAX_GRADIENT = 1.0
_IGNORED = -100


def _norm(values: Tensor) -> Tensor:
    return functional.rms_norm(values, (values.shape[-1],))


class Block(nn.Module):
    """Attention, then a layer of squared ReLU (Primer, arXiv 2109.08668); both begin as the identity."""

    def __init__(self, config: GptConfig, generator: torch.Generator) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attended = _matrix(width, 3 * width, generator)
        self.mixed = nn.Parameter(torch.zeros(width, width))
        self.raised = _matrix(width, 4 * width, generator)
        self.lowered = nn.Parameter(torch.zeros(width, 4 * width))

    def forward(self, hidden: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """[rows, length, width] to the same."""
        rows, length, width = hidden.shape
        parts = linear(_norm(hidden), self.attended).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys = _turn(_norm(parts[0]), turns), _turn(_norm(parts[1]), turns)
        seen = functional.scaled_dot_product_attention(queries, keys, parts[2], is_causal=True)
        hidden = hidden + linear(seen.transpose(1, 2).reshape(rows, length, width), self.mixed)
        raised = functional.relu(linear(_norm(hidden), self.raised)).square()
        return hidden + linear(raised, self.lowered)


class Gpt(nn.Module):
    """A decoder whose output layer is its embedding. Parameters: vocabulary * width + layers * 12 * width**2."""

    def __init__(self, config: GptConfig, vocabulary_size: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        self.embedding = nn.Parameter(0.02 * torch.randn(vocabulary_size, config.width, generator=generator))
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(config.layers))
        half = config.width // config.heads // 2
        angles = torch.outer(torch.arange(config.context), _ROTARY_BASE ** (-torch.arange(half) / half))
        self.cosines, self.sines = nn.Buffer(angles.cos(), persistent=False), nn.Buffer(angles.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64[rows, length] to logits [rows, length, V]; length is at most the context."""
        turns = self.cosines[: tokens.shape[1]], self.sines[: tokens.shape[1]]
        hidden = _norm(functional.embedding(tokens, self.embedding))
        for block in self.blocks:
            hidden = block(hidden, turns)
        return linear(_norm(hidden), self.embedding)


def _matrix(inputs: int, outputs: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(outputs, inputs, generator=generator) * 0.5 / math.sqrt(inputs))


def _turn(values: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (Su et al., arXiv 2104.09864): [rows, heads, length, head] in pairs of halves."""
    cosines, sines = turns
    first, second = values.chunk(2, dim=-1)
    turned = torch.cat([first * cosines - second * sines, first * sines + second * cosines], dim=-1)
    return turned.to(values.dtype)


def train_and_measure(
    config: GptConfig,
    stream: Ids,
    vocabulary_size: int,
    validation: Validation,
    checkpoint: Path | None,
    checkpoint_every: int,
    identity: str,
    device: str,
) -> Floats:
    """float64[sets]: bits per byte after one pass over the stream. See `gpt.train_gpt`."""
    with _repeatable(device):
        model = Gpt(config, vocabulary_size).to(device)
        optimizer = _optimizer(model, config)
        step = _restore(checkpoint, identity, model, optimizer, device)
        inputs, targets = _lanes(stream, config, device)
        steps = inputs.shape[1]
        while step < steps:
            rate = learning_rate_at(config, step, steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            _train(model, optimizer, inputs[:, step], targets[:, step], device)
            step += 1
            if checkpoint is not None and step % checkpoint_every == 0 and step < steps:
                _save(checkpoint, identity, model, optimizer, step)
        ends = zip(validation.offsets[:-1].tolist(), validation.offsets[1:].tolist(), strict=True)
        bits = [_bits(model, validation.tokens[begin:end], config, device) for begin, end in ends]
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return np.array(bits) / validation.num_bytes


def _optimizer(model: Gpt, config: GptConfig) -> torch.optim.AdamW:
    groups = [
        {"params": [model.embedding], "weight_decay": 0.0},
        {"params": [*model.blocks.parameters()], "weight_decay": config.weight_decay},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), eps=1e-8, fused=True)


def _lanes(stream: Ids, config: GptConfig, device: str) -> tuple[Tensor, Tensor]:
    """int64[rows, steps, context]: each row reads its own stretch of the stream, so that a batch is a sample of all."""
    rows = config.batch_tokens // config.context
    steps = (len(stream) - 1) // (rows * config.context)
    used = rows * steps * config.context
    flat = torch.from_numpy(stream[: used + 1].astype(np.int64)).to(device)
    shape = (rows, steps, config.context)
    return flat[:-1].view(shape), flat[1:].view(shape)


def _train(model: Gpt, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor, device: str) -> None:
    with _precision(device):
        loss = functional.cross_entropy(model(inputs).flatten(0, 1).float(), targets.flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), _MAX_GRADIENT)
    optimizer.step()


@torch.inference_mode()
def _bits(model: Gpt, tokens: Ids, config: GptConfig, device: str) -> float:
    """Bits of all tokens of a set, in windows of the context, each after the one before it.

    Before the first stands the set's last: the end of a document.
    """
    size = -(-len(tokens) // config.context) * config.context
    inputs, targets = np.zeros(size, np.int64), np.full(size, _IGNORED, np.int64)
    inputs[: len(tokens)], targets[: len(tokens)] = np.roll(tokens, 1), tokens
    windows, wanted = torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)
    nats = []
    for begin in range(0, size, config.batch_tokens):
        batch = slice(begin, begin + config.batch_tokens)
        with _precision(device):
            logits = model(windows[batch].view(-1, config.context)).flatten(0, 1).float()
        losses = functional.cross_entropy(logits, wanted[batch], ignore_index=_IGNORED, reduction="none")
        nats.append(float(losses.double().sum()))
    return math.fsum(nats) / math.log(2)


@contextmanager
def _precision(device: str) -> Iterator[None]:
    """bfloat16 on CUDA, with the kernels of attention that can repeat their bits; as it is elsewhere."""
    if not device.startswith("cuda"):
        yield
        return
    with torch.autocast("cuda", torch.bfloat16), sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        yield


@contextmanager
def _repeatable(device: str) -> Iterator[None]:
    if device.startswith("cuda"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for to repeat products
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _save(path: Path, identity: str, model: Gpt, optimizer: torch.optim.Optimizer, step: int) -> None:
    state = {"identity": identity, "step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    with whole_file(path) as file:
        torch.save(state, file)


def _restore(path: Path | None, identity: str, model: Gpt, optimizer: torch.optim.Optimizer, device: str) -> int:
    """The step to go on with; 0 where there is no checkpoint."""
    if path is None or not path.exists():
        return 0
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        found, step = state["identity"], int(state["step"])
    except (OSError, RuntimeError, UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise SourceError(f"checkpoint {path} cannot be read: {error!r}; remove it to begin again") from error
    if found != identity:
        raise SourceError(f"checkpoint {path} is of another proxy, mixture or stream; remove it or name another")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return step
