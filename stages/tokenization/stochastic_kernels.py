"""Kernels of `stochastic`: splitting tokens in place, and spelling tokens out as text and back."""

import numba
import numpy as np
import numpy.typing as npt

from stages.tokenization.draws import Keys, below, draw
from stages.tokenization.merging_tables import Bytes, Ids, Longs, find_piece

Flags = npt.NDArray[np.bool_]


def _find_splits(offsets: Longs, data: Bytes, table: Ids) -> tuple[Longs, Ids, Ids]:
    """All pairs of tokens that spell each token: where its pairs begin (one more than tokens), left ids, right ids."""
    tokens = len(offsets) - 1
    first, left, right = np.zeros(tokens + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int32)
    for is_filling in (False, True):
        if is_filling:
            left, right = np.empty(first[tokens], np.int32), np.empty(first[tokens], np.int32)
        total = 0
        for token in range(tokens):
            begin, end = offsets[token], offsets[token + 1]
            for cut in range(begin + 1, end):
                head = find_piece(data, begin, cut, table, offsets, data)
                tail = find_piece(data, cut, end, table, offsets, data) if head >= 0 else head
                if tail < 0:
                    continue
                if is_filling:
                    left[total], right[total] = head, tail
                total += 1
            first[token + 1] = total
    return first, left, right


find_splits = numba.njit(cache=True)(_find_splits)


def _split_documents(
    offsets: Ids,
    ids: Ids,
    lengths: Longs,
    attempts: Longs,
    keys: Keys,
    splits: Longs,
    left: Ids,
    right: Ids,
    borders: Longs,
    out: Ids,
) -> None:
    """Fill `out` with the tokens of all documents after their attempts, and `borders` with where each begins."""
    most, total = np.int64(0), np.int64(0)
    for row in range(len(lengths)):
        most = max(most, lengths[row] + attempts[row])
    token, after = np.empty(most, np.int32), np.empty(most, np.int32)
    for row in range(len(lengths)):
        size = lengths[row]
        for number in range(size):
            token[number], after[number] = ids[offsets[row] + number], number + 1
        for attempt in range(attempts[row]):
            at = below(draw(keys[row], 2 * attempt), size)
            old = token[at]
            if old < 0 or old >= len(splits) - 1 or splits[old] == splits[old + 1]:
                continue
            pair = splits[old] + below(draw(keys[row], 2 * attempt + 1), splits[old + 1] - splits[old])
            token[at], token[size] = left[pair], right[pair]
            after[at], after[size] = size, after[at]
            size += 1
        at = np.int64(0)
        for _ in range(size):
            out[total] = token[at]
            total += 1
            at = after[at]
        borders[row + 1] = total


split_documents = numba.njit(cache=True)(_split_documents)


def _has_bytes(token: int, offsets: Longs) -> bool:
    return bool(0 <= token < len(offsets) - 1 and offsets[token] < offsets[token + 1])


_is_text = numba.njit(cache=True)(_has_bytes)


def _count_texts(offsets: Ids, ids: Ids, nulls: Flags, pieces: Longs) -> tuple[int, int]:
    """How many texts `spell_texts` writes, and their bytes."""
    texts, size = 0, 0
    for row in range(len(nulls)):
        was_text = False
        for at in range(offsets[row], offsets[row + 1] if not nulls[row] else offsets[row]):
            is_text = _is_text(ids[at], pieces)
            texts += not (is_text and was_text)
            size += pieces[ids[at] + 1] - pieces[ids[at]] if is_text else 0
            was_text = is_text
    return texts, size


count_texts = numba.njit(cache=True)(_count_texts)


def _spell_texts(
    offsets: Ids,
    ids: Ids,
    nulls: Flags,
    pieces: Longs,
    piece_data: Bytes,
    texts: Longs,
    kept: Longs,
    data: Bytes,
    first_text: Longs,
) -> None:
    """Write the bytes of runs of tokens with bytes, one text each; each other token is an empty text and is `kept`.

    `texts`: where each text begins in `data`. `first_text`: the first text of each row.
    """
    text, size = -1, 0
    for row in range(len(nulls)):
        was_text = False
        for at in range(offsets[row], offsets[row + 1] if not nulls[row] else offsets[row]):
            is_text = _is_text(ids[at], pieces)
            if not (is_text and was_text):
                text += 1
                texts[text] = size
            if is_text:
                for byte in range(pieces[ids[at]], pieces[ids[at] + 1]):
                    data[size] = piece_data[byte]
                    size += 1
            else:
                kept[text] = ids[at]
            was_text = is_text
        first_text[row + 1] = text + 1
    texts[text + 1] = size


spell_texts = numba.njit(cache=True)(_spell_texts)


def _key_pieces(keys: Keys, first_text: Longs, first_piece: Longs) -> Keys:
    """A stream for each piece, by its number in its document."""
    streams = np.empty(first_piece[-1], np.uint64)
    for row in range(len(keys)):
        begin = first_piece[first_text[row]]
        for piece in range(begin, first_piece[first_text[row + 1]]):
            streams[piece] = draw(keys[row], piece - begin)
    return streams


key_pieces = numba.njit(cache=True)(_key_pieces)


def _join_texts(
    first_text: Longs, kept: Longs, texts: Longs, first_piece: Longs, starts: Ids, ids: Ids, borders: Longs, out: Ids
) -> None:
    """Put the ids of texts and the kept tokens together again, row by row."""
    total = 0
    for row in range(len(borders) - 1):
        for text in range(first_text[row], first_text[row + 1]):
            if texts[text] == texts[text + 1]:
                out[total] = kept[text]
                total += 1
                continue
            for at in range(starts[first_piece[text]], starts[first_piece[text + 1]]):
                out[total] = ids[at]
                total += 1
        borders[row + 1] = total


join_texts = numba.njit(cache=True)(_join_texts)
