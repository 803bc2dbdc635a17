"""The page of an evaluation: one file that holds its tables, pictures and sounds, and asks nothing of any network.

Conventions: a table shows one metric per column, "median [interval]" as `tables.summarize` computed them, never
computed again; systems stand in one order everywhere. Whatever was not scored is left out of the page.
"""

import base64
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from av_sep import __version__
from av_sep.media import replace_when_complete
from pipelines.evaluate.figure_style import DPI, PageFigure
from pipelines.evaluate.tables import (
    METRICS,
    MIXTURE,
    SystemInfo,
    complete_systems,
    in_order,
    labels_rank,
    main_labels,
    number_text,
    stem_counts,
)

WIENER = "wiener"
TEMPLATES = Path(__file__).parents[1] / "templates"
SHOWN_DPI = 110
HEADLINE_METRICS = (
    "si_sdr_improvement",
    "sdr_v4",
    "sdr_v4_gain",
    "sir_v4",
    "sar_v4",
    "sdr_v3_segment",
    "leakage_db",
    "seconds_per_minute",
)
FURTHER_METRICS = tuple(metric for metric in METRICS if metric not in HEADLINE_METRICS)
GROUPED_METRICS = ("si_sdr_improvement", "sdr_v4")
# Metrics of which the best is printed bold: those where higher is better and a floor cannot win by doing nothing.
_CONTESTED = frozenset(METRICS) - {"leakage_db", "seconds_per_minute", "sar_v4", "sar_v3_segment"}
LABELS_MEANING = {
    "true": "what really plays",
    "detected": "what was seen in the pictures, or seen and heard",
    "all": "every instrument may play",
    "none": "the system takes no labels",
    "unknown": "made elsewhere",
}


@dataclass(frozen=True)
class AudioExample:
    """Sounds to compare by ear.

    Attributes:
        title: what stands above, e.g. "best: violin".
        caption: which track, which scores.
        sounds: (label, MIME type, content of the file) per player, in order.
    """

    title: str
    caption: str
    sounds: Sequence[tuple[str, str, bytes]]


@dataclass(frozen=True, eq=False)
class PageTable:
    """A table of anything, shown as it is; its index is not."""

    title: str
    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True, eq=False)
class VisionSection:
    """How well the vision stage saw: a sentence, tables, figures."""

    introduction: str = ""
    tables: Sequence[PageTable] = ()
    figures: Sequence[PageFigure] = ()


@dataclass(frozen=True, eq=False)
class PageContent:
    """All that a page may show; everything with a default may be missing.

    Attributes:
        title: headline of the page.
        tracks: scores of stems, for the counts; see `tables`.
        summary: `tables.summarize` of them.
        label_cost: `tables.label_cost` of them.
        systems: order, titles and descriptions; systems that are not listed follow as models.
        facts: what was evaluated, name -> value: dataset, split, side, tracks, seconds, sample rate, models, labels ...
        figures: `figures.evaluation_figures`.
        vision: how well the vision stage saw.
        examples: sounds.
        remarks: what to know when reading: tracks and systems left out, and why.
        settings: how it was made, whatever JSON can hold.
    """

    title: str
    tracks: pd.DataFrame
    summary: pd.DataFrame
    label_cost: pd.DataFrame | None = None
    systems: Sequence[SystemInfo] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    figures: Sequence[PageFigure] = ()
    vision: VisionSection | None = None
    examples: Sequence[AudioExample] = ()
    remarks: Sequence[str] = ()
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Column:
    title: str
    meaning: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class _Cell:
    text: str
    interval: str = ""
    details: str = ""
    best: bool = False
    is_number: bool = True


@dataclass(frozen=True)
class _Row:
    kind: str
    system: SystemInfo | None
    cells: list[_Cell]


@dataclass(frozen=True)
class _Table:
    title: str
    caption: str
    columns: list[_Column]
    rows: list[_Row]


def write_page(path: Path, content: PageContent) -> None:
    """Writes the page; the same content gives the same bytes.

    Raises:
        MediaError: where it cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    tables = [*_headline_tables(content), *_grouped_tables(content)]
    environment.filters.update(base64=lambda data: base64.b64encode(data).decode(), shown_size=_shown_size)
    html = environment.get_template("evaluation.html.j2").render(
        content=content,
        version=__version__,
        tables=tables,
        has_best=any(cell.best for table in tables for row in table.rows for cell in row.cells),
        label_tables=[*_label_tables(content), *_cost_tables(content)],
        vision_tables=[_plain_table(table) for table in content.vision.tables] if content.vision else [],
        systems=[system for system in complete_systems(content.tracks, content.systems) if system.description],
        metrics={name: metric for name, metric in METRICS.items() if (content.summary["metric"] == name).any()},
        labels={name: meaning for name, meaning in LABELS_MEANING.items() if (content.tracks["labels"] == name).any()},
        unscored=_unscored(content),
        settings=_settings_text(content.settings),
    )
    with replace_when_complete(path) as temporary:
        temporary.write_text(html, encoding="utf-8", errors="replace", newline="\n")


def _shown_size(png: bytes) -> tuple[int, ...]:
    """Width and height in CSS pixels, so that letters are alike in all figures and the page does not jump."""
    # The header chunk comes first: its length, its name, then width and height in pixels.
    return tuple(round(pixels * SHOWN_DPI / DPI) for pixels in struct.unpack(">II", png[16:24]))


def _settings_text(settings: Mapping[str, Any] | None) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False, default=str) if settings else ""


def _unscored(content: PageContent) -> list[str]:
    """What a reader needs beside any score and will not find here."""
    scored = set(content.tracks["system"])
    kinds = {system.kind for system in complete_systems(content.tracks, content.systems)}
    names = {MIXTURE: "the mixture", WIENER: "static Wiener filters"}
    missing = [title for name, title in names.items() if name not in scored]
    return missing + ["oracles"] * ("oracle" not in kinds)


def _headline_tables(content: PageContent) -> list[_Table]:
    """The two tables over all stems: what matters most, and every other metric."""
    everything = content.summary[content.summary["group"] == "all"]
    titles = {
        "Main metrics": (HEADLINE_METRICS, "Median over all stems, with its 95 % bootstrap interval over tracks."),
        "Further metrics": (FURTHER_METRICS, "Of the same stems."),
    }
    tables = []
    for title, (metrics, caption) in titles.items():
        shown = [metric for metric in metrics if (everything["metric"] == metric).any()]
        if shown:
            counted = metrics is HEADLINE_METRICS
            rows = _system_rows(content, everything.assign(column=everything["metric"]), shown, counted)
            columns = [_Column("Labels"), *map(_metric_column, shown), *(_COUNT_COLUMNS if counted else ())]
            tables.append(_Table(title, caption, columns, rows))
    return tables


_COUNT_COLUMNS = (
    _Column("Tracks"),
    _Column("Stems", "Stems of instruments that play, the missed ones with them."),
    _Column("Missed", "Instruments that play but whose label was off: their stems are silent."),
    _Column("Leaks", "Stems given to instruments that do not play."),
)


def _metric_column(metric: str) -> _Column:
    about = METRICS[metric]
    return _Column(f"{about.title}, {about.unit}", about.meaning, f"metric-{metric}")


def _system_rows(
    content: PageContent, summary: pd.DataFrame, columns: Sequence[str], counted: bool = False
) -> list[_Row]:
    """A row per system and source of labels; `summary` says in `column` which cell each of its rows fills.

    Args:
        content: of the page.
        summary: rows of it, one per cell.
        columns: values of `column`, in order.
        counted: end with the number of tracks, stems, missed stems and leaks.
    """
    scores = {(row["system"], row["labels"], row["column"]): row for row in summary.to_dict("records")}
    best = _best(content, summary)
    counts = _counts(content.tracks) if counted else {}
    rows = []
    for system in complete_systems(content.tracks, content.systems):
        own = {labels for name, labels, _ in scores if name == system.name}
        for labels in sorted(own, key=labels_rank):
            cells = [
                _score_cell(scores.get((system.name, labels, column)), best.get(column) == (system.name, labels))
                for column in columns
            ]
            numbers = [_Cell(str(number)) for number in counts.get((system.name, labels), ())]
            rows.append(_Row(system.kind, system, [_labels_cell(labels), *cells, *numbers]))
    return rows


def _labels_cell(labels: str) -> _Cell:
    return _Cell(labels, details=LABELS_MEANING.get(labels, ""), is_number=False)


def _counts(tracks: pd.DataFrame) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    num_tracks = tracks.groupby(["system", "labels"])["track"].nunique()
    return {
        (row["system"], row["labels"]): (
            int(num_tracks[row["system"], row["labels"]]), row["present"] + row["missed"], row["missed"], row["leaks"],
        )
        for row in stem_counts(tracks).to_dict("records")
    }  # fmt: skip


def _best(content: PageContent, summary: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Column -> the (system, labels) with the highest median that no floor or oracle is, each with its main labels."""
    kinds = {system.name: system.kind for system in complete_systems(content.tracks, content.systems)}
    chosen = main_labels(content.tracks)
    contested = summary[summary["metric"].isin(_CONTESTED) & summary["median"].notna()]
    best: dict[str, tuple[str, str]] = {}
    highest: dict[str, float] = {}
    for row in contested.to_dict("records"):
        name, labels, column = row["system"], row["labels"], row["column"]
        competes = kinds[name] in ("classic", "model") and chosen[name] == labels
        if competes and row["median"] > highest.get(column, -math.inf):
            highest[column], best[column] = row["median"], (name, labels)
    return best


def _score_cell(score: Mapping[Any, Any] | None, best: bool = False) -> _Cell:
    if score is None:
        return _Cell("")
    low, high = score["low"], score["high"]
    interval = "" if math.isnan(low) or math.isnan(high) else f"[{number_text(low)}, {number_text(high)}]"
    left_out = f", {score['left_out']} undefined" if score["left_out"] else ""
    details = (
        f"median {number_text(score['median'])}, median absolute deviation {number_text(score['mad'])}, mean"
        f" {number_text(score['mean'])}; {score['count']} scores of {score['num_tracks']} tracks{left_out}"
    )
    return _Cell(number_text(score["median"]), interval, details, best)


def _grouped_tables(content: PageContent) -> list[_Table]:
    """Tables by instrument and by number of sources, one metric each, every system with its main labels."""
    chosen = content.summary["system"].map(main_labels(content.summary))
    summary = content.summary[content.summary["labels"] == chosen]
    groups = {"num_sources": "number of sources", "instrument": "instrument"}
    tables = []
    for group, of in groups.items():
        for metric in GROUPED_METRICS:
            shown = summary[(summary["group"] == group) & (summary["metric"] == metric)]
            values = in_order(shown["value"]) if group == "instrument" else sorted(shown["value"].unique(), key=float)
            if values:
                columns = [_Column("Labels"), *(_Column(_group_title(group, value)) for value in values)]
                rows = _system_rows(content, shown.assign(column=shown["value"]), values)
                tables.append(_Table(f"{METRICS[metric].title} by {of}", _metric_caption(metric), columns, rows))
    return tables


def _group_title(group: str, value: str) -> str:
    return f"{value} source{'s' * (value != '1')}" if group == "num_sources" else value.replace("_", " ")


def _metric_caption(metric: str) -> str:
    return f"{METRICS[metric].meaning} Median in {METRICS[metric].unit} [95 % interval]."


def _label_tables(content: PageContent) -> list[_Table]:
    """Systems that were given labels from more than one source, a column per source, one metric a table."""
    summary = content.summary[content.summary["group"] == "all"]
    tables = []
    for metric in GROUPED_METRICS:
        shown = summary[summary["metric"] == metric]
        shown = shown[shown.groupby("system")["labels"].transform("nunique") > 1]
        sources = sorted(shown["labels"].unique(), key=labels_rank)
        scores = {(row["system"], row["labels"]): row for row in shown.to_dict("records")}
        rows = [
            _Row(system.kind, system, [_score_cell(scores.get((system.name, labels))) for labels in sources])
            for system in (complete_systems(shown, content.systems) if len(shown) else [])
        ]
        if rows:
            columns = [_Column(f"{labels} labels", LABELS_MEANING.get(labels, "")) for labels in sources]
            title = f"{METRICS[metric].title} by source of labels"
            tables.append(_Table(title, _metric_caption(metric), columns, rows))
    return tables


def _cost_tables(content: PageContent) -> list[_Table]:
    cost = content.label_cost
    if cost is None or cost.empty:
        return []
    columns = [
        _Column("Stems", "Stems that were scored with both."),
        _Column("With true labels, dB", "Median SI-SDR improvement of these stems with true labels."),
        _Column("With detected labels, dB", "Median SI-SDR improvement of these stems with detected labels."),
        _Column("Lost, dB", "Median over stems of what is lost, with its 95 % bootstrap interval over tracks."),
        _Column("Lost on average, dB", "Mean over stems of what is lost."),
        _Column("Missed", "Instruments that play but whose label was off; they count as 0 dB of improvement."),
        _Column("Leaks", "Stems given to instruments that do not play; they are counted only."),
    ]
    described = {system.name: system for system in complete_systems(content.tracks, content.systems)}
    rows = []
    for row in sorted(cost.to_dict("records"), key=lambda row: list(described).index(row["system"])):
        texts = [str(row["count"]), number_text(row["median_true"]), number_text(row["median_detected"])]
        counts = [_Cell(number_text(row["mean"])), _Cell(str(row["missed"])), _Cell(str(row["leaks"]))]
        cells = [*map(_Cell, texts), _score_cell(row), *counts]
        rows.append(_Row(described[row["system"]].kind, described[row["system"]], cells))
    caption = (
        "SI-SDR improvement with true labels less that with detected ones, paired by track and instrument. A missed"
        " stem counts as 0 dB: its listener is left with the mixture."
    )
    return [_Table("What detected labels cost", caption, columns, rows)]


def _plain_table(table: PageTable) -> _Table:
    records = table.frame.itertuples(index=False, name=None)
    rows = [_Row("", None, [_plain_cell(value) for value in record]) for record in records]
    return _Table(table.title, table.caption, [_Column(str(name).replace("_", " ")) for name in table.frame], rows)


def _plain_cell(value: object) -> _Cell:
    if isinstance(value, float):
        return _Cell("–" if math.isnan(value) else f"{value + 0.0:.3f}")
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return _Cell("" if value is None else str(value), is_number=is_number)
