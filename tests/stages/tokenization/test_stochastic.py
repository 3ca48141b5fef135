"""Stochastic views: the text stays, chances are those of the papers, and nothing but (seed, epoch, id) decides."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.text_views import text_views
from stages.tokenization import stochastic
from stages.tokenization.engines import Reference
from stages.tokenization.pieces import Pieces, pieces_of
from stages.tokenization.scanner import SPLIT_RULES, pretoken_starts
from stages.tokenization.stochastic import BpeDropout, DropoutConfig, StochasTok, StochasTokConfig
from stages.tokenization.training.methods import SUPERBPE
from stages.tokenization.training.superwords import SuperwordConfig
from stages.tokenization.vocabulary import Vocabulary, load_vocabulary
from tests.golden import digest
from tests.stages.tokenization.test_encode import save_trained

TEXTS = ["def añadir(x):\n    return x + 'networkx'\n" * 4, "", "漢字かな 12345 don't\r\n", "tokenization " * 50]
END = 100_257


@lru_cache(maxsize=1)
def shipped() -> tuple[StochasTok, BpeDropout, Reference, Pieces]:
    vocabulary = load_vocabulary("cl100k_base")
    pieces = pieces_of(vocabulary)
    views = (
        StochasTok(pieces, StochasTokConfig(rate=0.3, seed=1)),
        BpeDropout(vocabulary, DropoutConfig(rate=0.3, seed=1)),
    )
    return *views, Reference(vocabulary), pieces


def hand_made(words: Sequence[bytes]) -> Pieces:
    ends = np.cumsum([0, *(len(word) for word in words)])
    return Pieces(offsets=ends.astype(np.int64), data=np.frombuffer(b"".join(words), np.uint8))


def ids_of(number: int) -> pa.Array:
    return pa.array([hashlib.blake2b(bytes([n]), digest_size=16).digest() for n in range(number)], pa.binary(16))


def token_lists(rows: Sequence[list[int] | None]) -> pa.Array:
    return pa.array(rows, pa.list_(pa.int32()))


def encoded(texts: Sequence[str]) -> pa.Array:
    return token_lists([[*shipped()[2].encode_text(text), END] for text in texts])


@pytest.mark.parametrize("method", [0, 1])
def test_the_text_stays_and_other_epochs_and_documents_differ(method):
    view, pieces = shipped()[method], shipped()[3]
    tokens = encoded(TEXTS)
    epochs = [view.view(tokens, ids_of(4), epoch=epoch) for epoch in range(3)]
    for seen in epochs:
        assert seen.type == tokens.type
        for text, row in zip(TEXTS, seen.to_pylist(), strict=True):
            assert row[-1] == END
            assert pieces.decode(row) == text.encode()
    assert len({str(seen.to_pylist()[0]) for seen in epochs}) == 3
    assert epochs[0].to_pylist()[0] != tokens.to_pylist()[0]
    twice = view.view(encoded([TEXTS[0]] * 2), ids_of(2), epoch=0).to_pylist()
    assert twice[0] != twice[1]


@pytest.mark.parametrize("method", [0, 1])
def test_batches_order_nulls_and_slices_change_nothing(method, monkeypatch):
    view = shipped()[method]
    tokens = pa.concat_arrays([encoded(TEXTS), token_lists([None, [END, END], [], [7, -3, 2_000_000, 7]])])
    ids = ids_of(8)
    whole = view.view(tokens, ids, epoch=5)
    assert whole.to_pylist()[4:7] == [None, [END, END], []]
    assert [token for token in whole.to_pylist()[7] if token in (-3, 2_000_000)] == [-3, 2_000_000]
    back = np.arange(8)[::-1].copy()
    assert view.view(tokens.take(back), ids.take(back), epoch=5).to_pylist() == whole.to_pylist()[::-1]
    assert view.view(tokens.slice(2, 5), ids.slice(2, 5), epoch=5).to_pylist() == whole.to_pylist()[2:7]
    assert view.view(tokens.slice(8), ids.slice(8), epoch=5).to_pylist() == []
    monkeypatch.setattr(stochastic, "_BATCH_TOKENS", 3)
    assert view.view(tokens, ids, epoch=5).to_pylist() == whole.to_pylist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab漢 1'é\n", max_size=30) | st.text(max_size=20), max_size=5), st.floats(0, 1), st.integers())
def test_the_text_stays_at_any_rate(texts, rate, seed):
    _, _, _, pieces = shipped()
    tokens, ids = encoded(texts), ids_of(len(texts))
    splitter, merger = at_rate(shipped()[0], rate, seed), at_rate(shipped()[1], rate, seed)
    for view in (splitter, merger):
        rows = view.view(tokens, ids, epoch=0).to_pylist()
        assert [pieces.decode(row) for row in rows] == [text.encode() for text in texts]
        assert all(row[-1] == END for row in rows)


def at_rate(view, rate, seed):
    """The same view with another config, without building its tables again."""
    other = object.__new__(type(view))
    other.__dict__.update(view.__dict__)
    other._config = type(view._config)(rate=rate, seed=seed)
    return other


@pytest.mark.parametrize(
    ("method", "golden"),
    [
        (0, "17edda0d603af3793777af18b1f7e8bcbd8d5a2d3a2711fa578ef67d276bd954"),
        (1, "dee312f6395d7240f166156446304fd67bc5c89bf8fc8a43995839dc833a6fd2"),
    ],
)
def test_golden_views(method, golden):
    assert digest(pa.table({"tokens": shipped()[method].view(encoded(TEXTS), ids_of(4), epoch=0)})) == golden


def test_pairs_are_all_splits_into_two_tokens():
    splitter, pieces = shipped()[0], shipped()[3]
    by_bytes = {pieces[token]: token for token in reversed(range(len(pieces))) if pieces[token]}
    for token in [*range(0, 100_256, 997), END, 0]:
        piece = pieces[token]
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        wanted = [(by_bytes[a], by_bytes[b]) for a, b in cuts if a in by_bytes and b in by_bytes]
        assert splitter.pairs(token) == wanted
        assert len(piece) < 2 or wanted


def test_stochastok_makes_as_many_attempts_as_the_paper_and_loses_those_on_bytes():
    pieces = hand_made([b"a", b"b", b"ab", b""])
    splitter = StochasTok(pieces, StochasTokConfig(rate=0.25))
    rows = [[2] * 8, [0] * 8, [2, 3], [2, 2, 2]]
    seen = splitter.view(token_lists(rows), ids_of(4), epoch=0).to_pylist()
    assert len(seen[0]) in (9, 10)
    assert seen[1:] == rows[1:]
    every = StochasTok(pieces, StochasTokConfig(rate=10)).view(token_lists([[2] * 40]), ids_of(1), epoch=0)
    assert len(every[0]) > 70


def expand_slowly(row: list[int], rate: float, splitter: StochasTok, rng: random.Random) -> list[int]:
    """The algorithm of the paper as its code has it: a position in the list as it is, and a list made anew."""
    row = list(row)
    for _ in range(int(len(row) * rate)):
        at = rng.randrange(len(row))
        pairs = splitter.pairs(row[at])
        if pairs:
            row[at : at + 1] = rng.choice(pairs)
    return row


def test_stochastok_has_the_chances_of_the_paper():
    pieces = hand_made([b"a", b"b", b"ab", b"ba", b"aba", b"abab"])
    splitter, rng, number = StochasTok(pieces, StochasTokConfig(rate=1.0)), random.Random(3), 8_000
    ids = pa.array([hashlib.blake2b(n.to_bytes(4), digest_size=16).digest() for n in range(number)], pa.binary(16))
    row = [5, 0, 4]
    got = Counter(map(tuple, splitter.view(token_lists([row] * number), ids, epoch=0).to_pylist()))
    wanted = Counter(tuple(expand_slowly(row, 1.0, splitter, rng)) for _ in range(number))
    for seen in {*got, *wanted}:
        assert abs(got[seen] - wanted[seen]) < 5 * (got[seen] + wanted[seen]) ** 0.5, (seen, got[seen], wanted[seen])


def test_dropout_of_nothing_gives_the_tokens_back_and_of_all_gives_bytes():
    tokens, ids = encoded(TEXTS), ids_of(4)
    assert at_rate(shipped()[1], 0.0, 0).view(tokens, ids, epoch=0).to_pylist() == tokens.to_pylist()
    every = at_rate(shipped()[1], 1.0, 0).view(tokens, ids, epoch=0).to_pylist()
    assert [len(row) for row in every] == [len(text.encode()) + 1 for text in TEXTS]


def test_dropout_merges_inside_the_pieces_of_the_split_alone():
    text = "def añadir(x):\n    return x + 'networkx'\n" * 20
    (row,) = shipped()[1].view(encoded([text]), ids_of(1), epoch=3).to_pylist()
    borders, _ = pretoken_starts(*text_views(pa.array([text])), "cl100k")
    begins = {0, *np.cumsum(shipped()[3].lengths[row]).tolist()}
    assert set(borders.tolist()) < begins
    sizes = [shipped()[3].lengths[token] for token in row]
    assert all(size for size, _ in pairwise(sizes))


def test_dropout_takes_the_split_of_a_tokenizer_json_and_refuses_another(tmp_path):
    vocabulary = saved(tmp_path, save_trained(tmp_path / "tokenizer.json"))
    reference = Reference(vocabulary)
    tokens = token_lists([reference.encode_text(text) for text in TEXTS])
    for split in ("", "r50k"):
        view = BpeDropout(vocabulary, DropoutConfig(rate=0.0, split=split))
        assert view.view(tokens, ids_of(4), epoch=0).to_pylist() == tokens.to_pylist()
    with pytest.raises(ValueError, match="cuts text by r50k, not by llama3; leave split empty"):
        BpeDropout(vocabulary, DropoutConfig(split="llama3"))
    with pytest.raises(ValueError, match="cl100k_base cuts text by cl100k, not by o200k"):
        BpeDropout(load_vocabulary("cl100k_base"), DropoutConfig(split="o200k"))


@pytest.mark.parametrize("split", ["", *SPLIT_RULES])
def test_dropout_refuses_superwords_under_any_split(tmp_path, split):
    text = pa.array(["one line of words\n" * 30])
    config = SuperwordConfig(vocabulary_size=280)
    content = SUPERBPE.train(SUPERBPE.count(text, ids_of(1), config.cuts), config, ["<|endoftext|>"])
    vocabulary = Vocabulary(name="super.json", content=content, split="", special_tokens={})
    with pytest.raises(ValueError, match=r"super.json cuts text in none of the known ways \(r50k, cl100k, llama3"):
        BpeDropout(vocabulary, DropoutConfig(split=split))


def saved(folder, config, edit=None):
    """The vocabulary of a `tokenizer.json` in this folder, changed first."""
    path = folder / "tokenizer.json"
    if edit is not None:
        content = json.loads(path.read_bytes())
        edit(content)
        path.write_text(json.dumps(content))
    return load_vocabulary(config.vocabulary, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_dropout_of_nothing_keeps_added_tokens_and_those_that_no_merge_makes(tmp_path):
    def edit(content):
        vocab, first = content["model"]["vocab"], content["added_tokens"][0]
        content["model"]["ignore_merges"] = True
        content["added_tokens"].append(first | {"id": len(vocab) + 1, "content": "<div>", "special": False})
        vocab["\u0120zqzq"] = len(vocab)

    vocabulary = saved(tmp_path, save_trained(tmp_path / "tokenizer.json"), edit)
    reference, pieces = Reference(vocabulary), pieces_of(vocabulary)
    whole, added = len(pieces) - 2, len(pieces) - 1
    texts = ["x  <div> return zqzq  zqzq\n", "zqzq<div>", " zqzqzq import numpy  "]
    tokens = token_lists([reference.encode_text(text) for text in texts])
    assert {whole, added} <= set(tokens.flatten().to_pylist())
    view = BpeDropout(vocabulary, DropoutConfig(rate=0.0))
    assert view.view(tokens, ids_of(3), epoch=0).to_pylist() == tokens.to_pylist()
    every = BpeDropout(vocabulary, DropoutConfig(rate=1.0)).view(tokens, ids_of(3), epoch=0).to_pylist()
    assert [pieces.decode(row).decode() for row in every] == texts
    assert every[1][-1] == added
    assert [pieces.lengths[token] for token in every[1]] == [1, 1, 1, 1, 5]


def test_vocabularies_and_arguments_that_cannot_be_used_are_refused(tmp_path):
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.save(str(tmp_path / "words.json"))
    sha256 = hashlib.sha256((tmp_path / "words.json").read_bytes()).hexdigest()
    vocabulary = load_vocabulary(str(tmp_path / "words.json"), sha256=sha256)
    with pytest.raises(ValueError, match="its tokens are no bytes"):
        BpeDropout(vocabulary, DropoutConfig(split="r50k"))
    with pytest.raises(ValueError, match="rate must be from 0 to 10"):
        StochasTokConfig(rate=-0.1)
    with pytest.raises(ValueError, match="probability from 0 to 1"):
        DropoutConfig(rate=1.5)
    with pytest.raises(ValueError, match="split='gpt9' must be one of"):
        DropoutConfig(split="gpt9")
    with pytest.raises(ValueError, match="1 rows of tokens and 2 document ids"):
        shipped()[0].view(token_lists([[1]]), ids_of(2), epoch=0)
