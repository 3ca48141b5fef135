"""What a report needs is checked before there is one."""

import sys

import pytest

from jobs.mixtures.report import check_plots
from pipeline.errors import RecipeError


def test_matplotlib_is_missed_before_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    check_plots()
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(RecipeError, match=r"pip install 'gristmill\[report\]'"):
        check_plots()
