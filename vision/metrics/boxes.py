"""Average precision of detected boxes.

Conventions are those of `vision.metrics`. A detection is a hit where it overlaps a known box of its own instrument
enough; each known box is hit once, what comes second is a false one.

References:
    T.-Y. Lin et al., "Microsoft COCO: common objects in context", ECCV 2014, and the evaluation code published with it
    (pycocotools): precision interpolated at 101 recalls, detections matched per picture, surest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError
from vision.players import box_overlaps

MIN_OVERLAP = 0.5  # intersection over union
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class BoxedFrame:
    """Known and detected boxes of one video frame.

    Attributes:
        known_xyxy: float `[num_known, 4]`.
        known_instruments: int `[num_known]`.
        detected_xyxy: float `[num_detected, 4]`, in pixels of the same picture.
        detected_instruments: int `[num_detected]`; a position beyond the taxonomy for "something else".
        confidences: `[num_detected]` in [0, 1].

    Raises:
        ParameterError: for boxes, instruments and confidences that do not belong together.
    """

    known_xyxy: np.ndarray
    known_instruments: np.ndarray
    detected_xyxy: np.ndarray
    detected_instruments: np.ndarray
    confidences: np.ndarray

    def __post_init__(self) -> None:
        num_known, num_detected = len(self.known_instruments), len(self.detected_instruments)
        expected = ((num_known, 4), (num_detected, 4), (num_detected,))
        received = (self.known_xyxy.shape, self.detected_xyxy.shape, self.confidences.shape)
        if received != expected:
            raise ParameterError(
                f"Expected known boxes, detected boxes and confidences of shapes {expected}. Received: {received}"
            )


@dataclass(frozen=True, eq=False)
class BoxScores:
    """Scores per instrument, each `[num_instruments]`.

    Attributes:
        num_known: known boxes, int64.
        num_detected: detections, int64.
        num_hits: detections that hit a known box, int64.
        average_precision: float64 in [0, 1]; NaN for an instrument without known boxes.
    """

    num_known: np.ndarray
    num_detected: np.ndarray
    num_hits: np.ndarray
    average_precision: np.ndarray


def hits_by_confidence(
    known_xyxy: np.ndarray, detected_xyxy: np.ndarray, confidences: np.ndarray, min_overlap: float = MIN_OVERLAP
) -> np.ndarray:
    """Which detections of one frame hit a known box: the surest chooses first, the free box that it overlaps most.

    Args:
        known_xyxy: `[num_known, 4]`.
        detected_xyxy: `[num_detected, 4]`.
        confidences: `[num_detected]`; among equals the first chooses first.
        min_overlap: intersection over union from which boxes show the same thing.

    Returns:
        bool `[num_detected]`, in the order given.
    """
    hits = np.zeros(len(detected_xyxy), bool)
    if not len(known_xyxy) or not len(detected_xyxy):
        return hits
    overlaps = box_overlaps(detected_xyxy, known_xyxy)
    for detection in np.argsort(-np.asarray(confidences), kind="stable"):
        known = int(overlaps[detection].argmax())
        if overlaps[detection, known] >= min_overlap:
            hits[detection] = True
            overlaps[:, known] = -1.0
    return hits


def average_precision(confidences: np.ndarray, hits: np.ndarray, num_known: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or a higher one; 0 for a recall never reached.

    Args:
        confidences: of all detections in all frames `[num_detected]`.
        hits: which of them hit a known box, bool `[num_detected]`.
        num_known: known boxes in all frames.

    Returns:
        A value in [0, 1]; NaN where no boxes are known.
    """
    if not num_known:
        return float("nan")
    found = np.cumsum(np.asarray(hits, bool)[np.argsort(-np.asarray(confidences), kind="stable")])
    precision = found / np.arange(1, len(found) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # A last 0 stands for the recalls that are never reached.
    return float(np.append(best, 0.0)[np.searchsorted(found / num_known, _RECALLS)].mean())


def score_boxes(frames: Sequence[BoxedFrame], num_instruments: int, min_overlap: float = MIN_OVERLAP) -> BoxScores:
    """Counts and average precision per instrument over all frames; detections of something else are left out.

    Args:
        frames: of all videos.
        num_instruments: of the taxonomy.
        min_overlap: as in `hits_by_confidence`.
    """
    per_instrument = [_pool_hits(frames, instrument, min_overlap) for instrument in range(num_instruments)]
    return BoxScores(
        num_known=np.array([num_known for _, _, num_known in per_instrument], np.int64),
        num_detected=np.array([len(hits) for _, hits, _ in per_instrument], np.int64),
        num_hits=np.array([hits.sum() for _, hits, _ in per_instrument], np.int64),
        average_precision=np.array([average_precision(*pooled) for pooled in per_instrument], np.float64),
    )


def _pool_hits(
    frames: Sequence[BoxedFrame], instrument: int, min_overlap: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Confidences and hits of one instrument's detections in all frames, and how many of its boxes are known."""
    confidences, hits, num_known = [np.zeros(0)], [np.zeros(0, bool)], 0
    for frame in frames:
        known, detected = frame.known_instruments == instrument, frame.detected_instruments == instrument
        num_known += int(np.sum(known))
        of_frame = frame.confidences[detected]
        confidences.append(of_frame)
        hits.append(hits_by_confidence(frame.known_xyxy[known], frame.detected_xyxy[detected], of_frame, min_overlap))
    return np.concatenate(confidences), np.concatenate(hits), num_known
