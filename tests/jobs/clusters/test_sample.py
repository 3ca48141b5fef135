from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.clusters.sample import SampleConfig, sample_documents, sampling_rates
from tests import machine
from tests.jobs.clusters.topics import corpus


@given(
    st.dictionaries(st.text("abc", min_size=1), st.integers(0, 1000), min_size=1, max_size=5),
    st.integers(1, 3000),
    st.integers(0, 50),
)
def test_rates_keep_the_floors_and_the_total(counts: dict[str, int], documents: int, floor: int) -> None:
    rates = sampling_rates(counts, documents, floor)
    expected = {name: rates[name] * count for name, count in counts.items()}
    assert all(expected[name] >= min(count, floor) - 1e-6 for name, count in counts.items())
    floors, total = sum(min(count, floor) for count in counts.values()), sum(counts.values())
    assert sum(expected.values()) == pytest.approx(min(total, max(floors, documents)), abs=1e-3)
    above = {round(rates[name], 9) for name, count in counts.items() if expected[name] > min(count, floor) + 1e-6}
    assert len(above) <= 1


def sampled(folder: Path, config: SampleConfig, shards: int = 3, rows: int = 40) -> pa.Table:
    documents, embeddings, marks, _ = corpus(shards, rows)
    sample = sample_documents(documents, embeddings, marks, config=config)
    (table,) = machine.run(machine.site_of(folder), sample).tables(sample)
    return table


def test_everything_that_counts_is_sampled_if_there_is_room(tmp_path: Path) -> None:
    table = sampled(tmp_path, SampleConfig(documents=1000, excerpt_chars=5))
    _, _, _, tables = corpus()
    expected = {
        ids[row]
        for t in tables
        for ids, texts in [(t["document_id"].to_pylist(), t["text"].to_pylist())]
        for row in range(len(t))
        if texts[row] and row % 10 != 9
    }
    assert set(table["document_id"].to_pylist()) == expected
    assert len(table) == len(expected)
    assert set(table["weight"].to_pylist()) == {1.0}
    assert {len(excerpt) for excerpt in table["excerpt"].to_pylist()} == {5}
    ids = table["document_id"].to_pylist()
    assert ids == sorted(ids, key=lambda one: one[8:])


def test_a_sample_is_part_of_a_larger_one_and_weighs_like_the_whole(tmp_path: Path) -> None:
    small = sampled(tmp_path / "small", SampleConfig(documents=60, floor=5), 3, 100)
    large = sampled(tmp_path / "large", SampleConfig(documents=150, floor=5), 3, 100)
    assert set(small["document_id"].to_pylist()) < set(large["document_id"].to_pylist())
    assert 35 < len(small) < 85
    assert sum(small["weight"].to_pylist()) == pytest.approx(sum(large["weight"].to_pylist()), rel=0.3)


def test_a_rare_stratum_keeps_its_floor(tmp_path: Path) -> None:
    table = sampled(tmp_path, SampleConfig(documents=30, strata=("origin", "language"), floor=1000))
    assert set(table["weight"].to_pylist()) == {1.0}
    with pytest.raises(ValueError, match="at least 1"):
        SampleConfig(documents=0)
