"""Bundles come from elsewhere: whatever is in one, it loads or is refused in one line."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.clusters.bundle import load_bundle
from pipeline.errors import RecipeError
from schemas.embeddings import model_of
from stages.embed.assign import BUNDLE_FILE, CENTROIDS_FILE, FORMAT, AssignConfig, assign_stage
from stages.embed.static_table import StaticTableConfig, static_table_stage

EMBEDDINGS = static_table_stage().stage.writes
CENTROIDS = np.eye(2, 256, dtype=np.float32)
GOOD: Mapping[str, Any] = {
    "format": FORMAT,
    "model": model_of(EMBEDDINGS).decode(),
    "embedder": {"kind": "static-table", "config": asdict(StaticTableConfig())},
    "clusters": [{"domain": "a", "keywords": ["x"]}, {"domain": "b"}],
    "weights": {},
    "thresholds": {"a": 0.5},
    "tree": [],
}


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def written(folder: Path, content: Mapping[str, Any], centroids: bytes) -> Path:
    (folder / CENTROIDS_FILE).write_bytes(centroids)
    digest = hashlib.sha256(centroids).hexdigest()
    (folder / BUNDLE_FILE).write_text(json.dumps({**content, "centroids_sha256": digest}))
    return folder


def refused(folder: Path, message: str) -> None:
    digest = hashlib.sha256((folder / BUNDLE_FILE).read_bytes()).hexdigest()
    for read in (
        lambda: load_bundle(folder),
        lambda: assign_stage(AssignConfig(bundle=str(folder), sha256=digest), EMBEDDINGS),
    ):
        with pytest.raises(RecipeError, match=message) as caught:
            read()
        assert "\n" not in str(caught.value)


def test_a_bundle_by_hand_loads(tmp_path: Path) -> None:
    bundle = load_bundle(written(tmp_path, GOOD, saved(np.asfortranarray(CENTROIDS))))
    assert (bundle.codebook.domains, bundle.thresholds) == (("a", "b"), {"a": 0.5})
    np.testing.assert_array_equal(bundle.codebook.centroids, CENTROIDS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", "is no bundle of domains: the file: Invalid JSON"),
        (b"\xff\xfe", "the file: Invalid JSON"),
        (b"[" * 5000, "the file: Invalid JSON"),
        (b"[]", "the file: Input should be an object"),
        (b"{}", "format: Field required"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    folder = written(tmp_path, GOOD, saved(CENTROIDS))
    (folder / BUNDLE_FILE).write_bytes(content)
    refused(folder, message)


def embedder(**config: object) -> dict[str, object]:
    return {"embedder": {"kind": "static-table", "config": config}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other-9"}, "'other-9' is not 'gristmill-domains-1'; use the release that wrote it"),
        ({"format": None}, "format: Input should be a valid string"),
        ({"model": 5}, "model: Input should be a valid string"),
        ({"model": "another"}, "the clusters are of embeddings by another"),
        ({"embedder": None}, "embedder: Input should be"),
        ({"embedder": {"kind": "oracle", "config": {}}}, "Input tag 'oracle'"),
        (embedder(max_tokens="7"), "max_tokens: Input should be a valid integer"),
        (embedder(max_tokens=0), "max_tokens=0 and max_chars=4096 must be at least 1"),
        (embedder(depth=3), "depth: Unexpected keyword argument"),
        ({"clusters": [{"domain": "a"}]}, "clusters: Tuple should have at least 2 items"),
        ({"clusters": [{"domain": "a"}, {"name": "b"}]}, r"clusters.1.domain: Field required"),
        ({"thresholds": {"a": float("nan")}}, "thresholds.a: Input should be a finite number"),
        ({"weights": {"a": "much"}}, "weights.a: Input should be a valid number"),
    ],
)
def test_wrong_content_is_refused(tmp_path: Path, changes: Mapping[str, object], message: str) -> None:
    refused(written(tmp_path, {**GOOD, **changes}, saved(CENTROIDS)), message)


@pytest.mark.parametrize("name", ["embedder", "clusters", "model", "weights", "thresholds"])
def test_missing_content_is_refused(tmp_path: Path, name: str) -> None:
    content = {key: value for key, value in GOOD.items() if key != name}
    refused(written(tmp_path, content, saved(CENTROIDS)), f"{name}: Field required")


@pytest.mark.parametrize(
    ("centroids", "message"),
    [
        (b"", "is no array of numpy"),
        (b"PK\x03\x04", "is no array of numpy"),
        (saved(CENTROIDS)[:-1], "is no array of numpy"),
        (saved(CENTROIDS).replace(b"(2, 256), ", b"(2000000000, 256), "), "is no array of numpy"),
        (saved(np.array([{}, {}], object)), "is no array of numpy"),
        (saved(CENTROIDS.astype(np.float64)), r"holds float64\[2, 256\], not float32\[2, d\]"),
        (saved(np.eye(3, 256, dtype=np.float32)), r"holds float32\[3, 256\], not float32\[2, d\]"),
        (saved(CENTROIDS[0]), r"holds float32\[256\], not float32\[2, d\]"),
        (saved(np.eye(2, 3, dtype=np.float32)), "the centroids have 3 dimensions, the embeddings 256"),
        (saved(np.where(CENTROIDS > 0, np.float32(np.nan), CENTROIDS)), "not finite or not of unit length"),
        (saved(CENTROIDS * np.float32(3e38)), "not finite or not of unit length"),
    ],
)
def test_wrong_centroids_are_refused(tmp_path: Path, centroids: bytes, message: str) -> None:
    refused(written(tmp_path, GOOD, centroids), message)
