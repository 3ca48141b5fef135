"""The bench of real proxies: runs that are kept; the whole of it with GPTs is slow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.proxies.ngram import NgramConfig
from tests.bench import proxies
from tests.bench.material import CORPUS

needs_corpora = pytest.mark.skipif(not CORPUS.exists(), reason="the corpora are not beside the repository")


@needs_corpora
def test_a_domain_s_own_text_wins_and_runs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = NgramConfig(proxy_tokens=100_000, order=5, unit="bytes")
    bench = proxies.Bench(corpora=CORPUS.parent, cache=tmp_path, proxy=config, processes=0)
    count = len(proxies.WANTED)
    bits = bench.bits(np.eye(count) * 0.7 + 0.3 / count, [0])[:, 0]
    assert bits.argmin(axis=0).tolist() == list(range(count)), "each set is best served by its own domain"
    monkeypatch.setattr(proxies, "measure_one", pytest.fail)
    assert np.array_equal(bench.bits(np.eye(count) * 0.7 + 0.3 / count, [0])[:, 0], bits)


@needs_corpora
@pytest.mark.slow
def test_a_search_with_small_gpts(tmp_path: Path) -> None:
    shorter = replace(proxies.PROXIES["gpt"], proxy_tokens=300_000)
    found = proxies.run_t2(CORPUS.parent, tmp_path, proxy=shorter)
    assert found["runs"] == 28
    assert found["minutes"] < 40
    assert found["relative_regret"] < 1, "better than uniform"
