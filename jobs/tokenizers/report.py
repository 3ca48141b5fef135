"""How vocabularies fare on texts of every language: the figures of `tokenizer report`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.tokenizers.formatting import CHANGES, Drift, measure_drift
from jobs.tokenizers.measures import (
    Curve,
    Measured,
    Oddities,
    Size,
    count_ids,
    find_oddities,
    length_histogram,
    mean_length,
    text_sizes,
)
from jobs.tokenizers.sample import Texts

_FORMATTED_BYTES = 200_000
"""Text of a language that is formatted otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VocabularyReport:
    """One vocabulary on the sample. Figures are null where they cannot be had."""

    name: str
    size: int | None
    """Ids that stand for text, and special tokens."""
    languages: dict[str, Size]
    premium: dict[str, float]
    """By language: tokens by tokens of the reference vocabulary on the same texts."""
    parallel_premium: dict[str, float]
    """By language: tokens by tokens of the reference language, on the same sentences."""
    lengths: list[int] | None
    """Bytes of text in tokens of 0, 1, 2 ... bytes."""
    mean_length: float | None
    """Bytes of the token in which a byte of text lies, on average."""
    curve: list[tuple[int, float]] | None
    """(vocabulary size, bytes of a token) with the first merges only, special tokens left out."""
    size_for_premium: dict[str, int | None] | None
    """By language: the smallest size with at most the target premium; null where the whole has a higher one."""
    drift: dict[str, Drift] | None
    """By change of the formatting."""
    oddities: Oddities | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All vocabularies."""

    reference: str
    reference_language: str | None
    target_premium: float
    sample_bytes: dict[str, int]
    """By language."""
    vocabularies: list[VocabularyReport]


def make_report(
    vocabularies: Sequence[Measured],
    texts: Texts,
    *,
    reference: Measured,
    target_premium: float = 1.0,
    parallel: Mapping[str, "pa.Array[Any]"] | None = None,
    reference_language: str | None = None,
) -> Report:
    """Measure every vocabulary on the same texts. `parallel` holds the same sentences in several languages."""
    tokens = {language: len(reference.encode(values)[1]) for language, values in texts.items()}
    sizes = {language: text_sizes(values) for language, values in texts.items()}
    return Report(
        reference=reference.name,
        reference_language=reference_language,
        target_premium=target_premium,
        sample_bytes={language: size for language, (size, _) in sizes.items()},
        vocabularies=[
            _measure(measured, texts, sizes, tokens, target_premium, parallel or {}, reference_language)
            for measured in vocabularies
        ],
    )


def _measure(
    measured: Measured,
    texts: Texts,
    sizes: Mapping[str, tuple[int, int]],
    reference_tokens: Mapping[str, int],
    target: float,
    parallel: Mapping[str, "pa.Array[Any]"],
    reference_language: str | None,
) -> VocabularyReport:
    counts, languages = np.zeros(0, np.int64), {}
    for language, values in texts.items():
        ids = measured.encode(values)[1]
        found = count_ids(ids, len(counts))
        found[: len(counts)] += counts
        counts = found
        languages[language] = Size(bytes=sizes[language][0], words=sizes[language][1], tokens=len(ids))
    lengths = length_histogram(counts, measured.pieces) if measured.pieces else None
    curve, fitting = _fit(measured, texts, reference_tokens, target)
    return VocabularyReport(
        name=measured.name,
        size=measured.size,
        languages=languages,
        premium={name: size.tokens / reference_tokens[name] for name, size in languages.items()},
        parallel_premium=_parallel(measured, parallel, reference_language),
        lengths=lengths,
        mean_length=mean_length(lengths) if lengths else None,
        curve=curve,
        size_for_premium=fitting,
        drift=_drift(measured, texts),
        oddities=find_oddities(measured, counts),
    )


def _fit(
    measured: Measured, texts: Texts, reference_tokens: Mapping[str, int], target: float
) -> tuple[list[tuple[int, float]] | None, dict[str, int | None] | None]:
    """Bytes of a token by vocabulary size over all texts, and the size that each language needs for the target."""
    if measured.merger is None or not measured.split:
        return None, None
    tokens: dict[int, int] = {}
    fitting: dict[str, int | None] = {}
    total = 0
    for language, values in texts.items():
        curve = Curve(measured, values)
        fitting[language] = curve.size_for(target * reference_tokens[language])
        for size, count in curve.points():
            tokens[size] = tokens.get(size, 0) + count
        total += text_sizes(values)[0]
    return [(size, total / count) for size, count in tokens.items()], fitting


def _parallel(measured: Measured, parallel: Mapping[str, "pa.Array[Any]"], reference: str | None) -> dict[str, float]:
    tokens = {language: len(measured.encode(values)[1]) for language, values in parallel.items()}
    return {language: count / tokens[reference] for language, count in tokens.items()} if reference else {}


def _drift(measured: Measured, texts: Texts) -> dict[str, Drift] | None:
    """Over the first texts of every language."""
    parts = []
    for values in texts.values():
        lengths = np.cumsum(pc.binary_length(values).to_numpy(), dtype=np.int64)
        parts.append(values.slice(0, max(1, int(np.searchsorted(lengths, _FORMATTED_BYTES, side="right")))))
    joined = pa.concat_arrays(parts)
    found = {name: measure_drift(measured, joined, change) for name, change in CHANGES.items()}
    known = {name: drift for name, drift in found.items() if drift is not None}
    return known if len(known) == len(found) else None


def as_json_value(report: Report) -> dict[str, Any]:
    """The report with the ratios that follow from its counts."""
    value = asdict(report)
    for entry, one in zip(value["vocabularies"], report.vocabularies, strict=True):
        for language, size in one.languages.items():
            entry["languages"][language] |= {"bytes_per_token": size.bytes_per_token, "fertility": size.fertility}
        for name, drift in (one.drift or {}).items():
            entry["drift"][name] |= {"ratio": drift.ratio, "changed_share": drift.changed_share}
    return value
