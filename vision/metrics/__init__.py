"""How well the vision stage tells what plays, who plays it and how sure it may be.

Conventions:
    Labels are bool `[num_videos, num_instruments]`, True where an instrument plays (`true`) or was said to play
    (`detected`); confidences are floats of the same shape in [0, 1]. Truth comes first in every signature. Instruments
    are given by their position in a taxonomy. Boxes are `[num_boxes, 4]` as x1, y1, x2, y2 in pixels.
    What is a ratio of nothing (the precision of an instrument that was never detected, the recall of one that never
    plays) is NaN, and averages leave it out: it is neither a success nor a failure. So an instrument that plays and is
    never detected lowers the averages of recall and F1, both 0 for it, and not that of precision.
    Metrics never load files.
"""

from vision.metrics.boxes import BoxedFrame, BoxScores, average_precision, hits_by_confidence, score_boxes
from vision.metrics.calibration import ReliabilityCurve, brier_scores, expected_calibration_error, reliability_curve
from vision.metrics.confusion import confusion_from_boxes, confusion_from_labels, pair_by_overlap
from vision.metrics.label_scores import (
    LabelCounts,
    Ratios,
    any_of_groups,
    count_labels,
    exact_match_share,
    macro_average,
    mean_of_defined,
    micro_average,
    samples_average,
)

__all__ = [
    "BoxScores",
    "BoxedFrame",
    "LabelCounts",
    "Ratios",
    "ReliabilityCurve",
    "any_of_groups",
    "average_precision",
    "brier_scores",
    "confusion_from_boxes",
    "confusion_from_labels",
    "count_labels",
    "exact_match_share",
    "expected_calibration_error",
    "hits_by_confidence",
    "macro_average",
    "mean_of_defined",
    "micro_average",
    "pair_by_overlap",
    "reliability_curve",
    "samples_average",
    "score_boxes",
]
