"""First embeddings for a new vocabulary from those of an old one (TokenAdapt, arXiv 2505.09738).

A token that both have keeps its row. Any other gets w * local + (1 - w) * global: `local` weighs the old tokens that
spell it, `global` the old tokens that mean most alike by embeddings of another model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from jobs.tokenizers.measures import Measured, byte_ids
from jobs.tokenizers.tensor_file import Matrix, narrow
from pipeline.errors import RecipeError
from stages.tokenization.merging import Merger
from stages.tokenization.pieces import Pieces

Floats = npt.NDArray[np.float32]
Longs = npt.NDArray[np.int64]
Embed = Callable[[Sequence[str]], Floats]
"""One row of unit length, or of zeros, per text."""

_ROWS = 2048
"""New tokens whose rows are made at once."""
_SIMILARITIES = 16_000_000
"""Numbers of similarities held at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransplantConfig:
    """How much of what goes into a new row."""

    local_weight: float = 0.7
    """w: share of the old tokens that spell the new one, where there are similar ones too."""
    neighbours: int = 5
    """Most similar old tokens that are weighed."""
    temperature: float = 0.3
    """Of the softmax over similarities: the lower, the more the most similar one counts."""

    def __post_init__(self) -> None:
        if not 0 <= self.local_weight <= 1:
            raise ValueError(f"local_weight must be from 0 to 1, got {self.local_weight}")
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, got {self.neighbours}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Each new row as a sum over old ones. Weights of a row are positive and add up to 1."""

    first: Longs
    """Where each row's terms begin: one more than rows."""
    old: npt.NDArray[np.int32]
    """Old id of every term."""
    weight: Floats
    copied: npt.NDArray[np.bool_]
    """Rows that are an old row as it is; all others are sums, or the mean of all where there is no term."""

    def __len__(self) -> int:
        return len(self.first) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Meanings:
    """Embeddings of the old tokens by another model."""

    table: Floats
    usable: Longs
    """Ids that have one."""


def plan_transplant(old: Measured, new: Measured, config: TransplantConfig, embed: Embed | None = None) -> Recipe:
    """The recipe of every id of `new`. Without `embed` there is nothing global, and lengths alone weigh.

    Raises RecipeError where `old` is no byte-level BPE, or where tokens of `new` do not stand for bytes.
    """
    before, after = old.pieces, new.pieces
    if before is None or old.merger is None:
        raise RecipeError(f"vocabulary {old.name} is no byte-level BPE; a transplant starts from one")
    if after is None:
        raise RecipeError(
            f"tokens of vocabulary {new.name} do not stand for bytes; a transplant needs one where they do"
        )
    copied_from = _shared(old, new, before, after)
    decompose = Merger(old.merges, byte_ids(before), whole=True, pieces=before)
    texts = [after[token] for token in range(len(after))]
    for name, token in new.vocabulary.special_tokens.items():
        texts[token] = name.encode()
    missing = np.flatnonzero((copied_from < 0) & np.array([len(text) > 0 for text in texts]))
    parts = [np.zeros((0, 3))]
    parts.append(
        np.stack(
            [np.flatnonzero(copied_from >= 0), copied_from[copied_from >= 0], np.ones((copied_from >= 0).sum())], 1
        )
    )
    meanings = None
    if embed is not None:
        table = embed([_spelt(before[token]) for token in range(len(before))])
        meanings = _Meanings(table=table, usable=np.flatnonzero(table.any(axis=1)))
    step = max(1, min(_ROWS, _SIMILARITIES // max(1, len(before))))
    for start in range(0, len(missing), step):
        rows = missing[start : start + step]
        chosen = [texts[row] for row in rows]
        vectors = embed([_spelt(text) for text in chosen]) if embed else None
        parts.extend(_terms(rows, chosen, decompose, before, meanings, vectors, config))
    terms = np.concatenate(parts)
    terms = terms[np.lexsort((terms[:, 1], terms[:, 0]))]
    counts = np.bincount(terms[:, 0].astype(np.int64), minlength=len(after))
    return Recipe(
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        old=terms[:, 1].astype(np.int32),
        weight=terms[:, 2].astype(np.float32),
        copied=copied_from >= 0,
    )


def _shared(old: Measured, new: Measured, before: Pieces, after: Pieces) -> Longs:
    """For every new id the old id of the same bytes, or of the special token of the same name; -1 for none."""
    numbers = {before[token]: token for token in range(len(before)) if before.lengths[token]}
    found = np.array([numbers.get(after[token], -1) for token in range(len(after))], np.int64)
    for name, token in new.vocabulary.special_tokens.items():
        found[token] = old.vocabulary.special_tokens.get(name, -1)
    return found


def _spelt(piece: bytes) -> str:
    """The text of a token; nothing for a part of a character."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return ""


def _terms(
    rows: Longs,
    texts: Sequence[bytes],
    decompose: Merger,
    before: Pieces,
    meanings: _Meanings | None,
    vectors: Floats | None,
    config: TransplantConfig,
) -> Iterator[npt.NDArray[np.float64]]:
    """Terms (row, old id, weight) of some new tokens: local ones, then global ones."""
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    starts, ids = decompose.encode(offsets, np.frombuffer(b"".join(texts), np.uint8))
    owner = np.repeat(np.arange(len(rows)), np.diff(starts))
    weight = before.lengths[ids].astype(np.float64)
    share = np.ones(len(rows))
    if meanings is not None and vectors is not None:
        is_known = vectors.any(axis=1) & (len(meanings.usable) > 0)
        alike = np.einsum("ij,ij->i", meanings.table[ids], vectors[owner]).astype(np.float64)
        weight *= np.exp((alike - 1) / config.temperature)
        share = np.where(is_known, config.local_weight, 1.0)
        yield _global(rows[is_known], vectors[is_known], meanings, config)
    weight *= share[owner] / np.bincount(owner, weights=weight, minlength=len(rows))[owner]
    yield np.stack([rows[owner], ids, weight], 1)


def _global(rows: Longs, vectors: Floats, meanings: _Meanings, config: TransplantConfig) -> npt.NDArray[np.float64]:
    """The most similar old tokens of each row."""
    count = min(config.neighbours, len(meanings.usable))
    if not len(rows):
        return np.zeros((0, 3))
    order, best = find_best(vectors @ meanings.table.T, meanings.usable, count)
    weight = np.exp((best - best[:, :1]) / config.temperature)
    weight *= (1 - config.local_weight) / weight.sum(axis=1, keepdims=True)
    return np.stack([np.repeat(rows, count), order.ravel(), weight.ravel()], 1)


def _scan_best(alike: Floats, columns: Longs, count: int) -> tuple[Longs, npt.NDArray[np.float64]]:
    order, best = np.empty((len(alike), count), np.int64), np.full((len(alike), count), -np.inf)
    for row in range(len(alike)):
        for number in range(len(columns)):
            column = columns[number]
            value = np.float64(alike[row, column])
            if number >= count and value <= best[row, count - 1]:
                continue
            place = min(number, count - 1)
            while place > 0 and best[row, place - 1] < value:
                order[row, place], best[row, place] = order[row, place - 1], best[row, place - 1]
                place -= 1
            order[row, place], best[row, place] = column, value
    return order, best


find_best = numba.njit(cache=True)(_scan_best)
"""Those of `columns` with the `count` highest numbers of each row, and these numbers, highest first.

Of equal ones the first.
"""


def new_rows(recipe: Recipe, matrix: Matrix) -> Iterator[npt.NDArray[np.generic]]:
    """The new matrix as it is stored, some rows at a time. Raises RecipeError for a matrix with too few rows."""
    if len(matrix.raw) <= int(recipe.old.max(initial=-1)):
        raise RecipeError(
            f"the matrix has {len(matrix.raw)} rows, but the old vocabulary has the id {int(recipe.old.max())}; "
            "is it the tensor of this vocabulary?"
        )
    mean = _mean(matrix)
    for start in range(0, len(recipe), _ROWS):
        end = min(start + _ROWS, len(recipe))
        inside = slice(recipe.first[start], recipe.first[end])
        first = recipe.first[start : end + 1] - recipe.first[start]
        has_terms = np.diff(first) > 0
        made = np.repeat(mean[None], end - start, axis=0)
        terms = matrix.rows(recipe.old[inside].astype(np.int64)) * recipe.weight[inside, None]
        if len(terms):
            made[has_terms] = np.add.reduceat(terms, first[:-1][has_terms], axis=0)
        stored = narrow(made, matrix.dtype)
        copied = np.flatnonzero(recipe.copied[start:end])
        stored[copied] = matrix.raw[recipe.old[inside][first[copied]]]
        yield stored


def _mean(matrix: Matrix) -> Floats:
    """Of all rows, added in order in 64 bits."""
    total = np.zeros(matrix.raw.shape[1])
    for start in range(0, len(matrix.raw), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(matrix.raw)))
        total += matrix.rows(rows).sum(axis=0, dtype=np.float64)
    return (total / max(1, len(matrix.raw))).astype(np.float32)
