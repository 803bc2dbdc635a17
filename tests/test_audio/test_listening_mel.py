"""The mel scale and its filters against librosa's numbers, and pictures of sound against NumPy's transform."""

import numpy as np
import pytest
from scipy.signal import get_window

from audio.listening.layers import LogMelSpectrogram
from audio.listening.mel import hz_to_mel, mel_filters, mel_to_hz
from av_sep.errors import ParameterError

RATE_HZ = 16000
# librosa 0.11.0: band, first bin, last bin, highest bin, its height and the sum over bins of
# librosa.filters.mel(sr=16000, n_fft=1024, n_mels=96, fmin=30.0, fmax=8000.0).
LIBROSA_BANDS = [
    (0, 2, 5, 4, 0.03067401796579361, 0.06398554891347885),
    (20, 42, 45, 43, 0.02756449766457081, 0.06398554891347885),
    (50, 116, 122, 119, 0.016267603263258934, 0.0641486719250679),
    (95, 481, 511, 496, 0.004063089843839407, 0.06403256207704544),
]


@pytest.fixture(scope="module")
def filters():
    return mel_filters(96, 1024, RATE_HZ, 30.0, RATE_HZ / 2)


def noise_and_tone(rng, num_samples=4096):
    time = np.arange(num_samples) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * 660 * time) + rng.normal(size=num_samples) * 0.1 * time / time[-1]).astype("f")


def test_mel_scale_equals_librosa_s():
    mels = [0.0, 6.6, 14.999999999999998, 25.08188015730832, 43.38629404765444]
    np.testing.assert_allclose(hz_to_mel([0, 440, 1000, 2000, 7040]), mels, rtol=1e-12)
    hz = [0.0, 666.6666666666667, 1000.0000000000002, 2804.6441307389214, 7866.028700088277]
    np.testing.assert_allclose(mel_to_hz([0, 10, 15, 30, 45]), hz, rtol=1e-12)


def test_mel_filters_equal_librosa_s(filters):
    assert filters.shape == (513, 96) and filters.dtype == np.float32
    assert filters.sum() == pytest.approx(6.1438427, rel=1e-5)
    for band, first, last, highest, height, total in LIBROSA_BANDS:
        column = filters[:, band]
        assert (*np.flatnonzero(column)[[0, -1]], column.argmax()) == (first, last, highest)
        assert (column.max(), column.sum()) == pytest.approx((height, total), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((96, 1024, 16000, 30.0, 9000.0), "Expected 0 <= low_hz < high_hz <= sample_rate_hz / 2"),
        ((96, 1024, 16000, 500.0, 400.0), "low_hz=500.0, high_hz=400.0"),
        ((96, 128, 16000, 30.0, 8000.0), "hold at least one bin each.*num_mels=96, fft_length=128"),
    ],
)
def test_mel_filters_refuse(arguments, message):
    with pytest.raises(ParameterError, match=message):
        mel_filters(*arguments)


def test_picture_equals_numpy_s(rng, filters):
    waveform = noise_and_tone(rng)
    padded = np.pad(waveform.astype(np.float64), (512, 1024))
    starts = range(0, len(waveform) + 512, 512)
    frames = np.stack([padded[start : start + 1024] for start in starts]) * get_window("hann", 1024)
    power = np.abs(np.fft.rfft(frames)) ** 2 @ filters
    decibels = 10 * np.log10(power / power.max())
    expected = np.maximum(1 + decibels / 80, 0)
    spectrogram = np.asarray(LogMelSpectrogram(frame_length=1024, hop_length=512)(waveform[None]))
    assert spectrogram.shape == (1, 9, 96, 1)
    np.testing.assert_allclose(spectrogram[0, :, :, 0], expected, atol=2e-4)
    assert spectrogram.max() == 1 and 0.05 < spectrogram.std()


def test_picture_shows_a_tone_in_its_band():
    waveform = np.sin(2 * np.pi * 2000 * np.arange(8192) / RATE_HZ).astype("f")
    brightest = np.asarray(LogMelSpectrogram()(waveform[None]))[0, 4, :, 0].argmax()
    edges = mel_to_hz(np.linspace(hz_to_mel(30.0), hz_to_mel(8000.0), 98))
    assert edges[brightest] < 2000 < edges[brightest + 2]


@pytest.mark.parametrize("gain", [1e-3, 0.1, 30.0])
def test_picture_does_not_depend_on_the_level(rng, gain):
    waveform = noise_and_tone(rng)[None]
    layer = LogMelSpectrogram()
    np.testing.assert_allclose(layer(gain * waveform), layer(waveform), atol=1e-4)


def test_picture_of_silence_is_all_zero():
    assert not np.asarray(LogMelSpectrogram()(np.zeros((2, 4096), "f"))).any()


def test_quiet_item_of_a_batch_is_judged_by_itself(rng):
    pair = np.stack([noise_and_tone(rng), 1e-3 * noise_and_tone(rng)])
    layer = LogMelSpectrogram()
    np.testing.assert_allclose(np.asarray(layer(pair))[1], np.asarray(layer(pair[1:]))[0], atol=1e-6)
