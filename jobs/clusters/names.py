"""Names for groups of texts: words that a group uses more often than the others (class-based TF-IDF).

Grootendorst, "BERTopic", arXiv 2203.05794, section 3.3, with the weights of BM25: tf(word, group) times
log(1 + (n - f + 0.5) / (f + 0.5)), with n the number of texts and f of those with the word, so that a word of nearly
all texts (`the`) names nothing. A text counts a word once, so that one that repeats itself names nothing. All columnar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.placement import domain_name

Longs = npt.NDArray[np.int64]

_MIN_TEXTS = 2
"""A word in fewer texts is no keyword, unless the group has nothing else."""
_LETTERS = (3, 24)
"""Of the shortest and the longest word that counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamesConfig:
    """How names are made."""

    keywords: int = 10
    """Kept for each group."""
    words: int = 2
    """Keywords in a domain's name."""
    language_share: float = 0.6
    """A language with at least this share of a domain's documents comes first in its name."""
    prose: tuple[str, ...] = ("Text", "Markdown")
    """Languages that say nothing of a domain and are not named."""

    def __post_init__(self) -> None:
        if not 1 <= self.words <= self.keywords or not 0 < self.language_share <= 1:
            raise ValueError(f"needs 1 <= words <= keywords and 0 < language_share <= 1: {self}")


def keywords_by_group(texts: pa.ChunkedArray, groups: Longs, count: int, wanted: int) -> list[list[str]]:
    """The `wanted` most telling words of each of `count` groups, best first; texts without a word tell nothing.

    groups: int64[n], the group of each text. Ties go to the word that is first in the alphabet.
    """
    vocabulary, text, word = _words_of(texts)
    pairs, counts = np.unique(groups[text] * max(len(vocabulary), 1) + word, return_counts=True)
    group, word = np.divmod(pairs, max(len(vocabulary), 1))
    total = np.bincount(word, counts, len(vocabulary))
    sizes = np.bincount(group, counts, count)
    share = counts / np.maximum(sizes[group], 1)
    rare = np.log1p((len(texts) - total + 0.5) / (total + 0.5))
    score = share * rare[word] * np.where(counts >= _MIN_TEXTS, 1.0, 1e-6)
    order = np.lexsort((word, -score, group))
    starts = np.searchsorted(group[order], np.arange(count + 1))
    return [
        [vocabulary[w] for w in word[order[starts[g] : min(starts[g] + wanted, starts[g + 1])]].tolist()]
        for g in range(count)
    ]


def _words_of(texts: pa.ChunkedArray) -> tuple[list[str], Longs, Longs]:
    """Sorted distinct words, and every (text, word) pair once, by number."""
    spaced = pc.replace_substring_regex(texts, r"(\p{Ll})(\p{Lu})", r"\1 \2")
    letters = pc.utf8_lower(pc.replace_substring_regex(spaced, r"[^\p{L}]+", " "))
    lists = pc.split_pattern(letters, " ").combine_chunks()
    lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
    words, text = lists.flatten(), np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy())
    lengths = pc.utf8_length(words).to_numpy(zero_copy_only=False)
    is_long = (lengths >= _LETTERS[0]) & (lengths <= _LETTERS[1])
    encoded: Any = words.filter(pa.array(is_long)).dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(names, kind="stable") if len(names) else np.zeros(0, np.int64)
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    code = rank[encoded.indices.to_numpy()] if len(names) else np.zeros(0, np.int64)
    pairs = np.unique(text[is_long].astype(np.int64) * max(len(names), 1) + code)
    text, word = np.divmod(pairs, max(len(names), 1))
    return names[order].tolist(), text, word


def main_languages(
    languages: pa.ChunkedArray, groups: Longs, weights: npt.NDArray[np.float64], count: int, config: NamesConfig
) -> list[str | None]:
    """The language with at least `language_share` of each group's weight; None where there is no such, or prose."""
    encoded: Any = languages.combine_chunks()
    encoded = (
        pa.concat_arrays(encoded.chunks) if isinstance(encoded, pa.ChunkedArray) else encoded
    ).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy()
    names = encoded.dictionary.to_pylist()
    table = np.zeros((count, len(names) + 1))
    np.add.at(table, (groups, codes), weights)  # the last column holds what has no language
    best = table[:, : len(names)].argmax(axis=1) if names else np.zeros(count, np.int64)
    total = table.sum(axis=1)
    return [
        names[k]
        if names and total[g] > 0 and table[g, k] >= config.language_share * total[g] and names[k] not in config.prose
        else None
        for g, k in enumerate(best.tolist())
    ]


def name_domains(keywords: Sequence[Sequence[str]], languages: Sequence[str | None], words: int) -> list[str]:
    """A unique folder name for each domain: its language, then the first keywords that add something.

    A name that is taken gets one keyword more, then a number.
    """
    names: list[str] = []
    for found, language in zip(keywords, languages, strict=True):
        prefix = domain_name(language).split("-") if language else []
        distinct: list[str] = []
        for word in found:
            if word not in prefix and not any(word in other or other in word for other in distinct):
                distinct.append(word)
        names.append(
            unused_name(names, prefix, [spelt for w in distinct if (spelt := domain_name(w)) != "other"], words)
        )
    return names


def unused_name(names: Sequence[str], prefix: list[str], words: list[str], count: int) -> str:
    """A folder name that `names` lacks: the prefix and `count` words, if need be more of them, or a number."""
    for more in range(count, len(words) + 1):
        if (name := domain_name("-".join([*prefix, *words[:more]]))) not in names:
            return name
    stem = domain_name("-".join([*prefix, *words[:count]]) or None)
    candidates = (stem, *(f"{stem}-{number}" for number in range(2, len(names) + 3)))
    return next(name for name in candidates if name not in names)
