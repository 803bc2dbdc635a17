"""How well the vision stage did over many films, as tables.

Conventions:
    An instrument is detected where it would get a stem (`InstrumentLabels.instruments`); how sure, its vector says.
    Ratios and averages are those of `vision.metrics`: what is a ratio of nothing is NaN and left out of averages.
    A detector that knows only some of the taxonomy's instruments misses the others.
    Players are compared with their known boxes in the pictures looked at: each picture with the boxes of the annotated
    instant nearest to it, half the time between two pictures away at most and never more than `MAX_APART_SECONDS`,
    since players move; a picture without such an instant is not judged. Of detections, those of whole pictures are left
    out; those of an instrument without a visible player are false unless they overlap a player's box enough, and are no
    players. A detection's confidence is that of its instrument. Known boxes may hold the instrument besides its player,
    as those of made films do; a detector of persons then overlaps little with a trombone's slide, and a detector of
    instruments alone (`hub:`) with anybody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from av_sep.errors import ParameterError
from av_sep.instruments import Taxonomy
from av_sep.types import Detection
from pipelines.evaluate.vision_judgement import KnownBox, VideoJudgement, judge_video, known_boxes
from vision.metrics import (
    BoxedFrame,
    LabelCounts,
    any_of_groups,
    brier_scores,
    confusion_from_boxes,
    confusion_from_labels,
    count_labels,
    exact_match_share,
    expected_calibration_error,
    macro_average,
    mean_of_defined,
    micro_average,
    reliability_curve,
    samples_average,
    score_boxes,
)

__all__ = ["KnownBox", "VideoJudgement", "VisionTables", "judge_video", "known_boxes", "vision_tables"]

NONE = "none"
# A player with none of the taxonomy's instruments. Detections call it "other", which is a stem of its own in MUSDB18.
UNLISTED = "unlisted"
MAX_APART_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class VisionTables:
    """Scores of detection. Tables have plain columns and no index that means anything.

    Attributes:
        by_instrument: per instrument of the taxonomy `instrument, section, support, num_detected, true_positives,
            false_positives, false_negatives, precision, recall, f1, brier_score`; counts are of films.
        by_family: the same per section of `Instrument.section`, which plays or is detected where any of its instruments
            is; no Brier score.
        overall: `average` ("micro", "macro" over instruments, "samples" over films), `precision, recall, f1`.
        measures: `measure, value`: single numbers for all films.
        confusion: of labels, as `vision.metrics.confusion_from_labels` has it: `true` and a column per instrument and
            "none"; the last row is "none". Counts films, in fractions where several could be meant.
        player_confusion: of players paired by their boxes; one more column, "unlisted", for players seen with another
            instrument. Counts players in pictures. Empty where no boxes are known.
        calibration: per bin of confidence `low, high, count, mean_confidence, share_true`.
        average_precision: per instrument `instrument, num_known, num_detected, num_hits, precision, recall,
            average_precision` of players' boxes. Empty where no boxes are known.
    """

    by_instrument: pd.DataFrame
    by_family: pd.DataFrame
    overall: pd.DataFrame
    measures: pd.DataFrame
    confusion: pd.DataFrame
    player_confusion: pd.DataFrame
    calibration: pd.DataFrame
    average_precision: pd.DataFrame

    def named(self) -> dict[str, pd.DataFrame]:
        """The tables by the names of their files, "vision_by_instrument" and so on, empty ones left out."""
        return {f"vision_{name}": table for name, table in vars(self).items() if len(table)}


@dataclass(frozen=True, eq=False)
class _Labels:
    """`[num_videos, num_instruments]`: what is true, what was detected, and how sure."""

    true: np.ndarray
    detected: np.ndarray
    confidences: np.ndarray


def vision_tables(judgements: Sequence[VideoJudgement], taxonomy: Taxonomy) -> VisionTables:
    """Scores of all films together.

    Args:
        judgements: one per film, in any order.
        taxonomy: the dataset's; the detector's must be part of it.

    Raises:
        ParameterError: for no films, two judgements of one, and instruments that are not in the taxonomy.
    """
    judgements = sorted(judgements, key=lambda judgement: judgement.track)
    _require_usable(judgements, taxonomy)
    labels = _gather_labels(judgements, taxonomy)
    counts = count_labels(labels.true, labels.detected)
    frames = [frame for judgement in judgements for frame in _boxed_frames(judgement, taxonomy)]
    players = [player for _, player in frames]
    instruments = [instrument for instrument, _ in frames]
    precision = _average_precision_table(instruments, taxonomy)
    return VisionTables(
        by_instrument=_instrument_table(labels, counts, taxonomy),
        by_family=_family_table(labels, taxonomy),
        overall=_overall_table(labels, counts),
        measures=_measures_table({**_label_measures(labels), **_box_measures(precision, players)}),
        confusion=_confusion_table(confusion_from_labels(labels.true, labels.detected), taxonomy.names, taxonomy.names),
        player_confusion=_player_confusion_table(instruments, taxonomy),
        calibration=_calibration_table(labels),
        average_precision=precision,
    )


def _require_usable(judgements: Sequence[VideoJudgement], taxonomy: Taxonomy) -> None:
    tracks = [judgement.track for judgement in judgements]
    if not tracks or len(set(tracks)) < len(tracks):
        twice = next((track for track in tracks if tracks.count(track) > 1), "none")
        raise ParameterError(f"Expected judgements of one or more films, one for each. Received: {twice}")
    for judgement in judgements:
        named = {*judgement.true, *judgement.labels.taxonomy, *(box.instrument for box in judgement.boxes or ())}
        unknown = sorted(named - set(taxonomy.names))
        if unknown:
            raise ParameterError(
                f"Expected instruments of {taxonomy.name} ({', '.join(taxonomy.names)})."
                f" Received: {', '.join(unknown)} in {judgement.track}"
            )


def _gather_labels(judgements: Sequence[VideoJudgement], taxonomy: Taxonomy) -> _Labels:
    shape = len(judgements), len(taxonomy)
    labels = _Labels(np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape))
    for row, judgement in enumerate(judgements):
        labels.true[row, taxonomy.subset_indices(judgement.true)] = True
        labels.detected[row, taxonomy.subset_indices(judgement.labels.instruments)] = True
        known = [taxonomy.index(name) for name in judgement.labels.taxonomy]
        labels.confidences[row, known] = judgement.labels.label_vector
    return labels


def _instrument_table(labels: _Labels, counts: LabelCounts, taxonomy: Taxonomy) -> pd.DataFrame:
    sections = [instrument.section for instrument in taxonomy.instruments]
    brier_score = brier_scores(labels.true, labels.confidences)
    return pd.DataFrame(
        {"instrument": taxonomy.names, "section": sections, **_count_columns(counts), "brier_score": brier_score}
    )


def _family_table(labels: _Labels, taxonomy: Taxonomy) -> pd.DataFrame:
    groups = list(taxonomy.sections.values())
    counts = count_labels(any_of_groups(labels.true, groups), any_of_groups(labels.detected, groups))
    return pd.DataFrame({"section": list(taxonomy.sections), **_count_columns(counts)})


def _count_columns(counts: LabelCounts) -> dict[str, np.ndarray]:
    return {
        "support": counts.support,
        "num_detected": counts.num_detected,
        "true_positives": counts.true_positives,
        "false_positives": counts.false_positives,
        "false_negatives": counts.false_negatives,
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
    }


def _overall_table(labels: _Labels, counts: LabelCounts) -> pd.DataFrame:
    averages = {
        "micro": micro_average(counts),
        "macro": macro_average(counts),
        "samples": samples_average(labels.true, labels.detected),
    }
    return pd.DataFrame([{"average": name, **ratios._asdict()} for name, ratios in averages.items()])


def _label_measures(labels: _Labels) -> dict[str, float]:
    return {
        "num_videos": len(labels.true),
        "exact_match_share": exact_match_share(labels.true, labels.detected),
        "brier_score": float(brier_scores(labels.true, labels.confidences).mean()),
        "expected_calibration_error": expected_calibration_error(reliability_curve(labels.true, labels.confidences)),
    }


def _box_measures(average_precision: pd.DataFrame, players: Sequence[BoxedFrame]) -> dict[str, float]:
    """Of the boxes; players counting as found whatever they are said to play."""
    if not players:
        return {}
    scores = score_boxes(players, 1)
    num_known, num_detected, num_hits = (
        int(count[0]) for count in (scores.num_known, scores.num_detected, scores.num_hits)
    )
    return {
        "num_frames_with_known_boxes": len(players),
        "mean_average_precision": mean_of_defined(average_precision["average_precision"].to_numpy(float)),
        "player_average_precision": float(scores.average_precision[0]),
        "player_precision": num_hits / num_detected if num_detected else float("nan"),
        "player_recall": num_hits / num_known,
    }


def _measures_table(measures: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame({"measure": list(measures), "value": [float(value) for value in measures.values()]})


def _confusion_table(confusion: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(confusion, columns=[*columns, NONE])
    table.insert(0, "true", [*rows, NONE])
    return table


def _player_confusion_table(frames: Sequence[BoxedFrame], taxonomy: Taxonomy) -> pd.DataFrame:
    confusion = confusion_from_boxes(frames, len(taxonomy), len(taxonomy) + 1)
    table = _confusion_table(confusion, taxonomy.names, (*taxonomy.names, UNLISTED))
    return table if frames else table[:0]


def _calibration_table(labels: _Labels) -> pd.DataFrame:
    curve = reliability_curve(labels.true, labels.confidences)
    return pd.DataFrame(
        {
            "low": curve.bin_edges[:-1],
            "high": curve.bin_edges[1:],
            "count": curve.counts,
            "mean_confidence": curve.mean_confidence,
            "share_true": curve.share_true,
        }
    )


def _average_precision_table(frames: Sequence[BoxedFrame], taxonomy: Taxonomy) -> pd.DataFrame:
    scores = score_boxes(frames, len(taxonomy))
    with np.errstate(invalid="ignore"):
        precision, recall = scores.num_hits / scores.num_detected, scores.num_hits / scores.num_known
    table = pd.DataFrame(
        {
            "instrument": taxonomy.names,
            "num_known": scores.num_known,
            "num_detected": scores.num_detected,
            "num_hits": scores.num_hits,
            "precision": precision,
            "recall": recall,
            "average_precision": scores.average_precision,
        }
    )
    return table if frames else table[:0]


def _boxed_frames(judgement: VideoJudgement, taxonomy: Taxonomy) -> Iterator[tuple[BoxedFrame, BoxedFrame]]:
    """Each picture that has known boxes: by instruments, and with all players alike, as sure as their boxes are."""
    known: dict[float, list[KnownBox]] = {}
    for box in judgement.boxes or ():
        known.setdefault(box.time_seconds, []).append(box)
    seen: dict[int, list[Detection]] = {}
    for detection in judgement.detections:
        if not detection.whole_frame:
            seen.setdefault(round(detection.time_seconds * judgement.frames_per_second), []).append(detection)
    slots = {name: slot for slot, name in enumerate(taxonomy.names)}
    for number, time_seconds in _annotated_frames(judgement, sorted(known)):
        boxes, detections = known[time_seconds], seen.get(number, [])
        people = [detection for detection in detections if detection.player_confidence > 0]
        yield (
            _make_frame(boxes, detections, [d.confidence for d in detections], slots),
            _make_frame(boxes, people, [d.player_confidence for d in people], dict.fromkeys((*slots, UNLISTED), 0)),
        )


def _annotated_frames(judgement: VideoJudgement, times_seconds: Sequence[float]) -> Iterator[tuple[int, float]]:
    """Numbers of the pictures looked at, each with the annotated instant that it is judged by."""
    apart_seconds = min(0.5 / judgement.frames_per_second, MAX_APART_SECONDS)
    instants = np.array(times_seconds)
    for number in range(judgement.num_video_frames if len(instants) else 0):
        distances = instants - number / judgement.frames_per_second
        nearest = int(np.abs(distances).argmin())
        # Open at one end, so that an instant right between two pictures judges one of them.
        if -apart_seconds <= distances[nearest] < apart_seconds:
            yield number, times_seconds[nearest]


def _make_frame(
    boxes: Sequence[KnownBox], detections: Sequence[Detection], confidences: Sequence[float], slots: Mapping[str, int]
) -> BoxedFrame:
    unlisted = slots.get(UNLISTED, len(slots))
    return BoxedFrame(
        known_xyxy=np.array([box.box_xyxy for box in boxes], float).reshape(-1, 4),
        known_instruments=np.array([slots[box.instrument] for box in boxes], np.int64),
        detected_xyxy=np.array([detection.box_xyxy for detection in detections], float).reshape(-1, 4),
        detected_instruments=np.array([slots.get(d.instrument, unlisted) for d in detections], np.int64),
        confidences=np.array(confidences, float),
    )
