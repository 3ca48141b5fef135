"""Changed domains: both worlds are of one codebook, and old runs help."""

import numpy as np

from jobs.mixtures.histograms import nearest_mixtures
from tests.bench.regrouping import regroup, run_reuse


def test_old_and_new_domains_are_of_the_same_fine_clusters():
    both = regroup(0)
    assert (both.old_composition.shape, both.new_composition.shape) == ((8, 16), (9, 16))
    np.testing.assert_allclose(both.new_composition.sum(axis=1), 1.0)
    np.testing.assert_array_equal(both.old.target, both.new.target)
    mixture = np.zeros(8)
    mixture[0] = 1.0
    found = nearest_mixtures(mixture[None] @ both.old_composition, both.new_composition)
    np.testing.assert_allclose(both.new.loss(found), both.old.loss(mixture), atol=1e-4)


def test_old_runs_help_a_search_with_few_new_ones():
    with_old, without = run_reuse(2, (8, 4))
    assert with_old.mean() < without.mean()
