"""Several detectors together, instrument by instrument: of each one only those are asked that have a name for it.

The rule, for one video frame, which every detector looks at once:

1. Boxes of different detectors are one player's if they overlap (intersection over union `MIN_OVERLAP`) or if one lies
   in the other: some detectors box players, some only the instrument in their hands. Each box joins at most one of each
   other detector, the best fitting first. The place is that of the detector named first.
2. A player's confidence for an instrument is the mean over the detectors that know it. One that sees nothing there
   counts `MISSED_SHARE` as sure as those who do: a box that only one of two detectors sees keeps 3/4 of its confidence,
   and all of it for instruments that the other has no name for.
3. A detector without a name for one of two lookalikes means either when it names the other: Open Images knows no
   viola, so its violin is "violin or viola". Where another detector that sees the player knows both, the two are
   shared out as that one sees them; then rule 2.
4. Whole-frame confidences are the mean over the detectors that judged the whole frame and know the instrument. A file
   of labels that lists the film's instruments is repeated as it stands, and decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from av_sep.errors import ParameterError
from av_sep.types import Detection, VideoFrame
from vision.detector import InstrumentDetector
from vision.instrument_classifier import OTHER
from vision.players import box_overlaps
from vision.tracking import MIN_OVERLAP

MISSED_SHARE = 0.5
CONTAINED_WEIGHT = 0.5  # of the share of the smaller box inside the larger, beside the intersection over union


@dataclass
class _Group:
    """Boxes of one player: the number of the detector -> what it saw."""

    members: dict[int, Detection] = field(default_factory=dict)

    @property
    def first(self) -> Detection:
        """The detection of the detector named first."""
        return self.members[min(self.members)]


class EnsembleDetector(InstrumentDetector):
    """Combines detectors by the rule above.

    Args:
        detectors: at least one; the order matters for places only.

    Raises:
        ParameterError: for none, and for detectors of different taxonomies.
    """

    def __init__(self, detectors: Sequence[InstrumentDetector]):
        taxonomies = {detector.taxonomy for detector in detectors}
        if len(taxonomies) != 1:
            received = ", ".join(sorted(taxonomy.name for taxonomy in taxonomies)) or "no detectors"
            raise ParameterError(f"Expected detectors of one taxonomy. Received: {received}")
        self.detectors = tuple(detectors)
        self.taxonomy = detectors[0].taxonomy
        pairs = dict.fromkeys(pair for detector in detectors for pair in detector.lookalikes)
        self.lookalikes = tuple(pair for pair in pairs if set(pair) <= set(self.taxonomy.names))
        # Bool [num_detectors, num_instruments].
        self._knows = np.array(
            [np.isin(self.taxonomy.names, detector.visible_instruments()) for detector in self.detectors]
        )

    def visible_instruments(self) -> tuple[str, ...]:
        """What any of the detectors knows."""
        return tuple(name for i, name in enumerate(self.taxonomy.names) if self._knows[:, i].any())

    def detect_frame(self, video_frame: VideoFrame) -> list[Detection]:
        """Players from left to right, then the whole frame where any detector judged it."""
        seen = [detector.detect_frame(video_frame) for detector in self.detectors]
        groups = _group([[detection for detection in found if not detection.whole_frame] for found in seen])
        combined = [self._combine_boxes(group) for group in groups]
        combined.sort(key=lambda detection: detection.box_xyxy[0] + detection.box_xyxy[2])
        return combined + self._combine_whole_frames(seen)

    def _combine_boxes(self, group: _Group) -> Detection:
        rows, knows = self._share_out_lookalikes(group)
        num_saw = knows[list(rows)].sum(axis=0)
        num_missed = knows.sum(axis=0) - num_saw
        share = (num_saw + MISSED_SHARE * num_missed) / np.maximum(num_saw + num_missed, 1)
        confidences = share * _mean_where(rows, knows)
        if all(row.sum() <= 1.0 + 1e-6 for row in rows.values()):
            # Chances of one player; together they must not become more than certain.
            confidences /= max(1.0, confidences.sum())
        return self._describe(group.first, confidences, list(group.members.values()))

    def _share_out_lookalikes(self, group: _Group) -> tuple[dict[int, np.ndarray], np.ndarray]:
        """Confidences `[num_instruments]` of the members, and who knows what, with lookalikes shared out: rule 3."""
        rows = {number: np.array(detection.label_confidences) for number, detection in group.members.items()}
        knows = self._knows.copy()
        for pair in self.lookalikes:
            twins = [self.taxonomy.index(name) for name in pair]
            teachers = [row[twins] for number, row in rows.items() if self._knows[number, twins].all()]
            total = np.sum(teachers, axis=0) if teachers else np.zeros(2)
            if total.sum() <= 0:
                continue
            for number in np.flatnonzero(self._knows[:, twins].sum(axis=1) == 1).tolist():
                # What it does not see speaks of both twins as well.
                knows[number, twins] = True
                if number in rows:
                    rows[number][twins] = rows[number][twins].sum() * total / total.sum()
        return rows, knows

    def _combine_whole_frames(self, seen: Sequence[Sequence[Detection]]) -> list[Detection]:
        whole = {number: detection for number, found in enumerate(seen) for detection in found if detection.whole_frame}
        given = [detection for detection in whole.values() if detection.given_players is not None]
        # One that found nothing to box has not judged the whole frame.
        rows = {number: np.array(d.label_confidences) for number, d in whole.items() if any(d.label_confidences)}
        if given or not rows:
            return [*given, *whole.values()][:1]
        members = [whole[number] for number in rows]
        return [self._describe(members[0], _mean_where(rows, self._knows), members)]

    def _describe(self, place: Detection, confidences: np.ndarray, members: Iterable[Detection]) -> Detection:
        best = int(confidences.argmax())
        other = [member.confidence if member.instrument == OTHER else 0.0 for member in members]
        is_other = OTHER not in self.taxonomy.names and float(np.mean(other)) > confidences[best]
        return replace(
            place,
            instrument=OTHER if is_other else self.taxonomy.names[best],
            confidence=float(np.mean(other)) if is_other else float(confidences[best]),
            label_confidences=tuple(map(float, confidences)),
        )


def _mean_where(rows: dict[int, np.ndarray], knows: np.ndarray) -> np.ndarray:
    """Mean of confidences `[num_instruments]` over the detectors that know the instrument; 0 where none does."""
    numbers = list(rows)
    totals = sum((knows[number] * rows[number] for number in numbers), np.zeros(knows.shape[1]))
    counts = knows[numbers].sum(axis=0)
    return np.divide(totals, counts, out=np.zeros(knows.shape[1]), where=counts > 0)


def _group(seen: Sequence[Sequence[Detection]]) -> list[_Group]:
    """The boxes of all detectors, those of one player together: rule 1."""
    groups: list[_Group] = []
    for number, found in enumerate(seen):
        matched = _match([group.first.box_xyxy for group in groups], [detection.box_xyxy for detection in found])
        for position, detection in enumerate(found):
            if position in matched:
                groups[matched[position]].members[number] = detection
            else:
                groups.append(_Group({number: detection}))
    return groups


def _match(boxes_xyxy: Sequence[Sequence[float]], other_boxes_xyxy: Sequence[Sequence[float]]) -> dict[int, int]:
    """Position of an other box -> position of the box that it belongs to."""
    if not boxes_xyxy or not other_boxes_xyxy:
        return {}
    fits = _fit(np.array(boxes_xyxy), np.array(other_boxes_xyxy))
    rows, columns = linear_sum_assignment(np.where(fits >= MIN_OVERLAP, fits, 0.0), maximize=True)
    return {int(column): int(row) for row, column in zip(rows, columns) if fits[row, column] >= MIN_OVERLAP}


def _fit(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`[num_boxes, num_others]` in [0, 1]; 1 for equal boxes, `CONTAINED_WEIGHT` for a small box inside a large one."""
    overlaps = box_overlaps(a, b)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    smaller = np.minimum(areas[0][:, None], areas[1][None])
    # intersection = overlap · union, and union = the two areas - intersection
    shared = overlaps / (1.0 + overlaps) * (areas[0][:, None] + areas[1][None])
    contained = np.divide(shared, smaller, out=np.zeros_like(shared), where=smaller > 0)
    return np.maximum(overlaps, CONTAINED_WEIGHT * contained)
