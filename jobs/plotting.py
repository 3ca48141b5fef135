"""Plots as PNG in one style, the same bytes for the same numbers. Needs matplotlib, of the extra `report`."""

from io import BytesIO
from typing import TYPE_CHECKING, Any

from pipeline.errors import RecipeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def canvas(height_inches: float) -> "tuple[Figure, Axes]":
    """An empty figure of 8 inches. Raises RecipeError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise RecipeError("plots need matplotlib: pip install 'gristmill[report]', or leave out --to") from error
    figure = Figure(figsize=(8, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def plain(name: str) -> str:
    """A name as it is: `$` would begin a formula, and a path is too long."""
    shown = name if len(name) <= 28 else f"...{name[-25:]}"
    return "".join(c if c.isprintable() else "?" for c in shown).replace("$", r"\$")


def finish(figure: "Figure", axes: "Axes", title: str) -> bytes:
    """The figure as PNG, with its title and, below, its legend."""
    axes.set_title(title.replace("$", r"\$"), fontsize=11, loc="left")
    axes.grid(visible=True, linewidth=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    buffer = BytesIO()
    settings: dict[str, Any] = {"dpi": 120, "metadata": {"Software": None}}
    figure.savefig(buffer, format="png", **settings)
    return buffer.getvalue()
