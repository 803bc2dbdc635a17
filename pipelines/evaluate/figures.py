"""The figures of an evaluation, one row per system everywhere, so that the eye finds a system at the same height.

Conventions: functions return matplotlib figures that belong to no window, built under `figure_style.style()`. Each
system is drawn with the labels that stand for it (`tables.main_labels`): the true ones where it was given them. What
cannot be drawn (NaN) is left out; infinities keep their rank in medians and quartiles and are drawn at the axis' end.

Reference: violins of segment-wise scores per system are the form in which the conditioned Wave-U-Net was published: O.
Slizovskaia, L. Kim, G. Haro, E. Gomez, "End-to-end sound source separation conditioned on instrument labels", ICASSP
2019.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipelines.evaluate.figure_style import (
    GAINS,
    INK,
    KIND_STYLES,
    SEQUENCE,
    SOFT,
    PageFigure,
    figure_png,
    message,
    name_rows,
    new_figure,
    style,
)
from pipelines.evaluate.tables import (
    IMPROVEMENT,
    LABELS,
    METRICS,
    SystemInfo,
    complete_systems,
    in_order,
    main_labels,
    number_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEGMENT_METRICS = ("sdr_v3_segment", "sir_v3_segment", "sar_v3_segment")
# What an axis shows of all scores: a few wild segments must not press the rest into a line.
SHOWN_QUANTILES = (0.005, 0.995)
SHOWN_QUARTILE_RANGES = 2.5
# A system whose median lies beyond has no place on an axis with others: the mixture's SAR is that of an exact sum.
MAX_MEDIAN_DB = 60.0
AXIS_STEP_DB = 5
DENSITY_BINS = 240
# Fewer scores than this have no shape; they are drawn one by one.
MIN_VIOLIN = 8
ROW_INCHES = 0.3
_HUGE = 1e9
MAX_PANELS_ABREAST = 4
# Colour and marker of a source of labels.
LABEL_LOOKS = dict(zip(LABELS, zip((SEQUENCE[0], SEQUENCE[4], SEQUENCE[2], SEQUENCE[1]), "osvD")))

VIOLINS_CAPTION = (
    "BSS Eval version 3 of each segment in which the instrument plays. Width: how many segments score so; bar: the"
    " middle half; dot: the median. Far outliers lie beyond the axes; medians and quartiles count them."
    " A number at an edge is a median beyond it."
)
NUM_SOURCES_CAPTION = (
    "Median SI-SDR improvement over the stems of all tracks with so many instruments; lines: 95 % bootstrap interval"
    " over tracks, none for a single track. The line at zero is the mixture."
)
INSTRUMENTS_CAPTION = (
    "Median SI-SDR improvement in dB; in brackets the number of tracks in which the instrument was scored."
)
LABELS_CAPTION = (
    "Median SI-SDR improvement with 95 % bootstrap interval over tracks, for systems that were given labels from more"
    " than one source. A missed stem counts as 0 dB."
)


def evaluation_figures(
    summary: pd.DataFrame, segments_v3: pd.DataFrame | None = None, systems: Sequence[SystemInfo] = ()
) -> tuple[PageFigure, ...]:
    """All figures that the scores give something for, with titles and captions, in the page's order.

    Args:
        summary: as `tables.summarize` returns it.
        segments_v3: scores of segments; no violins without.
        systems: order and titles; systems that are not listed follow.
    """
    figures = []
    if segments_v3 is not None and len(segments_v3):
        violins = figure_png(segment_violins(segments_v3, systems))
        figures.append(PageFigure("Scores of segments", VIOLINS_CAPTION, violins))
    drawn = summary[(summary["metric"] == IMPROVEMENT) & summary["median"].notna()]
    if (drawn["group"] == "num_sources").any():
        picture = figure_png(by_num_sources(summary, systems))
        figures.append(PageFigure("By number of sources", NUM_SOURCES_CAPTION, picture))
    if (drawn["group"] == "instrument").any():
        picture = figure_png(by_instrument(summary, systems))
        figures.append(PageFigure("By instrument", INSTRUMENTS_CAPTION, picture))
    if len(_with_choice(drawn[drawn["group"] == "all"])):
        figures.append(PageFigure("By source of labels", LABELS_CAPTION, figure_png(by_labels(summary, systems))))
    return tuple(figures)


def segment_violins(
    segments: pd.DataFrame, systems: Sequence[SystemInfo] = (), metrics: Sequence[str] = SEGMENT_METRICS
) -> "Figure":
    """Distributions of the scores of segments: a panel per metric, a violin per system.

    Args:
        segments: one row per segment, with `system`, `labels` and the metrics.
        systems: order and titles of the rows.
        metrics: columns, one per panel; without any finite score a panel says so.
    """
    rows = complete_systems(segments, systems)
    labels = main_labels(segments)
    with style():
        figure = new_figure(10.5, 1.3 + 1.3 * ROW_INCHES * max(len(rows), 2))
        if not rows:
            return message(figure, "No segment was scored.")
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, metrics):
            scores = {name: _segment_scores(segments, name, labels[name], metric) for name in labels}
            _draw_violins(axes, rows, scores, metric)
        _kinds_legend(figure, rows)
    return figure


def _segment_scores(segments: pd.DataFrame, system: str, labels: str, metric: str) -> np.ndarray:
    if metric not in segments:
        return np.zeros(0)
    own = (segments["system"] == system) & (segments["labels"] == labels)
    return segments.loc[own, metric].dropna().to_numpy(float)


def _draw_violins(axes: "Axes", rows: list[SystemInfo], scores: dict[str, np.ndarray], metric: str) -> None:
    limits = _violin_limits(list(scores.values()))
    axes.set_xlim(limits)
    name_rows(axes, [row.title for row in rows])
    axes.set_title(METRICS[metric].title)
    axes.set_xlabel(METRICS[metric].unit)
    for height, row in enumerate(rows):
        values, look = scores[row.name], KIND_STYLES[row.kind]
        if len(values) == 0:
            axes.text(sum(limits) / 2, height, "none scored", ha="center", va="center", color=SOFT, fontsize=8)
        elif len(values) < MIN_VIOLIN:
            places = np.clip(values, *limits)
            axes.plot(places, np.full(len(values), height), look.marker, color=look.edge, mfc=look.face, clip_on=False)
        else:
            _draw_violin(axes, values, height, row.kind, limits)


def _draw_violin(axes: "Axes", values: np.ndarray, height: int, kind: str, limits: tuple[float, float]) -> None:
    look = KIND_STYLES[kind]
    points, density = _density(values, *limits)
    if density.max() > 0:
        width = 0.42 * density / density.max()
        axes.fill_between(
            points, height - width, height + width, where=list(width > 0.003), facecolor=look.face, edgecolor=look.edge,
            hatch=look.hatch, linestyle=look.outline, linewidth=0.9,
        )  # fmt: skip
    quartiles = _quartiles(values)
    lower, median, upper = np.clip(quartiles, *limits)
    axes.plot([lower, upper], [height, height], color=INK, linewidth=3.2, solid_capstyle="butt")
    if median == quartiles[1]:
        axes.plot([median], [height], "o", color=INK, markerfacecolor="white", markersize=5, clip_on=False, zorder=5)
    else:
        _say_beyond(axes, quartiles[1], height, limits)


def _quartiles(values: np.ndarray) -> np.ndarray:
    # Infinities as huge numbers, because the middle between minus infinity and a number would be NaN.
    quartiles = np.quantile(np.clip(values, -_HUGE, _HUGE), (0.25, 0.5, 0.75))
    return np.where(np.abs(quartiles) < _HUGE / 10, quartiles, np.copysign(np.inf, quartiles))


def _say_beyond(axes: "Axes", median: float, height: float, limits: tuple[float, float]) -> None:
    """Writes a median that lies beyond the axis at the end where it would be."""
    number = f"median {median:.0f} dB" if math.isfinite(median) else f"median {number_text(median)}"
    low, high = limits
    place, align, text = (high, "right", f"{number} →") if median > high else (low, "left", f"← {number}")
    axes.text(place, height, text, ha=align, va="center", color=INK, fontsize=8)


def _density(values: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """A smooth histogram of what lies within the limits: a Gaussian kernel of Silverman's width, at bins' centres."""
    from scipy.ndimage import gaussian_filter1d

    inside = values[(values >= low) & (values <= high)]
    counts, edges = np.histogram(inside, DENSITY_BINS, (low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    if not len(inside):
        return centres, counts.astype(float)
    quarter, three_quarters = np.quantile(inside, (0.25, 0.75))
    spread = min(inside.std(), (three_quarters - quarter) / 1.34) or inside.std()
    width_bins = 0.9 * spread * len(inside) ** -0.2 / (edges[1] - edges[0])
    return centres, gaussian_filter1d(counts.astype(float), max(width_bins, 1.0), mode="constant")


def _violin_limits(scores: list[np.ndarray]) -> tuple[float, float]:
    """Round limits that hold all but the outermost scores; some room where there are none, or all are one."""
    finite = [values[np.isfinite(values)] for values in scores]
    finite = [values for values in finite if len(values) and abs(np.median(values)) <= MAX_MEDIAN_DB] or [np.zeros(1)]
    low, high = np.quantile(np.concatenate(finite), SHOWN_QUANTILES)
    quartiles = np.clip([_quartiles(values) for values in finite], low, high)
    reach = SHOWN_QUARTILE_RANGES * (quartiles[:, 2] - quartiles[:, 0])
    low, high = max(low, (quartiles[:, 0] - reach).min()), min(high, (quartiles[:, 2] + reach).max())
    start = AXIS_STEP_DB * math.floor((low - 0.5) / AXIS_STEP_DB)
    return start, max(AXIS_STEP_DB * math.ceil((high + 0.5) / AXIS_STEP_DB), start + 2 * AXIS_STEP_DB)


def _kinds_legend(figure: "Figure", rows: list[SystemInfo]) -> None:
    from matplotlib.patches import Patch

    looks = [look for kind, look in KIND_STYLES.items() if any(row.kind == kind for row in rows)]
    patches = [
        Patch(facecolor=look.face, edgecolor=look.edge, hatch=look.hatch, linestyle=look.outline, label=look.title)
        for look in looks
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches))


def by_num_sources(summary: pd.DataFrame, systems: Sequence[SystemInfo] = (), metric: str = IMPROVEMENT) -> "Figure":
    """Medians with intervals: a panel per number of sources, a row per system."""
    shown = _main_rows(summary, metric, "num_sources")
    rows = complete_systems(shown, systems)
    panels = sorted(shown["value"].unique(), key=float)
    num_columns = min(max(len(panels), 1), MAX_PANELS_ABREAST)
    num_lines = max(math.ceil(len(panels) / num_columns), 1)
    with style():
        figure = new_figure(2.7 + 2.1 * num_columns, 0.4 + num_lines * (0.8 + ROW_INCHES * max(len(rows), 2)))
        if not panels:
            return message(figure, "No stem was scored.")
        grid = figure.subplots(num_lines, num_columns, sharex=True, sharey=True, squeeze=False).flatten()
        limits = _interval_limits(shown)
        for axes, panel in zip(grid, panels):
            own = shown[shown["value"] == panel]
            _draw_medians(axes, rows, own, limits)
            num_tracks = int(own["num_tracks"].max())
            axes.set_title(f"{panel} source{'s' * (panel != '1')} ({num_tracks} track{'s' * (num_tracks != 1)})")
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[max(len(panels) - num_columns, 0) : len(panels)]:
            axes.set_xlabel(f"{METRICS[metric].title} ({METRICS[metric].unit})", fontsize=8)
            axes.tick_params(labelbottom=True)
        _kinds_legend(figure, rows)
    return figure


def _main_rows(summary: pd.DataFrame, metric: str, group: str) -> pd.DataFrame:
    """The rows of a summary that stand for their system, without those whose median is undefined."""
    labels = summary["system"].map(main_labels(summary))
    shown = (summary["metric"] == metric) & (summary["group"] == group) & summary["median"].notna()
    return summary[shown & (summary["labels"] == labels)]


def _interval_limits(shown: pd.DataFrame) -> tuple[float, float]:
    values = shown[["median", "low", "high"]].to_numpy(float)
    finite = np.append(values[np.isfinite(values)], 0.0)
    room = max(0.06 * np.ptp(finite), 0.5)
    return finite.min() - room, finite.max() + room


def _draw_medians(axes: "Axes", rows: list[SystemInfo], own: pd.DataFrame, limits: tuple[float, float]) -> None:
    axes.set_xlim(limits)
    name_rows(axes, [row.title for row in rows])
    axes.axvline(0, color=SOFT, linewidth=0.8)
    heights = {row.name: height for height, row in enumerate(rows)}
    kinds = {row.name: KIND_STYLES[row.kind] for row in rows}
    for score in own.to_dict("records"):
        look = kinds[score["system"]]
        _draw_interval(axes, score, heights[score["system"]], limits, (look.edge, look.face, look.marker))


def _draw_interval(
    axes: "Axes", score: dict, height: float, limits: tuple[float, float], look: tuple[str, str, str]
) -> None:
    """A median and its interval, in the look (edge, face, marker); what is infinite ends at the limits."""
    edge, face, marker = look
    low, median, high = np.clip([score["low"], score["median"], score["high"]], *limits)
    axes.plot([low, high], [height, height], color=edge, linewidth=1.6)
    if math.isfinite(score["median"]):
        axes.plot([median], [height], marker, color=edge, markerfacecolor=face, markersize=6, clip_on=False, zorder=5)
    else:
        _say_beyond(axes, score["median"], height, limits)


def by_instrument(summary: pd.DataFrame, systems: Sequence[SystemInfo] = (), metric: str = IMPROVEMENT) -> "Figure":
    """Medians as a map: a row per system, a column per instrument; gains and losses in two colours, zero white."""
    shown = _main_rows(summary, metric, "instrument")
    rows, instruments = complete_systems(shown, systems), in_order(shown["value"])
    num_tracks = shown.groupby("value")["num_tracks"].max()
    with style():
        figure = new_figure(3.6 + 0.62 * max(len(instruments), 3), 1.4 + ROW_INCHES * max(len(rows), 2))
        if not rows:
            return message(figure, "No stem was scored.")
        axes = figure.subplots()
        medians = shown.pivot(index="system", columns="value", values="median")
        medians = medians.reindex(index=[row.name for row in rows], columns=instruments)
        _draw_map(figure, axes, medians.to_numpy(float), f"{METRICS[metric].title} ({METRICS[metric].unit})")
        name_rows(axes, [row.title for row in rows])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        titles = [f"{name.replace('_', ' ')} ({num_tracks[name]})" for name in instruments]
        axes.set_xticks(range(len(instruments)), titles, rotation=38, ha="right", rotation_mode="anchor")
        axes.tick_params(axis="x", length=0)
    return figure


def _draw_map(figure: "Figure", axes: "Axes", medians: np.ndarray, title: str) -> None:
    """Fills the axes with medians `[num_systems, num_instruments]`, the number in each cell."""
    finite = medians[np.isfinite(medians)]
    largest = max(np.abs(finite).max(initial=0.0), 1.0)
    limits = {"vmin": -largest, "vmax": largest}
    image = axes.imshow(np.clip(medians, -largest, largest), cmap=GAINS, aspect="auto", interpolation="none", **limits)
    figure.colorbar(image, ax=axes, label=title, shrink=0.9, pad=0.02)
    for (row, column), value in np.ndenumerate(medians):
        if not math.isnan(value):
            colour = "white" if abs(value) > 0.62 * largest else INK
            text = f"{value + 0.0:.1f}" if math.isfinite(value) else number_text(value)
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)


def by_labels(summary: pd.DataFrame, systems: Sequence[SystemInfo] = (), metric: str = IMPROVEMENT) -> "Figure":
    """Medians with intervals of the systems that had labels from more than one source, one beneath the other."""
    scored = (summary["metric"] == metric) & (summary["group"] == "all") & summary["median"].notna()
    shown = _with_choice(summary[scored])
    rows = complete_systems(shown, systems)
    sources = [labels for labels in LABELS if (shown["labels"] == labels).any()]
    with style():
        figure = new_figure(8, 1.2 + ROW_INCHES * 1.6 * max(len(rows), 2))
        if not rows:
            return message(figure, "No system was given labels from more than one source.")
        axes = figure.subplots()
        limits = _interval_limits(shown)
        axes.set_xlim(limits)
        name_rows(axes, [row.title for row in rows])
        axes.axvline(0, color=SOFT, linewidth=0.8)
        axes.set_xlabel(f"{METRICS[metric].title} ({METRICS[metric].unit})")
        for score in shown.to_dict("records"):
            height = [row.name for row in rows].index(score["system"])
            shift = 0.22 * (sources.index(score["labels"]) - (len(sources) - 1) / 2)
            colour, marker = LABEL_LOOKS[score["labels"]]
            _draw_interval(axes, score, height + shift, limits, (colour, colour, marker))
        _labels_legend(figure, sources)
    return figure


def _with_choice(rows: pd.DataFrame) -> pd.DataFrame:
    """Those rows whose system was given labels from more than one source."""
    return rows[rows["labels"].isin(LABELS) & (rows.groupby("system")["labels"].transform("nunique") > 1)]


def _labels_legend(figure: "Figure", sources: list[str]) -> None:
    from matplotlib.lines import Line2D

    looks = {labels: LABEL_LOOKS[labels] for labels in sources}
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.6, label=f"{labels} labels")
        for labels, (colour, marker) in looks.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
