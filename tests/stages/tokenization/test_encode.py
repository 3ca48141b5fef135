import hashlib
import json
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.annotate import extend
from pipeline.parquet import parquet_bytes
from pipeline.stage import configured
from schemas.tokens import TOKENIZER_KEY, TOKENS
from stages.text_views import text_views
from stages.tokenization import encode, engines
from stages.tokenization.certify import EncoderMismatchError, choose_rows
from stages.tokenization.classes import class_table_digest
from stages.tokenization.encode import STAGE, EncodeConfig, encode_stage
from stages.tokenization.engines import Reference
from stages.tokenization.lists import list_array
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary
from tests.contract import check_stage
from tests.golden import digest
from tests.stages.tokenization.test_vocabulary import needs

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "code"
TEXTS = [
    "", None, "def f(x):\n    return x\n", "<|endoftext|> is text", "漢字かな", "\r\n\r\n  \t", "e\u0301\U0001f600",
    "a" * 500, None, "\x00\ufeff", "HTTPServer's I'LL 12345", "x" + " " * 99 + "y", "\u2028 \u3000",
]  # fmt: skip
ADVERSARIAL = st.text(
    st.one_of(
        st.sampled_from("  \n\r\t'sStTdDmMlLrReEvVſ0123456789aA/-_!{}\u0301\u200d漢か٣½ǅʰ\u3000\u2028\x85\xa0\x00"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)


opened = cache(STAGE.open)


def table(*texts):
    return pa.table({"text": pa.array(texts, pa.string())})


@pytest.fixture(scope="module", params=["cl100k_base", "o200k_base"])
def both(request):
    """The stage with gigatoken, and what it must equal."""
    return opened(EncodeConfig(vocabulary=request.param)), Reference(load_vocabulary(request.param))


def save_trained(path, *, pre_tokenizer=None, add_template=False):
    """Config for a small byte-level tokenizer.json with special tokens, trained here."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer or tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["def f(x):\n    return x + 1\n", "import numpy as np\n"] * 50, trainer)
    if add_template:
        single = "<s> $A <|endoftext|>"
        specials = [("<s>", 0), ("<|endoftext|>", 1)]
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single=single, special_tokens=specials)
        tokenizer.enable_truncation(3)
        tokenizer.enable_padding()
    tokenizer.save(str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return EncodeConfig(vocabulary=str(path), vocabulary_sha256=sha256)


@pytest.mark.parametrize(
    ("vocabulary", "golden"),
    [
        ("cl100k_base", "d398b673019ad8f4c57a8f74509fe37222549e8d1d6ab26faa1164dccf82252b"),
        ("o200k_base", "3c97ea2e8d1c613a57ccf7b51d707efc73daf1a8b109354a112ea1ed2203ae9d"),
    ],
)
def test_encode_keeps_the_laws_of_a_stage_and_its_golden_output(vocabulary, golden):
    out = check_stage(configured(STAGE, EncodeConfig(vocabulary=vocabulary)), table(*TEXTS))
    assert digest(out) == golden


@pytest.mark.parametrize("vocabulary", ["cl100k_base", "o200k_base"])
def test_encode_with_either_engine_gives_the_same_ids(vocabulary):
    fast, slow = (
        opened(EncodeConfig(vocabulary=vocabulary, engine=engine))(table(*TEXTS))
        for engine in ("gigatoken", "reference")
    )
    assert digest(fast) == digest(slow)


@pytest.mark.parametrize("vocabulary", ["cl100k_base", "o200k_base"])
def test_encode_takes_special_tokens_in_text_as_text(vocabulary):
    special_tokens = load_vocabulary(vocabulary).special_tokens
    ids = opened(EncodeConfig(vocabulary=vocabulary))(table("".join(special_tokens)))["tokens"][0].as_py()
    assert len(ids) > len(special_tokens)
    assert set(ids).isdisjoint(special_tokens.values())


def test_encode_of_null_is_null_and_of_empty_text_is_empty(both):
    stage, _ = both
    out = stage(table(None, "", "a"))
    assert out["tokens"].to_pylist()[:2] == [None, []]
    assert out["num_tokens"].to_pylist() == [None, 0, 1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | ADVERSARIAL, max_size=8))
def test_encode_equals_the_reference_on_hard_texts(both, texts):
    stage, reference = both
    got = stage(table(*texts))["tokens"].to_pylist()
    assert got == [None if text is None else reference.encode_text(text) for text in texts]


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpora are not here")
@pytest.mark.parametrize("name", ["python-0", "csharp"])
def test_encode_equals_the_reference_on_real_code(both, name):
    stage, reference = both
    text = pq.read_table(CORPUS / f"{name}.parquet", columns=["content"])["content"].cast(pa.string()).slice(0, 300)
    tokens = stage(pa.table({"text": text}))["tokens"]
    assert tokens.to_pylist() == [reference.encode_text(value) for value in text.to_pylist()]


def test_encode_in_small_batches_gives_the_same_ids(both, monkeypatch):
    stage, _ = both
    whole = stage(table(*TEXTS))
    monkeypatch.setattr(encode, "BATCH_BYTES", 7)
    assert digest(stage(table(*TEXTS))) == digest(whole)


def test_encode_loads_gigatoken_again_when_memory_grew_and_gives_the_same_ids(both, monkeypatch):
    stage, _ = both
    whole, loads = stage(table(*TEXTS)), []
    load = engines._gigatoken
    monkeypatch.setattr(engines, "_CACHE_BYTES", -(1 << 40))
    monkeypatch.setattr(engines, "_gigatoken", lambda vocabulary: loads.append(1) or load(vocabulary))
    assert digest(stage(table(*TEXTS))) == digest(whole)
    assert loads


def test_gigatoken_ids_reach_the_column_without_a_copy():
    engine = engines.Gigatoken(load_vocabulary("cl100k_base"))
    starts, ids = engine.encode(*text_views(pa.array(["word " * 50] * 100)))
    column = list_array(starts, ids, TOKENS.field("tokens").type, np.zeros(100, np.bool_))
    assert column.values.buffers()[1].address == ids.ctypes.data


@pytest.mark.parametrize("engine", ["gigatoken", "reference"])
def test_encode_with_a_tokenizer_json_equals_hugging_face(tmp_path, engine):
    config = replace(save_trained(tmp_path / "tokenizer.json"), engine=engine)
    out = check_stage(configured(STAGE, config), table(*TEXTS))
    reference = Reference(load_vocabulary(config.vocabulary, sha256=config.vocabulary_sha256))
    assert out["tokens"].to_pylist() == [None if text is None else reference.encode_text(text) for text in TEXTS]
    assert not {0, 1} & set(out["tokens"][3].as_py())


@pytest.mark.parametrize("engine", ["gigatoken", "reference"])
def test_encode_adds_and_cuts_nothing_that_a_tokenizer_json_asks_for(tmp_path, engine):
    plain = save_trained(tmp_path / "plain.json")
    framed = replace(save_trained(tmp_path / "framed.json", add_template=True), engine=engine)
    assert digest(STAGE.open(framed)(table(*TEXTS))) == digest(STAGE.open(plain)(table(*TEXTS)))


def test_encode_refuses_a_tokenizer_json_that_gigatoken_encodes_wrongly(tmp_path):
    whole_text = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    config = save_trained(tmp_path / "tokenizer.json", pre_tokenizer=whole_text)
    with pytest.raises(EncoderMismatchError, match="engine='reference'"):
        STAGE.open(config)
    assert STAGE.open(replace(config, engine="reference"))(table("import numpy as np\n"))["tokens"][0].as_py()


def test_encode_says_what_to_do_where_gigatoken_cannot_load(tmp_path):
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.save(str(tmp_path / "words.json"))
    sha256 = hashlib.sha256((tmp_path / "words.json").read_bytes()).hexdigest()
    config = EncodeConfig(vocabulary=str(tmp_path / "words.json"), vocabulary_sha256=sha256)
    with pytest.raises(ValueError, match=r"gigatoken cannot load .* set engine='reference'"):
        STAGE.open(config)
    assert STAGE.open(replace(config, engine="reference"))(table("a", "b"))["tokens"].to_pylist() == [[0], [1]]


def test_encode_refuses_a_json_without_a_model(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    sha256 = hashlib.sha256(b"{}").hexdigest()
    with pytest.raises(ValueError, match="tokenizers cannot load vocabulary"):
        STAGE.open(EncodeConfig(vocabulary=str(path), vocabulary_sha256=sha256))


def test_encode_with_a_rank_file_equals_the_shipped_vocabulary(tmp_path):
    shipped = load_vocabulary("cl100k_base")
    path = tmp_path / "cl100k_base.tiktoken"
    path.write_bytes(shipped.content)
    sha256 = hashlib.sha256(shipped.content).hexdigest()
    config = EncodeConfig(vocabulary=str(path), vocabulary_sha256=sha256, split="cl100k")
    assert digest(STAGE.open(config)(table(*TEXTS))) == digest(opened(EncodeConfig())(table(*TEXTS)))


class Wrong(engines.Gigatoken):
    """gigatoken with one bit flipped in the last token of texts that contain `poison`."""

    def encode(self, offsets, data):
        starts, ids = super().encode(offsets, data)
        ids = ids.copy()
        for row in range(len(offsets) - 1):
            if b"poison" in data[offsets[row] : offsets[row + 1]].tobytes():
                ids[starts[row + 1] - 1] ^= 1
        return starts, ids


def test_encode_refuses_an_engine_that_is_wrong_on_hard_texts(monkeypatch):
    monkeypatch.setattr("stages.tokenization.certify._HARD", ("fine", "poison"))
    monkeypatch.setattr(engines, "Gigatoken", Wrong)
    with pytest.raises(EncoderMismatchError, match="at b'ison' after b'po'"):
        STAGE.open(EncodeConfig())


@pytest.mark.parametrize("text", ["some poison", "poison " * 20_000])
def test_encode_refuses_an_engine_that_is_wrong_on_a_row(monkeypatch, text):
    monkeypatch.setattr(engines, "Gigatoken", Wrong)
    stage = STAGE.open(EncodeConfig())
    assert stage(table("clean"))["tokens"].to_pylist() == [[18883]]
    with pytest.raises(EncoderMismatchError, match=r"poison.*use engine='reference'"):
        stage(table("", None, text))


def test_encode_names_the_bytes_where_ids_differ(monkeypatch):
    monkeypatch.setattr(engines, "Gigatoken", Wrong)
    stage = STAGE.open(EncodeConfig())
    with pytest.raises(
        EncoderMismatchError, match=r"token 501 of a text of 2008 bytes, at b'!' after b'.*word poison'"
    ):
        stage(table("word" * 500 + " poison!"))


def test_tokens_say_what_they_depend_on(tmp_path):
    metadata = opened(EncodeConfig())(table("a")).schema.metadata
    described = json.loads(metadata[TOKENIZER_KEY])
    libraries = described.pop("libraries")
    assert described == {
        "vocabulary": load_vocabulary("cl100k_base").digest,
        "kind": "ranks",
        "split": "cl100k",
        "character_classes": class_table_digest(),
        "engine": "gigatoken",
    }
    assert libraries["tiktoken"] == version("tiktoken")
    described = json.loads(STAGE.open(save_trained(tmp_path / "t.json"))(table("a")).schema.metadata[TOKENIZER_KEY])
    assert (described["kind"], described["character_classes"]) == ("tokenizer.json", class_table_digest())


@pytest.mark.parametrize(
    ("kind", "engine", "classes"),
    [
        ("tokenizer.json", "gigatoken", class_table_digest()),
        ("tokenizer.json", "torch", class_table_digest()),
        ("hybrid", "units", class_table_digest()),
        ("sentencepiece", "gigatoken", None),
    ],
)
def test_tokens_name_the_unicode_classes_that_their_split_uses(kind, engine, classes):
    flags = {"is_model": kind == "sentencepiece", "is_hybrid": kind == "hybrid"}
    vocabulary = Vocabulary(name="v", content=b"", split="", special_tokens={}, **flags)
    metadata = encode.tokenizer_metadata(vocabulary, EncodeConfig(engine=engine))
    assert json.loads(metadata[TOKENIZER_KEY])["character_classes"] == classes


def test_what_tokens_depend_on_reaches_the_shard(tmp_path):
    stored = pq.read_schema(pa.BufferReader(parquet_bytes(extend(table("a"), opened(EncodeConfig())(table("a"))))))
    assert json.loads(stored.metadata[TOKENIZER_KEY])["engine"] == "gigatoken"


def test_encode_leaves_texts_that_gigatoken_would_split_by_a_newer_unicode_to_the_reference(both):
    stage, reference = both
    texts = ["plain", "x\U000323b0/d", None, "\u088fa \u088f1", "漢字"]
    tokens = stage(table(*texts))["tokens"].to_pylist()
    assert tokens == [None if text is None else reference.encode_text(text) for text in texts]


@pytest.mark.parametrize("name", needs("tekken_240911", "qwen", "mistral_v3"))
def test_encode_with_vocabularies_of_other_packages(name):
    out = STAGE.open(EncodeConfig(vocabulary=name))(table(*TEXTS))
    reference = Reference(load_vocabulary(name))
    assert out["tokens"].to_pylist() == [None if text is None else reference.encode_text(text) for text in TEXTS]


@pytest.mark.slow
def test_encode_with_the_torch_program_gives_the_same_ids():
    pytest.importorskip("torch")
    out = STAGE.open(EncodeConfig(engine="torch", device="cpu"))(table(*TEXTS, "\U000323b0/d"))
    assert digest(out) == digest(opened(EncodeConfig())(table(*TEXTS, "\U000323b0/d")))
    assert "torch" in json.loads(out.schema.metadata[TOKENIZER_KEY])["libraries"]


def test_encode_asks_for_a_gpu_only_where_the_config_does():
    plain, cpu, cuda = (
        encode_stage(config).stage
        for config in (EncodeConfig(), EncodeConfig(engine="torch"), EncodeConfig(engine="torch", device="cuda"))
    )
    assert plain is STAGE
    assert (cpu.resources.gpus, cpu.stateful, cpu.libraries[-1]) == (0, False, "torch")
    assert (cuda.resources.gpus, cuda.stateful, cuda.resources.memory_bytes) == (1, True, STAGE.resources.memory_bytes)


def test_choose_rows_depends_on_content_not_on_place():
    rng = np.random.default_rng(7)
    texts = ["", *(rng.bytes(int(size)).hex() for size in rng.integers(1, 60, 200)), ""]
    chosen = choose_rows(*text_views(pa.array(texts)), 8)
    backwards = choose_rows(*text_views(pa.array(texts[::-1])), 8)
    assert sorted(texts[row] for row in chosen) == sorted(texts[::-1][row] for row in backwards)
    assert len(set(chosen.tolist())) == 8
    assert "" not in {texts[row] for row in chosen}
    assert choose_rows(*text_views(pa.array(["", ""])), 8).tolist() == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"engine": "tiktoken2"}, "must be one of gigatoken, reference, torch"),
        ({"certify_rows": -1}, "certify_rows"),
        ({"split": "gpt9"}, "must be one of r50k"),
        ({"split": "cl100k"}, "leave both empty"),
        ({"device": "cuda"}, "with engine='torch'"),
        ({"engine": "torch", "device": "tpu"}, "one of auto, cpu, cuda"),
        ({"vocabulary": __file__}, f"set vocabulary_sha256 to what `sha256sum {__file__}` prints"),
        ({"vocabulary": "some/tokenizer.json"}, "vocabulary 'some/tokenizer.json' is no file and none of cl100k_base"),
    ],
)
def test_config_that_is_wrong_says_what_to_do(fields, message):
    with pytest.raises(ValueError, match=message):
        EncodeConfig(**fields)
