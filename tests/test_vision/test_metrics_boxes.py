"""Scores of boxes: against the COCO evaluation code, and worked by hand."""

import contextlib
import io
import math

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import confusion_matrix

from av_sep.errors import ParameterError
from vision.metrics import (
    BoxedFrame,
    average_precision,
    confusion_from_boxes,
    hits_by_confidence,
    pair_by_overlap,
    score_boxes,
)

NUM_INSTRUMENTS = 4
LEFT, MIDDLE, RIGHT = (0, 0, 10, 20), (100, 0, 110, 20), (200, 0, 210, 20)


def make_frame(known=(), detected=()):
    """A frame from (box, instrument) and (box, instrument, confidence)."""
    return BoxedFrame(
        np.array([box for box, _ in known], float).reshape(-1, 4),
        np.array([instrument for _, instrument in known], int),
        np.array([box for box, *_ in detected], float).reshape(-1, 4),
        np.array([instrument for _, instrument, _ in detected], int),
        np.array([confidence for *_, confidence in detected], float),
    )


def random_frame(rng):
    """Players side by side, overlapping; each seen a few times, shifted, sometimes as something else, or not at all.

    Instrument 3 is never known; the instrument after the last is "something else".
    """
    known, detected = [], []
    for _ in range(rng.integers(0, 6)):
        x, y, width, height = rng.uniform((0, 0, 40, 80), (300, 50, 120, 200))
        instrument = int(rng.integers(0, 3))
        known.append(((x, y, x + width, y + height), instrument))
        for _ in range(rng.integers(0, 3)):
            said = instrument if rng.random() < 0.7 else int(rng.integers(0, NUM_INSTRUMENTS + 1))
            shift = rng.normal(scale=0.07, size=4) * (width, height, width, height)
            x1, y1, x2, y2 = np.array(known[-1][0]) + shift
            detected.append(((x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)), said, float(rng.random())))
    return make_frame(known, detected)


@pytest.fixture
def frames():
    rng = np.random.default_rng(11)
    return [random_frame(rng) for _ in range(40)]


def coco_box(box):
    x1, y1, x2, y2 = map(float, box)
    return [x1, y1, x2 - x1, y2 - y1]


def coco_average_precision(frames, min_overlap):
    """Average precision per instrument from pycocotools; -1 where no box is known."""
    known = [
        {"image_id": image, "category_id": int(instrument) + 1, "bbox": coco_box(box), "iscrowd": 0}
        for image, frame in enumerate(frames)
        for box, instrument in zip(frame.known_xyxy, frame.known_instruments)
    ]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(len(frames))],
        "categories": [{"id": instrument + 1, "name": str(instrument)} for instrument in range(NUM_INSTRUMENTS)],
        "annotations": [{**box, "id": i, "area": box["bbox"][2] * box["bbox"][3]} for i, box in enumerate(known, 1)],
    }
    found = [
        {"image_id": image, "category_id": int(instrument) + 1, "bbox": coco_box(box), "score": float(confidence)}
        for image, frame in enumerate(frames)
        for box, instrument, confidence in zip(frame.detected_xyxy, frame.detected_instruments, frame.confidences)
        if instrument < NUM_INSTRUMENTS
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.params.iouThrs = np.array([min_overlap])
        evaluation.evaluate()
        evaluation.accumulate()
    # [thresholds, recalls, categories, areas, most detections]; the last two: all areas, 100 detections.
    return evaluation.eval["precision"][0, :, :, 0, -1].mean(axis=0)


@pytest.mark.parametrize("min_overlap", (0.3, 0.5, 0.75))
def test_average_precision_is_coco_s(frames, min_overlap):
    scores = score_boxes(frames, NUM_INSTRUMENTS, min_overlap)
    expected = coco_average_precision(frames, min_overlap)
    np.testing.assert_allclose(scores.average_precision[:3], expected[:3], atol=1e-12)
    assert 0.1 < scores.average_precision[:3].min() and scores.average_precision[:3].max() < 0.9
    assert expected[3] == -1 and math.isnan(scores.average_precision[3])


def test_boxes_are_counted_per_instrument(frames):
    scores = score_boxes(frames, NUM_INSTRUMENTS)
    known = np.concatenate([frame.known_instruments for frame in frames])
    detected = np.concatenate([frame.detected_instruments for frame in frames])
    assert scores.num_known.tolist() == [int(np.sum(known == i)) for i in range(NUM_INSTRUMENTS)]
    assert scores.num_detected.tolist() == [int(np.sum(detected == i)) for i in range(NUM_INSTRUMENTS)]
    assert (detected == NUM_INSTRUMENTS).any() and scores.num_hits[3] == 0 < scores.num_hits[:3].min()
    assert (scores.num_hits <= np.minimum(scores.num_known, scores.num_detected)).all()


def test_average_precision_worked_by_hand():
    # Hit, false, hit of 4 known: precision 1 up to recall 1/4, 2/3 up to 1/2, then 0: 26, 25 and 50 of 101 recalls.
    assert average_precision([0.9, 0.8, 0.7], [True, False, True], 4) == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert average_precision([0.7, 0.8, 0.9], [True, False, True], 4) == average_precision(
        [0.9, 0.8, 0.7], [True, False, True], 4
    )
    assert average_precision([0.1, 0.2], [True, True], 2) == 1.0
    assert average_precision([0.9], [False], 2) == average_precision([], [], 2) == 0.0
    assert math.isnan(average_precision([0.9], [False], 0))


def test_known_box_is_hit_once_and_by_the_surest():
    shifted = (2, 0, 12, 20)  # overlaps LEFT by 160 of 240
    assert hits_by_confidence([LEFT], [LEFT, shifted], [0.4, 0.6]).tolist() == [False, True]
    assert hits_by_confidence([LEFT], [LEFT, shifted], [0.6, 0.4]).tolist() == [True, False]
    assert hits_by_confidence([LEFT, MIDDLE], [LEFT, shifted, MIDDLE], [0.4, 0.6, 0.1]).tolist() == [False, True, True]


def test_taken_box_leaves_the_next_best():
    shifted = (2, 0, 12, 20)
    # Both detections overlap LEFT most; the less sure one falls back on the other known box, 160 of 240 away.
    assert hits_by_confidence([LEFT, shifted], [LEFT, LEFT], [0.9, 0.8]).tolist() == [True, True]
    assert hits_by_confidence([LEFT, shifted], [LEFT, LEFT], [0.9, 0.8], min_overlap=0.7).tolist() == [True, False]


def test_pairs_overlap_most_first():
    shifted, near = (2, 0, 12, 20), (3, 0, 13, 20)
    assert pair_by_overlap([LEFT, shifted], [near, LEFT]).tolist() == [[0, 1], [1, 0]]
    assert pair_by_overlap([LEFT, RIGHT], [MIDDLE]).shape == (0, 2)
    assert pair_by_overlap(np.zeros((0, 4)), [LEFT]).shape == pair_by_overlap([LEFT], np.zeros((0, 4))).shape == (0, 2)


def test_confusion_of_players_worked_by_hand():
    frames = [
        # A violin right, a viola taken for a violin, a cello not found, one of nothing invented.
        make_frame([(LEFT, 0), (MIDDLE, 1), (RIGHT, 2)], [(MIDDLE, 0, 0.9), (LEFT, 0, 0.2), ((0, 90, 9, 99), 3, 0.5)]),
        # A cello taken for something else.
        make_frame([(RIGHT, 2)], [(RIGHT, NUM_INSTRUMENTS, 0.5)]),
        make_frame([], [(LEFT, 1, 0.5)]),
        make_frame([(LEFT, 1)], []),
    ]
    expected = np.zeros((5, 6), int)
    expected[0, 0] = expected[1, 0] = expected[2, 5] = expected[4, 3] = expected[2, 4] = 1
    expected[4, 1] = expected[1, 5] = 1
    np.testing.assert_array_equal(confusion_from_boxes(frames, NUM_INSTRUMENTS, NUM_INSTRUMENTS + 1), expected)


def test_confusion_of_players_far_apart_is_scikit_learn_s():
    """Where everyone is found in his own place, the boxes add nothing to the labels."""
    rng = np.random.default_rng(4)
    true, said = rng.integers(0, NUM_INSTRUMENTS, (2, 50, 3))
    frames = [
        make_frame([*zip((LEFT, MIDDLE, RIGHT), row)], [*zip((LEFT, MIDDLE, RIGHT), heard, (0.1, 0.2, 0.3))][::-1])
        for row, heard in zip(true, said)
    ]
    expected = confusion_matrix(true.ravel(), said.ravel(), labels=range(NUM_INSTRUMENTS + 1))
    np.testing.assert_array_equal(confusion_from_boxes(frames, NUM_INSTRUMENTS, NUM_INSTRUMENTS), expected)


def test_sums_of_players_confusion_are_all_boxes(frames):
    confusion = confusion_from_boxes(frames, NUM_INSTRUMENTS, NUM_INSTRUMENTS + 1)
    known = np.concatenate([frame.known_instruments for frame in frames])
    detected = np.concatenate([frame.detected_instruments for frame in frames])
    np.testing.assert_array_equal(confusion[:-1].sum(axis=1), np.bincount(known, minlength=NUM_INSTRUMENTS))
    np.testing.assert_array_equal(confusion[:, :-1].sum(axis=0), np.bincount(detected, minlength=NUM_INSTRUMENTS + 1))
    assert confusion[-1, -1] == 0 and np.trace(confusion) > 0


def test_frame_whose_arrays_do_not_belong_together_is_refused():
    frame = make_frame([(LEFT, 0)], [(LEFT, 0, 0.5)])
    with pytest.raises(ParameterError, match=r"of shapes \(\(1, 4\), \(1, 4\), \(1,\)\). Received: .*\(2,\)"):
        BoxedFrame(
            frame.known_xyxy, frame.known_instruments, frame.detected_xyxy, frame.detected_instruments, np.zeros(2)
        )
