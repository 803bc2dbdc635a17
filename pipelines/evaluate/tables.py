"""From scores of single stems to the numbers that are reported: medians, their uncertainty, and what labels cost.

Conventions: a frame of scores, `tracks`, has one row per track, system, source of labels and instrument; each metric
has a column of its own, in dB unless `METRICS` says otherwise, already the median over the track's windows where the
metric has windows. What was summarized is in long form, the metric a key like any other.

Values that are no numbers:
    NaN (undefined: a silent stem has no SDR by BSS Eval) is left out of every statistic and counted as `left_out`.
    Infinities keep their rank, so they count in medians, intervals and deviations like any very bad or very good
        stem. The mean is infinite as soon as one value is: that is what a mean is, and why medians are reported.
    In CSV files NaN is an empty field and infinities are `inf` and `-inf`, which pandas reads back as they were. JSON
        has no such numbers: NaN is `null`, infinities are the strings "inf" and "-inf", which `float()` understands.

References:
    Medians over windows, then tracks: F.-R. Stoeter, A. Liutkus, N. Ito, "The 2018 signal separation evaluation
        campaign", LVA/ICA 2018.
    Percentile bootstrap, drawing clusters: B. Efron, R. Tibshirani, "An introduction to the bootstrap", 1993, chapters
        8 and 13.
"""

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from av_sep.errors import ParameterError
from av_sep.instruments import TAXONOMIES
from av_sep.media import replace_when_complete

KINDS = ("floor", "classic", "model", "oracle")
# Best knowledge of who plays first; also the order in which one source of labels stands for a system.
LABELS = ("true", "all", "none", "detected")
MIXTURE = "mixture"
IMPROVEMENT = "si_sdr_improvement"
KEYS = ("track", "system", "labels", "instrument")
CONFIDENCE = 0.95
DECIMALS = 6


@dataclass(frozen=True)
class SystemInfo:
    """One separation system as tables and figures name it.

    Attributes:
        name: its value in the column `system`.
        kind: "floor" (no separation, or none that learned), "classic", "model" or "oracle" (knows the references).
        title: name for people.
        description: one sentence on what it is.
    """

    name: str
    kind: str
    title: str
    description: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParameterError(f"Expected a kind of system among {', '.join(KINDS)}. Received: {self.kind!r}")


@dataclass(frozen=True)
class Metric:
    """How one column of scores is called and read; higher is better, except for what `unit` calls seconds."""

    title: str
    unit: str
    meaning: str


_V4 = "by BSS Eval version 4 (museval): windows of one second, one distortion filter per track, median over the windows"
_V3 = (
    "by BSS Eval version 3 with 512 taps, on each segment of 0.743 s in which the instrument plays, median over the"
    " segments"
)
_GAIN = "of the stem, less that of the untouched mixture in its place, paired by track and instrument"
METRICS = {
    "si_sdr_improvement": Metric(
        "SI-SDR improvement", "dB", "Scale-invariant SDR of the stem, less that of the mixture in its place."
    ),
    "si_sdr": Metric(
        "SI-SDR",
        "dB",
        "Scale-invariant signal-to-distortion ratio of the whole stem (Le Roux et al. 2019); blind to loudness; minus"
        " infinity for a silent stem.",
    ),
    "sdr_v4": Metric("SDR (v4)", "dB", f"Signal-to-distortion ratio {_V4}."),
    "sdr_v4_gain": Metric("SDR (v4) over mixture", "dB", f"SDR (v4) {_GAIN}."),
    "isr_v4": Metric("ISR (v4)", "dB", f"Image-to-spatial-distortion ratio {_V4}: how true timbre and place stay."),
    "sir_v4": Metric("SIR (v4)", "dB", f"Signal-to-interference ratio {_V4}: how little is heard of the others."),
    "sar_v4": Metric("SAR (v4)", "dB", f"Signal-to-artefacts ratio {_V4}: how little is heard that nobody played."),
    "sdr_v3_segment": Metric("SDR (v3, segments)", "dB", f"Signal-to-distortion ratio {_V3}."),
    "sdr_v3_segment_gain": Metric("SDR (v3, segments) over mixture", "dB", f"SDR (v3, segments) {_GAIN}."),
    "sir_v3_segment": Metric("SIR (v3, segments)", "dB", f"Signal-to-interference ratio {_V3}."),
    "sar_v3_segment": Metric("SAR (v3, segments)", "dB", f"Signal-to-artefacts ratio {_V3}."),
    "sdr": Metric(
        "SDR (plain)", "dB", "Energy of the reference over that of the error, whole stem, no filter; silence has 0 dB."
    ),
    "sdr_improvement": Metric(
        "SDR (plain) improvement", "dB", "Plain SDR of the stem, less that of the mixture in its place."
    ),
    "leakage_db": Metric(
        "Leak below mixture",
        "dB",
        "Of stems given to instruments that do not play: how far below the mixture they lie; infinite for silence.",
    ),
    "seconds_per_minute": Metric(
        "Cost", "s per min", "Seconds of computing per minute of music, of each whole track; lower is better."
    ),
}


def summarize(tracks: pd.DataFrame, *, num_bootstrap: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Statistics of each metric, over all stems, by instrument and by number of sources, in long form.

    The interval is the bootstrap's 95 % for the median, drawing whole tracks with replacement, because the stems of one
    track succeed and fail together. It is an order statistic of the drawn medians, never a value between two of them.
    Tracks are drawn alike for every system and metric with equally many tracks, whatever order the rows come in. With
    a single track it is NaN; with fewer than six or so it is known to be too narrow.

    Args:
        tracks: scores of stems; metrics whose column is missing are not summarized. `sdr_v4_gain` and
            `sdr_v3_segment_gain` are added where the system "mixture" was scored.
        num_bootstrap: number of draws.
        seed: of the draws.

    Returns:
        One row per `group` ("all", "instrument", "num_sources"), `value` (as text), `system`, `labels` and `metric`,
        with `count` (stems; tracks for the cost), `num_tracks`, `left_out` (stems whose value is NaN), `median`, `mad`
        (median absolute deviation from the median, unscaled: times 1.4826 it would estimate a normal law's standard
        deviation), `mean`, `low` and `high`. Sorted.

    Raises:
        ParameterError: for a missing key column, two rows for one stem, or no draws at all.
    """
    if num_bootstrap < 1:
        raise ParameterError(f"Expected at least one bootstrap draw. Received: num_bootstrap={num_bootstrap}")
    tracks = _with_gains(_checked(tracks))
    rows = []
    for group, value, stems in _groups(tracks):
        for (system, labels), own in stems.groupby(["system", "labels"], sort=True):
            key = {"group": group, "value": value, "system": system, "labels": labels}
            for metric in METRICS:
                scores = _scores(own, metric, group)
                if len(scores):
                    rows.append({**key, "metric": metric, **_statistics(scores[metric], scores, num_bootstrap, seed)})
    return pd.DataFrame(rows, columns=["group", "value", "system", "labels", "metric", *_STATISTICS])


_STATISTICS = ("count", "num_tracks", "left_out", "median", "mad", "mean", "low", "high")


def _checked(tracks: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in (*KEYS, "num_sources", "status") if name not in tracks]
    if missing:
        raise ParameterError(f"Scores of stems need the columns {', '.join(missing)}. Received: {list(tracks)}")
    twice = tracks.duplicated(list(KEYS))
    if twice.any():
        stem = ", ".join(str(tracks.loc[twice, key].iloc[0]) for key in KEYS)
        raise ParameterError(f"Expected one row per track, system, labels and instrument. Received: two for {stem}")
    return tracks.sort_values(list(KEYS), ignore_index=True)


def _with_gains(tracks: pd.DataFrame) -> pd.DataFrame:
    floor = tracks[tracks["system"] == MIXTURE].drop_duplicates(["track", "instrument"])
    if floor.empty:
        return tracks
    stem = ["track", "instrument"]
    gains = {}
    for metric in ("sdr_v4", "sdr_v3_segment"):
        if metric in tracks:
            paired = tracks[stem].merge(floor[[*stem, metric]], on=stem, how="left", validate="many_to_one")
            with np.errstate(invalid="ignore"):
                gains[f"{metric}_gain"] = tracks[metric].to_numpy(float) - paired[metric].to_numpy(float)
    return tracks.assign(**gains)


def _groups(tracks: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    yield "all", "all", tracks
    for instrument in in_order(tracks["instrument"]):
        yield "instrument", instrument, tracks[tracks["instrument"] == instrument]
    for num_sources in sorted(tracks["num_sources"].dropna().unique()):
        yield "num_sources", f"{num_sources:g}", tracks[tracks["num_sources"] == num_sources]


def _scores(own: pd.DataFrame, metric: str, group: str) -> pd.DataFrame:
    """The rows that a metric speaks of: stems of those who play, leaks, or one row per track for the cost."""
    if metric not in own:
        return own[:0]
    if metric == "seconds_per_minute":
        return own[:0] if group == "instrument" else own.groupby("track", as_index=False)[[metric]].first()
    is_leak = own["status"] == "leak"
    return own[is_leak] if metric == "leakage_db" else own[~is_leak]


def _statistics(values: pd.Series, stems: pd.DataFrame, num_bootstrap: int, seed: int) -> dict:
    scores, names = values.to_numpy(float), stems["track"].to_numpy(str)
    known = ~np.isnan(scores)
    scores, names = scores[known], names[known]
    median = _median(scores)
    low, high = _interval(scores, names, num_bootstrap, seed)
    with np.errstate(invalid="ignore"):
        return {
            "count": len(scores),
            "num_tracks": len(np.unique(names)),
            "left_out": int(np.sum(~known)),
            "median": median,
            "mad": _median(np.abs(scores - median)) if math.isfinite(median) else math.nan,
            "mean": float(scores.mean()) if len(scores) else math.nan,
            "low": low,
            "high": high,
        }


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else math.nan


def _interval(values: np.ndarray, names: np.ndarray, num_bootstrap: int, seed: int) -> tuple[float, float]:
    """Bootstrap interval of the median of `values` `[num_stems]`, drawing the tracks `names` `[num_stems]`."""
    _, track = np.unique(names, return_inverse=True)
    num_tracks = int(track.max(initial=-1)) + 1
    if num_tracks < 2:
        return math.nan, math.nan
    order = np.argsort(values, kind="stable")
    # Drawing a track twice is counting its stems twice: medians of all draws at once, from running counts.
    reached = np.cumsum(_draws(num_tracks, num_bootstrap, seed)[:, track[order]], axis=1)
    total = reached[:, -1:]
    lower = values[order[np.argmax(reached >= (total + 1) // 2, axis=1)]]
    upper = values[order[np.argmax(reached >= total // 2 + 1, axis=1)]]
    with np.errstate(invalid="ignore"):
        medians = np.sort((lower + upper) / 2)
    tail = max(math.ceil(num_bootstrap * (1 - CONFIDENCE) / 2) - 1, 0)
    return float(medians[tail]), float(medians[num_bootstrap - 1 - tail])


@functools.lru_cache(maxsize=64)
def _draws(num_tracks: int, num_bootstrap: int, seed: int) -> np.ndarray:
    """How often each track is drawn, `[num_bootstrap, num_tracks]`."""
    generator = np.random.default_rng([seed, num_tracks])
    return generator.multinomial(num_tracks, np.full(num_tracks, 1 / num_tracks), size=num_bootstrap)


def label_cost(tracks: pd.DataFrame, *, num_bootstrap: int = 1000, seed: int = 0) -> pd.DataFrame:
    """SI-SDR improvement that is lost when labels are detected instead of true, paired by track and instrument.

    A missed stem counts as an improvement of 0 dB: its listener is left with the mixture. A leak costs others nothing
    here; it is counted. Pairs of which one side was not scored, or is NaN, are left out and counted.

    Returns:
        One row per system that was scored with both: `system`, `median_true` and `median_detected` (improvements over
        the same pairs), `missed`, `leaks`, and the statistics of `summarize` for the loss in dB, higher is worse.

    Raises:
        ParameterError: as `summarize`.
    """
    tracks = _checked(tracks)
    rows = []
    for system, own in tracks.groupby("system", sort=True) if IMPROVEMENT in tracks else ():
        played = own[own["status"] != "leak"].set_index(["track", "instrument"])
        sides = [_improvements(played[played["labels"] == labels], labels) for labels in ("true", "detected")]
        if all(len(side) for side in sides):
            pairs = pd.concat(sides, axis=1).sort_index().reset_index()
            detected = own[own["labels"] == "detected"]["status"].value_counts()
            rows.append(_cost_row(str(system), pairs, detected, num_bootstrap, seed))
    columns = ["system", "median_true", "median_detected", "missed", "leaks", *_STATISTICS]
    return pd.DataFrame(rows, columns=columns)


def _improvements(played: pd.DataFrame, name: str) -> pd.Series:
    return played[IMPROVEMENT].mask(played["status"] == "missed", 0.0).astype(float).rename(name)


def _cost_row(system: str, pairs: pd.DataFrame, statuses: pd.Series, num_bootstrap: int, seed: int) -> dict:
    with np.errstate(invalid="ignore"):
        loss = pairs["true"] - pairs["detected"]
    known = pairs[loss.notna()]
    return {
        "system": system,
        "median_true": _median(known["true"].to_numpy(float)),
        "median_detected": _median(known["detected"].to_numpy(float)),
        "missed": int(statuses.get("missed", 0)),
        "leaks": int(statuses.get("leak", 0)),
        **_statistics(loss, pairs, num_bootstrap, seed),
    }


def stem_counts(tracks: pd.DataFrame) -> pd.DataFrame:
    """How many stems each system and source of labels got right: `system`, `labels`, `present`, `missed`, `leaks`."""
    rows = []
    for (system, labels), own in _checked(tracks).groupby(["system", "labels"], sort=True):
        counts = own["status"].value_counts()
        found = {"present": "present", "missed": "missed", "leaks": "leak"}
        numbers = {column: int(counts.get(status, 0)) for column, status in found.items()}
        rows.append({"system": system, "labels": labels, **numbers})
    return pd.DataFrame(rows, columns=["system", "labels", "present", "missed", "leaks"])


def complete_systems(tracks: pd.DataFrame, systems: Sequence[SystemInfo] = ()) -> list[SystemInfo]:
    """The systems that were scored, in the given order, those that nobody described after them as models by name."""
    scored = set(tracks["system"].astype(str))
    described = [system for system in systems if system.name in scored]
    names = sorted(scored - {system.name for system in described})
    return [*described, *(SystemInfo(name, "model", name) for name in names)]


def main_labels(tracks: pd.DataFrame) -> dict[str, str]:
    """For each system the one source of labels that stands for it beside others: the first of `LABELS` it was given."""
    given = tracks[["system", "labels"]].drop_duplicates()
    return {str(system): min(own["labels"], key=labels_rank) for system, own in given.groupby("system", sort=True)}


def labels_rank(labels: str) -> tuple[int, str]:
    """Sorts sources of labels: the known ones in their order, others after them."""
    return (LABELS.index(labels) if labels in LABELS else len(LABELS), labels)


def in_order(instruments: Sequence[str] | pd.Series) -> list[str]:
    """Distinct instruments in the order of their taxonomy; names that no taxonomy knows follow by alphabet."""
    known = [name for taxonomy in TAXONOMIES.values() for name in taxonomy.names]
    return sorted(set(instruments), key=lambda name: (known.index(name) if name in known else len(known), name))


def headline(
    summary: pd.DataFrame, *metrics: str, systems: Sequence[SystemInfo] = (), group: str = "all", value: str = "all"
) -> pd.DataFrame:
    """A wide table for people: a row per system and source of labels, "median [low, high]" per metric.

    Args:
        summary: as `summarize` returns it.
        metrics: columns in this order; those that nothing was scored with are left out. None for all of them.
        systems: order and titles of the rows; systems that are not listed follow by alphabet.
        group: which rows of the summary; "all", "instrument" or "num_sources".
        value: which instrument or number of sources.

    Returns:
        Columns `system` (title), `labels` and one per metric, called as in `METRICS` with the unit.
    """
    chosen = summary[(summary["group"] == group) & (summary["value"] == value)]
    shown = [metric for metric in metrics or METRICS if (chosen["metric"] == metric).any()]
    values = chosen.set_index(["system", "labels", "metric"])[["median", "low", "high"]]
    cells = {key: cell_text(*row) for key, row in zip(values.index, values.to_numpy(float))}
    pairs = chosen[["system", "labels"]].drop_duplicates()
    rows = []
    for system in complete_systems(chosen, systems):
        for labels in sorted(pairs.loc[pairs["system"] == system.name, "labels"], key=labels_rank):
            scores = [cells.get((system.name, labels, metric), "") for metric in shown]
            rows.append([system.title, labels, *scores])
    titles = [f"{METRICS[metric].title} ({METRICS[metric].unit})" for metric in shown]
    return pd.DataFrame(rows, columns=["system", "labels", *titles])


def cell_text(median: float, low: float = math.nan, high: float = math.nan) -> str:
    """ "5.21 [4.02, 6.10]"; without the interval where there is none; "–" for what is undefined."""
    if math.isnan(low) or math.isnan(high):
        return number_text(median)
    return f"{number_text(median)} [{number_text(low)}, {number_text(high)}]"


def number_text(value: float) -> str:
    """Two decimals, "-inf" and "inf" for infinities, "–" for what is undefined; no minus before zero."""
    return "–" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


TABLE_SUFFIXES = (".csv", ".json")


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Writes each table as `<name>.csv` and, except for scores of segments, which are too many, as `<name>.json`.

    The same scores give the same bytes, whatever order they were made in: tables with a column `track` are sorted
    (others keep their order), and floats are rounded to six decimals. The module's head says how NaN and infinities are
    spelt. JSON is a list of rows.

    Raises:
        MediaError: where the folder cannot be written.
    """
    written = []
    for name, table in tables.items():
        rounded = _rounded(_sorted(table))
        texts = {".csv": rounded.to_csv(index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")}
        if not name.startswith("segments"):
            texts[".json"] = strict_json(rounded)
        for suffix, text in texts.items():
            path = Path(folder) / f"{name}{suffix}"
            with replace_when_complete(path) as temporary:
                temporary.write_text(text, encoding="utf-8", errors="replace", newline="\n")
            written.append(path)
    return written


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    if "track" not in table:
        return table
    return table.sort_values([key for key in (*KEYS, "start_seconds") if key in table], kind="stable")


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    # Adding zero turns "-0.000000" into "0.000000".
    floats = [name for name in table if pd.api.types.is_float_dtype(table[name])]
    return table.assign(**{str(name): table[name].round(DECIMALS) + 0.0 for name in floats})


def strict_json(table: pd.DataFrame) -> str:
    """The rows of a table as JSON that every reader takes: NaN as null, infinities as the strings "inf" and "-inf"."""
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]
    lines = ["  " + json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def _plain(value: object) -> object:
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else None if math.isnan(number) else str(number)
    return value.item() if isinstance(value, np.generic) else value
