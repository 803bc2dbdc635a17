"""Averages over segments by hand, and what both versions of BSS Eval refuse."""

import numpy as np
import pytest

from audio.metrics import SegmentScores, bss_eval_v3_segment, bss_eval_v4
from av_sep.errors import ParameterError

BOTH_VERSIONS = pytest.mark.parametrize("metric", (bss_eval_v4, bss_eval_v3_segment))
NAN, INF = np.nan, np.inf


def scores_of(sdr, isr=None):
    sdr = np.array(sdr, float)
    return SegmentScores(np.arange(sdr.shape[1]) * 1.0, sdr=sdr, sir=sdr + 1, sar=sdr + 2, isr=isr)


def test_averages_worked_by_hand():
    scores = scores_of([[1, NAN, 2, 9], [NAN, NAN, NAN, NAN], [5, 8, NAN, NAN], [NAN, INF, 3, INF]])
    np.testing.assert_array_equal(scores.num_scored_segments, [3, 0, 2, 3])
    medians, means = scores.median_over_segments(), scores.mean_over_segments()
    for name, offset in (("sdr", 0), ("sir", 1), ("sar", 2)):
        np.testing.assert_array_equal(medians[name], np.array([2, NAN, 6.5, INF]) + offset)
        np.testing.assert_array_equal(means[name], np.array([4, NAN, 6.5, INF]) + offset)


def test_only_ratios_that_exist_are_averaged():
    sdr = [[1.0, 2.0]]
    assert list(scores_of(sdr).median_over_segments()) == ["sdr", "sir", "sar"]
    assert list(scores_of(sdr, isr=np.array(sdr)).median_over_segments()) == ["sdr", "isr", "sir", "sar"]
    np.testing.assert_array_equal(scores_of(sdr, isr=np.array([[3.0, 7.0]])).mean_over_segments()["isr"], [5])


def test_no_segments_have_no_average():
    scores = scores_of(np.zeros((2, 0)))
    np.testing.assert_array_equal(scores.median_over_segments()["sdr"], [NAN, NAN])
    np.testing.assert_array_equal(scores.num_scored_segments, [0, 0])


@BOTH_VERSIONS
@pytest.mark.parametrize("shape", ((0, 9, 1), (2, 0, 1), (2, 9, 0)), ids=str)
def test_empty_arrays_are_refused(metric, shape):
    with pytest.raises(ParameterError, match=r"at least one source, one sample and one channel. Received: .*\(\d, "):
        metric(np.ones(shape), np.ones(shape), 8000)


@BOTH_VERSIONS
@pytest.mark.parametrize("shapes", (((2, 9, 1), (3, 9, 1)), ((2, 9, 1), (2, 8, 1)), ((2, 9), (2, 9))), ids=str)
def test_shapes_that_do_not_fit_are_refused(metric, shapes):
    with pytest.raises(ParameterError, match=r"\[num_sources, time, channels\] of one shape. Received: \(2.* and \("):
        metric(np.ones(shapes[0]), np.ones(shapes[1]), 8000)


@BOTH_VERSIONS
@pytest.mark.parametrize("value", (NAN, -INF))
def test_samples_that_are_no_numbers_are_refused(metric, value):
    sound, broken = np.ones((2, 9, 1)), np.ones((2, 9, 1))
    broken[1, 4, 0] = value
    for references, estimates in ((sound, broken), (broken, sound)):
        with pytest.raises(ParameterError, match="finite samples. Received: NaN or infinity"):
            metric(references, estimates, 8000)


@pytest.mark.parametrize(
    ("metric", "argument"),
    ((bss_eval_v4, "window_seconds"), (bss_eval_v4, "hop_seconds"), (bss_eval_v3_segment, "segment_seconds")),
)
@pytest.mark.parametrize("seconds", (0, -1.0, 0.00001, NAN, INF))
def test_lengths_below_a_sample_are_refused(metric, argument, seconds):
    with pytest.raises(ParameterError, match=rf"{argument} of at least one sample \(0.000125 s\).*={seconds}"):
        metric(np.ones((2, 9, 1)), np.ones((2, 9, 1)), 8000, **{argument: seconds})


@BOTH_VERSIONS
@pytest.mark.parametrize("rate", (0, -8000, NAN, INF))
def test_rates_that_are_none_are_refused(metric, rate):
    with pytest.raises(ParameterError, match=f"sample_rate_hz above 0. Received: sample_rate_hz={rate}"):
        metric(np.ones((2, 9, 1)), np.ones((2, 9, 1)), rate)


@pytest.mark.parametrize("filter_taps", (0, -1, 10))
def test_filters_that_fit_no_segment_are_refused(filter_taps):
    sound = np.ones((2, 9, 1))
    with pytest.raises(ParameterError, match=f"from 1 to the 9 samples of a segment. Received: .*={filter_taps}"):
        bss_eval_v3_segment(sound, sound, 9, segment_seconds=1, filter_taps=filter_taps)


def test_lengths_are_rounded_to_samples(rng):
    """0.29 * 100 is 28.999999999999996."""
    sound = rng.normal(size=(2, 90, 1))
    segments = bss_eval_v3_segment(sound, sound, 100, segment_seconds=0.29, filter_taps=4)
    np.testing.assert_allclose(segments.start_seconds, [0, 0.29, 0.58])
    windows = bss_eval_v4(sound, sound, 100, window_seconds=0.29, hop_seconds=0.29)
    np.testing.assert_allclose(windows.start_seconds, [0, 0.29, 0.58])
