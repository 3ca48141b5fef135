"""The hybrid: dictionary before merges, text given back byte for byte, and the fall back where it would not be."""

import json
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.tokenization.training.hybrid import (
    Dictionary,
    HybridConfig,
    load_dictionary,
    read_hybrid,
    with_special_tokens,
)
from stages.tokenization.training.hybrid_engine import HybridEngine
from stages.tokenization.training.hybrid_training import train_hybrid
from stages.tokenization.training.methods import HYBRID
from stages.tokenization.training.units import add_counts

TEXTS = pa.array(
    [
        "class HTTPServer(BaseServer):\n    MAX_REQUESTS = 10\n    def request_handler(self, request, servers):\n" * 3,
        "The servers requested requests from the handlers; handling them took the server's time. kitaplarımızda\n" * 3,
        "SERVERS and SERVER, Request and REQUEST, parseRequests(maxRequest)\n" * 3,
        "",
    ]
)
IDS = pa.array([bytes(16)] * len(TEXTS), pa.binary(16))
DICTIONARY = Dictionary(
    roots=tuple(sorted([b"server", b"request", b"handl", b"max", b"kitap", b"base", b"unused", b"time", b"serve"])),
    affixes=tuple(sorted([b"s", b"ed", b"er", b"ing", b"lar", "ımız".encode(), b"da"])),
)
SHORT = Dictionary(roots=(b"a", b"b", b"e", b"re", b"server"), affixes=(b"a", b"b", b"s"))
CONFIG = HybridConfig(dictionary=DICTIONARY, vocabulary_size=310, min_root_bytes=3)
END = "<|endoftext|>"
PIECES = [
    "server",
    "Server",
    "SERVER",
    "SERVERs",
    "ServerS",
    "serverS",
    " Max",
    "MAX",
    "aMAX",
    "REQUESTING",
    "'RE",
    "'s",
]
PIECES += [" ", "s", "ed", "S", "_", "é", "É", "漢", "\n", "1", "ı", "İ", "<|upper|>", "<|title|>", "\ufeff", "it"]
TEXT = st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=20).map("".join)


@lru_cache
def engine():
    return HybridEngine(read_hybrid(HYBRID.train(HYBRID.count(TEXTS, IDS, CONFIG.cuts), CONFIG, [END])))


@lru_cache
def vocabulary():
    return train_hybrid(HYBRID.count(TEXTS, IDS, CONFIG.cuts)[0], CONFIG)


def encode(used, texts):
    encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in encoded)]).astype(np.int32)
    starts, ids, fell_back = used.encode_checked(offsets, np.frombuffer(b"".join(encoded), np.uint8))
    assert (starts.dtype, ids.dtype) == (np.int64, np.int32)
    return [ids[a:b] for a, b in pairwise(starts)], fell_back.tolist()


def spell(text):
    marks = {vocabulary().title: "^", vocabulary().upper: "^^"}
    [row], _ = encode(engine(), [text])
    return [marks.get(token, vocabulary().tokens[token].decode()) for token in row.tolist()]


@given(st.lists(TEXT, max_size=3))
def test_every_text_is_given_back(texts):
    rows, _ = encode(engine(), texts)
    assert [engine().decode(row).decode() for row in rows] == texts


@given(st.text(st.sampled_from("abAB serverSERVER's_1é\n"), max_size=12), st.integers(1, 3))
def test_every_text_is_given_back_with_short_roots(text, shortest):
    used = HybridEngine(replace(provisional(SHORT), min_root_bytes=shortest))
    [row], _ = encode(used, [text])
    assert used.decode(row).decode() == text


@lru_cache
def provisional(dictionary):
    config = HybridConfig(dictionary=dictionary, vocabulary_size=300, min_root_bytes=1, min_count=1)
    return train_hybrid(HYBRID.count(pa.array(["a b e re server as bs abba 're"]), IDS[:1], config.cuts)[0], config)


def test_dictionary_comes_first_with_marks_for_case():
    assert spell("server servers Servers SERVERS") == [
        "server",
        " server",
        "s",
        "^",
        " server",
        "s",
        "^^",
        " server",
        "s",
    ]
    assert spell("BaseServer") == ["^", "base", "^", "server"]
    assert spell("MAX_REQUESTS") == ["^^", "max", "_", "^^", "request", "s"]
    assert spell(" kitaplarımızda") == [" kitap", "lar", "ımız", "da"]
    assert spell(" handlers handling")[:3] == [" handl", "er", "s"]


def test_the_longest_root_that_affixes_complete_is_taken():
    dictionary = Dictionary(roots=(b"handle", b"handl"), affixes=(b"er", b"rs"))
    config = HybridConfig(dictionary=dictionary, vocabulary_size=300, min_count=1)
    made = train_hybrid(HYBRID.count(pa.array(["handler handlers handle"]), IDS[:1], config.cuts)[0], config)
    used = HybridEngine(made)
    [row], _ = encode(used, ["handler"])
    assert [made.tokens[token] for token in row] == [b"handl", b"er"]


def test_a_text_that_marks_would_change_falls_back_and_is_counted():
    used = HybridEngine(provisional(SHORT))
    rows, fell_back = encode(used, ["it'REs", "servers", "'REs server"])
    assert fell_back == [True, False, True]
    assert used.fallbacks == 2
    assert [used.decode(row) for row in rows] == [b"it'REs", b"servers", b"'REs server"]
    made = provisional(SHORT)
    assert not {made.title, made.upper} & {*rows[0].tolist(), *rows[2].tolist()}


def test_rows_do_not_depend_on_their_batch():
    texts = [text.as_py() for text in TEXTS]
    together, _ = encode(engine(), texts)
    assert [row.tolist() for row in together] == [encode(engine(), [text])[0][0].tolist() for text in texts]
    assert encode(engine(), [])[0] == []


def test_sizes_and_sharing_of_ids():
    made = vocabulary()
    assert len(made.tokens) == CONFIG.vocabulary_size
    spelt = [token for token in made.tokens if token]
    assert len(spelt) == len(set(spelt)) == CONFIG.vocabulary_size - 2
    roots = {made.tokens[token] for token in made.roots}
    assert {b"server", b" server"} <= roots
    assert b"unused" not in roots
    assert {made.tokens[token] for token in made.affixes} <= set(DICTIONARY.affixes)


def test_the_most_frequent_roots_stay():
    few = train_hybrid(HYBRID.count(TEXTS, IDS, CONFIG.cuts)[0], replace(CONFIG, max_roots=2))
    assert len(few.roots) == 2
    assert b"request" in {few.tokens[token].strip() for token in few.roots}


def test_the_same_file_from_counts_of_any_parts():
    whole = HYBRID.train(HYBRID.count(TEXTS, IDS, CONFIG.cuts), CONFIG, [END])
    parts = [HYBRID.count(TEXTS[a:b], IDS[a:b], CONFIG.cuts)[0] for a, b in ((2, 4), (0, 2))]
    assert HYBRID.train([add_counts(parts)], CONFIG, [END]) == whole
    made = read_hybrid(whole)
    assert made.to_json() == whole
    assert made.special_tokens[END] == len(made.tokens) - 1


def test_dictionaries_come_from_lines_and_json(tmp_path):
    (tmp_path / "a.tsv").write_text("root\tserver\naffix\ts\n\nroot\tkitap\n")
    (tmp_path / "b.json").write_text(json.dumps({"roots": ["server", "ev"], "affixes": ["ler"]}))
    found = load_dictionary([tmp_path / "a.tsv", tmp_path / "b.json"])
    assert found == Dictionary(roots=(b"ev", b"kitap", b"server"), affixes=(b"ler", b"s"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "root server\n", "line 1: b'root server' must be `root` or `affix`, a tab"),
        ("a.tsv", "root\tServer\n", "must be 1 to 64 bytes of letters"),
        ("a.tsv", "root\t\n", "must be 1 to 64 bytes of letters"),
        ("a.tsv", "affix\ta b\n", "must be 1 to 64 bytes of letters"),
        ("a.json", "[]", "a.json must be"),
        ("a.json", '{"roots": [1]}', "a.json must be"),
        ("a.json", "{", "a.json must be"),
    ],
)
def test_bad_dictionaries_are_errors(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_dictionary([tmp_path / name])


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"roots": [9999]},
        {"roots": [-1]},
        {"merges": [[0, 1]]},
        {"tokens": ["a"]},
        {"tokens": [1]},
        {"special_tokens": {}},
        {"affixes": None},
    ],
)
def test_bad_files_are_errors(change):
    content = json.loads(vocabulary().to_json()) | change
    with pytest.raises(ValueError, match="no hybrid vocabulary of format gristmill-hybrid-1"):
        read_hybrid(json.dumps(content).encode())


def test_bad_values_are_errors():
    with pytest.raises(ValueError, match="must hold the 256 bytes and two case marks"):
        HybridConfig(dictionary=DICTIONARY, vocabulary_size=200)
    with pytest.raises(ValueError, match="lower max_roots or raise vocabulary_size"):
        train_hybrid(HYBRID.count(TEXTS, IDS, CONFIG.cuts)[0], replace(CONFIG, vocabulary_size=262))
    with pytest.raises(ValueError, match="must be distinct and none of"):
        with_special_tokens(vocabulary(), ["<|upper|>"])
