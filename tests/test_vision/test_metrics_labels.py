"""Scores of labels: against scikit-learn, worked by hand, and by what must hold for any labels."""

import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from av_sep.errors import ParameterError
from vision.metrics import (
    any_of_groups,
    confusion_from_labels,
    count_labels,
    exact_match_share,
    macro_average,
    micro_average,
    samples_average,
)

# Three videos, four instruments: the first right, the second takes one for another and invents, the third sees nothing.
TRUE = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], bool)
DETECTED = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)


@pytest.fixture
def labels():
    """Labels of 40 videos and 6 instruments: one never plays, one is never detected, one neither; one video empty."""
    rng = np.random.default_rng(3)
    true = rng.random((40, 6)) < 0.4
    detected = np.where(rng.random(true.shape) < 0.7, true, rng.random(true.shape) < 0.3)
    true[:, (1, 4)] = False
    detected[:, (2, 4)] = False
    true[5] = detected[5] = detected[6] = False
    return true, detected


def sklearn_scores(true, detected, average):
    scores = precision_recall_fscore_support(true, detected, average=average, zero_division=np.nan)
    return scores[:3] if average else scores


def test_scores_per_instrument_are_scikit_learn_s(labels):
    counts = count_labels(*labels)
    precision, recall, f1, support = sklearn_scores(*labels, None)
    np.testing.assert_allclose(counts.precision, precision, rtol=1e-12)
    np.testing.assert_allclose(counts.recall, recall, rtol=1e-12)
    np.testing.assert_allclose(counts.f1, f1, rtol=1e-12)
    np.testing.assert_array_equal(counts.support, support)
    assert np.isnan(counts.recall[1]) and np.isnan(counts.precision[2]) and np.isnan(counts.f1[4])


def test_averages_are_scikit_learn_s(labels):
    counts = count_labels(*labels)
    for ratios, average in (
        (micro_average(counts), "micro"),
        (macro_average(counts), "macro"),
        (samples_average(*labels), "samples"),
    ):
        np.testing.assert_allclose(ratios, sklearn_scores(*labels, average), rtol=1e-12, err_msg=average)


def test_truth_and_detection_are_told_apart(labels):
    true, detected = labels
    there, back = count_labels(true, detected), count_labels(detected, true)
    np.testing.assert_array_equal(there.false_positives, back.false_negatives)
    np.testing.assert_array_equal(there.precision, back.recall)
    assert (there.false_positives != there.false_negatives).any()


def test_counts_worked_by_hand():
    counts = count_labels(TRUE, DETECTED)
    assert counts.true_positives.tolist() == [1, 1, 0, 0]
    assert counts.false_positives.tolist() == [0, 1, 1, 0]
    assert counts.false_negatives.tolist() == [1, 1, 0, 0]
    assert counts.support.tolist() == [2, 2, 0, 0] and counts.num_detected.tolist() == [1, 2, 1, 0]
    assert micro_average(counts) == pytest.approx((2 / 4, 2 / 4, 2 / 4))
    # The third instrument was detected and never plays: it counts in precision and F1. The fourth counts nowhere.
    assert macro_average(counts) == pytest.approx(((1 + 1 / 2 + 0) / 3, 1 / 2, (2 / 3 + 1 / 2 + 0) / 3))
    # The third video's precision is no number.
    assert samples_average(TRUE, DETECTED) == pytest.approx(((1 + 0) / 2, 1 / 3, 1 / 3))


def test_exact_matches_are_counted():
    assert exact_match_share(TRUE, DETECTED) == pytest.approx(1 / 3)
    assert exact_match_share(TRUE, TRUE) == 1.0 and exact_match_share(TRUE, ~TRUE) == 0.0
    assert math.isnan(exact_match_share(TRUE[:0], TRUE[:0]))


def test_nothing_true_and_nothing_detected_is_no_number():
    nothing = np.zeros((2, 3), bool)
    counts = count_labels(nothing, nothing)
    for ratios in (micro_average(counts), macro_average(counts), samples_average(nothing, nothing)):
        assert all(map(math.isnan, ratios))


def test_family_is_there_where_a_member_is():
    groups = any_of_groups(DETECTED, [(0, 3), (1, 2)])
    assert groups.tolist() == [[True, True], [False, True], [False, False]]
    # Taking one member for another is no error of the family.
    assert count_labels(any_of_groups([[1, 0]], [(0, 1)]), any_of_groups([[0, 1]], [(0, 1)])).f1.tolist() == [1.0]


def test_confusion_of_labels_worked_by_hand():
    # Video 1: two on the diagonal. Video 2: 0 missed, 1 and 2 false: half of each. Video 3: 1 missed, nothing false.
    expected = [
        [1, 0.5, 0.5, 0, 0],
        [0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0.5, 0.5, 0, 0],
    ]
    np.testing.assert_allclose(confusion_from_labels(TRUE, DETECTED), expected)


def test_confusion_of_single_labels_is_scikit_learn_s():
    rng = np.random.default_rng(8)
    true, detected = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    expected = confusion_matrix(true, detected, labels=range(6))
    np.testing.assert_allclose(confusion_from_labels(np.eye(5)[true], np.eye(5)[detected]), expected)
    assert not np.allclose(expected, expected.T)


def test_sums_of_a_confusion_are_what_is_true_and_what_was_detected(labels):
    confusion, counts = confusion_from_labels(*labels), count_labels(*labels)
    np.testing.assert_allclose(confusion[:-1].sum(axis=1), counts.support)
    np.testing.assert_allclose(confusion[:, :-1].sum(axis=0), counts.num_detected)
    np.testing.assert_allclose(np.diag(confusion)[:-1], counts.true_positives)
    assert confusion.min() >= 0 and confusion[-1, -1] == 0


@pytest.mark.parametrize("score", (count_labels, exact_match_share, confusion_from_labels))
def test_labels_that_do_not_fit_are_refused(score):
    with pytest.raises(ParameterError, match=r"two arrays of one shape. Received: \(3, 4\) and \(3, 3\)"):
        score(TRUE, DETECTED[:, :3])
    with pytest.raises(ParameterError, match=r"detected as \[num_videos, num_instruments\] of 0 and 1. Received"):
        score(TRUE, 0.5 * DETECTED)
    with pytest.raises(ParameterError, match=r"true as \[num_videos, num_instruments\] of 0 and 1.*\(4,\), bool"):
        score(TRUE[0], DETECTED[0])
