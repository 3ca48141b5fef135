"""Searches in one process."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.mixtures.evaluate import run_method
from jobs.mixtures.methods.table import METHODS
from jobs.mixtures.space import MixtureSpace

SPACE = MixtureSpace(domains=("a", "b"), tokens=(10, 30), target_tokens=40, max_epochs=1.5)


def test_rounds_are_proposed_from_what_was_measured_before():
    seen = []

    def propose(space, runs, number, count, generator):
        seen.append((number, len(runs)))
        return np.tile(space.uniform, (count, 1))

    method = replace(METHODS["uniform"], rounds=(3, 2), propose=propose)
    outcome = run_method(method, SPACE, lambda mixtures, _: mixtures[:, :1], seed=0)
    assert seen == [(0, 0), (1, 3)]
    np.testing.assert_array_equal(outcome.runs.losses[:, 0], outcome.runs.mixtures[:, 0])


def test_an_infeasible_proposal_is_refused():
    method = replace(METHODS["uniform"], rounds=(1,), propose=lambda *_: np.array([[1.0, 0.0]]))
    with pytest.raises(ValueError, match="not 1 feasible mixtures"):
        run_method(method, SPACE, lambda mixtures, _: mixtures[:, :1], seed=0)
