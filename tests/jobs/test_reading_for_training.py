"""Reading for training: two ranks stop in the middle, go on from their states, and lose and repeat nothing."""

import json
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.export.command import ExportConfig, export
from jobs.packing.sequences import Version, open_version
from schemas.manifest import Manifest
from tests.jobs.conftest import write, write_mixed
from tests.jobs.invoke import corpus_folder, invoke

torch = pytest.importorskip("torch")
stateful = pytest.importorskip("torchdata.stateful_dataloader")

from jobs.training_reader import ReaderConfig, SequenceDataset, _schedule, _shares  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 calls it

LENGTH = 64
PACKING = f"best-fit-{LENGTH}"
WORLD = 2
BATCH = 3

RECIPE = '''
from jobs.packing.packings import PackingConfig
from jobs.packing.files import FilesConfig
from jobs.publish import Corpus, CorpusConfig, corpus
from jobs.sources import parse_sources
from pipeline.annotate import annotate
from pipeline.ingest import ingest
from pipeline.stage import configured
from stages.filter.selection import Predicate, SelectConfig, select_stage
from stages.ingest.document import chain
from stages.tokenization import encode


def several(source: str) -> Corpus:
    """Several files per domain, three packings."""
    documents = ingest(*parse_sources([source]), stages=chain())
    rules = SelectConfig(predicates=(Predicate(name="readable", sql="problem IS NULL"),))
    decisions = annotate("select", documents, stages=[select_stage(rules, [documents.schema])])
    tokens = annotate("tokens", documents, stages=[configured(encode.STAGE, encode.EncodeConfig())])
    packings = (
        PackingConfig(sequence_length=64),
        PackingConfig(method="concatenate", sequence_length=32),
        PackingConfig(method="document", sequence_length=0),
    )
    files = FilesConfig(end_of_document=100257, tokens_per_file=3000)
    published = CorpusConfig(name="several", vocabulary="cl100k_base", files=files, packings=packings)
    return corpus(documents, decisions, tokens, published)
'''


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Two large and some small domains, several files each."""
    folder = tmp_path_factory.mktemp("several")
    write(folder / "recipe_of_training.py", RECIPE)
    source = write_mixed(folder / "input")
    for number in range(40):
        write(source / f"notes/n{number:02d}.md", "".join(f"- {number} and {n}\n" for n in range(number * 3)))
    asked = ("run", f"{folder}/recipe_of_training.py:several", "--local", "--json", "--store", folder / "store")
    ended = invoke(*asked, "--source", f"{source}?shard_bytes=20000")
    assert ended.code == 0, ended.err
    return open_version(corpus_folder(folder / "store", Manifest.model_validate(ended.json["manifest"])))


@pytest.fixture(scope="module")
def rows(version: Version) -> list[bytes]:
    """The tokens of every sequence, as they stand in the packing."""
    tables = list(version.sequences(PACKING))
    return [np.array(row, np.int32).tobytes() for table in tables for row in table["tokens"].to_pylist()]


@pytest.fixture(scope="module")
def exported(version: Version, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plain export, with as many files as ranks and workers can share."""
    folder = tmp_path_factory.mktemp("export") / "rows"
    export(version, folder, ExportConfig(format="datasets", packing=PACKING, files_per_part=WORLD * 2))
    return folder


@pytest.fixture(scope="module")
def forkserver() -> Any:
    """Workers start from a process that has imported what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "datasets", "jobs.training_reader"])
    return context


def own_reader(version: Version, rank: int) -> Any:
    return SequenceDataset(version, ReaderConfig(packing=PACKING, rank=rank, world_size=WORLD))


def streamed(folder: Path, rank: int) -> Any:
    import datasets
    from datasets.distributed import split_dataset_by_node

    files = sorted(str(path) for path in folder.glob("data/*/*.parquet"))
    whole = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True, columns=["tokens"])
    assert whole.n_shards % WORLD == 0
    return split_dataset_by_node(whole.with_format("torch"), rank, WORLD)


def tokens_of(items: Iterable[Any]) -> list[bytes]:
    """The rows of samples or of batches of them."""
    found = []
    for item in items:
        tokens = item["tokens"].numpy().astype(np.int32)
        found += [row.tobytes() for row in tokens.reshape(-1, LENGTH)]
    return found


def until(items: Iterator[Any], count: int) -> list[Any]:
    return [next(items) for _ in range(count)]


def saved(state: Any) -> Any:
    """A state as a checkpoint keeps it."""
    return json.loads(json.dumps(state))


@pytest.mark.parametrize("source", ["own", "datasets"])
@pytest.mark.parametrize("stop", [0, 1, 17])
def test_a_dataset_goes_on_where_it_stopped(
    version: Version, exported: Path, rows: list[bytes], source: str, stop: int
) -> None:
    together: list[bytes] = []
    for rank in range(WORLD):

        def make(rank: int = rank) -> Any:
            return own_reader(version, rank) if source == "own" else streamed(exported, rank)

        whole = tokens_of(make())
        first = make()
        before = tokens_of(until(iter(first), stop))
        second = make()
        second.load_state_dict(saved(first.state_dict()))
        after = tokens_of(second)
        assert before + after == whole
        together += before + after
    assert Counter(together) == Counter(rows)


@pytest.mark.parametrize("source", ["own", "datasets"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on_where_it_stopped(
    version: Version, exported: Path, rows: list[bytes], forkserver: Any, source: str, workers: int
) -> None:
    together: list[bytes] = []
    for rank in range(WORLD):

        def make(rank: int = rank) -> Any:
            return stateful.StatefulDataLoader(
                own_reader(version, rank) if source == "own" else streamed(exported, rank),
                batch_size=BATCH,
                num_workers=workers,
                multiprocessing_context=forkserver if workers else None,
            )

        first = make()
        running = iter(first)
        before = tokens_of(until(running, 5))
        state = first.state_dict()
        ahead = tokens_of(running)
        second = make()
        second.load_state_dict(state)
        after = tokens_of(second)
        assert after == ahead
        together += before + after
    assert Counter(together) == Counter(rows)


def test_fewer_files_than_ranks_are_shared_too(version: Version, rows: list[bytes]) -> None:
    for world in (1, 3, 7):
        readers = [
            SequenceDataset(version, ReaderConfig(packing=PACKING, rank=r, world_size=world)) for r in range(world)
        ]
        parts = [tokens_of(reader) for reader in readers]
        assert Counter(row for part in parts for row in part) == Counter(rows)
    one = SequenceDataset(version, ReaderConfig(packing=PACKING, is_mixed=False))
    assert tokens_of(one) == rows


def test_every_epoch_has_its_own_order_and_all_rows(version: Version, rows: list[bytes]) -> None:
    reader = own_reader(version, 0)
    epochs = []
    for epoch in range(3):
        reader.set_epoch(epoch)
        epochs.append(tokens_of(reader))
    assert epochs[0] != epochs[1] != epochs[2]
    reader.set_epoch(1)
    assert tokens_of(reader) == epochs[1]
    whole = Counter(rows)
    for epoch in (1, 2):
        total: Counter[bytes] = Counter()
        for rank in range(WORLD):
            own = own_reader(version, rank)
            own.set_epoch(epoch)
            total.update(tokens_of(own))
        assert total == whole
    running = own_reader(version, 0)
    running.set_epoch(2)
    before = tokens_of(until(iter(running), 4))
    resumed = own_reader(version, 0)
    resumed.load_state_dict(running.state_dict())
    assert before + tokens_of(resumed) == epochs[2]


def test_domains_come_in_proportion() -> None:
    order = list(_schedule([10, 30, 0, 5], [0, 0, 0, 0]))
    assert Counter(order) == {0: 10, 1: 30, 3: 5}
    assert abs(order[:22].count(1) - 15) <= 1
    for taken in (1, 20, 44):
        given = [order[:taken].count(stream) for stream in range(4)]
        assert list(_schedule([10, 30, 0, 5], given)) == order[taken:]


@pytest.mark.parametrize("packing", [PACKING, "concatenate-32", "document"])
def test_samples_are_what_the_packing_says(version: Version, packing: str) -> None:
    samples = list(SequenceDataset(version, ReaderConfig(packing=packing, is_mixed=False)))
    expected = [row for table in version.sequences(packing) for row in table.to_pylist()]
    assert len(samples) == len(expected)
    for sample, row in zip(samples, expected, strict=True):
        assert sample["tokens"].tolist() == row["tokens"]
        assert sample["loss_mask"].tolist() == row["loss_mask"]
        positions: list[int] = []
        segments: list[int] = []
        for number, (start, end) in enumerate(zip(row["cu_seqlens"], row["cu_seqlens"][1:], strict=False)):
            positions += range(end - start)
            segments += [number] * (end - start)
        assert sample["position_ids"].tolist() == positions
        assert sample["segment_ids"].tolist() == segments


def test_every_reader_reads_something_else() -> None:
    class File:
        """Rows are all that is asked for."""

        rows = 11

    for count in (1, 2, 3, 6):
        for readers in (1, 2, 3, 4, 9):
            files: Any = [File() for _ in range(count)]
            seen: Counter[tuple[int, int]] = Counter()
            for reader in range(readers):
                for share in _shares(files, reader, readers):
                    own = range(share.first, 11, share.step)
                    assert len(own) == share.rows
                    seen.update((files.index(share.file), row) for row in own)
            assert seen == Counter((file, row) for file in range(count) for row in range(11))


def test_a_loaded_state_is_the_state(version: Version) -> None:
    first = own_reader(version, 1)
    until(iter(first), 6)
    second = own_reader(version, 1)
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()
    left = tokens_of(second)
    assert left == tokens_of(own_reader(version, 1))[6:]
    assert tokens_of(second) == tokens_of(own_reader(version, 1))  # the next epoch begins at its start


def test_a_state_of_something_else_is_refused(version: Version) -> None:
    state = own_reader(version, 0).state_dict()
    other = SequenceDataset(version, ReaderConfig(packing="concatenate-32", world_size=WORLD))
    with pytest.raises(
        ValueError, match=r"the state is of packing .*open the version and the reader that it was saved"
    ):
        other.load_state_dict(state)
    rank = own_reader(version, 1)
    rank.load_state_dict(state)
    with pytest.raises(ValueError, match="the state is of reader 0 of 2, this is 1 of 2"):
        next(iter(rank))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        ReaderConfig(packing=PACKING, rank=2, world_size=2)


def test_a_state_of_another_seed_or_other_domains_is_refused(version: Version) -> None:
    def reader(**values: Any) -> SequenceDataset:
        return SequenceDataset(version, ReaderConfig(packing=PACKING, **values))

    first = reader(seed=1, domains=("python", "text"))
    first.set_epoch(1)
    until(iter(first), 5)
    state = saved(first.state_dict())
    for values, message in (
        ({"seed": 2, "domains": ("python", "text")}, "the state is of seed 1, this reader's is 2"),
        ({"seed": 1, "domains": ("markdown", "text")}, r"the state is of domains \[\['python'\], \['text'\]\], this"),
        ({"seed": 1, "domains": ("python", "text"), "is_mixed": False}, r"this reader's is \[\['python', 'text'\]\]"),
    ):
        with pytest.raises(ValueError, match=message):
            reader(**values).load_state_dict(state)
    second = reader(seed=1, domains=("text", "python"))
    second.load_state_dict(state)
    assert second.state_dict() == state
    with pytest.raises(ValueError, match="the state is of seed None"):
        second.load_state_dict({name: value for name, value in state.items() if name != "seed"})


def test_shards_that_do_not_divide_are_skipped_through(exported: Path, rows: list[bytes]) -> None:
    """What the documentation warns of: `datasets` then reads everything in every rank; nothing is lost."""
    import datasets
    from datasets.distributed import split_dataset_by_node

    files = sorted(str(path) for path in exported.glob("data/*/*.parquet"))
    odd = files[: len(files) - 1] if len(files) % 2 == 0 else files
    whole = datasets.load_dataset("parquet", data_files=odd, split="train", streaming=True, columns=["tokens"])
    assert whole.n_shards % WORLD == 1
    parts = [tokens_of(split_dataset_by_node(whole.with_format("torch"), rank, WORLD)) for rank in range(WORLD)]
    assert Counter(row for part in parts for row in part) == Counter(tokens_of(whole.with_format("torch")))
    assert abs(len(parts[0]) - len(parts[1])) <= 1
