"""What was heard of every moment, as weights of the stems."""

import numpy as np
import pytest

from audio.activity import Activity
from av_sep.errors import ParameterError

NAMES = ("violin", "flute", "tuba")


@pytest.fixture
def activity():
    return Activity(NAMES, np.array([1.0, 2.0, 4.0]), np.array([[3, -5, 0], [-1, 0, 0], [2, 2, -40]], np.float32))


def raw(log_odds):
    """Odds of who is guessed to play times e to the 1.5, where that is below 1, to the third power, written out."""
    return np.minimum(np.exp(np.asarray(log_odds, np.float64)) * np.e**1.5, 1) ** 3


def test_weights_are_those_of_the_formula(activity):
    weights = activity.weights(("tuba", "violin"), np.array([1.0, 2.0]))
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, 1)  # who is as likely as not, or a little less, loses nothing
    np.testing.assert_allclose(activity.weights(NAMES, np.array([1.0]))[:, 0], [1, raw(-5), 1], rtol=1e-5)


def test_somebody_plays_however_unlikely_all_are():
    activity = Activity(NAMES, np.zeros(1), np.array([[-80, -200, -80.5]], np.float32))
    np.testing.assert_allclose(activity.weights(NAMES, np.zeros(1))[:, 0], [1, 0, np.exp(-1.5)], rtol=1e-4)


def test_logarithms_are_interpolated_and_stay_beyond_the_ends(activity):
    weights = activity.weights(NAMES, np.array([-3.0, 1.0, 1.25, 3.5, 4.0, 99.0]))
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 5], weights[:, 4])
    first, second, last = (raw(row) for row in activity.log_odds)
    for column, mean in ((2, first**0.75 * second**0.25), (3, second**0.25 * last**0.75)):
        np.testing.assert_allclose(weights[:, column], mean / mean.max(), rtol=1e-5, atol=1e-30)


def test_known_players_get_no_benefit_of_the_doubt_and_stay_known():
    log_odds = np.array([[5, 5, 5], [-0.5, -0.5, 2], [-3, -3, 2]], np.float32)
    heard = Activity(NAMES, np.arange(3.0), log_odds)
    believed = heard.believing(("flute", "kazoo")).believing(("tuba",))
    assert (heard.known, believed.known) == ((), ("flute", "tuba"))
    np.testing.assert_array_equal(believed.log_odds, log_odds)
    violin, flute, tuba = believed.weights(NAMES, np.arange(3.0))
    np.testing.assert_allclose(violin, [1, 1, raw(-3)], rtol=1e-5)
    np.testing.assert_allclose(flute, [1, np.exp(-1.5), np.exp(-9)], rtol=1e-5)
    np.testing.assert_array_equal(tuba, 1)


def test_who_is_known_to_play_plays_in_his_best_times():
    log_odds = np.array([[-9, 3, -9], [-7, -2, -9], [-5, 6, -9], [-11, -8, -9], [-20, 5, -9]], np.float32)
    believed = Activity(NAMES, np.arange(5.0), log_odds).believing(("violin", "flute"))
    # A quarter of five, rounded up, is two: -7 and -5, which lack 11 to be 5 on average; 6 and 5 lack nothing.
    np.testing.assert_allclose(believed.log_odds[:, 0], log_odds[:, 0] + 11, rtol=1e-6)
    # Of the tuba nothing is known.
    np.testing.assert_array_equal(believed.log_odds[:, 1:], log_odds[:, 1:])
    assert believed.instruments == NAMES and believed.times_seconds.tolist() == [0, 1, 2, 3, 4]
    assert believed.log_odds.dtype == np.float32
    empty = Activity(("flute",), np.zeros(0), np.zeros((0, 1), np.float32))
    assert empty.believing(("flute",)).log_odds.shape == (0, 1)


def test_who_plays_little_but_surely_needs_no_help():
    """Twelve of 400 times: the mean of a quarter of them would be that of rests."""
    log_odds = np.full((400, 1), -6, np.float32)
    log_odds[100:112] = 5
    activity = Activity(("flute",), np.arange(400.0), log_odds)
    np.testing.assert_array_equal(activity.believing(("flute",)).log_odds, log_odds)


def test_where_nothing_was_heard_all_weigh_the_same():
    nothing = Activity(NAMES, np.zeros(0), np.zeros((0, 3), np.float32))
    np.testing.assert_array_equal(nothing.weights(("flute", "tuba"), np.array([0.0, 9.0])), np.ones((2, 2)))


def test_wrong_instruments_and_shapes_are_refused(activity):
    with pytest.raises(ParameterError, match="Expected instruments that were listened for. Received: oboe"):
        activity.weights(("violin", "oboe"), np.zeros(1))
    with pytest.raises(ParameterError, match=r"Expected log odds of shape \(2, 3\). Received: shape \(3, 2\)"):
        Activity(NAMES, np.zeros(2), np.zeros((3, 2), np.float32))
    with pytest.raises(ParameterError, match="Expected finite times and log odds"):
        Activity(NAMES, np.zeros(1), np.full((1, 3), np.nan, np.float32))
    with pytest.raises(ParameterError, match="Expected rising times"):
        Activity(NAMES, np.array([1.0, 1.0]), np.zeros((2, 3), np.float32))
