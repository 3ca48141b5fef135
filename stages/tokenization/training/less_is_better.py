"""LiB, "Less is Better" (2403.00417): a lexicon learnt online, whose tokens stay because they make reading shorter.

Reads counts of units; writes tokens by priority and a `tokenizer.json` that cuts units greedily, longest token first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.text_views import text_views
from stages.tokenization.engines import Ids, Offsets
from stages.tokenization.pieces import byte_alphabet
from stages.tokenization.training.bpe import binary_views, byte_order
from stages.tokenization.training.less_is_better_kernels import draw_units, move_tokens, read_units
from stages.tokenization.training.superwords import max_unit_chars
from stages.tokenization.training.tokenizer_json import added_token, tokenizer_file
from stages.tokenization.training.trie import Trie, build_trie, cut_pieces
from stages.tokenization.training.units import Counts, Cuts, count_pieces, unit_pattern, unit_starts
from stages.tokenization.vocabulary import Vocabulary

Longs = npt.NDArray[np.int64]
Lexicon = list[bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class LibConfig:
    """How long to read, and how fast to learn and to forget."""

    vocabulary_size: int = 32_000
    """Tokens in all, the 256 bytes included, special tokens not."""
    max_token_chars: int = 12
    """Longest token, in characters."""
    max_unit_chars: int = 128
    """Longest unit: no token reaches over the end of one. Hugging Face tokenizers takes its cube of steps for one."""
    batches: int = 1000
    """Most batches that are read; the lexicon changes after each."""
    batch_bytes: int = 200_000
    """Text of a batch, drawn from the units by their counts."""
    passes: int = 20
    """Little text is read about so often at most: from then on the lexicon only learns it by heart."""
    candidate_share: float = 0.25
    """Share of the adjacent pairs of tokens that are noticed; one noticed twice in a batch becomes a token."""
    move_percent: int = 20
    """How far a reward moves a token towards the front of the lexicon, as a share of its place."""
    life: int = 10
    """Batches that a token beyond the vocabulary's size stays without a reward."""
    seed: int = 0
    """Of the draws."""

    def __post_init__(self) -> None:
        for name in ("max_token_chars", "max_unit_chars", "batches", "batch_bytes", "passes", "move_percent", "life"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.vocabulary_size < 257:
            raise ValueError(f"vocabulary_size must be above the 256 bytes, got {self.vocabulary_size}")
        if not 0 < self.candidate_share <= 1:
            raise ValueError(f"candidate_share={self.candidate_share} must be more than 0 and at most 1")
        if self.move_percent > 100:
            raise ValueError(f"move_percent={self.move_percent} must be at most 100")

    @property
    def cuts(self) -> Cuts:
        """What counting depends on."""
        return Cuts(max_unit_chars=self.max_unit_chars)


def count_units(text: pa.StringArray, cuts: Cuts) -> Counts:
    """What `train_lib` learns from: counts of the units of these texts."""
    offsets, data = text_views(text)
    starts, _ = unit_starts(offsets, data, cuts.max_unit_chars)
    return count_pieces(starts, data, int(offsets[-1]))


def train_lib(units: Counts, config: LibConfig) -> tuple[bytes, ...]:
    """Tokens by id: the 256 bytes in `byte_order()`, then the lexicon, what proved most useful first.

    The order of the units changes the draws: pass them sorted, as `count_units` gives them.
    """
    offsets, data = binary_views(units[0])
    cumulative = np.cumsum(units[1])
    if not units[1].sum():
        return _with_bytes([])
    drawn = np.empty(_batch_units(offsets, units[1], config.batch_bytes), np.int64)
    lexicon: Lexicon = []
    lives = np.zeros(0, np.int64)
    for batch in range(_num_batches(offsets, units[1], config)):
        draw_units(_key(config.seed, 2 * batch), cumulative, drawn)
        scores, candidates = _read_batch(_trie(lexicon), offsets, data, drawn, _key(config.seed, 2 * batch + 1), config)
        lexicon, lives = _reorder(lexicon, lives, scores, candidates, config)
    return _with_bytes(lexicon[: config.vocabulary_size - 256])


def _num_batches(offsets: Longs, counts: Longs, config: LibConfig) -> int:
    size = int((np.diff(offsets) * counts).sum())
    return min(config.batches, -(-size * config.passes // config.batch_bytes))


def _batch_units(offsets: Longs, counts: Longs, batch_bytes: int) -> int:
    """Units whose lengths sum up to `batch_bytes` on average."""
    read = int((np.diff(offsets) * counts).sum())
    return max(1, batch_bytes * int(counts.sum()) // max(read, 1))


def _key(seed: int, number: int) -> np.uint64:
    return np.uint64((seed * 0x9E3779B97F4A7C15 + number * 0xD1342543DE82EF95) % 2**64)


def _trie(lexicon: Lexicon) -> Trie:
    return build_trie([bytes([byte]) for byte in range(256)] + lexicon)


def _read_batch(
    trie: Trie, offsets: Longs, data: npt.NDArray[np.uint8], drawn: Longs, key: np.uint64, config: LibConfig
) -> tuple[Longs, Lexicon]:
    """Each token's rewards less punishments, and the candidates noticed twice, the most noticed first."""
    scores = np.zeros(int(trie.values.max()) - 255, np.int64)
    size = int((offsets[drawn + 1] - offsets[drawn]).sum())
    pairs = np.empty((size, 2), np.int64)
    total = read_units(
        trie.keys, trie.children, trie.values, offsets, data, drawn, key,
        config.candidate_share, config.max_token_chars, scores, pairs,
    )  # fmt: skip
    noticed: dict[bytes, int] = {}
    for start, end in pairs[:total].tolist():
        pair = data[start:end].tobytes()
        noticed[pair] = noticed.get(pair, 0) + 1
    twice = sorted((-count, pair) for pair, count in noticed.items() if count > 1)
    return scores, [pair for _, pair in twice]


def _reorder(
    lexicon: Lexicon, lives: Longs, scores: Longs, candidates: Lexicon, config: LibConfig
) -> tuple[Lexicon, Longs]:
    """The lexicon by new places, candidates last, without those beyond its size whose life is over."""
    lives = np.where(scores > 0, config.life, lives - 1)
    order = np.argsort(move_tokens(scores, config.move_percent), kind="stable")
    tokens = [lexicon[index] for index in order] + candidates
    lives = np.concatenate([lives[order], np.full(len(candidates), config.life, np.int64)])
    kept = (np.arange(len(tokens)) < config.vocabulary_size - 256) | (lives > 0)
    return [token for token, stays in zip(tokens, kept.tolist(), strict=True) if stays], lives[kept]


def _with_bytes(lexicon: Lexicon) -> tuple[bytes, ...]:
    return (*(bytes([byte]) for byte in byte_order()), *lexicon)


def lib_json(tokens: Sequence[bytes], config: LibConfig, special_tokens: Sequence[str]) -> bytes:
    """The `tokenizer.json`: WordPiece without a prefix, which cuts each unit greedily. Special tokens come last."""
    spelt = {byte: character for character, byte in byte_alphabet().items()}
    vocabulary = {"".join(spelt[byte] for byte in token): number for number, token in enumerate(tokens)}
    added = [added_token(len(tokens) + n, text, special=True) for n, text in enumerate(special_tokens)]
    model = {
        "type": "WordPiece",
        "unk_token": spelt[0],
        "continuing_subword_prefix": "",
        "max_input_chars_per_word": 4 * (2 * config.max_unit_chars + 1),
        "vocab": vocabulary,
    }
    return tokenizer_file(model, unit_pattern(config.max_unit_chars), added)


class GreedyEngine:
    """Encodes with a vocabulary of `lib_json`: the ids of Hugging Face tokenizers, and faster."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._max_chars = max_unit_chars(vocabulary)
        model = json.loads(vocabulary.content)["model"]
        if model["type"] != "WordPiece" or model["continuing_subword_prefix"]:
            raise ValueError(f"vocabulary {vocabulary.name} is a {model['type']} model, not one of `lib_json`")
        alphabet = byte_alphabet()
        tokens = [bytes(alphabet[character] for character in name) for name in model["vocab"]]
        self._trie = build_trie(tokens, list(model["vocab"].values()))

    def encode(self, offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> tuple[Offsets, Ids]:
        """See `Engine`."""
        starts, first = unit_starts(offsets, data, self._max_chars)
        counts, ids = cut_pieces(self._trie, np.append(starts, np.int64(offsets[-1])), data)
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        return ends[first], ids
