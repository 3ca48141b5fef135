"""Anchors are measured, and nothing measured worse than the best of them is returned."""

import numpy as np
import pytest

from jobs.mixtures.anchors import anchors, best_anchor, feasible, guarded, measured, with_anchors
from jobs.mixtures.runs import Runs
from jobs.mixtures.space import MixtureSpace

SPACE = MixtureSpace(
    domains=("a", "b", "c"), tokens=(100, 300, 600), target_tokens=1000, max_epochs=3.0, current=(0.0, 0.9, 0.1)
)
GOOD, BAD = np.array([0.2, 0.5, 0.3]), np.array([0.3, 0.1, 0.6])


def runs(*losses):
    mixtures = np.concatenate([anchors(SPACE), GOOD[None], BAD[None]])
    return Runs(mixtures=mixtures, losses=np.array(losses)[:, None])


def expecting(mixture, others=(1.9, 1.5, 2.0)):
    """What is expected of a mixture and of the anchors."""

    def expect(mixtures):
        np.testing.assert_array_equal(mixtures[1:], anchors(SPACE))
        return np.array([mixture, *others])

    return expect


def test_anchors_are_uniform_proportional_and_current_within_the_caps():
    np.testing.assert_allclose(anchors(SPACE), [[0.3, 0.35, 0.35], [0.1, 0.3, 0.6], [0.0, 0.9, 0.1]])
    same = MixtureSpace(domains=("a", "b"), tokens=(5, 5), target_tokens=5, current=(0.5, 0.5))
    np.testing.assert_allclose(anchors(same), [[0.5, 0.5]])


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_first_round_begins_with_the_anchors(count):
    drawn = with_anchors(SPACE, np.tile(GOOD, (7, 1)), count)
    np.testing.assert_array_equal(drawn[: min(3, count)], anchors(SPACE)[:count])
    assert len(drawn) == count


def test_a_mixture_that_measured_worse_than_an_anchor_is_replaced_by_it():
    known = runs(2.0, 1.5, 3.0, 1.0, 1.6)
    np.testing.assert_array_equal(guarded(SPACE, known, GOOD, expecting(9.0)), GOOD)
    np.testing.assert_array_equal(guarded(SPACE, known, BAD, expecting(0.0)), SPACE.proportional)


def test_an_unmeasured_mixture_must_be_expected_to_be_better():
    known, other = runs(2.0, 1.5, 3.0, 1.0, 1.6), np.array([0.1, 0.1, 0.8])
    np.testing.assert_array_equal(guarded(SPACE, known, other, expecting(1.4)), other)
    np.testing.assert_array_equal(guarded(SPACE, known, other, expecting(1.7)), SPACE.proportional)


def test_a_lucky_anchor_does_not_rule_out_what_is_expected_to_be_better():
    known, other = runs(2.0, 1.5, 3.0, 1.0, 1.6), np.array([0.1, 0.1, 0.8])
    np.testing.assert_array_equal(guarded(SPACE, known, other, expecting(1.7, (1.9, 1.8, 2.0))), other)
    unlike = expecting(1.7, (1.6, 1.8, 2.0))
    np.testing.assert_array_equal(guarded(SPACE, known, other, unlike), SPACE.uniform)


def test_repeated_runs_count_by_their_mean():
    known = runs(2.0, 1.5, 3.0, 1.0, 1.6).extended(SPACE.proportional[None], np.array([[2.9]]))
    assert measured(known, SPACE.proportional) == pytest.approx(2.2)
    assert best_anchor(SPACE, known)[1] == pytest.approx(2.0)
    assert measured(known, np.array([0.0, 0.0, 1.0])) is None


def test_without_runs_there_is_nothing_to_compare_with():
    nothing = Runs(mixtures=np.empty((0, 3)), losses=np.empty((0, 1)))
    assert best_anchor(SPACE, nothing) is None
    np.testing.assert_array_equal(guarded(SPACE, nothing, GOOD, expecting(1.0)), GOOD)


def test_feasible_mixtures_stay_as_they_are():
    mixtures = np.array([[0.1, 0.2, 0.7], [0.9, 0.1, 0.0]])
    kept = feasible(SPACE, mixtures)
    np.testing.assert_array_equal(kept[0], mixtures[0])
    assert SPACE.is_feasible(kept[1])


@pytest.mark.parametrize("current", [(0.5, 0.5), (0.5, 0.4, 0.0), (1.5, -0.5, 0.0)])
def test_a_current_mixture_must_be_one(current):
    with pytest.raises(ValueError, match="current must be 3 weights"):
        MixtureSpace(domains=("a", "b", "c"), tokens=(1, 1, 1), target_tokens=1, current=current)
