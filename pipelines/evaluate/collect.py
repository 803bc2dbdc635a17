"""From finished units to the tables of scores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from pipelines.evaluate.track_work import known_by, told_by
from pipelines.evaluate.units import TrackTask, read_unit

_KEYS = ("track", "system", "labels", "instrument", "num_sources")
_WHOLE_STEM = ("si_sdr", "si_sdr_improvement", "sdr", "sdr_improvement")
SEGMENT_COLUMNS = {
    "v3_segment": (*_KEYS, "start_seconds", "sdr_v3_segment", "sir_v3_segment", "sar_v3_segment"),
    "v4": (*_KEYS, "start_seconds", "sdr_v4", "isr_v4", "sir_v4", "sar_v4"),
}


@dataclass(frozen=True, eq=False)
class ScoreTables:
    """Scores as frames.

    Attributes:
        tracks: one row per track, system, source of labels and stem.
        segments: method ("v3_segment", "v4") -> one row per stem and segment.
        costs: seconds of separating per track, system and source of labels.
        remarks: what is odd about the data, and what was left out and why, one line each.
    """

    tracks: pd.DataFrame
    segments: dict[str, pd.DataFrame]
    costs: pd.DataFrame
    remarks: tuple[str, ...] = ()


@dataclass
class _Rows:
    tracks: list[dict] = field(default_factory=list)
    segments: dict[str, list[dict]] = field(default_factory=dict)
    costs: list[dict] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    left_out: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def collect(tasks: Sequence[TrackTask]) -> ScoreTables:
    """All scores of finished tracks, in their order."""
    rows = _Rows(segments={method: [] for method in tasks[0].config.segment_metrics})
    for task in tasks:
        _collect_track(task, rows)
    reasons = [f"{who} left out {_some(tracks)}: {why}" for (who, why), tracks in rows.left_out.items()]
    return ScoreTables(
        tracks=_frame(rows.tracks, _track_columns(tasks[0].config.segment_metrics)),
        segments={method: _frame(found, SEGMENT_COLUMNS[method]) for method, found in rows.segments.items()},
        costs=_frame(rows.costs, ("track", "system", "labels", "sound_seconds", "seconds", "seconds_per_minute")),
        remarks=(*dict.fromkeys(rows.remarks), *reasons),
    )


def _collect_track(task: TrackTask, rows: _Rows) -> None:
    for unit in task.units:
        told = told_by(task, unit) or ()
        scored = read_unit(task.path(unit), task.key(unit, told, known_by(task, unit, told)))
        assert scored is not None, f"{task.path(unit)} was finished a moment ago"
        if scored.left_out:
            who = f"{unit.spec.info.title} ({unit.labels} labels)"
            rows.left_out.setdefault((who, scored.left_out), []).append(task.track.name)
            continue
        rows.tracks += scored.tracks
        for method, found in scored.segments.items():
            rows.segments[method] += found
        cost = {"track": task.track.name, "system": unit.spec.info.name, "labels": unit.labels}
        per_minute = 60 * scored.seconds / scored.sound_seconds
        times = {"sound_seconds": scored.sound_seconds, "seconds": scored.seconds, "seconds_per_minute": per_minute}
        rows.costs.append({**cost, **times})
        rows.remarks += [f"{task.track.name}: {remark}" for remark in (*task.track.remarks, *scored.remarks)]


def _track_columns(methods: Sequence[str]) -> tuple[str, ...]:
    medians = [name for method in methods for name in SEGMENT_COLUMNS[method] if name.endswith(method)]
    return (*_KEYS, "status", *_WHOLE_STEM, *medians, "leakage_db")


def _frame(rows: Iterable[dict], columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=list(columns))
    return frame.astype({name: float for name in columns if name not in (*_KEYS, "status")}) if len(frame) else frame


def _some(tracks: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(tracks) - most} more" if len(tracks) > most else ""
    return f"{', '.join(tracks[:most])}{rest}"
