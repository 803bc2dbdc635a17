"""Static Wiener filters: against cosine sums, direct convolution, and two sources that share no frequency."""

import numpy as np
import pytest

from audio.baselines.wiener import StaticWiener, average_power_spectrum
from audio.metrics import sdr
from audio.models import load_model
from audio.separator import Separator
from av_sep.errors import ParameterError

NAMES = ("violin", "flute", "tuba")
RATE = 16000
LABELS = (np.array([1, 0.4, 0.2]), np.array([0, 1, 0.1]), np.array([1, 0, 0]), np.array([1, 1, 0]))
EVERY_LABELLING = pytest.mark.parametrize("labels", LABELS, ids=str)


@pytest.fixture
def model(rng):
    return StaticWiener(NAMES, rng.uniform(0.01, 1, size=(3, 17)), RATE)


def gains_of(model, labels):
    """P_i / sum of the active P_j, zero for the absent: Wiener 1949 for independent stationary sources."""
    gains = np.zeros_like(model.power_spectra)
    active = np.flatnonzero(labels)
    for i in active:
        gains[i] = model.power_spectra[i] / sum(model.power_spectra[j] for j in active)
    return gains


def filters_by_cosine_sums(model, labels):
    """The zero-phase filter of 2 * 16 + 1 taps that has the wanted gain at every bin, summed cosine by cosine."""
    lags = np.arange(-16, 17)
    responses = np.zeros((3, 33))
    for k, gain in enumerate(gains_of(model, labels).T):
        weight = 1 if k in (0, 16) else 2
        responses += weight / 32 * gain[:, None] * np.cos(2 * np.pi * k * lags / 32)
    responses[:, [0, -1]] /= 2
    return responses


@EVERY_LABELLING
def test_filters_equal_cosine_sums(model, labels):
    np.testing.assert_allclose(model.filters(labels), filters_by_cosine_sums(model, labels), rtol=0, atol=1e-12)


@EVERY_LABELLING
def test_filters_have_the_wiener_gain_at_every_bin(model, labels):
    lags, bins = np.arange(-16, 17), np.arange(17)
    response = model.filters(labels) @ np.exp(-2j * np.pi * np.outer(lags, bins) / 32)
    np.testing.assert_allclose(response, gains_of(model, labels), rtol=0, atol=1e-12)


@EVERY_LABELLING
def test_filters_of_active_instruments_sum_to_a_delta(model, labels):
    delta = np.zeros(33)
    delta[16] = 1
    np.testing.assert_allclose(model.filters(labels).sum(axis=0), delta, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(model.filters(labels)[labels == 0], 0)


@EVERY_LABELLING
def test_chunk_is_convolved_with_the_filters(model, rng, labels):
    chunk = rng.normal(size=200).astype(np.float32)
    expected = [np.convolve(chunk, h, mode="valid") for h in filters_by_cosine_sums(model, labels)]
    estimates = model.separate_chunk(chunk, labels)
    assert estimates.dtype == np.float32
    np.testing.assert_allclose(estimates, expected, rtol=0, atol=1e-6)


def test_instrument_alone_is_the_mixture(model, rng):
    mixture = rng.normal(size=(3000, 2)).astype(np.float32)
    estimates = Separator(model, mixture_consistency=False).separate(mixture, np.array([0, 0.3, 0]), RATE)
    np.testing.assert_allclose(estimates[1], mixture, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(estimates[[0, 2]], 0)


def test_sources_in_bands_of_their_own_are_separated(rng, make_band_noise):
    low = make_band_noise(rng, RATE, 1, 100, 2500, RATE)
    high = make_band_noise(rng, RATE, 1, 3500, 7800, RATE)
    training = [
        [make_band_noise(rng, RATE, 1, *band, RATE)[:, 0] for _ in range(3)] for band in ((100, 2500), (3500, 7800))
    ]
    spectra = np.stack([average_power_spectrum(waveforms, RATE, 257) for waveforms in training])
    separator = Separator(StaticWiener(("low", "high"), spectra, RATE), chunk_samples=4096)
    estimates = separator.separate(low + high, np.ones(2), RATE)
    for reference, estimate in zip((low, high), estimates, strict=True):
        assert sdr(reference, low + high) < 3
        assert sdr(reference, estimate) > 20
        assert sdr(reference, np.roll(estimate, 1, axis=0)) < 20


def test_spectrum_of_white_noise_is_flat(rng):
    spectrum = average_power_spectrum([rng.normal(size=200_000) for _ in range(2)], RATE, 65)
    assert spectrum.shape == (65,)
    assert spectrum.sum() == pytest.approx(1)
    # A one-sided spectrum has half the power in its first and last bin.
    np.testing.assert_allclose(spectrum[1:-1], 1 / 64, rtol=0.1)
    np.testing.assert_allclose(spectrum[[0, -1]], 1 / 128, rtol=0.2)


@pytest.mark.parametrize("position", (1, 20, 63))
def test_spectrum_of_a_sine_peaks_at_its_bin(make_sine, position):
    spectrum = average_power_spectrum([make_sine(position * RATE / 128, RATE, RATE)], RATE, 65)
    assert np.argmax(spectrum) == position
    # A Hann window spreads a sine over three bins, 1 : 4 : 1 in power.
    assert spectrum[position] == pytest.approx(4 / 6, abs=0.02) or position in (1, 63)
    assert spectrum[position - 1 : position + 2].sum() == pytest.approx(1, abs=1e-3)


def test_spectrum_counts_loud_and_quiet_recordings_alike(make_sine):
    low, high = make_sine(1000, RATE, RATE, amplitude=0.9), make_sine(4000, RATE, RATE, amplitude=0.001)
    spectrum = average_power_spectrum([low, high], RATE, 65)
    assert spectrum[8] == pytest.approx(spectrum[32], rel=1e-3)
    assert spectrum[8] > 0.3


@pytest.mark.parametrize("shape", ((2, 17), (4, 17), (17,), (3, 17, 1)), ids=str)
def test_spectra_that_do_not_fit_the_names_are_refused(shape):
    with pytest.raises(ParameterError, match=r"one spectrum for each of 3 sources\. Received: shape \("):
        StaticWiener(NAMES, np.ones(shape), RATE)


def test_packaged_filters_lose_nothing_whoever_plays(rng):
    model = load_model("wiener")
    delta = np.zeros(model.num_taps)
    delta[model.num_taps // 2] = 1
    for _ in range(5):
        labels = rng.permutation([1, 1, 1] + [0] * (len(model.source_names) - 3))
        np.testing.assert_allclose(model.filters(labels).sum(axis=0), delta, rtol=0, atol=1e-9)


def test_average_spectrum_takes_waveforms_of_any_lengths(rng):
    long, short = rng.normal(size=5000), rng.normal(size=300)
    both = average_power_spectrum([long, short], RATE)
    assert both.shape == (513,) and both.sum() == pytest.approx(1)
    alone = [average_power_spectrum([waveform], RATE) for waveform in (long, np.pad(short, (0, 724)))]
    np.testing.assert_allclose(both, np.mean(alone, axis=0))


def test_silence_has_no_average_spectrum():
    with pytest.raises(ParameterError, match="not silent"):
        average_power_spectrum([np.ones(2000), np.zeros(2000)], RATE)
