import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from tests.bench.__main__ import main
from tests.bench.report import Figure, document, print_table, write_json

SLOW = Figure(bench="a", name="time", unit="s", runs=(3.0, 1.0, 9.0), target=2)
FAST = Figure(bench="b", name="rate", unit="MB/CPU-s", runs=(50.0,), target=40, better="more")
PLAIN = Figure(bench="b", name="peak", unit="MB", runs=(7.0, 8.0))


def test_verdicts_compare_the_median_with_the_target():
    assert (SLOW.value, SLOW.verdict) == (3.0, "missed")
    assert (FAST.value, FAST.verdict) == (50.0, "met")
    assert (PLAIN.value, PLAIN.verdict) == (7.5, "")


@pytest.mark.parametrize("target", [2, 3])
def test_wall_times_of_a_busy_machine_are_not_judged(target):
    assert replace(SLOW, target=target, sound=False).verdict == "disturbed"


def test_table_shows_spread_target_and_what_was_left_out():
    out = StringIO()
    print_table([SLOW, FAST, PLAIN], ["peers: PEER_VENVS is not set"], Console(file=out, width=160))
    lines = out.getvalue().splitlines()
    assert lines[1].split() == ["a", "time", "3", "1", "9", "<=", "2", "s", "missed"]
    assert lines[2].split() == ["b", "rate", "50", "50", "50", ">=", "40", "MB/CPU-s", "met"]
    assert lines[4] == "skipped: peers: PEER_VENVS is not set"


def test_document_holds_every_run(tmp_path):
    write_json(tmp_path / "bench.json", document([SLOW, PLAIN], ["x"], quick=True, repeat=3))
    read = json.loads((tmp_path / "bench.json").read_text())
    assert [f["runs"] for f in read["figures"]] == [[3.0, 1.0, 9.0], [7.0, 8.0]]
    assert [f["verdict"] for f in read["figures"]] == ["missed", ""]
    assert read["quick"] is True
    assert read["skipped"] == ["x"]
    assert read["versions"]["ray"]


@pytest.mark.parametrize(("arguments", "expected"), [(["chian"], "known: chain"), (["--repeat", "0"], "at least 1")])
def test_wrong_arguments_are_explained(arguments, expected, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert expected in capsys.readouterr().err
