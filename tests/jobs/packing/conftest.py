"""One version for all tests that read or damage it."""

from pathlib import Path

import pytest

from jobs.packing.packings import PackingConfig
from tests.jobs.packing.versions import write_version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [[n % 7] * (3 * n + 1) for n in range(20)]
    write_version(tmp_path, {"c": documents, "go": documents}, PackingConfig(sequence_length=16))
    return tmp_path
