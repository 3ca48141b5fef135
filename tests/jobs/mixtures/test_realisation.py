"""Weights and a target become files: exact by domain, the same however the input is cut, copies spread evenly."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.mixtures.realisation import files_of_plan, realise
from jobs.mixtures.realisation_files import (
    BUCKETS,
    UNITS,
    Copies,
    Draw,
    Threshold,
    count_tokens,
    find_bucket,
    find_threshold,
    list_bucket,
    write_file,
)
from jobs.mixtures.realisation_plan import DomainPlan, RealiseConfig
from jobs.packing.files import SHUFFLED, FilesConfig, shuffle
from jobs.placement import PlacementConfig, placement_stage
from pipeline.annotate import annotate
from pipeline.dataset import Dataset
from pipeline.errors import PlanError
from pipeline.exchange import Place
from pipeline.execute_local import LocalExecutor
from pipeline.run import Event, Run
from schemas.columns import columns
from schemas.corpus import DATA
from schemas.documents import ID
from schemas.tokens import TOKENS
from tests import machine

END = 99
MASK = 2**64 - 1
Map = Callable[[Draw, Place, pa.Table], pa.Table]
DOMAINS = {"a": 300, "b": 150, "c": 40}
"""Documents of each domain of the corpus of these tests."""


def config_of(
    weights: Mapping[str, float], tokens: int, *, file_tokens: int = 4000, **settings: float
) -> RealiseConfig:
    files = FilesConfig(end_of_document=END, tokens_per_file=file_tokens)
    return RealiseConfig(weights=tuple(sorted(weights.items())), tokens=tokens, files=files, **settings)  # type: ignore[arg-type]


# --- the slow twin ---


def scatter(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def key_of(document_id: bytes, seed: int, number: int) -> int:
    """The `number`-th key of a unit, by the definition: SplitMix64 from a hash of (seed, id)."""
    low, high = (int.from_bytes(document_id[n : n + 8], "little") for n in (0, 8))
    base = scatter(scatter((low + seed * 0x9E3779B97F4A7C15) & MASK) ^ high)
    return scatter((base + (number + 1) * 0x9E3779B97F4A7C15) & MASK)


def draw_slowly(sizes: Mapping[bytes, int], planned: int, seed: int) -> Counter[tuple[bytes, int]]:
    """How often each (document, tokens) of one domain stands in the mixture, document by document."""
    full, rest = divmod(planned, sum(sizes.values()))
    found: Counter[tuple[bytes, int]] = Counter()
    for document_id, size in sizes.items():
        found[document_id, size] += full
    taken = 0
    for document_id in sorted(sizes, key=lambda i: key_of(i, seed, 0)):
        size = sizes[document_id]
        if rest and taken + size > rest:
            short, over = rest - taken, taken + size - rest
            if min(short, over) * 200 > planned:
                found[document_id, short] += 1
            elif over < short:
                found[document_id, size] += 1
            break
        if rest:
            found[document_id, size] += 1
            taken += size
    return +found


# --- one domain, function by function ---


def data_of(documents: list[list[int]], groups: list[int], name: str = "d") -> pa.Table:
    ids = [f"{name}{n:015d}".encode() for n in range(len(documents))]
    values = [ids, documents, [len(d) for d in documents], groups]
    return pa.table([pa.array(v, f.type) for v, f in zip(values, DATA, strict=True)], schema=DATA)


def mix_one(table: pa.Table, planned: int, seed: int, cuts: list[int]) -> pa.Table:
    """A domain whose file is cut at these rows, mixed into one file."""
    borders = [0, *cuts, table.num_rows]
    parts = [table.slice(a, b - a) for a, b in pairwise(borders)]
    available = sum(table["num_tokens"].to_pylist())
    plan = DomainPlan(domain="d", weight=1.0, available=available, planned=planned)
    config = config_of({"d": 1.0}, planned, file_tokens=100_000, max_epochs=1000, seed=seed)
    draw = Draw(config=config, runs=(("d", len(parts)),), plans=(plan,), reads_all=True)

    def rows(function: Map, schema: pa.Schema) -> pa.Table:
        made = [function(draw, Place(index=n, partitions=1), part) for n, part in enumerate(parts)]
        return pa.concat_tables([table.select(schema.names).cast(schema) for table in made])

    one = Place(index=0, partitions=1)
    bucket = find_bucket(draw, one, rows(count_tokens, BUCKETS), None).counters
    draw = replace(draw, buckets=((bucket["bucket"], bucket["below"]),))
    ends = find_threshold(draw, one, rows(list_bucket, UNITS), None).counters
    draw = replace(draw, thresholds=(Threshold(end=ends["end"], cut=ends["cut"]),))
    copies = pa.concat_tables([rows(Copies(epoch), SHUFFLED) for epoch in range(plan.passes + 1)])
    return write_file(draw, one, copies, None).table


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=25), st.integers(1, 400), st.integers(0, 2**64), st.data())
def test_a_domain_has_the_documents_of_its_slow_twin(
    lengths: list[int], planned: int, seed: int, data: st.DataObject
) -> None:
    table = data_of([[n] * (length - 1) + [END] for n, length in enumerate(lengths)], list(range(len(lengths))))
    sizes = dict(zip(table["document_id"].to_pylist(), lengths, strict=True))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lengths)), max_size=3)))
    found = mix_one(table, planned, seed, cuts)
    pairs = zip(found["document_id"].to_pylist(), found["num_tokens"].to_pylist(), strict=True)
    assert Counter(pairs) == draw_slowly(sizes, planned, seed)
    numbers = {document_id: n for n, document_id in enumerate(sizes)}
    for row in found.to_pylist():
        assert row["tokens"] == [numbers[row["document_id"]]] * (row["num_tokens"] - 1) + [END]
    realised = sum(found["num_tokens"].to_pylist())
    assert abs(realised - planned) * 200 <= planned
    assert found.equals(mix_one(table, planned, seed, []))


def test_documents_of_a_group_are_drawn_and_stand_together() -> None:
    lengths = [7, 5, 9, 4, 6, 8, 3, 5]
    groups = [0, 0, 0, 1, 2, 2, 3, 3]
    table = data_of([[n] * (length - 1) + [END] for n, length in enumerate(lengths)], groups)
    found = mix_one(table, 3 * sum(lengths) + 20, 5, [3])
    assert sum(found["num_tokens"].to_pylist()) == 3 * sum(lengths) + 20, "the last group is cut"
    runs: dict[int, list[int]] = {}
    for row in found.to_pylist():
        runs.setdefault(row["group"], []).append(row["tokens"][0] if len(row["tokens"]) > 1 else END)
    whole = [run for run in runs.values() if run in ([0, 1, 2], [3], [4, 5], [6, 7])]
    assert len(whole) >= len(runs) - 1
    assert Counter(map(tuple, whole))[0, 1, 2] >= 3
    assert [len(set(run)) == len(run) for run in runs.values()]


# --- a whole corpus ---


def corpus(tokens_per_file: int, cuts: list[int] | None = None) -> tuple[Dataset, Dataset, FilesConfig]:
    """Files, placement and layout of three domains of random documents."""
    random = np.random.default_rng(1)
    names = [name for name, count in DOMAINS.items() for _ in range(count)]
    lengths = random.integers(0, 90, len(names)).tolist()
    order = random.permutation(len(names)).tolist()
    documents = {n: [n % 90] * lengths[n] for n in order}
    borders = [0, *(cuts or []), len(names)]
    parts = [order[a:b] for a, b in pairwise(borders)]
    schema = columns(
        *(pa.field(n, t) for n, t in (("document_id", ID), ("size", pa.int64()), ("language", pa.string())))
    )
    rows = [pa.table([[identity(n) for n in p], [1] * len(p), [names[n] for n in p]], schema=schema) for p in parts]
    base = machine.given("documents", *rows)
    keep = [pa.table({"keep": pa.array([True] * len(p), pa.bool_())}) for p in parts]
    tokens = [pa.table([[documents[n] for n in p], [lengths[n] for n in p]], schema=TOKENS) for p in parts]
    decided = machine.given("decisions", *keep, beside=base)
    encoded = machine.given("tokens", *tokens, beside=base)
    place = placement_stage(PlacementConfig(domain_column="language", seed=0))
    placement = annotate("placement", base, decided, encoded, stages=[place])
    layout = FilesConfig(end_of_document=END, tokens_per_file=tokens_per_file)
    return shuffle(base, placement, encoded, layout), placement, layout


def identity(number: int) -> bytes:
    return number.to_bytes(2, "big") * 8


def domain_of(document_id: bytes) -> str:
    number = int.from_bytes(document_id[:2], "big")
    return "a" if number < 300 else "b" if number < 450 else "c"


def mixed(config: RealiseConfig, tokens_per_file: int = 3000, cuts: list[int] | None = None) -> Dataset:
    return realise(files_of_plan(*corpus(tokens_per_file, cuts)), config)


WEIGHTS = {"a": 0.5, "b": 0.25, "c": 0.25}
TARGET = 20_000


class Mixed:
    """A mixture of TARGET tokens in five files, made in a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, machine.site_of(folder)
        self.dataset = mixed(config_of(WEIGHTS, TARGET))
        ran = machine.run(self.site, self.dataset)
        self.made = Counter(ran.made)
        self.tables = ran.tables(self.dataset)
        self.digests = [record.sha256 for record in ran.plan.records(self.dataset)]
        self.rows = [row for table in self.tables for row in table.to_pylist()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    return Mixed(tmp_path_factory.mktemp("store"))


def test_tokens_of_every_domain_are_within_half_a_percent(made: Mixed) -> None:
    source = corpus(100_000)[0]
    available: Counter[str] = Counter()
    for table in machine.run(made.site, source).tables(source):
        for document_id, tokens in zip(table["document_id"].to_pylist(), table["num_tokens"].to_pylist(), strict=True):
            available[domain_of(document_id)] += tokens
    realised: Counter[str] = Counter()
    copies = Counter(row["document_id"] for row in made.rows)
    for row in made.rows:
        realised[domain_of(row["document_id"])] += row["num_tokens"]
        assert len(row["tokens"]) == row["num_tokens"]
        assert row["tokens"][-1] == END
    for domain, weight in WEIGHTS.items():
        assert abs(realised[domain] - weight * TARGET) <= 0.005 * weight * TARGET
        full = int(weight * TARGET) // available[domain]
        ids = [identity(n) for n in range(sum(DOMAINS.values())) if domain_of(identity(n)) == domain]
        assert {copies[i] for i in ids} == {full, full + 1}
    assert max(copies.values()) == 3, "the small domain is repeated"


def test_every_file_is_a_sample_of_the_whole(made: Mixed) -> None:
    assert len(made.tables) == 5
    for table in made.tables:
        own: Counter[str] = Counter()
        for row in table.to_pylist():
            own[domain_of(row["document_id"])] += row["num_tokens"]
        total = sum(own.values())
        assert 3000 < total < 5000
        assert all(abs(own[domain] / total - weight) < 0.12 for domain, weight in WEIGHTS.items())


def test_bytes_do_not_depend_on_how_the_source_is_cut(made: Mixed, tmp_path: Path) -> None:
    other = mixed(config_of(WEIGHTS, TARGET), tokens_per_file=100_000, cuts=[5, 300])
    ran = machine.run(machine.site_of(tmp_path), other)
    assert [record.sha256 for record in ran.plan.records(other)] == made.digests
    reseeded = mixed(config_of(WEIGHTS, TARGET, seed=1))
    assert machine.run(machine.site_of(tmp_path), reseeded).tables(reseeded) != made.tables


def test_what_is_made_is_not_made_again(made: Mixed, tmp_path: Path) -> None:
    assert machine.run(made.site, mixed(config_of(WEIGHTS, TARGET))).made == []
    dataset = mixed(config_of(WEIGHTS, TARGET))
    site = machine.site_of(tmp_path)
    before: list[str] = []

    def stop(event: Event) -> None:
        if event.kind == "finished" and event.dataset is not None:
            before.append(event.dataset.name)
            if before.count("mixture-files") == 2:
                raise KeyboardInterrupt

    plan = machine.plan_of(site, dataset)
    with pytest.raises(KeyboardInterrupt):
        Run(plan=plan, executor=LocalExecutor(site), retries=0, listener=stop).execute()
    after = machine.run(site, dataset)
    assert Counter(before) + Counter(after.made) == made.made
    assert [record.sha256 for record in after.plan.records(dataset)] == made.digests


def test_copies_of_a_document_are_spread_over_the_whole_order(tmp_path: Path) -> None:
    dataset = mixed(config_of({"a": 0.0, "b": 1.0, "c": 0.0}, 20_000, max_epochs=4))
    tables = machine.run(machine.site_of(tmp_path), dataset).tables(dataset)
    order = [i for table in tables for i in table["document_id"].to_pylist()]
    places: dict[bytes, list[float]] = {}
    for place, document_id in enumerate(order):
        places.setdefault(document_id, []).append(place / len(order))
    assert len(places) == DOMAINS["b"]
    repeated = [p for p in places.values() if len(p) == max(map(len, places.values()))]
    means = np.mean(repeated, axis=0)
    count = len(means)
    expected = (np.arange(count) + 1) / (count + 1)  # of the order statistics of uniform places
    assert np.abs(means - expected).max() < 0.08
    drawn = [places[i] for i in places if len(places[i]) == count]
    assert abs(np.mean(drawn) - 0.5) < 0.08, "what is drawn once more stands anywhere"
    neighbours = sum(a == b for a, b in pairwise(order))
    assert neighbours <= 12, f"about {count - 1} are expected"


def test_a_mixture_that_a_plan_cannot_serve_is_an_error_of_the_plan(tmp_path: Path) -> None:
    dataset = mixed(config_of({"a": 0.1, "b": 0.1, "c": 0.8}, 30_000))
    with pytest.raises(PlanError, match=r"mixture: 30,000 tokens of this mixture repeat c 1\d\.\d\d times"):
        machine.run(machine.site_of(tmp_path), dataset)
    other = mixed(config_of({"a": 0.5, "b": 0.5}, 1000))
    with pytest.raises(PlanError, match="missing c"):
        machine.run(machine.site_of(tmp_path), other)
