"""Hearing streams: windows, silence, channels, pooling and calibration, with a network whose answer is known."""

import numpy as np
import pytest
from scipy.special import expit, logit

from audio.tagger.stream_tagger import ConfidencePool, StreamTagger
from av_sep.errors import ParameterError

RATE_HZ = 8000
WINDOW = 4000


class PitchNetwork:
    """Says "low" of what lies below 1 kHz and "high" of what lies above, by NumPy's own transform.

    Who can only be one of them is that one for certain.
    """

    options = {"window_samples": WINDOW, "sample_rate_hz": RATE_HZ}
    instruments = ("low", "high")

    def __init__(self):
        self.batch_shapes = set()

    def predict_on_batch(self, inputs):
        windows, candidates = inputs["waveform"], inputs["candidates"]
        assert candidates.shape == (len(windows), 2)
        self.batch_shapes.add(windows.shape)
        power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
        limit = int(1000 * WINDOW / RATE_HZ)
        low, high = power[:, :limit].sum(axis=1), power[:, limit:].sum(axis=1)
        share = np.clip(low / np.maximum(low + high, 1e-9), 0.01, 0.99)
        certain = 3.0 * (candidates.sum(axis=1, keepdims=True) == 1)
        return np.stack([logit(share), -logit(share)], axis=1) + certain


@pytest.fixture
def tagger():
    return StreamTagger(PitchNetwork())


def tone(make_sine, hz, seconds, rate_hz=RATE_HZ, amplitude=0.5):
    return make_sine(hz, int(seconds * rate_hz), rate_hz, amplitude)[:, None]


def test_tone_is_heard_at_any_rate_length_and_level(tagger, make_sine):
    for rate_hz, seconds, amplitude in ((8000, 3.3, 0.5), (44100, 0.21, 0.5), (48000, 1.0, 0.002), (5512, 2.0, 5.0)):
        for hz, expected in ((300, [0.99, 0.01]), (1700, [0.01, 0.99])):
            hearing = tagger.tag(tone(make_sine, hz, seconds, rate_hz, amplitude), rate_hz)
            np.testing.assert_allclose(hearing.confidences, expected, atol=0.005, err_msg=f"{rate_hz} {seconds}")
    assert hearing.instruments == ("low", "high")


def test_cutting_the_stream_does_not_change_what_is_heard(tagger, rng, make_sine):
    waveform = np.concatenate([tone(make_sine, 300, 1.7, 11025), tone(make_sine, 2500, 2.9, 11025)])
    waveform = np.concatenate([waveform, 0.5 * waveform], axis=1) + 0.2 * rng.normal(size=(len(waveform), 2))
    whole = tagger.tag(waveform, 11025)
    cuts = np.sort(rng.integers(0, len(waveform), 40))
    pieces = tagger.listen(np.split(waveform, cuts), 11025)
    assert 0.02 < whole.confidences.min() and pieces.num_windows == whole.num_windows > 10
    np.testing.assert_allclose(pieces.confidences, whole.confidences, atol=1e-6)


def test_network_is_always_given_the_same_shape(tagger, make_sine):
    for seconds in (0.1, 1.0, 9.0):
        tagger.tag(tone(make_sine, 300, seconds), RATE_HZ)
    assert tagger.network.batch_shapes == {(8, WINDOW)}


def test_silence_says_nothing(tagger, make_sine):
    silence = np.zeros((6 * RATE_HZ, 1), np.float32)
    nothing = tagger.tag(silence, RATE_HZ)
    assert nothing.num_windows == 23 and nothing.num_sounding_windows == 0
    np.testing.assert_array_equal(nothing.confidences, [0, 0])
    late = tagger.tag(np.concatenate([silence, tone(make_sine, 300, 2)]), RATE_HZ)
    assert 0 < late.num_sounding_windows < late.num_windows
    np.testing.assert_allclose(late.confidences, [0.99, 0.01], atol=0.005)


def test_empty_stream_says_nothing(tagger):
    assert tagger.listen([], RATE_HZ).num_windows == 0
    assert tagger.tag(np.zeros((0, 2)), RATE_HZ).num_windows == 0


def test_channels_out_of_phase_are_heard(tagger, make_sine):
    low, quiet_high = tone(make_sine, 300, 1), tone(make_sine, 1700, 1, amplitude=0.05)
    hearing = tagger.tag(np.concatenate([low, -low], axis=1) + quiet_high, RATE_HZ)
    assert hearing.confidences[0] > 0.9


def test_pool_gives_the_mean_of_the_best_fraction(rng):
    confidences = rng.beta(0.4, 0.6, size=(301, 5))
    pool = ConfidencePool(5)
    for part in np.array_split(confidences, 13):
        pool.add(part)
    for fraction, num_top in ((0.25, 76), (0.5, 151), (1.0, 301), (0.001, 1)):
        expected = np.sort(confidences, axis=0)[-num_top:].mean(axis=0)
        np.testing.assert_allclose(pool.top_mean(fraction), expected, atol=1 / 512)


def test_one_player_who_rests_for_most_of_a_piece_is_not_diluted_away(tagger, make_sine):
    rests = np.concatenate([tone(make_sine, 1700, 6), tone(make_sine, 300, 4)])
    assert tagger.tag(rests, RATE_HZ).confidences[0] > 0.7


def test_a_sound_of_two_seconds_in_eighteen_creates_no_player(tagger, make_sine):
    """Of 75 windows nine hear it; the mean is that of the best 38."""
    sound = np.concatenate([tone(make_sine, 1700, 9), tone(make_sine, 300, 2), tone(make_sine, 1700, 8)])
    confidence = tagger.tag(sound, RATE_HZ).confidences[0]
    assert 9 / 38 * 0.8 < confidence < 0.3


def test_temperature_and_bias_move_the_logits(make_sine):
    network = PitchNetwork()
    waveform = tone(make_sine, 300, 1.0) + tone(make_sine, 1700, 1.0, amplitude=0.3)
    plain = StreamTagger(network).tag(waveform, RATE_HZ).confidences
    moved = StreamTagger(network, temperature=2.0, bias=[-0.5, 1.0]).tag(waveform, RATE_HZ).confidences
    assert 0.6 < plain[0] < 0.95
    np.testing.assert_allclose(moved, expit(logit(plain) / 2 + [-0.5, 1.0]), atol=0.004)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "Expected a temperature above 0. Received: temperature=0.0"),
        ({"bias": [0.0]}, r"Expected one bias for each of the 2 instruments. Received: shape \(1,\)"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(ParameterError, match=message):
        StreamTagger(PitchNetwork(), **settings)


@pytest.mark.parametrize(
    ("blocks", "rate_hz", "message"),
    [
        ([np.zeros(5)], RATE_HZ, r"Expected blocks \[time, channels\]. Received: shape \(5,\)"),
        ([np.zeros((5, 2)), np.zeros((5, 1))], RATE_HZ, r"Expected blocks \[time, 2\]. Received: shape \(5, 1\)"),
        ([np.full((5, 1), np.nan)], RATE_HZ, "Expected finite samples"),
        ([np.zeros((5, 1))], 0, "Expected a positive sample rate in Hz. Received: sample_rate_hz=0"),
    ],
)
def test_streams_that_cannot_be_heard(tagger, blocks, rate_hz, message):
    with pytest.raises(ParameterError, match=message):
        tagger.listen(blocks, rate_hz)


def test_candidates_are_told_to_the_network_and_all_others_are_0(tagger, make_sine):
    sound = tone(make_sine, 300, 2)
    everybody, all_of_them = tagger.tag(sound, RATE_HZ), tagger.tag(sound, RATE_HZ, ("high", "low"))
    np.testing.assert_array_equal(everybody.confidences, all_of_them.confidences)
    confidences = tagger.tag(sound, RATE_HZ, ("high",)).confidences
    np.testing.assert_allclose(confidences, [0, expit(logit(0.01) + 3)], atol=1e-3)
    with pytest.raises(ParameterError, match="Expected candidates among low, high. Received: middle"):
        tagger.tag(sound, RATE_HZ, ("low", "middle"))
    with pytest.raises(ParameterError, match="Expected at least one candidate"):
        tagger.tag(sound, RATE_HZ, ())
