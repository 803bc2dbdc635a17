"""Precision, recall and F1 of detected labels, per label and on average.

Conventions are those of `vision.metrics`.

References:
    G. Tsoumakas, I. Katakis, I. Vlahavas, "Mining multi-label data", Data Mining and Knowledge Discovery Handbook,
    2010, section 7 (micro, macro and example-based averages of multi-label scores).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from av_sep.errors import ParameterError


class Ratios(NamedTuple):
    """Precision, recall and F1, each in [0, 1] or NaN."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """How often each label was found, invented and missed, int64 `[num_labels]`, and the ratios of these counts.

    Attributes:
        true_positives: plays and was detected.
        false_positives: was detected and does not play.
        false_negatives: plays and was not detected.
    """

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray

    @property
    def support(self) -> np.ndarray:
        """How often each label is true, int64 `[num_labels]`."""
        return self.true_positives + self.false_negatives

    @property
    def num_detected(self) -> np.ndarray:
        """How often each label was detected, int64 `[num_labels]`."""
        return self.true_positives + self.false_positives

    @property
    def precision(self) -> np.ndarray:
        """Share of the detections that are true, float64 `[num_labels]`; NaN for a label never detected."""
        return _share(self.true_positives, self.num_detected)

    @property
    def recall(self) -> np.ndarray:
        """Share of the true ones that were detected, float64 `[num_labels]`; NaN for a label never true."""
        return _share(self.true_positives, self.support)

    @property
    def f1(self) -> np.ndarray:
        """`2 tp / (2 tp + fp + fn)`, float64 `[num_labels]`; NaN for a label neither true nor detected anywhere."""
        return _share(2 * self.true_positives, self.support + self.num_detected)


def count_labels(true: np.ndarray, detected: np.ndarray) -> LabelCounts:
    """Counts per label of `[num_videos, num_labels]`, over the videos.

    Raises:
        ParameterError: for unequal shapes and values other than 0 and 1.
    """
    true, detected = require_labels(true, "true"), require_labels(detected, "detected")
    require_one_shape(true, detected)
    return LabelCounts(
        np.sum(true & detected, axis=0), np.sum(~true & detected, axis=0), np.sum(true & ~detected, axis=0)
    )


def micro_average(counts: LabelCounts) -> Ratios:
    """Ratios of the summed counts: every label of every video weighs the same, so frequent instruments weigh most."""
    summed = LabelCounts(
        *(np.sum(part) for part in (counts.true_positives, counts.false_positives, counts.false_negatives))
    )
    return Ratios(float(summed.precision), float(summed.recall), float(summed.f1))


def macro_average(counts: LabelCounts) -> Ratios:
    """Mean over the labels of each ratio: every instrument weighs the same. F1 is the mean F1, not the means' F1."""
    return Ratios(*map(mean_of_defined, (counts.precision, counts.recall, counts.f1)))


def samples_average(true: np.ndarray, detected: np.ndarray) -> Ratios:
    """Mean over the videos of each video's own ratios: every video weighs the same, be it a duet or a quintet.

    Raises:
        ParameterError: as `count_labels`.
    """
    return macro_average(count_labels(np.transpose(true), np.transpose(detected)))


def exact_match_share(true: np.ndarray, detected: np.ndarray) -> float:
    """Share of the videos whose set of labels is exactly right, in [0, 1]; NaN without videos.

    Raises:
        ParameterError: as `count_labels`.
    """
    true, detected = require_labels(true, "true"), require_labels(detected, "detected")
    require_one_shape(true, detected)
    return mean_of_defined(np.all(true == detected, axis=1))


def any_of_groups(labels: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Labels of groups of instruments: a family plays, or is detected, where any of its members is.

    Args:
        labels: `[num_videos, num_instruments]`.
        groups: positions of each group's members.

    Returns:
        bool `[num_videos, num_groups]`.

    Raises:
        ParameterError: for values other than 0 and 1.
    """
    labels = require_labels(labels, "labels")
    return np.stack([labels[:, list(members)].any(axis=1) for members in groups], axis=1)


def mean_of_defined(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN where nothing is left."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def require_labels(labels: np.ndarray, name: str) -> np.ndarray:
    """Labels as bool `[num_videos, num_instruments]`; ParameterError for what is not 0 or 1, or has other axes."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise ParameterError(
            f"Expected {name} as [num_videos, num_instruments] of 0 and 1."
            f" Received: shape {labels.shape}, {labels.dtype}"
        )
    return labels.astype(bool)


def require_one_shape(true: np.ndarray, other: np.ndarray) -> None:
    """Raise ParameterError unless both arrays have the same shape."""
    if true.shape != other.shape:
        raise ParameterError(f"Expected two arrays of one shape. Received: {true.shape} and {other.shape}")


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)
