"""Hybrid vocabularies from counts of pretokens: the roots that text uses, and merges learnt from what they leave.

Reads counts and a dictionary; writes a `HybridVocabulary`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.tokenization.training.bpe import BpeConfig, Trained, binary_views, train_bpe
from stages.tokenization.training.hybrid import TITLE, UPPER, HybridConfig, HybridVocabulary
from stages.tokenization.training.hybrid_engine import Analyser, cut_spans
from stages.tokenization.training.units import Counts, add_counts

Longs = npt.NDArray[np.int64]


def train_hybrid(words: Counts, config: HybridConfig) -> HybridVocabulary:
    """The vocabulary of these pretokens of `config.split`. Their order does not matter.

    The most frequent forms of roots keep ids, then the affixes that follow them; merges are learnt from the rest of
    each word. Raises ValueError where the dictionary leaves no room for the 256 bytes.
    """
    dictionary = config.dictionary
    forms = [form for root in dictionary.roots for form in (root, b" " + root)]
    used = _count_uses(words, _Pieces(roots=forms, affixes=dictionary.affixes), config)
    ranked = sorted((-used[form], form) for form in forms if used[form] >= config.min_count)
    roots = sorted(form for _, form in ranked[: config.max_roots])
    used = _count_uses(words, _Pieces(roots=roots, affixes=dictionary.affixes), config)
    pieces = _Pieces(roots=roots, affixes=[affix for affix in dictionary.affixes if used[affix]])
    room = config.vocabulary_size - 2 - len(pieces.distinct)
    if room < 256:
        raise ValueError(
            f"vocabulary_size={config.vocabulary_size} cannot hold {len(pieces.distinct)} pieces of the dictionary, "
            "256 bytes and two case marks; lower max_roots or raise vocabulary_size"
        )
    return _assemble(_train_rest(_count_rest(words, pieces, config), pieces, room, config), pieces, config)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pieces:
    roots: Sequence[bytes]
    affixes: Sequence[bytes]

    @property
    def distinct(self) -> list[bytes]:
        return sorted({*self.roots, *self.affixes})


def _train_rest(rest: Counts, pieces: _Pieces, room: int, config: HybridConfig) -> Trained:
    """Merges for `room` tokens that are not in the dictionary. Such as are take no room: they share an id."""
    known, size = set(pieces.distinct), room
    trained: Trained | None = None
    while trained is None or len(trained.tokens) == size < room + len(known.intersection(trained.tokens)):
        size = room if trained is None else room + len(known.intersection(trained.tokens))
        bpe = BpeConfig(vocabulary_size=size, min_count=config.min_count, max_token_length=config.max_token_bytes)
        trained = train_bpe(*rest, bpe, start=trained)
    return trained


def _analyser(pieces: _Pieces, config: HybridConfig) -> tuple[list[bytes], Analyser]:
    empty = Trained(tokens=(), merges=np.zeros((0, 3), np.int32))
    vocabulary = _assemble(empty, pieces, config)
    return list(vocabulary.tokens), Analyser(vocabulary)


def _count_uses(words: Counts, pieces: _Pieces, config: HybridConfig) -> dict[bytes, int]:
    """How often each piece of the dictionary stands in the text."""
    tokens, analyser = _analyser(pieces, config)
    items, first, _ = analyser.analyse(*binary_views(words[0]))
    weights = np.repeat(words[1], np.diff(first))
    totals = np.zeros(len(tokens), np.int64)
    np.add.at(totals, items[items >= 0], weights[items >= 0])
    return dict(zip(tokens, totals.tolist(), strict=True))


def _count_rest(words: Counts, pieces: _Pieces, config: HybridConfig) -> Counts:
    """Counts of what the dictionary leaves of each word."""
    _, analyser = _analyser(pieces, config)
    offsets, data = binary_views(words[0])
    items, first, spans = analyser.analyse(offsets, data)
    weights = np.repeat(words[1], np.diff(first))[items < 0]
    starts, content = cut_spans(spans, data)
    places = pa.array(starts.astype(np.int32)).buffers()[1]
    rest = pa.BinaryArray.from_buffers(pa.binary(), len(spans), [None, places, pa.py_buffer(content)])
    return add_counts([(rest, weights)])


def _assemble(trained: Trained, pieces: _Pieces, config: HybridConfig) -> HybridVocabulary:
    """Merged tokens, then pieces of the dictionary that are none of them, then the case marks."""
    known = set(trained.tokens)
    tokens = [*trained.tokens, *(piece for piece in pieces.distinct if piece not in known)]
    ids = {token: number for number, token in enumerate(tokens)}
    return HybridVocabulary(
        split=config.split,
        min_root_bytes=config.min_root_bytes,
        tokens=(*tokens, b"", b""),
        merges=trained.merges,
        roots=tuple(ids[root] for root in pieces.roots),
        affixes=tuple(ids[affix] for affix in pieces.affixes),
        special_tokens={TITLE: len(tokens), UPPER: len(tokens) + 1},
    )
