"""Transplanted embeddings: copied rows, convex sums, types of numbers, files that other readers open."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jobs.tokenizers.auxiliary import open_auxiliary
from jobs.tokenizers.measures import Measured
from jobs.tokenizers.report_command import open_vocabulary
from jobs.tokenizers.tensor_file import Matrix, narrow, open_tensors, widen
from jobs.tokenizers.transplant import TransplantConfig, find_best, new_rows, plan_transplant
from jobs.tokenizers.transplant_command import transplant
from pipeline.errors import PublishError, RecipeError, SourceError
from tests.stages.tokenization.test_encode import save_trained

WIDTH = 8
SHAPES = st.tuples(st.integers(0, 3), st.integers(6, 30))
OPTIONS = {"auxiliary": "none", "local_weight": 0.7, "neighbours": 5, "temperature": 0.3, "as_json": True}


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Measured:
    return open_vocabulary(save_trained(tmp_path_factory.mktemp("old") / "tokenizer.json").vocabulary)


@pytest.fixture(scope="module")
def new(tmp_path_factory, old) -> Measured:
    """The old vocabulary with other tokens, other ids, an unused id and a new special token."""
    config = json.loads(old.vocabulary.content)
    vocab = config["model"]["vocab"]
    for name, token in vocab.items():
        vocab[name] = token + 1
    top = max(vocab.values())
    vocab |= {"xyz": top + 2, "Ġimport!": top + 3, "Ã": top + 4}
    for entry in config["added_tokens"]:
        entry["id"] += 1
    config["added_tokens"].append(config["added_tokens"][-1] | {"id": top + 5, "content": "<new>"})
    path = tmp_path_factory.mktemp("new") / "tokenizer.json"
    path.write_text(json.dumps(config))
    return open_vocabulary(str(path))


@pytest.fixture(scope="module")
def table(old) -> np.ndarray:
    rows = len(old.pieces)
    return np.random.default_rng(5).normal(size=(rows + 3, WIDTH)).astype(np.float32)


def alike(texts) -> np.ndarray:
    """Which letters a text has, as a unit vector."""
    rows = np.array([[text.count(letter) for letter in "improtxyz"] for text in texts], np.float32).reshape(-1, 9)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def rows_of(recipe, matrix: Matrix) -> np.ndarray:
    return np.concatenate(list(new_rows(recipe, matrix)))


@pytest.mark.parametrize("embed", [None, alike])
def test_shared_tokens_keep_their_rows_and_others_are_convex_sums(old, new, table, embed):
    recipe = plan_transplant(old, new, TransplantConfig(), embed)
    made = rows_of(recipe, Matrix(dtype="F32", raw=table))
    assert made.shape == (len(new.pieces), WIDTH)
    before = {old.pieces[t]: t for t in range(len(old.pieces)) if old.pieces[t]}
    for token in range(len(new.pieces)):
        if new.pieces[token] in before:
            assert recipe.copied[token]
            assert (made[token] == table[before[new.pieces[token]]]).all()
    for name, token in old.vocabulary.special_tokens.items():
        assert (made[new.vocabulary.special_tokens[name]] == table[token]).all()
    for token in np.flatnonzero(~recipe.copied):
        inside = slice(recipe.first[token], recipe.first[token + 1])
        weight, ids = recipe.weight[inside], recipe.old[inside]
        if len(ids):
            assert (weight >= 0).all()
            assert weight.sum() == pytest.approx(1, abs=1e-6)
            np.testing.assert_allclose(made[token], weight @ table[ids], rtol=1e-4, atol=1e-5)
        else:
            assert new.pieces[token] == b""
            np.testing.assert_allclose(made[token], table.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_without_auxiliary_the_length_of_the_parts_weighs(old, new):
    recipe = plan_transplant(old, new, TransplantConfig())
    token = next(t for t in range(len(new.pieces)) if new.pieces[t] == b" import!")
    inside = slice(recipe.first[token], recipe.first[token + 1])
    parts = {old.pieces[int(i)]: float(w) for i, w in zip(recipe.old[inside], recipe.weight[inside], strict=True)}
    assert sum(len(part) for part in parts) == len(b" import!")
    assert parts == {part: pytest.approx(len(part) / 8) for part in parts}


def terms_of(recipe, token: int) -> dict[int, float]:
    """Old ids with their weights, those without any left out."""
    inside = slice(recipe.first[token], recipe.first[token + 1])
    terms: dict[int, float] = {}
    for old_id, weight in zip(recipe.old[inside].tolist(), recipe.weight[inside].tolist(), strict=True):
        terms[old_id] = terms.get(old_id, 0) + weight
    return {old_id: weight for old_id, weight in terms.items() if weight}


def test_with_auxiliary_the_share_of_similar_tokens_is_as_asked(old, new):
    token = next(t for t in range(len(new.pieces)) if new.pieces[t] == b" import!")
    spelt, similar, mixed = (
        terms_of(plan_transplant(old, new, TransplantConfig(local_weight=share, neighbours=2), alike), token)
        for share in (1.0, 0.0, 0.25)
    )
    assert b"".join(old.pieces[part] for part in sorted(spelt)) != b""
    assert len(similar) == 2
    texts = [old.pieces[t].decode(errors="ignore") for t in range(len(old.pieces))]
    likeness = alike(texts) @ alike([" import!"])[0]
    assert min(likeness[part] for part in similar) >= np.sort(likeness)[-2] - 1e-6
    for part in {*spelt, *similar}:
        assert mixed[part] == pytest.approx(0.25 * spelt.get(part, 0) + 0.75 * similar.get(part, 0), abs=1e-6)


def test_the_same_again_is_the_same(old, new, table):
    recipes = (plan_transplant(old, new, TransplantConfig(), alike) for _ in range(2))
    first, second = (rows_of(recipe, Matrix(dtype="F32", raw=table)) for recipe in recipes)
    assert first.tobytes() == second.tobytes()


@given(st.integers(1, 6), hnp.arrays(np.float32, SHAPES, elements=st.sampled_from([-1, -0.5, 0, 0.25, 1])))
def test_the_best_are_those_of_sorting(count, alike):
    columns = np.flatnonzero(np.arange(alike.shape[1]) % 5 != 2)
    count = min(count, len(columns))
    order, best = find_best(alike, columns, count)
    assert order.tolist() == columns[np.argsort(-alike[:, columns], axis=1, kind="stable")[:, :count]].tolist()
    assert np.array_equal(best, np.take_along_axis(alike, order, 1).astype(np.float64))


@given(hnp.arrays(np.uint32, 30))
def test_bf16_is_rounded_to_the_nearest_even(bits):
    torch = pytest.importorskip("torch")
    values = bits.view(np.float32)
    found = widen(narrow(values, "BF16"), "BF16")
    expected = torch.from_numpy(values.copy()).to(torch.bfloat16).to(torch.float32).numpy()
    np.testing.assert_array_equal(found, expected)


@given(hnp.arrays(np.uint16, 30), st.sampled_from(["BF16", "F16"]))
def test_stored_numbers_come_back_as_they_were(raw, dtype):
    values = widen(raw, dtype)
    keep = ~np.isnan(values)
    assert (narrow(values, dtype)[keep] == raw[keep]).all()


def save(path: Path, table: np.ndarray, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    kind = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[dtype]
    tensors = {
        "embed.weight": torch.from_numpy(table).to(kind),
        "head.weight": torch.from_numpy(-table).to(kind),
        "layer.bias": torch.arange(7, dtype=torch.int64),
    }
    save_file(tensors, str(path), metadata={"format": "pt"})


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_a_model_file_is_transplanted(old, new, table, dtype, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    save(tmp_path / "model.safetensors", table, dtype)
    to = tmp_path / "deep/out.safetensors"
    chosen = {"from_vocabulary": old.name, "to_vocabulary": new.name, "embeddings": tmp_path / "model.safetensors"}
    transplant(**OPTIONS | chosen | {"tensor": ("embed.weight", "head.weight"), "to": to})
    result = json.loads(capsys.readouterr().out)
    before, after = load_file(tmp_path / "model.safetensors"), load_file(to)
    assert list(after) == list(before) or sorted(after) == sorted(before)
    assert torch.equal(after["layer.bias"], before["layer.bias"])
    assert after["embed.weight"].shape == (len(new.pieces), WIDTH)
    assert after["embed.weight"].dtype == before["embed.weight"].dtype
    assert torch.equal(after["head.weight"], -after["embed.weight"])
    shared = new.vocabulary.special_tokens["<|endoftext|>"], old.vocabulary.special_tokens["<|endoftext|>"]
    assert torch.equal(after["embed.weight"][shared[0]], before["embed.weight"][shared[1]])
    assert result["rows"] == result["copied"] + result["summed"] + result["mean"] == len(new.pieces)
    assert open_tensors(to).metadata == {"format": "pt"}
    assert list(to.parent.iterdir()) == [to]
    with pytest.raises(PublishError, match="is there already"):
        transplant(**OPTIONS | chosen | {"tensor": ("embed.weight",), "to": to})


def test_files_and_tensors_that_do_not_fit_are_refused(old, new, tmp_path):
    path = tmp_path / "small.safetensors"
    safetensors.numpy.save_file({"e": np.zeros((5, 2), np.float32), "i": np.zeros((5, 2), np.int32)}, str(path))
    chosen = {"from_vocabulary": old.name, "to_vocabulary": new.name, "embeddings": path, "to": tmp_path / "out"}
    with pytest.raises(RecipeError, match="the matrix has 5 rows"):
        transplant(**OPTIONS | chosen | {"tensor": ("e",)})
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SourceError, match="no tensor 'x'; it has: e, i"):
        transplant(**OPTIONS | chosen | {"tensor": ("x",)})
    with pytest.raises(SourceError, match="must be a matrix of F32"):
        transplant(**OPTIONS | chosen | {"tensor": ("i",)})
    with pytest.raises(RecipeError, match=r"name the matrices with --tensor; .* has: e, i"):
        transplant(**OPTIONS | chosen | {"tensor": ()})
    with pytest.raises(RecipeError, match="local_weight"):
        transplant(**OPTIONS | chosen | {"tensor": ("e",), "local_weight": 2.0})


@pytest.mark.parametrize(
    "content",
    [b"", b"12345678", (1 << 60).to_bytes(8, "little") + b"{}", b"\x02" + bytes(7) + b"[]", b"\x03" + bytes(7) + b"{} ",
     b'\x43\0\0\0\0\0\0\0{"e":{"dtype":"F32","shape":[9,9],"data_offsets":[0,9]}}           '],
)  # fmt: skip
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    if content[8:10] == b"{}" and content[0] == 3:
        assert open_tensors(path).tensors == {}
        return
    with pytest.raises(SourceError, match="safetensors"):
        open_tensors(path)


def test_an_auxiliary_that_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(RecipeError, match="use wordllama or none"):
        open_auxiliary("some/model")
    assert open_auxiliary("none") is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError("nonexist/model is not a local folder\nand more"),
            r"\(nonexist/model is not a local folder\); give the",
        ),
        (ValueError("Unrecognized model in here."), r"\(Unrecognized model in here\.\); give the folder of a model"),
    ],
)
def test_an_auxiliary_that_cannot_be_loaded_says_what_to_do(monkeypatch, error, said):
    def fail(name):
        raise error

    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=fail))
    with pytest.raises(
        RecipeError, match=rf"auxiliary 'nonexist/model' cannot be loaded by sentence-transformers {said}"
    ):
        open_auxiliary("nonexist/model")
