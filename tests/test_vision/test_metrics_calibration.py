"""Calibration and Brier scores: against scikit-learn, and forecasts whose calibration is known."""

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from av_sep.errors import ParameterError
from vision.metrics import brier_scores, expected_calibration_error, reliability_curve

EVERY_SCORE = pytest.mark.parametrize("score", (reliability_curve, brier_scores))


@pytest.fixture
def forecasts():
    """Confidences too sure of themselves, some of them on the bins' edges, none between 0.6 and 0.8."""
    rng = np.random.default_rng(5)
    chances = rng.random((70, 5))
    true = rng.random(chances.shape) < chances
    confidences = np.clip(1.6 * chances - 0.3, 0, 1)
    confidences[(confidences > 0.6) & (confidences < 0.8)] = 0.6
    confidences[:4] = [[0.0], [0.1], [0.5], [1.0]]
    return true, confidences


def test_curve_is_scikit_learn_s(forecasts):
    true, confidences = forecasts
    curve = reliability_curve(true, confidences)
    share_true, mean_confidence = calibration_curve(true.ravel(), confidences.ravel(), n_bins=10)
    filled = curve.counts > 0
    np.testing.assert_allclose(curve.share_true[filled], share_true)
    np.testing.assert_allclose(curve.mean_confidence[filled], mean_confidence)
    assert filled.tolist() == [True] * 6 + [False] * 2 + [True] * 2
    assert np.isnan(curve.share_true[6:8]).all() and np.isnan(curve.mean_confidence[6:8]).all()


def test_counts_are_numpy_s_histogram():
    confidences = np.random.default_rng(2).random((30, 4))
    curve = reliability_curve(confidences > 0.5, confidences, num_bins=7)
    np.testing.assert_array_equal(curve.counts, np.histogram(confidences, curve.bin_edges)[0])
    assert len(curve.bin_edges) == 8


def test_value_on_an_edge_belongs_to_the_lower_bin():
    assert reliability_curve([[1, 1, 1]], [[0.0, 0.5, 1.0]], num_bins=2).counts.tolist() == [2, 1]


def test_calibration_error_worked_by_hand():
    # Four statements at 0.3, two of them true: too low by 0.2. One at 0.9, false: too high.
    curve = reliability_curve([[1, 1, 0, 0, 0]], [[0.3, 0.3, 0.3, 0.3, 0.9]])
    assert expected_calibration_error(curve) == pytest.approx((4 * 0.2 + 0.9) / 5)


def test_calibration_error_of_forecasts_with_known_chances():
    """Statements that come true as often as they say have no error; said 0.2 too high, they have 0.2."""
    rng = np.random.default_rng(0)
    chances = rng.choice([0.15, 0.35, 0.55, 0.75], (4000, 10))
    true = rng.random(chances.shape) < chances
    assert expected_calibration_error(reliability_curve(true, chances)) < 0.01
    assert expected_calibration_error(reliability_curve(true, chances + 0.2)) == pytest.approx(0.2, abs=0.01)


def test_curve_without_statements():
    curve = reliability_curve(np.zeros((0, 3)), np.zeros((0, 3)))
    assert not curve.counts.any() and math.isnan(expected_calibration_error(curve))


def test_brier_scores_are_scikit_learn_s(forecasts):
    true, confidences = forecasts
    expected = [brier_score_loss(truth, said) for truth, said in zip(true.T, confidences.T)]
    np.testing.assert_allclose(brier_scores(true, confidences), expected)
    assert brier_scores(true, np.full(true.shape, 0.5)) == pytest.approx(0.25)
    assert brier_scores(true, ~true) == pytest.approx(1.0) and brier_scores(true, true) == pytest.approx(0.0)


@EVERY_SCORE
@pytest.mark.parametrize("value", (np.nan, -0.1, 1.1))
def test_confidence_out_of_range_is_refused(score, value):
    with pytest.raises(ParameterError, match=r"Expected confidences in \[0, 1\]. Received: "):
        score([[1, 0]], [[0.5, value]])


@EVERY_SCORE
def test_confidences_of_another_shape_are_refused(score):
    with pytest.raises(ParameterError, match=r"two arrays of one shape. Received: \(1, 2\) and \(1, 3\)"):
        score([[1, 0]], [[0.5, 0.5, 0.5]])


def test_scores_of_nothing_are_refused():
    with pytest.raises(ParameterError, match=r"at least one video. Received: shape \(0, 3\)"):
        brier_scores(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(ParameterError, match="at least one bin. Received: num_bins=0"):
        reliability_curve([[1]], [[0.5]], num_bins=0)
