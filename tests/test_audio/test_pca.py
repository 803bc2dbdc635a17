"""Principal component analysis: against singular vectors and Hankel matrices in NumPy, and what filters separate."""

import numpy as np
import pytest

from audio.baselines.component_naming import ComponentNamer
from audio.baselines.pca import PCA, reconstruction
from audio.baselines.wiener import average_power_spectrum
from audio.metrics import sdr
from audio.separation_model import WholeMixtureModel

RATE = 16000


class InOrder:
    """Names components in the order in which they come."""

    source_names = ("first", "second", "third")

    def assign(self, components, label_vector, sample_rate_hz):
        return tuple(int(i) for i in np.flatnonzero(label_vector))


@pytest.mark.parametrize("num_channels", (2, 3))
def test_channels_are_rotated_to_their_singular_vectors(rng, num_channels):
    mixture = rng.normal(size=(5000, 2)) * (3, 1) @ rng.normal(size=(2, num_channels)) + 0.3
    mixture += 0.1 * rng.normal(size=mixture.shape)
    _, _, directions = np.linalg.svd(mixture - mixture.mean(axis=0), full_matrices=False)
    expected = np.stack([mixture @ np.outer(direction, direction) for direction in directions[:2]])
    expected += (mixture - expected.sum(axis=0)) / 2
    estimates = PCA(InOrder()).separate_mixture(mixture, np.array([1, 0, 1]), RATE)
    np.testing.assert_allclose(estimates[[0, 2]], expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(estimates[1], 0)


@pytest.mark.parametrize("num_channels", (1, 2))
def test_reconstruction_is_diagonal_averaging_of_projected_windows(rng, num_channels):
    num_samples, num_delays = 23, 5
    mixture = rng.normal(size=(num_samples, num_channels))
    basis = np.linalg.qr(rng.normal(size=(num_channels * num_delays,) * 2))[0].reshape(-1, num_channels, num_delays)
    # Every window that holds a sample of the mixture, with silence before and after it.
    padded = np.pad(mixture, ((num_delays - 1, num_delays - 1), (0, 0)))
    expected = np.zeros_like(padded)
    for start in range(num_samples + num_delays - 1):
        window = padded[start : start + num_delays].T
        projected = sum(np.sum(window * direction) * direction for direction in basis[:3])
        expected[start : start + num_delays] += projected.T / num_delays
    expected = expected[num_delays - 1 : num_delays - 1 + num_samples]
    np.testing.assert_allclose(reconstruction(mixture, basis[:3]), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(reconstruction(mixture, basis), mixture, rtol=0, atol=1e-12)


def bursts(rng, hertz, num_samples=2 * RATE, note_samples=4000):
    """Notes of several partials that begin and end together, at random loudness."""
    loudness = np.repeat(rng.uniform(0.05, 1, num_samples // note_samples), note_samples)
    decay = np.exp(-(np.arange(num_samples) % note_samples) / 2000)
    return loudness * decay * sum(np.sin(2 * np.pi * f * np.arange(num_samples) / RATE) for f in hertz)


@pytest.mark.parametrize("num_channels", (1, 2))
def test_one_microphone_gives_each_instrument_its_frequencies(rng, num_channels):
    """Interleaved partials: no band belongs to one instrument, but the loudness over time tells whose is whose."""
    waveforms = np.stack([bursts(rng, (300, 1500, 2700)), bursts(rng, (900, 2100, 3900), note_samples=3200)])
    spectra = np.stack([average_power_spectrum([waveform], RATE, 513) for waveform in waveforms])
    references = np.repeat(waveforms[:, :, None], num_channels, axis=2)
    mixture = references.sum(axis=0)
    estimates = PCA(ComponentNamer(("low", "high"), spectra, RATE)).separate_mixture(mixture, np.ones(2), RATE)
    for reference, estimate in zip(references, estimates, strict=True):
        assert sdr(reference, estimate) > sdr(reference, mixture / 2) + 10
        assert sdr(reference, estimate) > sdr(reference, np.roll(estimate, 5, axis=0)) + 6


def test_long_mixture_is_judged_by_some_of_its_stretches(rng, monkeypatch):
    monkeypatch.setattr("audio.baselines.pca.MAX_STRETCHES", 30)
    test_one_microphone_gives_each_instrument_its_frequencies(rng, 1)


def test_is_a_model_named_by_its_namer():
    assert isinstance(PCA(InOrder()), WholeMixtureModel)
    assert PCA(InOrder()).source_names == InOrder.source_names
