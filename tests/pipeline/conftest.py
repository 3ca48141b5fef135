"""One local Ray for all tests of the executors."""

from collections.abc import Iterator

import pytest

from pipeline.cluster import cluster
from pipeline.site_file import ExecutionSite, Site
from tests.machine import ROOT


@pytest.fixture(scope="session")
def ray_cpus() -> Iterator[int]:
    """A Ray with two CPUs in this process; gives their number."""
    with cluster(Site(execution=ExecutionSite(workers=2)), (str(ROOT),)) as cpus:
        yield cpus
