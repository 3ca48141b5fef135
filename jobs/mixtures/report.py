"""The report of a mixture search: plots as PNG and one page of HTML."""

import html
from pathlib import Path

from jobs.folders import disk_errors, whole_file
from jobs.mixtures.report_plots import plots
from jobs.mixtures.results import measurements_of, searched_of
from jobs.mixtures.surface import Surface
from jobs.pages import html_images, html_page, html_table
from jobs.plotting import canvas
from schemas.mixture_result import MixtureResult


def check_plots() -> None:
    """Raises RecipeError without matplotlib, before there is anything to draw."""
    canvas(1.0)


def write_report(result: MixtureResult, to: Path) -> None:
    """`report.html` and its plots into a folder. Raises RecipeError without matplotlib, SiteError for the disk."""
    drawn = plots(result, Surface.of(searched_of(result), measurements_of(result)))
    with disk_errors(to):
        to.mkdir(parents=True, exist_ok=True)
    pages = {f"{name}.png": image for name, image in drawn.items()}
    pages["report.html"] = page(result, drawn).encode()
    for name, content in pages.items():
        with whole_file(to / name) as file:
            file.write(content)


def page(result: MixtureResult, images: dict[str, bytes]) -> str:
    """The whole page."""
    found = f"{result.objective:.4f} bits per byte, measured with {len(result.runs)} proxies"
    summary = f"{result.corpus}, {result.target_tokens:,} tokens, method {result.method}: {found}."
    parts = [f"<p>Learned also from {e.runs} runs over {html.escape(e.corpus)}.</p>" for e in result.evidence]
    if result.fell_back:
        parts.append("<p>The chosen mixture measured worse than an anchor; this is the best one measured.</p>")
    parts += [_domains(result), _targets(result), *html_images(images)]
    return html_page("Mixture", summary, parts)


def _domains(result: MixtureResult) -> str:
    rows = [
        [
            domain.name,
            f"{domain.weight:.4f}",
            "-" if domain.deviation is None else f"{domain.deviation:.4f}",
            f"{domain.cap:.4f}",
            f"{domain.tokens:,}",
            f"{domain.planned_tokens:,}",
            f"{domain.epochs:.2f}",
        ]
        for domain in sorted(result.domains, key=lambda d: (-d.weight, d.name))
    ]
    return html_table("Domains", ["domain", "weight", "+-", "cap", "tokens", "planned", "epochs"], rows)


def _targets(result: MixtureResult) -> str:
    rows = [
        [
            target.name,
            f"{target.share:g}",
            "-" if target.predicted is None else f"{target.predicted:.4f}",
            f"{target.measured:.4f}",
        ]
        for target in result.targets
    ]
    rows += [[f"anchor {name}", "-", "-", f"{value:.4f}"] for name, value in sorted(result.anchors.items())]
    return html_table("Bits per byte", ["target", "weight", "predicted", "measured"], rows)
