import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.execute_local import LocalExecutor
from pipeline.parquet import parquet_bytes
from pipeline.plan import Plan
from pipeline.run import Run
from pipeline.site_file import Site, StoreSite
from pipeline.stage import configured
from pipeline.storage import open_storage
from pipeline.store import Store
from tests.bench import material
from tests.bench.chain import SHA256_STAGE, Sha256Config, fixed_chain, loop, open_stages, sha256_of
from tests.bench.material import SyntheticConfig, synthetic, synthetic_table
from tests.contract import check_stage

CONFIG = SyntheticConfig(shards=2, shard_bytes=30_000)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    texts = pa.array([f"def function_{number}():\n    return {'x' * (number % 900)!r}\n" for number in range(500)])
    monkeypatch.setattr(material, "_pool", lambda: texts)


def test_sha256_keeps_the_laws_of_stages():
    table = pa.table({"text": pa.array(["", "a", "é\n", "b" * 1000])})
    check_stage(configured(SHA256_STAGE, Sha256Config()), table)
    expected = [hashlib.sha256(text.encode()).digest() for text in table["text"].to_pylist()]
    assert sha256_of(table["text"]).to_pylist() == expected


def test_synthetic_shards_are_repeatable_distinct_and_of_the_asked_size():
    tables = [synthetic_table(CONFIG, number) for number in range(2)]
    assert tables[0].equals(synthetic_table(CONFIG, 0))
    texts = [text for table in tables for text in table["text"].to_pylist()]
    assert len(set(texts)) == len(texts) > 50
    for table in tables:
        size = sum(len(text.encode()) for text in table["text"].to_pylist())
        assert 0.8 * CONFIG.shard_bytes < size < 1.4 * CONFIG.shard_bytes
        assert sum(table["size"].to_pylist()) == size
        assert table["text_hash"].to_pylist() == [
            hashlib.sha256(t.encode()).digest() for t in table["text"].to_pylist()
        ]


def test_loop_and_engine_write_the_same_bytes(tmp_path):
    site = Site(store=StoreSite(path=str(tmp_path / "store")))
    store = Store(open_storage(site.store))
    documents = synthetic(CONFIG)
    sidecar = fixed_chain(documents)
    plan = Plan(targets=(sidecar,), store=store, scratch=tmp_path)
    Run(plan=plan, executor=LocalExecutor(site), retries=0, listener=lambda event: None).execute()
    (tmp_path / "loop").mkdir()
    files = [tmp_path / "store" / record.file for record in plan.records(documents)]
    loop(open_stages(), files, tmp_path / "loop")
    for path, record in zip(files, plan.records(sidecar), strict=True):
        made = (tmp_path / "loop" / path.name).read_bytes()
        assert made == (tmp_path / "store" / record.file).read_bytes()
        assert pq.read_table(tmp_path / "loop" / path.name).num_rows == record.rows


def test_a_shard_has_the_same_bytes_in_every_process():
    table = synthetic_table(CONFIG, 1)
    assert parquet_bytes(table).equals(parquet_bytes(synthetic_table(CONFIG, 1)))
