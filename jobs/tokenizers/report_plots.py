"""The plots of a tokenizer report as PNG. Needs matplotlib, of the extra `report`."""

from collections.abc import Callable, Sequence

from jobs.plotting import canvas, finish, plain
from jobs.tokenizers.formatting import CHANGES
from jobs.tokenizers.report import Report, VocabularyReport

_BAR_INCHES = 0.32
_MIN_INCHES = 3.2
_SHOWN_LANGUAGES = 30
"""Of more languages, those with most text are drawn."""
_SHOWN_LENGTH = 24
"""Longest tokens that the plot of lengths shows by themselves."""


def plots(report: Report) -> dict[str, bytes]:
    """PNG by name of the plot; what no vocabulary has is left out. Raises RecipeError without matplotlib."""
    largest = sorted(report.sample_bytes, key=lambda name: (-report.sample_bytes[name], name))
    languages = sorted(largest[:_SHOWN_LANGUAGES])
    drawn = {
        "bytes-per-token": _bars(report, languages, "bytes per token", _bytes_per_token),
        "premium": _bars(report, languages, f"tokens by tokens of {report.reference}", _premium, line=1.0),
        "parallel-premium": _parallel(report),
        "vocabulary-size": _curves(report),
        "token-length": _lengths(report),
        "formatting": _formatting(report),
    }
    return {name: image for name, image in drawn.items() if image is not None}


def _bytes_per_token(one: VocabularyReport, language: str) -> float | None:
    return one.languages[language].bytes_per_token


def _premium(one: VocabularyReport, language: str) -> float | None:
    return one.premium.get(language)


def _parallel(report: Report) -> bytes | None:
    if not report.reference_language:
        return None
    languages = list(report.vocabularies[0].parallel_premium)[:_SHOWN_LANGUAGES]
    title = f"tokens by tokens in {report.reference_language}, same sentences"
    return _bars(report, languages, title, lambda one, name: one.parallel_premium.get(name), line=1.0)


def _formatting(report: Report) -> bytes | None:
    if not any(one.drift for one in report.vocabularies):
        return None

    def share(one: VocabularyReport, change: str) -> float | None:
        found = one.drift[change].changed_share if one.drift else None
        return None if found is None else 100 * found

    return _bars(report, list(CHANGES), "content tokens changed by formatting, %", share)


def _bars(
    report: Report,
    groups: Sequence[str],
    title: str,
    figure: Callable[[VocabularyReport, str], float | None],
    line: float | None = None,
) -> bytes:
    """Horizontal bars, one of each vocabulary in every group."""
    count = len(report.vocabularies)
    height = max(_MIN_INCHES, 1.2 + _BAR_INCHES * len(groups) * (count * 0.55 + 0.6))
    drawing, axes = canvas(height)
    for number, one in enumerate(report.vocabularies):
        places = [group + (number + 0.5) / count * 0.8 - 0.4 for group in range(len(groups))]
        values = [figure(one, name) or 0.0 for name in groups]
        axes.barh(places, values, height=0.8 / count, label=plain(one.name))
    axes.set_yticks(range(len(groups)), [plain(name) for name in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    if line is not None:
        axes.axvline(line, color="black", linewidth=0.8)
    return finish(drawing, axes, title)


def _curves(report: Report) -> bytes | None:
    with_curve = [one for one in report.vocabularies if one.curve]
    if not with_curve:
        return None
    drawing, axes = canvas(4.0)
    for one in with_curve:
        axes.plot(*zip(*(one.curve or ()), strict=True), marker="o", markersize=3, label=plain(one.name))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
    axes.set_xlabel("vocabulary size with the first merges only")
    return finish(drawing, axes, "bytes per token by vocabulary size")


def _lengths(report: Report) -> bytes | None:
    with_lengths = [one for one in report.vocabularies if one.lengths]
    if not with_lengths:
        return None
    drawing, axes = canvas(4.0)
    for one in with_lengths:
        values, total = one.lengths or [], sum(one.lengths or ()) or 1
        shown = [*values[1:_SHOWN_LENGTH], sum(values[_SHOWN_LENGTH:])]
        axes.step(range(1, len(shown) + 1), [100 * v / total for v in shown], where="mid", label=plain(one.name))
    axes.set_xlabel(f"bytes of the token (the last is of {_SHOWN_LENGTH} and more)")
    return finish(drawing, axes, "% of the text in tokens of a length")
