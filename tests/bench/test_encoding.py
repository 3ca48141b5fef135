import json

import pyarrow as pa
import pytest

from tests.bench import encoding, exactness, material


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    """Few texts instead of the corpus."""
    texts = pa.array([f"def f{number}(x):\n    return x + {number}\n" * 40 for number in range(400)])

    def pool():
        return texts

    pool.cache_clear = lambda: None
    monkeypatch.setattr(material, "_pool", pool)


def test_bound_measures_every_part_of_every_shard(tmp_path):
    rows = list(encoding.measure_bound(tmp_path, "cl100k_base", shard_bytes=200_000, repeat=2))
    assert [row["cache"] for row in rows] == ["cold", "warm"] * 2
    for row in rows:
        parts = sum(row[part] for part in ("read", "encode", "write", "digest"))
        assert row["share"] == pytest.approx(parts / row["whole"])
        assert 100_000 < row["bytes"] < 300_000


def test_memory_is_sampled_over_text_that_changes(monkeypatch):
    monkeypatch.setattr(encoding, "_SAMPLE_BYTES", 400_000)
    monkeypatch.setattr(encoding, "_ROUND_BYTES", 100_000)
    rows = list(encoding.measure_memory("cl100k_base", 1_000_000))
    assert len(rows) == 2
    assert all(row["rss_mb"] > 0 for row in rows)


def test_every_way_of_writing_tokens_is_measured():
    rows = {row["way"]: row["bytes_per_token"] for row in encoding.measure_parquet("cl100k_base", 100_000)}
    assert rows["plain, none"] > 4 > rows["plain, zstd 1"] > 0


def test_exactness_prints_one_object_and_succeeds_where_nothing_differs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(exactness, "CORPORA", tmp_path)
    (tmp_path / "a.bin").write_bytes("naïve".encode("latin-1"))
    with pytest.raises(SystemExit) as ended:
        exactness.main(["--vocabulary", "cl100k_base", "--strings", "20", "--workers", "1"])
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert (found["texts"], found["mismatches"]) == (21, 0)
