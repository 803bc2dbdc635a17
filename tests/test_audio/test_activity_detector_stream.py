"""Who plays when in streams: windows that overlap, silence and candidates, with a network whose answer is known."""

import numpy as np
import pytest
from scipy.special import logit

from audio.activity_detector.stream_detector import StreamActivityDetector, overlapped
from av_sep.errors import ParameterError

RATE_HZ = 8000
MOMENT = 500
WINDOW = 8 * MOMENT


class PitchNetwork:
    """Says "low" of moments that lie below 1 kHz and "high" of those above, by NumPy's own transform."""

    options = {"window_samples": WINDOW, "sample_rate_hz": RATE_HZ}
    instruments = ("low", "high")
    moment_samples = MOMENT

    def predict_on_batch(self, inputs):
        windows, candidates = inputs["waveform"], inputs["candidates"]
        assert candidates.shape == (len(windows), 2)
        power = np.abs(np.fft.rfft(windows.reshape(len(windows), 8, MOMENT), axis=2)) ** 2
        limit = int(1000 * MOMENT / RATE_HZ)
        low, high = power[..., :limit].sum(axis=2), power[..., limit:].sum(axis=2)
        share = np.clip(low / np.maximum(low + high, 1e-9), 0.01, 0.99)
        certain = 3.0 * (candidates.sum(axis=1)[:, None, None] == 1)
        return np.stack([logit(share), -logit(share)], axis=2) + certain


@pytest.fixture
def detector():
    return StreamActivityDetector(PitchNetwork())


def tone(make_sine, hz, seconds):
    return make_sine(hz, int(seconds * RATE_HZ), RATE_HZ, 0.5)[:, None]


def test_activity_goes_from_one_player_to_the_other(detector, make_sine):
    """2 s of a low tone, 1.5 s of silence, 2 s of a high one: moments of a sixteenth of a second."""
    parts = [tone(make_sine, 300, 2.0), np.zeros((int(1.5 * RATE_HZ), 1)), tone(make_sine, 1700, 2.0)]
    activity = detector.track([np.concatenate(parts)], RATE_HZ)
    assert activity.instruments == ("low", "high") and activity.log_odds.dtype == np.float32
    times = activity.times_seconds
    # Of windows of half a second that begin every eighth, silent ones lie between 2 and 3.5 s, and touch no other.
    expected = [(m + 0.5) / 16 for m in range(88) if not 32 + 6 <= m < 56 - 6]
    np.testing.assert_allclose(times, expected)
    low, high = activity.log_odds.T
    assert np.all(low[times < 2] > 4) and np.all(high[times < 2] < -4)
    assert np.all(high[times > 3.5] > 4) and np.all(low[times > 3.5] < -4)


def test_activity_is_that_of_the_candidates_however_the_stream_is_cut(detector, rng, make_sine):
    sound = tone(make_sine, 300, 3.1)
    activity = detector.track([sound], RATE_HZ, ("high",))
    assert activity.instruments == ("high",) and activity.log_odds.shape == (len(activity.times_seconds), 1)
    np.testing.assert_allclose(activity.log_odds, logit(0.01) + 3, atol=0.01)
    pieces = detector.track(np.split(sound, np.sort(rng.integers(0, len(sound), 30))), RATE_HZ, ("high",))
    np.testing.assert_array_equal(pieces.times_seconds, activity.times_seconds)
    np.testing.assert_allclose(pieces.log_odds, activity.log_odds, atol=1e-5)


def test_every_moment_of_a_recording_is_spoken_of_to_its_end(detector, make_sine):
    for seconds in (0.5, 0.6, 1.03, 3.37):
        times = detector.track([tone(make_sine, 300, seconds)], RATE_HZ).times_seconds
        np.testing.assert_allclose(np.diff(times), 1 / 16)
        assert times[0] == 1 / 32 and abs(times[-1] - seconds) <= 1 / 16


def test_what_is_shorter_than_a_window_is_heard_repeated(detector, make_sine):
    activity = detector.track([tone(make_sine, 1700, 0.25)], RATE_HZ)
    assert len(activity.times_seconds) == 8 and np.all(activity.log_odds[:, 1] > 4)


def test_nothing_is_said_of_silence_and_of_nothing(detector):
    for blocks in ([], [np.zeros((0, 2))], [np.zeros((3 * RATE_HZ, 2))]):
        activity = detector.track(blocks, RATE_HZ)
        assert activity.log_odds.shape == (0, 2) and activity.times_seconds.shape == (0,)


def test_unknown_candidates_and_broken_streams_are_refused(detector):
    with pytest.raises(ParameterError, match="Expected candidates among low, high. Received: middle"):
        detector.track([np.zeros((9, 1))], RATE_HZ, ("middle",))
    with pytest.raises(ParameterError, match="Expected finite samples"):
        detector.track([np.full((5, 1), np.nan)], RATE_HZ)


def test_windows_that_begin_within_a_moment_are_refused():
    network = PitchNetwork()
    network.moment_samples = 800
    with pytest.raises(ParameterError, match="multiple of 4 moments. Received: .*=4000, moment_samples=800"):
        StreamActivityDetector(network)


def test_overlapping_windows_are_averaged_by_half_sines(rng):
    """All at once what the stream does bit by bit; windows may leave gaps, and the last may lie anywhere."""
    starts, values = [0, 2, 4, 13, 14], rng.normal(size=(5, 6, 2))
    half_sine = np.sin(np.pi * (np.arange(6) + 0.5) / 6)[:, None]
    sums, weights = np.zeros((20, 2)), np.zeros((20, 1))
    for start, window in zip(starts, values):
        sums[start : start + 6] += half_sine * window
        weights[start : start + 6] += half_sine
    moments, means = zip(*overlapped(zip(starts, values)))
    assert list(moments) == [*range(10), *range(13, 20)]
    np.testing.assert_allclose(np.array(means), (sums[list(moments)] / weights[list(moments)]))
