"""A user's recipe: `tiny` beside a slow map, a slow exchange and, on demand, slow publishing."""

import os
import time
from dataclasses import replace

from own_stages import SlowConfig, slow_exchange, slow_stage

from jobs.publish import Corpus
from jobs.recipes.tiny import tiny
from pipeline.annotate import annotate
from pipeline.stage import configured
from pipeline.storage import LocalStorage


def slow(source: list[str], seconds: float = 0.0, actors: bool = False) -> Corpus:
    """`tiny` and two steps more."""
    corpus = tiny(source=source, name="slow")
    config = SlowConfig(seconds=seconds)
    lengths = annotate("slow-map", corpus.documents, stages=[configured(slow_stage(stateful=actors), config)])
    return replace(corpus, sidecars=(*corpus.sidecars, lengths, slow_exchange(lengths, config)))


if pause := float(os.environ.get("PAUSE_BEFORE_COPY", "0")):
    copy = LocalStorage.copy

    def copy_late(self: LocalStorage, name: str, to: str) -> None:
        """Leave time between the claim of a version and its files."""
        time.sleep(pause)
        copy(self, name, to)

    LocalStorage.copy = copy_late  # type: ignore[method-assign]
