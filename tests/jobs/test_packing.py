import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import packing
from jobs.packing import PackConfig
from jobs.placement import PlacementConfig, domain_name, placement_stage, shuffle_keys
from pipeline.exchange import Place
from schemas.corpus import PACKED
from schemas.documents import ID
from tests.contract import check_stage

END = 99


def spilled(documents: list[list[int]]) -> pa.Table:
    ids = [n.to_bytes(16, "big") for n in range(len(documents))]
    keys = [(n * 7919) % 1000 for n in range(len(documents))]
    columns = {"document_id": ids, "shuffle_key": keys, "tokens": documents}
    return pa.table({f.name: pa.array(columns[f.name], f.type) for f in packing._SPILL}, schema=packing._SPILL)


def unpack(table: pa.Table) -> dict[bytes, list[int]]:
    """Tokens by document, end token included, from the columns that say where each stands."""
    found: dict[bytes, list[int]] = {}
    for row in table.to_pylist():
        starts = [*row["document_start"], len(row["tokens"])]
        assert starts[0] == 0
        for document, offset, start, end in zip(
            row["document_id"], row["document_offset"], starts[:-1], starts[1:], strict=True
        ):
            assert len(found.get(document, [])) == offset
            found.setdefault(document, []).extend(row["tokens"][start:end])
    return found


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=8), st.sampled_from([0, 2, 3, 5, 64]))
def test_every_document_can_be_cut_out_again(documents: list[list[int]], length: int) -> None:
    config = PackConfig(end_of_document=END, sequence_length=length)
    packed = packing._pack(config, Place(index=0, partitions=1), spilled(documents), None)
    assert packed.table.schema.equals(PACKED)
    assert unpack(packed.table) == {n.to_bytes(16, "big"): [*d, END] for n, d in enumerate(documents)}
    lengths = [len(row) for row in packed.table["tokens"].to_pylist()]
    if length:
        assert all(n == length for n in lengths[:-1])
        assert all(0 < n <= length for n in lengths[-1:])
    else:
        assert len(lengths) == len(documents)
    assert packed.counters["tokens"] == sum(len(d) + 1 for d in documents)
    assert packed.counters["documents"] == len(documents)


def test_documents_stand_in_the_order_of_their_shuffle_keys() -> None:
    documents = [[n] for n in range(5)]
    config = PackConfig(end_of_document=END, sequence_length=0)
    packed = packing._pack(config, Place(index=0, partitions=1), spilled(documents), None)
    order = sorted(range(5), key=lambda n: (n * 7919) % 1000)
    assert [row[0] for row in packed.table["tokens"].to_pylist()] == order


def test_spread_fills_the_files_of_a_domain_evenly() -> None:
    ids = pa.array([n.to_bytes(16, "big") for n in range(4000)], ID)
    table = pa.table(
        {
            "document_id": ids,
            "domain": pa.array(["a", None, "b", "b"] * 1000),
            "shuffle_key": pa.array(shuffle_keys(ids, seed=1)),
            "tokens": pa.array([[1]] * 4000, pa.list_(pa.int32())),
        }
    )
    config = PackConfig(end_of_document=END, layout=(("a", 1), ("b", 4)))
    out = packing._spread(config, Place(index=0, partitions=5), table)
    counts = np.bincount(out["partition"].to_numpy(), minlength=5)
    assert counts[0] == 1000
    assert counts[1:].sum() == 2000
    assert all(400 < n < 600 for n in counts[1:])


def test_shuffle_keys_depend_on_seed_and_id_alone() -> None:
    ids = pa.array([n.to_bytes(16, "big") for n in range(1000)], ID)
    keys = shuffle_keys(ids, seed=3)
    assert (shuffle_keys(ids.slice(10, 5), seed=3) == keys[10:15]).all()
    assert len(set(keys.tolist())) == 1000
    assert (shuffle_keys(ids, seed=4) != keys).all()
    assert abs(float(keys.mean()) / 2**64 - 0.5) < 0.05
    assert shuffle_keys(ids, seed=0)[:2].tolist() == [0, 8376748777780570806]


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("C++", "cpp"),
        ("C#", "csharp"),
        ("Jupyter Notebook", "jupyter-notebook"),
        (None, "other"),
        ("", "other"),
        ("../..", "other"),
    ],
)
def test_domain_names_are_safe_folder_names(language: str | None, name: str) -> None:
    assert domain_name(language) == name


def test_placement_keeps_the_laws_and_counts_tokens() -> None:
    table = pa.table(
        {
            "document_id": pa.array([n.to_bytes(16, "big") for n in range(5)], ID),
            "keep": pa.array([True, True, False, True, True]),
            "num_tokens": pa.array([3, 5, 7, None, 0], pa.int32()),
            "size": pa.array([30, 50, 70, 90, 0], pa.int64()),
            "language": pa.array(["C", "C++", "C", None, None]),
        }
    )
    out = check_stage(placement_stage(PlacementConfig(domain_column="language", seed=7)), table)
    assert out["domain"].to_pylist() == ["c", "cpp", None, None, "other"]
    assert [key is None for key in out["shuffle_key"].to_pylist()] == [False, False, True, True, False]


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="sequence_length must be 0"):
        PackConfig(end_of_document=END, sequence_length=1)
    with pytest.raises(ValueError, match="tokens_per_file"):
        PackConfig(end_of_document=END, tokens_per_file=0)
