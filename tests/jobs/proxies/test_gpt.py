"""The GPT proxy: equal runs give equal bits, a stopped one goes on to them, and every byte is judged once."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from jobs.proxies import gpt_model
from jobs.proxies.gpt import GptConfig, learning_rate_at, train_gpt
from jobs.proxies.pools import Validation, mix
from pipeline.errors import RecipeError, SourceError
from tests.jobs.proxies.samples import Ids, flat, pool_of, write_language

VOCABULARY = 12
CONFIG = GptConfig(
    proxy_tokens=3_000, layers=2, width=16, heads=2, context=8, batch_tokens=64, learning_rate=1e-2, seed=3
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def stream() -> Ids:
    return flat(write_language(1, 60, VOCABULARY))[:3_000]


@pytest.fixture(scope="module")
def validation() -> Validation:
    sets = {"own": flat(write_language(1, 3, VOCABULARY)), "other": flat(write_language(2, 2, VOCABULARY))}
    return Validation.of(sets, np.array([1] * (VOCABULARY - 1) + [0], np.int32))


def test_equal_runs_give_equal_bits(stream: Ids, validation: Validation) -> None:
    first = train_gpt(CONFIG, stream, VOCABULARY, validation)
    assert first.tobytes() == train_gpt(CONFIG, stream, VOCABULARY, validation).tobytes()
    assert not torch.are_deterministic_algorithms_enabled(), "settings of the process are put back"


def test_a_proxy_learns_its_stream(stream: Ids, validation: Validation) -> None:
    own, other = train_gpt(CONFIG, stream, VOCABULARY, validation).tolist()
    assert own < 0.9 * np.log2(VOCABULARY) < other


def stop(checkpoint: Path, stream: Ids, validation: Validation, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A run that is stopped in its step 29 of 46, with a checkpoint every 8 steps; gets the steps of later runs too."""
    steps: list[int] = []

    def rate(config: GptConfig, step: int, total: int) -> float:
        steps.append(step)
        if len(steps) == 30:
            raise KeyboardInterrupt
        return learning_rate_at(config, step, total)

    monkeypatch.setattr(gpt_model, "learning_rate_at", rate)
    with pytest.raises(KeyboardInterrupt):
        train_gpt(CONFIG, stream, VOCABULARY, validation, checkpoint=checkpoint, checkpoint_every=8)
    return steps


def test_a_stopped_run_goes_on_to_the_same_bits(
    stream: Ids, validation: Validation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_gpt(CONFIG, stream, VOCABULARY, validation)
    steps = stop(tmp_path / "proxy.pt", stream, validation, monkeypatch)
    assert [path.name for path in tmp_path.iterdir()] == ["proxy.pt"]
    resumed = train_gpt(CONFIG, stream, VOCABULARY, validation, checkpoint=tmp_path / "proxy.pt", checkpoint_every=8)
    assert steps[30:] == list(range(24, 46)), "it goes on after the last checkpoint"
    assert resumed.tobytes() == whole.tobytes()
    assert not [*tmp_path.iterdir()], "what is done needs no checkpoint"


def test_a_checkpoint_of_another_run_is_refused(
    stream: Ids, validation: Validation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "proxy.pt"
    stop(checkpoint, stream, validation, monkeypatch)
    with pytest.raises(SourceError, match="of another proxy, mixture or stream"):
        train_gpt(CONFIG, stream[::-1].copy(), VOCABULARY, validation, checkpoint=checkpoint)
    for content in (b"", b"no checkpoint", checkpoint.read_bytes()[:-900]):
        checkpoint.write_bytes(content)
        with pytest.raises(SourceError, match="remove it to begin again"):
            train_gpt(CONFIG, stream, VOCABULARY, validation, checkpoint=checkpoint)


def test_every_token_is_judged_once_after_those_before_it(validation: Validation) -> None:
    model = gpt_model.Gpt(CONFIG, VOCABULARY)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4, generator=torch.Generator().manual_seed(parameter.numel()))
    tokens = validation.tokens[:61]
    before, expected = [int(tokens[-1]), *tokens[:-1].tolist()], 0.0
    for at, token in enumerate(tokens.tolist()):
        window = before[at // CONFIG.context * CONFIG.context : at + 1]
        logits = model(torch.tensor([window]))[0, -1].detach().double()
        expected -= float(functional.log_softmax(logits, dim=-1)[token]) / np.log(2)
    assert gpt_model._bits(model, tokens, CONFIG, "cpu") == pytest.approx(expected, rel=1e-5)


def test_the_future_is_not_seen() -> None:
    model = gpt_model.Gpt(CONFIG, VOCABULARY)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4, generator=torch.Generator().manual_seed(parameter.numel()))
    tokens = torch.arange(8)[None]
    changed = tokens.clone()
    changed[0, 5] = 11
    first, second = model(tokens), model(changed)
    assert torch.equal(first[:, :5], second[:, :5])
    assert not torch.allclose(first[:, 5:], second[:, 5:])


def test_rows_read_stretches_of_the_whole_stream() -> None:
    inputs, targets = gpt_model._lanes(np.arange(1_000, dtype=np.int32), CONFIG, "cpu")
    assert inputs.shape == (8, 15, 8)
    assert inputs[:, 0, 0].tolist() == list(range(0, 960, 120))
    assert torch.equal(targets, inputs + 1)


def test_rates_rise_stay_and_fall() -> None:
    rates = [learning_rate_at(CONFIG, step, 1_000) / CONFIG.learning_rate for step in range(1_000)]
    assert rates[0] == pytest.approx(1 / 51)
    assert set(rates[50:499]) == {1.0}
    assert rates[-1] == pytest.approx(1 / 501)
    assert np.all(np.diff(rates[:51]) > 0)
    assert np.all(np.diff(rates[501:]) < 0)


def test_a_domain_that_is_wanted_wins(validation: Validation) -> None:
    pools = [pool_of(str(seed), write_language(seed, 60, VOCABULARY)) for seed in (1, 2)]
    losses = [
        train_gpt(CONFIG, mix(pools, np.array([share, 1 - share]), 3_000, 0), VOCABULARY, validation)
        for share in (0.1, 0.5, 0.9)
    ]
    assert losses[0][0] > losses[1][0] > losses[2][0]
    assert losses[0][1] < losses[1][1] < losses[2][1]


def test_without_torch_the_extra_is_named(stream: Ids, validation: Validation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RecipeError, match=r"gristmill\[train\]"):
        train_gpt(CONFIG, stream, VOCABULARY, validation)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers is 0"),
        ({"heads": 3}, "multiple of 2"),
        ({"batch_tokens": 100}, "multiple of context"),
        ({"proxy_tokens": 64}, "more than batch_tokens"),
        ({"warmup": 0.7}, "at most 1"),
        ({"learning_rate": 0.0}, "must be positive"),
        ({"unit": "words"}, "tokens or bytes"),
    ],
)
def test_a_config_says_what_is_wrong(changes: dict[str, object], message: str) -> None:
    shape = {"proxy_tokens": 3_000, "width": 16, "heads": 2, "context": 8, "batch_tokens": 64}
    with pytest.raises(ValueError, match=message):
        GptConfig(**{**shape, **changes})


def test_mistakes_are_named(stream: Ids, validation: Validation) -> None:
    with pytest.raises(ValueError, match="the vocabulary has 5"):
        train_gpt(CONFIG, stream, 5, validation)
    with pytest.raises(ValueError, match="not more than batch_tokens=64"):
        train_gpt(CONFIG, stream[:64], VOCABULARY, validation)
