"""Whether confidences are the probabilities they look like.

Conventions are those of `vision.metrics`. Every instrument of every video is one statement, "it plays", made with some
confidence and true or not.

References:
    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78(1), 1950; here
    in the usual form for one event, in [0, 1].
    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning",
    AAAI 2015 (expected calibration error over equally wide bins).
"""

from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError
from vision.metrics.label_scores import require_labels, require_one_shape

NUM_BINS = 10


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """What came true of statements that were made with similar confidence.

    Attributes:
        bin_edges: float64 `[num_bins + 1]` from 0 to 1; a bin holds its upper edge, the first one also 0.
        counts: statements in each bin, int64 `[num_bins]`.
        mean_confidence: of each bin's statements, float64 `[num_bins]`; NaN for an empty bin.
        share_true: how many of them are true, likewise.
    """

    bin_edges: np.ndarray
    counts: np.ndarray
    mean_confidence: np.ndarray
    share_true: np.ndarray


def reliability_curve(true: np.ndarray, confidences: np.ndarray, num_bins: int = NUM_BINS) -> ReliabilityCurve:
    """Statements gathered into equally wide bins of confidence.

    Args:
        true: `[num_videos, num_instruments]`.
        confidences: of the same shape, in [0, 1].
        num_bins: how many.

    Raises:
        ParameterError: for unequal shapes, values outside their range and fewer than one bin.
    """
    true, confidences = _validated(true, confidences)
    if num_bins < 1:
        raise ParameterError(f"Expected at least one bin. Received: num_bins={num_bins}")
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    bins = np.searchsorted(edges[1:-1], confidences.ravel())
    counts = np.bincount(bins, minlength=num_bins)
    sums = (np.bincount(bins, values.ravel(), minlength=num_bins) for values in (confidences, true))
    mean_confidence, share_true = (
        np.divide(summed, counts, out=np.full(num_bins, np.nan), where=counts > 0) for summed in sums
    )
    return ReliabilityCurve(edges, counts, mean_confidence, share_true)


def expected_calibration_error(curve: ReliabilityCurve) -> float:
    """Mean distance between confidence and share of truth over all statements, in [0, 1]; NaN without statements.

    Most instruments play in no given video, so most statements are rightly unsure ones: read it beside the curve.
    """
    if not curve.counts.any():
        return float("nan")
    filled = curve.counts > 0
    distances = np.abs(curve.mean_confidence - curve.share_true)[filled]
    return float(np.average(distances, weights=curve.counts[filled]))


def brier_scores(true: np.ndarray, confidences: np.ndarray) -> np.ndarray:
    """Mean squared distance between confidence and truth per instrument, float64 `[num_instruments]`, 0 is best.

    Always saying 0.5 gives 0.25. The mean over the instruments is the score of the whole label vector.

    Raises:
        ParameterError: for unequal shapes, no videos and values outside their range.
    """
    true, confidences = _validated(true, confidences)
    if not len(true):
        raise ParameterError(f"Expected at least one video. Received: shape {true.shape}")
    return np.mean((confidences - true) ** 2, axis=0)


def _validated(true: np.ndarray, confidences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, confidences = require_labels(true, "true"), np.asarray(confidences, np.float64)
    require_one_shape(true, confidences)
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ParameterError(
            f"Expected confidences in [0, 1]. Received: {np.min(confidences)} to {np.max(confidences)}"
        )
    return true, confidences
