from importlib.metadata import distribution

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from schemas.embeddings import embeddings, model_of
from stages.embed import static_table
from stages.embed.static_table import StaticTableConfig, pool, read_table, static_table_stage
from stages.embed.vectors import stored_vectors, unit_vectors
from tests.contract import check_stage

TEXTS = [
    "def add(a, b):\n    return a + b\n",
    None,
    "",
    "The moon orbits the earth.",
    "naïve Straße — 東京タワー 🎉 <s> </s> <unk>",
    " ",
    "word " * 3000,
    "a",
]
TABLE = pa.table({"text": pa.array(TEXTS, pa.string())})


def obvious(text: str, config: StaticTableConfig) -> np.ndarray:
    """The mean by Hugging Face's tokenizers, one text at a time."""
    package = distribution("wordllama")
    tokenizer = tokenizers.Tokenizer.from_file(str(package.locate_file(static_table._TOKENIZER)))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    table = read_table(static_table._file(static_table._TABLE))
    ids = tokenizer.encode(text[: config.max_chars], add_special_tokens=False).ids[: config.max_tokens]
    mean = table[ids].mean(axis=0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_a_text_is_the_mean_of_the_table_over_its_first_tokens(storage: str) -> None:
    config = StaticTableConfig(max_tokens=9, max_chars=200, storage=storage)
    out = check_stage(static_table_stage(config), TABLE)
    assert out["embedding"].is_valid().to_pylist() == [bool(text) for text in TEXTS]
    stored, is_there = stored_vectors(out["embedding"])
    rows = unit_vectors(stored)
    for row in np.flatnonzero(is_there):
        expected = obvious(TEXTS[row] or "", config)
        assert rows[row] @ expected > (0.99999 if storage == "float16" else 0.9995)


def test_like_texts_are_near() -> None:
    texts = pa.table({"text": ["a cat sat on the mat", "the dog lay on a rug", "SELECT id FROM users WHERE name = ?"]})
    rows = unit_vectors(stored_vectors(static_table_stage().open()(texts)["embedding"])[0])
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1


def test_the_model_is_part_of_the_field_and_storage_is_not() -> None:
    first, other = static_table_stage(), static_table_stage(StaticTableConfig(max_tokens=100))
    assert model_of(first.stage.writes) != model_of(other.stage.writes)
    small = static_table_stage(StaticTableConfig(storage="int8"))
    assert model_of(small.stage.writes) == model_of(first.stage.writes)
    with pytest.raises(ValueError, match="no column `embedding` of a known model"):
        model_of(embeddings(4, "int8", b""))


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=5),
    st.integers(1, 4),
)
def test_pooling_equals_the_obvious_mean(texts: list[list[int]], max_tokens: int) -> None:
    table = np.random.default_rng(0).standard_normal((10, 5)).astype(np.float32)
    starts = np.cumsum([0, *map(len, texts)])
    ids = np.array([token for text in texts for token in text], np.int32)
    rows, is_there = pool(starts, ids, table, max_tokens)
    for row, text in enumerate(texts):
        assert is_there[row] == bool(text)
        expected = table[text[:max_tokens]].mean(axis=0) if text else np.zeros(5)
        np.testing.assert_allclose(rows[row], expected, atol=1e-6)


def test_a_config_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        StaticTableConfig(max_tokens=0)
    with pytest.raises(ValueError, match="float16, int8"):
        StaticTableConfig(storage="float64")
