"""Units: cut as Hugging Face tokenizers cuts with the pattern, counted in any batches."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from stages.tokenization.classes import NUMBER, SPACE, class_table
from stages.tokenization.draws import document_keys
from stages.tokenization.scanner import pretoken_starts
from stages.tokenization.training.units import (
    add_counts,
    bound_counts,
    chunk_starts,
    count_pieces,
    unit_pattern,
    unit_starts,
)

TEXTS = ["", "def f(x):\n    return x + 1  \n\n  \n\ty = 12345\n", "One two  three.\r\n\r\nVier fünf ½ sechs", " \n"]
HARD = st.text(
    st.sampled_from("ab  \n\n\r\t129½é漢٣.,\u0085\u2028\u3000\x0b😀") | st.characters(codec="utf-8"), max_size=40
)


def views(texts):
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in encoded)]).astype(np.int32)
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)


def cut(starts, first, offsets, data):
    """The pieces of each text."""
    ends = np.append(starts, offsets[-1]).tolist()
    pieces = [data[a:b].tobytes().decode() for a, b in pairwise(ends)]
    return [pieces[a:b] for a, b in pairwise(first.tolist())]


def units_of(texts, max_chars):
    offsets, data = views(texts)
    return cut(*unit_starts(offsets, data, max_chars), offsets, data)


def hugging_face(max_chars):
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(unit_pattern(max_chars)), "isolated")
    return lambda text: [piece for piece, _ in split.pre_tokenize_str(text)]


@given(st.lists(HARD, max_size=3), st.sampled_from([1, 2, 3, 5, 128, 1024]))
def test_units_are_those_of_the_pattern(texts, max_chars):
    expected = hugging_face(max_chars)
    assert units_of(texts, max_chars) == [expected(text) for text in texts]


def test_units_are_stretches_of_lines_and_numbers():
    assert units_of(["x = 12345;  \n\n   \n    y\n"], 1024) == [["x = ", "123", "45", ";  \n\n   \n", "    y\n"]]
    assert units_of(["abcdefg\n\n\n\n\n"], 3) == [["abc", "def", "g\n\n\n\n", "\n"]]


@pytest.mark.parametrize(("others", "kind"), [(r"\P{N}+", NUMBER), (r"\S+", SPACE)])
def test_hugging_face_knows_the_classes_that_tiktoken_knows(others, kind):
    code_points = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(others), "removed")
    table = class_table()
    expected = "".join(c for c in code_points if table[ord(c)] == kind)
    assert "".join(run for run, _ in split.pre_tokenize_str("".join(code_points))) == expected


@given(st.lists(HARD, max_size=4), st.integers(1, 5), st.integers(0, 3))
def test_chunks_are_words_joined_inside_units(texts, max_words, seed):
    offsets, data = views(texts)
    ids = pa.array([bytes([number] * 16) for number in range(len(texts))], pa.binary(16))
    units, words = unit_starts(offsets, data, 16), pretoken_starts(offsets, data, "llama3")
    starts, first = chunk_starts(units, words, document_keys(ids, seed), max_words)
    assert set(units[0].tolist()) <= set(starts.tolist()) <= {*units[0].tolist(), *words[0].tolist()}
    assert (np.diff(starts) > 0).all()
    inside = np.diff(np.searchsorted(words[0], np.append(starts, offsets[-1])))
    assert inside.max(initial=0) <= max_words
    for row in range(len(texts)):
        one, some = views(texts[row : row + 1]), document_keys(ids[row : row + 1], seed)
        alone, _ = chunk_starts(unit_starts(*one, 16), pretoken_starts(*one, "llama3"), some, max_words)
        assert (alone + offsets[row] == starts[first[row] : first[row + 1]]).all()


def test_sizes_of_chunks_vary_with_seed_and_document():
    text = "word " * 200
    offsets, data = views([text, text])
    ids = pa.array([bytes(16), bytes([1] * 16)], pa.binary(16))
    units, words = unit_starts(offsets, data, 1024), pretoken_starts(offsets, data, "llama3")
    chunks = [cut(*chunk_starts(units, words, document_keys(ids, seed), 4), offsets, data) for seed in (0, 1)]
    assert chunks[0][0] != chunks[0][1]
    assert chunks[0] != chunks[1]
    assert {len(chunk.split()) for chunk in chunks[0][0]} == {1, 2, 3, 4}


def counted(counts):
    return dict(zip(counts[0].to_pylist(), counts[1].tolist(), strict=True))


def test_counts_of_parts_add_up():
    def count(texts):
        offsets, data = views(texts)
        return count_pieces(unit_starts(offsets, data, 8)[0], data, int(offsets[-1]))

    whole = count([*TEXTS, *TEXTS])
    assert whole[0].to_pylist() == sorted(counted(whole))
    parts = [add_counts([count(TEXTS[:1]), count(TEXTS[1:])]), count(TEXTS)]
    assert counted(add_counts(parts)) == counted(add_counts(parts[::-1])) == counted(whole)
    assert counted(whole)[b"123"] == 2
    assert counted(add_counts([])) == counted(count([])) == {}


def test_bound_keeps_the_same_pieces_in_any_order():
    pieces, counts = pa.array([f"piece {n}".encode() for n in range(500)]), np.arange(500)
    kept = bound_counts(pieces, counts, 1000)
    assert 900 < sum(len(piece) for piece in kept[0].to_pylist()) <= 1000
    turned = bound_counts(pieces[::-1], counts[::-1].copy(), 1000)
    assert counted(kept) == counted(turned)
    assert bound_counts(pieces, counts, 10_000) == (pieces, counts)


def test_too_much_text_for_one_count_is_an_error():
    with pytest.raises(ValueError, match="do not fit 32-bit offsets"):
        count_pieces(np.zeros(1, np.int64), np.zeros(1, np.uint8), 1 << 31)
