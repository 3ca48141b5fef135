"""From placed documents to published files: the shuffle, the files, the groups."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.packing import files
from jobs.packing.files import FilesConfig, shuffle
from jobs.packing.packings import PackingConfig, pack
from jobs.placement import PlacementConfig, domain_name, placement_stage, shuffle_keys
from pipeline.annotate import annotate
from pipeline.exchange import Place
from schemas.columns import columns
from schemas.corpus import DATA, PLACEMENT
from schemas.documents import ID
from schemas.tokens import TOKENS
from tests import machine
from tests.contract import check_stage

END = 99


def spilled(documents: list[list[int]], keys: list[int], ranks: list[int | None]) -> list[pa.RecordBatch]:
    """The documents as two spills, as a reduce gets them."""
    ids = [n.to_bytes(16, "big") for n in range(len(documents))]
    values = {"document_id": ids, "shuffle_key": keys, "shuffle_rank": ranks, "tokens": documents}
    schema = files.SHUFFLED
    arrays = [pa.array(values[field.name], field.type) for field in schema]
    middle = len(documents) // 2
    halves = ([a.slice(0, middle) for a in arrays], [a.slice(middle) for a in arrays])
    return [pa.RecordBatch.from_arrays(half, schema=schema) for half in halves]


def arrange(documents: list[list[int]], keys: list[int], ranks: list[int | None] | None = None) -> pa.Table:
    rows = pa.Table.from_batches(spilled(documents, keys, ranks or [None] * len(documents)))
    reduced = files._arrange(FilesConfig(end_of_document=END), Place(index=0, partitions=1), rows, None)
    assert reduced.table.schema.equals(DATA)
    assert reduced.counters == {"tokens": sum(len(d) + 1 for d in documents)}
    return reduced.table


@given(st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 3)), max_size=10))
def test_every_document_stands_once_and_whole_in_the_order_of_the_keys(given: list[tuple[list[int], int]]) -> None:
    documents, keys = [document for document, _ in given], [key for _, key in given]
    rows = arrange(documents, keys).to_pylist()
    order = sorted(range(len(documents)), key=lambda n: (keys[n], n))
    assert [int.from_bytes(row["document_id"], "big") for row in rows] == order
    assert [row["tokens"] for row in rows] == [[*documents[n], END] for n in order]
    assert [row["num_tokens"] for row in rows] == [len(documents[n]) + 1 for n in order]
    assert [row["group"] for row in rows] == list(range(len(rows)))


def test_files_of_a_repository_stand_together_in_their_order() -> None:
    keys = [7, 5, 7, 5, 7, 9]
    table = arrange([[n] for n in range(6)], keys, [1, None, 0, None, 2, 0])
    assert [row[0] for row in table["tokens"].to_pylist()] == [1, 3, 2, 0, 4, 5]
    assert table["group"].to_pylist() == [0, 1, 2, 2, 2, 3]


def test_spread_fills_the_files_of_a_domain_evenly() -> None:
    ids = pa.array([n.to_bytes(16, "big") for n in range(4000)], ID)
    table = pa.table(
        {
            "document_id": ids,
            "domain": pa.array(["a", None, "b", "b"] * 1000),
            "shuffle_key": pa.array(shuffle_keys(ids, seed=1)),
            "shuffle_rank": pa.nulls(4000, pa.int32()),
            "tokens": pa.array([[1]] * 4000, pa.list_(pa.int32())),
        }
    )
    config = FilesConfig(end_of_document=END, layout=(("a", 1), ("b", 4)))
    out = files._spread(config, Place(index=0, partitions=5), table)
    counts = np.bincount(out["partition"].to_numpy(), minlength=5)
    assert counts[0] == 1000
    assert counts[1:].sum() == 2000
    assert all(400 < n < 600 for n in counts[1:])


def test_files_do_not_depend_on_how_the_input_is_cut(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).integers(0, 40, 300).tolist()
    documents = [[n % 100] * length for n, length in enumerate(lengths)]

    def files_of(cuts: list[int], folder: Path) -> list[list[list[int]]]:
        parts = [slice(a, b) for a, b in zip([0, *cuts], [*cuts, 300], strict=True)]
        ids = [n.to_bytes(2, "little") * 8 for n in range(300)]
        schema = columns(
            *(pa.field(n, t) for n, t in (("document_id", ID), ("size", pa.int64()), ("language", pa.string())))
        )
        rows = [
            pa.table([ids[p], [1] * len(ids[p]), ["C" if i[0] % 3 else "D" for i in ids[p]]], schema=schema)
            for p in parts
        ]
        base = machine.given("documents", *rows)
        keep = [pa.table({"keep": pa.array([n % 5 != 0 for n in range(300)[p]], pa.bool_())}) for p in parts]
        tokens = [pa.table([documents[p], lengths[p]], schema=TOKENS) for p in parts]
        decided = machine.given("decisions", *keep, beside=base)
        encoded = machine.given("tokens", *tokens, beside=base)
        place = placement_stage(PlacementConfig(domain_column="language", seed=3))
        placement = annotate("placement", base, decided, encoded, stages=[place])
        files = shuffle(base, placement, encoded, FilesConfig(end_of_document=END, tokens_per_file=700))
        return [table["tokens"].to_pylist() for table in machine.run(machine.site_of(folder), files).tables(files)]

    one = files_of([], tmp_path / "one")
    assert one == files_of([1, 1, 120, 299], tmp_path / "five")
    assert len(one) > 4
    found = [tuple(tokens) for file in one for tokens in file]
    assert sorted(found) == sorted((*d, END) for n, d in enumerate(documents) if n % 5)


def test_a_packing_is_resumed_file_by_file_and_reads_no_tokens(tmp_path: Path) -> None:
    columns_of = DATA.remove(DATA.get_field_index("tokens"))
    sizes = pa.table([[bytes(16)] * 3, [5, 9, 4], [0, 1, 2]], schema=columns_of)
    files = machine.given("files", *(sizes.slice(0, n) for n in (3, 0, 2)))
    packing = pack(files, PackingConfig(sequence_length=8))
    site = machine.site_of(tmp_path)
    first = machine.run(site, packing)
    assert sorted(first.made) == ["files"] * 3 + ["packing-best-fit-8"] * 3
    assert [table["num_tokens"].to_pylist() for table in first.tables(packing)] == [[6, 8, 4], [], [8, 6]]
    first.plan.store.discard(first.plan.shards(packing)[2])
    again = machine.run(site, packing)
    assert again.made == ["packing-best-fit-8"]
    assert again.plan.records(packing) == first.plan.records(packing)


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
        ("x" * 199 + " or not", "x" * 199),
        ("x" * 300, "x" * 200),
    ],
)
def test_domain_names_are_safe_folder_names(language: str | None, name: str) -> None:
    assert domain_name(language) == name


def placed() -> pa.Table:
    return pa.table(
        {
            "document_id": pa.array([n.to_bytes(16, "big") for n in range(6)], ID),
            "keep": pa.array([True, True, False, True, True, True]),
            "num_tokens": pa.array([3, 5, 7, None, 0, 1], pa.int32()),
            "size": pa.array([30, 50, 70, 90, 0, 10], pa.int64()),
            "language": pa.array(["C", "C++", "C", None, None, "C"]),
        }
    )


def test_placement_keeps_the_laws_and_counts_tokens() -> None:
    out = check_stage(placement_stage(PlacementConfig(domain_column="language", seed=7)), placed())
    assert out["domain"].to_pylist() == ["c", "cpp", None, None, "other", "c"]
    assert [key is None for key in out["shuffle_key"].to_pylist()] == [False, False, True, True, False, False]
    assert out["shuffle_rank"].null_count == 6


def test_placement_keeps_repositories_together() -> None:
    table = placed()
    table = table.append_column("repository_key", pa.array([8, 8, 8, 8, None, 9], pa.uint64()))
    table = table.append_column("repository_rank", pa.array([1, 0, 2, 3, None, 0], pa.int32()))
    out = check_stage(placement_stage(PlacementConfig(domain_column="language", seed=7, grouped=True)), table)
    assert out.schema.equals(PLACEMENT)
    key = out["shuffle_key"].to_pylist()
    assert key[0] == key[1]
    assert len({key[0], key[4], key[5]}) == 3
    assert key[4] == shuffle_keys(table["document_id"].combine_chunks(), 7)[4]
    assert out["shuffle_rank"].to_pylist() == [1, 0, None, None, None, 0]
    other = check_stage(placement_stage(PlacementConfig(domain_column="language", seed=8, grouped=True)), table)
    assert not pc.any(pc.equal(out["shuffle_key"], other["shuffle_key"])).as_py()


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="tokens_per_file"):
        FilesConfig(end_of_document=END, tokens_per_file=0)
    with pytest.raises(ValueError, match="sequence_length must be 0"):
        PackingConfig(sequence_length=1)
    with pytest.raises(ValueError, match="sequence_length 0 needs the packing method document, got best-fit"):
        PackingConfig(sequence_length=0)
    with pytest.raises(ValueError, match="packing method 'first-fit' must be one of best-fit, concatenate, document"):
        PackingConfig(method="first-fit")  # type: ignore[arg-type]


def test_a_file_that_no_list_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = pa.Table.from_batches(spilled([[1], [2]], [0, 1], [None, None]))
    monkeypatch.setattr(pc, "list_value_length", lambda column: pa.chunked_array([pa.array([2**31 - 2, 5])]))
    with pytest.raises(ValueError, match="a file would hold 2,147,483,653 tokens, because one document or repository"):
        files._arrange(FilesConfig(end_of_document=END), Place(index=0, partitions=1), huge, None)
