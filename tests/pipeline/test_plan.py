"""What is committed is subtracted; what nothing needs is not made."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.annotate import annotate
from pipeline.dataset import Dataset, Expansion, Task, topological
from pipeline.errors import IdentityError, PlanError, ShardsFailedError
from pipeline.stage import configured
from pipeline.store import Made, Shard, Store
from schemas.manifest import Record
from tests import machine
from tests.pipeline.chains import JOIN, NUMBERS, ROOT, SQUARE, Trouble, numbers, task_chain

CALM = Trouble()


def squares(source: Dataset, trouble: Trouble = CALM) -> Dataset:
    return annotate("squares", source, stages=task_chain(trouble))


def test_a_failed_shard_is_made_by_the_next_run_and_no_other(tmp_path: Path) -> None:
    site = machine.site_of(tmp_path)
    source = machine.given("numbers", *numbers(4))
    machine.run(site, squares(source))
    first = machine.plan_of(site, squares(source))
    first.grow()
    lost = [first.shards(first.targets[0])[n] for n in (1, 3)]
    for shard in lost:
        first.store.discard(shard)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("records/*/*")}
    assert Counter(machine.run(site, squares(source)).made) == {"squares": 2}
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_inputs_of_committed_shards_are_not_made_again(tmp_path: Path) -> None:
    site = machine.site_of(tmp_path)
    source = machine.given("numbers", *numbers(4))
    ran = machine.run(site, squares(source))
    for shard in ran.plan.shards(source):
        ran.plan.store.discard(shard)
    assert machine.run(site, squares(source)).made == []
    ran.plan.store.discard(ran.plan.shards(ran.plan.targets[0])[2])
    assert Counter(machine.run(site, squares(source)).made) == {"numbers": 1, "squares": 1}


@dataclass(frozen=True, slots=True)
class Two:
    """A task with two outputs, which notes what it makes."""

    outputs: tuple[Shard, ...]
    log: Path

    def __call__(self, store: Store) -> list[Record]:
        records = []
        for number, shard in enumerate(self.outputs):
            if not store.has(shard):
                with self.log.open("a") as file:
                    file.write(f"{number}\n")
                table = pa.table({"number": [number]})
                records.append(store.commit(shard, table, Made(libraries={}, counters={})))
        return records


def test_a_task_of_several_outputs_goes_on_where_it_ended(tmp_path: Path) -> None:
    def expand(dataset: Dataset, expansion: Expansion) -> list[Task]:
        outputs = (dataset.shard("0"), dataset.shard("1"))
        return [Task(label="both", outputs=outputs, call=Two(outputs, tmp_path / "log"))]

    schema = pa.schema([("number", pa.int64())])
    both = Dataset(name="both", version=1, config=None, schema=schema, expand=expand)
    site = machine.site_of(tmp_path / "store")
    ran = machine.run(site, both)
    ran.plan.store.discard(ran.plan.shards(both)[1])
    machine.run(site, both)
    assert (tmp_path / "log").read_text() == "0\n1\n1\n"


def test_a_step_below_a_failed_shard_is_left_out_and_the_rest_is_made(tmp_path: Path) -> None:
    source = machine.given("numbers", *numbers(4))
    failing = squares(source, Trouble(fail_on=101))
    roots = annotate("roots", source, failing, stages=[configured(replace(ROOT, stateful=False), Trouble())])
    site = machine.site_of(tmp_path)
    with pytest.raises(ShardsFailedError, match=r"1 shard\(s\) failed"):
        machine.run(site, roots)
    plan = machine.plan_of(site, roots)
    plan.grow()
    assert {d.name: len(tasks) for d, tasks in plan.wanted().items()} == {"squares": 1, "roots": 1}


def test_targets_come_after_what_they_need() -> None:
    source = machine.given("numbers", *numbers(2))
    left = squares(source)
    right = annotate("again", source, left, stages=[configured(replace(ROOT, stateful=False), Trouble())])
    assert [d.name for d in topological(right, left)] == ["numbers", "squares", "again"]


def test_a_stage_that_is_not_deterministic_is_named(tmp_path: Path) -> None:
    store = machine.plan_of(machine.site_of(tmp_path)).store
    shard, made = Shard(step="step-1", key="k", base="k"), Made(libraries={}, counters={})
    first = store.commit(shard, pa.table({"a": [1]}), made)
    assert store.commit(shard, pa.table({"a": [1]}), made) == first
    with pytest.raises(IdentityError, match=r"step-1/k was committed with digest .* not deterministic, or its version"):
        store.commit(shard, pa.table({"a": [2]}), made)
    assert store.read(shard).to_pydict() == {"a": [1]}


def test_an_inexact_shard_keeps_its_first_value(tmp_path: Path) -> None:
    store = machine.plan_of(machine.site_of(tmp_path)).store
    shard, made = Shard(step="step-1", key="k", base="k"), Made(exact=False, libraries={}, counters={})
    first = store.commit(shard, pa.table({"a": [1.0]}), made)
    assert store.commit(shard, pa.table({"a": [1.5]}), made) == first
    assert store.read(shard).to_pydict() == {"a": [1.0]}


def test_annotate_says_which_column_is_missing() -> None:
    source = machine.given("numbers", *numbers(2))
    with pytest.raises(PlanError, match="roots: stage root reads square: int64, but columns there: number, text"):
        annotate("roots", source, stages=[configured(ROOT, Trouble())])


def test_annotate_says_which_column_has_another_type() -> None:
    source = machine.given("texts", pa.table({"number": ["one"], "text": ["one"]}))
    with pytest.raises(PlanError, match="squares: stage square reads number: int64, but it is string"):
        squares(source)


def test_annotate_refuses_a_column_written_twice() -> None:
    source = machine.given("numbers", *numbers(2))
    twice = [configured(SQUARE, Trouble()), configured(replace(SQUARE, name="other"), Trouble())]
    with pytest.raises(PlanError, match="two stages write square; put them into two sidecars"):
        annotate("squares", source, stages=twice)


@pytest.mark.parametrize("stages", [[], [configured(SQUARE, Trouble())]])
def test_annotate_needs_inputs_and_stages(stages: list[object]) -> None:
    inputs = () if stages else (machine.given("numbers", *numbers(2)),)
    with pytest.raises(PlanError, match="at least one input and one stage"):
        annotate("nothing", *inputs, stages=stages)  # type: ignore[arg-type]


def test_sidecars_of_other_documents_are_refused(tmp_path: Path) -> None:
    one, two = numbers(2), [t.slice(0, t.num_rows) for t in numbers(2)]
    two[0] = pa.table({"number": [7], "text": ["seven"]}, schema=NUMBERS)
    first, second = machine.given("one", *one), squares(machine.given("two", *two))
    joined = annotate("joined", first, second, stages=[configured(replace(ROOT, stateful=False), Trouble())])
    with pytest.raises(ShardsFailedError, match="is not aligned with documents"):
        machine.run(machine.site_of(tmp_path), annotate_join(first, second, joined))


def annotate_join(first: Dataset, second: Dataset, roots: Dataset) -> Dataset:
    return annotate("joined", first, second, roots, stages=[configured(JOIN, Trouble())])


def test_sidecars_with_another_number_of_shards_are_refused(tmp_path: Path) -> None:
    first, second = machine.given("one", *numbers(3)), squares(machine.given("two", *numbers(2)))
    joined = annotate("joined", first, second, stages=[configured(ROOT, Trouble())])
    with pytest.raises(PlanError, match=r"inputs of joined have \[3, 2\] shards"):
        machine.plan_of(machine.site_of(tmp_path), joined).grow()
