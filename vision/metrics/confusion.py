"""Which instrument is taken for which.

Conventions are those of `vision.metrics`. Rows are what is true, columns what was detected; the last row holds what was
detected and is not there, the last column what is there and was not detected. So a row's sum is how often an
instrument is true, and a column's how often it was detected.
"""

from collections.abc import Sequence

import numpy as np

from vision.metrics.boxes import MIN_OVERLAP, BoxedFrame
from vision.metrics.label_scores import require_labels, require_one_shape
from vision.players import box_overlaps


def confusion_from_labels(true: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """Confusion of labels, where nobody knows which detection was meant for which instrument.

    In each video, what is both true and detected goes on the diagonal. The instruments that were missed and those that
    were falsely detected are paired one to one, what is left over goes to "none". As any pairing would do, each cell
    gets its mean over all of them: with m missed and f false ones, a missed and a false one share `1 / max(m, f)`. One
    missed and one false one are thus confused for certain, and the sums of rows and columns are exact.

    Args:
        true: `[num_videos, num_instruments]`.
        detected: likewise.

    Returns:
        float64 `[num_instruments + 1, num_instruments + 1]`.

    Raises:
        ParameterError: for unequal shapes and values other than 0 and 1.
    """
    true, detected = require_labels(true, "true"), require_labels(detected, "detected")
    require_one_shape(true, detected)
    num_instruments = true.shape[1]
    confusion = np.zeros((num_instruments + 1, num_instruments + 1))
    for is_true, is_detected in zip(true, detected):
        both = is_true & is_detected
        right, missed, false = map(np.flatnonzero, (both, is_true & ~both, is_detected & ~both))
        confusion[right, right] += 1
        pairs = max(len(missed), len(false), 1)
        confusion[np.ix_(missed, false)] += 1 / pairs
        confusion[missed, -1] += 1 - len(false) / pairs
        confusion[-1, false] += 1 - len(missed) / pairs
    return confusion


def confusion_from_boxes(
    frames: Sequence[BoxedFrame], num_true: int, num_detected: int, min_overlap: float = MIN_OVERLAP
) -> np.ndarray:
    """Confusion of players in video frames, each paired with the detection whose box is his, whatever it says.

    Args:
        frames: of all videos.
        num_true: how many instruments known boxes can have.
        num_detected: how many detections can have; one more where a detector can say "something else".
        min_overlap: intersection over union from which boxes show the same player.

    Returns:
        int64 `[num_true + 1, num_detected + 1]`.
    """
    confusion = np.zeros((num_true + 1, num_detected + 1), np.int64)
    for frame in frames:
        pairs = pair_by_overlap(frame.known_xyxy, frame.detected_xyxy, min_overlap)
        known, detected = frame.known_instruments, frame.detected_instruments
        np.add.at(confusion, (known[pairs[:, 0]], detected[pairs[:, 1]]), 1)
        confusion[:-1, -1] += np.bincount(np.delete(known, pairs[:, 0]), minlength=num_true)
        confusion[-1, :-1] += np.bincount(np.delete(detected, pairs[:, 1]), minlength=num_detected)
    return confusion


def pair_by_overlap(known_xyxy: np.ndarray, detected_xyxy: np.ndarray, min_overlap: float = MIN_OVERLAP) -> np.ndarray:
    """Pairs of boxes that show the same thing: those that overlap most first, each box once.

    Returns:
        int64 `[num_pairs, 2]`: position of the known box, position of the detected one.
    """
    pairs: list[tuple[int, int]] = []
    if not len(known_xyxy) or not len(detected_xyxy):
        return np.zeros((0, 2), np.int64)
    overlaps = box_overlaps(known_xyxy, detected_xyxy)
    while overlaps.max() >= min_overlap:
        known, detected = (int(i) for i in np.unravel_index(int(overlaps.argmax()), overlaps.shape))
        pairs.append((known, detected))
        overlaps[known, :] = -1.0
        overlaps[:, detected] = -1.0
    return np.array(pairs, np.int64).reshape(-1, 2)
