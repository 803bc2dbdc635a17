"""Pictures of `vision_tables`: which instrument is taken for which, and whether confidences can be believed.

Conventions: `*_figure` functions return PNG files; `draw_*` functions return the matplotlib figures behind them, which
belong to no window. The last row and column of a confusion, "none", are drawn apart, because nothing stands there that
could be right.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from av_sep.errors import ParameterError
from pipelines.evaluate.figure_style import INK, LINE, SEQUENCE, SOFT, PageFigure, figure_png, new_figure, style
from pipelines.evaluate.vision_tables import NONE, VisionTables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL_INCHES = 0.4
# From white, because most cells are or should be nearly empty and must not draw the eye.
SHARES = "Blues"
_DARK = 0.55  # share of a row from which a cell is so dark that its number is white


def vision_figures(tables: VisionTables) -> tuple[PageFigure, ...]:
    """All figures that the tables give something for, with titles and captions, in the page's order."""
    reading = "Colour: share of the row."
    figures = [
        PageFigure(
            "Which instrument is taken for which",
            "Films by what plays (rows) and what was detected (columns). Missed and falsely detected instruments of a"
            f" film are paired, in fractions where several could be meant; what is left over is at “none”. {reading}",
            confusion_figure(tables),
        )
    ]
    if len(tables.player_confusion):
        figures.append(
            PageFigure(
                "Which player is taken for which",
                "Players in the pictures looked at, paired with detections by their boxes. “Unlisted”: seen with none"
                f" of these instruments; “none”: not seen (column), nobody there (row). {reading}",
                confusion_figure(tables, "players"),
            )
        )
    figures.append(
        PageFigure(
            "How far confidences can be believed",
            "Above: how often an instrument plays that was seen with such a confidence; on the broken line, confidence"
            " and truth agree. Below: how many instruments of how many films that was, on a logarithmic axis.",
            calibration_figure(tables),
        )
    )
    return tuple(figures)


def confusion_figure(tables: VisionTables, of: str = "labels") -> bytes:
    """PNG of a confusion.

    Args:
        tables: all of them.
        of: "labels" of films, or "players" with known boxes.

    Raises:
        ParameterError: for anything else, and for players where no boxes are known.
    """
    known = {"labels": tables.confusion, "players": tables.player_confusion}
    if of not in known or not len(known[of]):
        raise ParameterError(f"Expected 'labels', or 'players' where boxes are known. Received: {of!r}")
    return figure_png(draw_confusion(known[of]))


def calibration_figure(tables: VisionTables) -> bytes:
    """PNG of the calibration curve with its bins' counts."""
    return figure_png(draw_calibration(tables))


def draw_confusion(confusion: pd.DataFrame) -> "Figure":
    """A map of counts, coloured by their share of the row.

    Args:
        confusion: `VisionTables.confusion` or `player_confusion`.
    """
    columns = [str(name) for name in confusion.columns[1:]]
    rows = confusion["true"].tolist()
    counts = confusion[columns].to_numpy(float)
    shares = _shares(counts)
    shares[rows.index(NONE)] = np.nan
    with style():
        figure = new_figure(2.6 + CELL_INCHES * len(columns), 1.5 + CELL_INCHES * len(rows))
        axes = figure.subplots()
        colours = axes.imshow(shares, cmap=SHARES, vmin=0, vmax=1, aspect="auto", interpolation="none")
        figure.colorbar(colours, ax=axes, label="share of the row", shrink=0.8, pad=0.02)
        _write_counts(axes, counts, shares)
        _name_cells(axes, rows, columns, counts)
    return figure


def _shares(counts: np.ndarray) -> np.ndarray:
    """Each count's share of its row; NaN for nothing at all."""
    sums = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
    return np.divide(counts, sums, out=np.full(counts.shape, np.nan), where=counts > 0)


def _write_counts(axes: "Axes", counts: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count > 0:
            colour = "white" if shares[row, column] >= _DARK else INK
            text = f"{count:.0f}" if count == round(count) else f"{count:.1f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)


def _name_cells(axes: "Axes", rows: list[str], columns: list[str], counts: np.ndarray) -> None:
    sums = [f"{total:.4g}" for total in counts.sum(axis=1)]
    titles = [f"{_title(name)} ({total})" for name, total in zip(rows, sums)]
    axes.set_yticks(range(len(rows)), titles)
    names = [_title(name) for name in columns]
    axes.set_xticks(range(len(columns)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlabel("detected")
    axes.set_ylabel("true (how many)")
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=LINE, linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    num_instruments = len(rows) - 1
    for place in (axes.axhline, axes.axvline):
        place(num_instruments - 0.5, color=INK, linewidth=1.2)


def draw_calibration(tables: VisionTables) -> "Figure":
    """The calibration curve above the number of statements in each bin."""
    bins = tables.calibration[tables.calibration["count"] > 0]
    measures = tables.measures.set_index("measure")["value"]
    with style():
        figure = new_figure(5.2, 5.6)
        curve, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        curve.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
        curve.plot(bins["mean_confidence"], bins["share_true"], "o-", color=SEQUENCE[0], clip_on=False, zorder=5)
        curve.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that plays")
        curve.set_title(
            f"Expected calibration error {measures['expected_calibration_error']:.3f}\n"
            f"Brier score {measures['brier_score']:.3f}"
        )
        curve.grid()
        _draw_counts(histogram, bins)
    return figure


def _draw_counts(axes: "Axes", bins: pd.DataFrame) -> None:
    widths = bins["high"] - bins["low"]
    bars = axes.bar(bins["low"], bins["count"], widths, align="edge", color=SEQUENCE[0], edgecolor="white")
    axes.bar_label(bars, fontsize=8)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.tick_params(axis="y", which="minor", length=0)
    # Below 1, so that a single statement has a bar, and above the highest bar's number.
    axes.set_ylim(0.5, 4 * max(bins["count"].max(), 1))
    axes.set(xlabel="confidence", ylabel="how many")


def _title(name: str) -> str:
    return name.replace("_", " ")
