"""Blind NMF on a duet that anybody can take apart, and the properties that every method must have."""

import numpy as np
import pytest
from scipy.signal import welch
from threadpoolctl import threadpool_limits

from audio.baselines.blind_nmf import BlindNMF, clustered, frame_length_at, mel_bands
from audio.baselines.component_naming import ComponentNamer
from audio.metrics import sdr, si_sdr
from audio.resampling import resample
from av_sep.errors import ParameterError

NAMES = ("dull", "absent", "bright")
RATE = 16000
BOTH = np.array([1, 0, 0.6])
# Weights of a note's partials from 1 on; a dull note has none above 1.2 kHz, a bright one few below 2 kHz.
ENVELOPES = {"dull": (100, 500), "bright": (2500, 1200)}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Products this small are slower with several threads, tens of times slower on busy cores."""
    with threadpool_limits(limits=1):
        yield


def note(f0_hz, centre_hz, width_hz, num_samples):
    """Partials `[time]` under a bell of the given centre and width in Hz."""
    time = np.arange(num_samples) / RATE
    partials = np.arange(f0_hz, 7000, f0_hz)
    weights = np.exp(-(((partials - centre_hz) / width_hz) ** 2))
    return (weights[:, None] * np.sin(2 * np.pi * partials[:, None] * time + partials[:, None] ** 2)).sum(axis=0)


def voice(name, f0s_hz, num_samples):
    waveform = np.concatenate([note(f0_hz, *ENVELOPES[name], num_samples) for f0_hz in f0s_hz])
    return (0.1 * waveform / np.sqrt(np.mean(waveform**2)))[:, None].astype(np.float32)


@pytest.fixture(scope="module")
def references():
    """Two seconds `[2, time, 1]` of two pitches each, of which every pair sounds together; each rests once."""
    dull = voice("dull", (130, 165, 130, 130, 165, 130, 165, 165), 4000)
    bright = voice("bright", (220, 294, 294, 220, 294, 220, 220, 294, 220, 294), 3200)
    dull[4000:8000] *= 0.02
    bright[12800:16000] *= 0.02
    # The hiss of a quiet room; the Itakura-Saito divergence would explain exact silence between the partials.
    return np.stack([dull, bright]) + 7e-4 * np.random.default_rng(0).normal(size=(2, 32000, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def namer():
    """Spectra of other notes in the order of NAMES; the absent source is flat."""
    notes = (147, 185, 233, 262)
    spectra = [welch(voice(name, notes, 4000)[:, 0], RATE, nperseg=512)[1] for name in ("dull", "bright")]
    return ComponentNamer(NAMES, np.stack([spectra[0], np.full(257, spectra[0].mean()), spectra[1]]), RATE)


@pytest.mark.parametrize(("divergence", "num_components"), (("frobenius", 4), ("kl", 4), ("itakura_saito", 6)))
def test_duet_is_taken_apart_and_named(namer, references, divergence, num_components):
    mixture = references.sum(axis=0)
    estimates = BlindNMF(namer, divergence, num_components).separate_mixture(mixture, BOTH, RATE)
    assert estimates.shape == (3, *mixture.shape) and estimates.dtype == np.float32
    for reference, estimate in zip(references, estimates[[0, 2]], strict=True):
        assert si_sdr(reference, mixture) < 2
        assert si_sdr(reference, estimate) > 10
        assert sdr(reference, estimate) > 10
        assert si_sdr(reference, np.roll(estimate, 4, axis=0)) < si_sdr(reference, estimate) - 3
    np.testing.assert_array_equal(estimates[1], 0)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", (11025, 44100))
def test_other_rates_and_channels_in_opposite_phase(namer, references, rate):
    converted = np.stack([resample(reference, RATE, rate) for reference in references])
    stereo = converted * np.array([0.7, -0.7], np.float32)
    estimates = BlindNMF(namer, num_components_per_source=4).separate_mixture(stereo.sum(axis=0), BOTH, rate)
    for reference, estimate in zip(stereo, estimates[[0, 2]], strict=True):
        assert si_sdr(reference, estimate) > si_sdr(reference, stereo.sum(axis=0)) + 4
    np.testing.assert_allclose(estimates[..., 0], -estimates[..., 1], rtol=0, atol=1e-6)


def test_seed_decides(namer, references):
    mixture = references.sum(axis=0)[:8000]
    first, again, other = (
        BlindNMF(namer, num_iterations=10, seed=seed).separate_mixture(mixture, BOTH, RATE) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


@pytest.mark.parametrize("num_samples", (1, 100, 3000))
def test_estimates_of_any_length_sum_to_the_mixture(namer, rng, num_samples):
    mixture = rng.normal(size=(num_samples, 2)).astype(np.float32)
    estimates = BlindNMF(namer, num_iterations=10).separate_mixture(mixture, np.ones(3), RATE)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-5)


def test_rest_in_the_music_stays_silent(namer, references):
    mixture = references.sum(axis=0).copy()
    mixture[8000:16000] = 0
    estimates = BlindNMF(namer, num_iterations=10).separate_mixture(mixture, BOTH, RATE)
    # Frames of 2048 samples reach that far into the rest.
    np.testing.assert_allclose(estimates[:, 8000 + 2048 : 16000 - 2048], 0, rtol=0, atol=1e-9)
    assert np.abs(estimates[0, :8000] - estimates[2, :8000]).max() > 0.01


def test_instrument_alone_is_the_mixture(namer, references):
    mixture = references.sum(axis=0)
    estimates = BlindNMF(namer).separate_mixture(mixture, np.array([0, 0.2, 0]), RATE)
    np.testing.assert_array_equal(estimates[1], mixture)
    np.testing.assert_array_equal(estimates[[0, 2]], 0)


def test_silence_and_nobody_give_silence(namer, references):
    model = BlindNMF(namer)
    np.testing.assert_array_equal(model.separate_mixture(np.zeros((5000, 2)), BOTH, RATE), np.zeros((3, 5000, 2)))
    np.testing.assert_array_equal(model.separate_mixture(references[0], np.zeros(3), RATE), np.zeros((3, 32000, 1)))


def test_templates_are_clustered_by_envelope_and_not_by_pitch():
    pitches = (110, 139, 175, 208, 262)
    spectra = [
        np.abs(np.fft.rfft(np.hanning(2048) * note(f0_hz, *ENVELOPES[name], 2048)))
        for f0_hz in pitches
        for name in ("dull", "bright")
    ]
    levels = np.array([1, 300, 20, 1e-3, 1, 1, 7, 7, 50, 1e-2])
    labels = clustered(np.stack(spectra, axis=1) * levels, 2, 2048, RATE, seed=0)
    assert set(labels[::2]) != set(labels[1::2])
    assert len(set(labels[::2])) == len(set(labels[1::2])) == 1


def test_mel_bands_share_out_every_bin_between_the_first_and_the_last():
    """The Mel scale is that of O'Shaughnessy: 1000 mel at 1 kHz."""
    bands = mel_bands(2048, RATE)
    frequencies = np.fft.rfftfreq(2048, 1 / RATE)
    peaks = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700) - 77.75, 26) / 2595 + 77.75 / 2595) - 1)
    within = (frequencies >= peaks[1]) & (frequencies <= peaks[-2])
    np.testing.assert_allclose(bands[:, within].sum(axis=0), 1, rtol=0, atol=1e-3)
    np.testing.assert_allclose(frequencies[np.argmax(bands, axis=1)], peaks[1:-1], rtol=0, atol=8)
    assert bands.min() == 0


@pytest.mark.parametrize(("rate", "expected"), ((8000, 1024), (16000, 2048), (22050, 2048), (48000, 4096)))
def test_frames_last_about_as_long_at_every_rate(rate, expected):
    assert frame_length_at(rate) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"divergence": "none"}, "one of frobenius, kl, itakura_saito. Received: 'none'"),
        ({"num_components_per_source": 0}, "Received: num_components_per_source=0, num_iterations=100"),
        ({"num_iterations": -1}, "num_iterations=-1, mask_exponent=0.5"),
        ({"mask_exponent": 0}, "mask_exponent > 0. Received: .*mask_exponent=0$"),
    ),
)
def test_options_that_cannot_be_used_are_refused(namer, options, message):
    with pytest.raises(ParameterError, match=message):
        BlindNMF(namer, **options)
