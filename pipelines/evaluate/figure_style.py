"""How every figure of an evaluation looks, so that one page reads as one hand.

Conventions: a kind of system keeps its colour, marker and fill in every figure. Colours are Okabe and Ito's
(2008), which people with any colour vision can tell apart, and no difference rests on colour alone: floors are hatched
squares, classics triangles, models filled circles, oracles hollow diamonds with a broken outline.

A figure is built and rendered inside `style()`; it belongs to no window, and nothing global is changed:

    with style():
        figure = new_figure(8, 4)
        axes = figure.subplots()
        ...
    picture = figure_png(figure)
"""

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE = "#1a202c", "#5a6577", "#dfe4ec"
# Okabe and Ito without yellow, too pale on white: for anything that is not a kind of system, in this order.
SEQUENCE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1a202c")
# For amounts from none to much, and for gains beside losses with white at zero; both even for colour-blind eyes.
AMOUNTS, GAINS = "cividis", "RdBu"
DPI = 160
MAX_NAME_LETTERS = 30


@dataclass(frozen=True)
class KindStyle:
    """How one kind of system is drawn.

    Attributes:
        title: what the kind is called in legends.
        face: colour that fills a violin, bar or marker.
        edge: colour of outlines, lines and intervals.
        marker: matplotlib's marker.
        hatch: pattern of filled areas; empty for none.
        outline: line style of outlines.
    """

    title: str
    face: str
    edge: str
    marker: str
    hatch: str
    outline: Literal["-", "--"]


KIND_STYLES = {
    "floor": KindStyle("floor", "#d5d9e0", "#5a6577", "s", "////", "-"),
    "classic": KindStyle("classic", "#f5c45e", "#9a6a00", "^", "", "-"),
    "model": KindStyle("model", "#0072b2", "#00476f", "o", "", "-"),
    "oracle": KindStyle("oracle (knows the answer)", "#ffffff", "#00684f", "D", "", "--"),
}


@dataclass(frozen=True)
class PageFigure:
    """A finished figure with what stands above and below it: `png` is the file, `caption` says how to read it."""

    title: str
    caption: str
    png: bytes


def style() -> "AbstractContextManager[None]":
    """The settings under which a figure is built; matplotlib's own are back afterwards."""
    import matplotlib

    return matplotlib.rc_context(_settings())


def _settings() -> dict[Any, Any]:
    return {
        # Ships with matplotlib, so that pictures do not depend on the machine's fonts.
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": LINE,
        "axes.axisbelow": True,
        "hatch.linewidth": 0.6,
        "legend.frameon": False,
        # A dollar sign in a track's or a model's name is a dollar sign.
        "text.parse_math": False,
    }


def new_figure(width_inches: float, height_inches: float) -> "Figure":
    """An empty figure that belongs to no window and fits its labels by itself; call it inside `style()`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_png(figure: "Figure") -> bytes:
    """The figure as a PNG file on white, 160 pixels per inch; equal figures give equal bytes."""
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; that is no reason to lose the page.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def shortened(name: str) -> str:
    """A name that fits beside an axis: one line, the end replaced by "…" where it is too long."""
    line = " ".join(name.split())
    return line if len(line) <= MAX_NAME_LETTERS else line[: MAX_NAME_LETTERS - 1].rstrip() + "…"


def message(figure: "Figure", text: str) -> "Figure":
    """The figure with nothing but a sentence, for where there is nothing to draw."""
    figure.text(0.5, 0.5, text, ha="center", va="center", color=SOFT)
    return figure


def name_rows(axes: "Axes", names: list[str]) -> None:
    """Lays out an axis with one named row per item, the first on top, and light lines to follow them across."""
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
