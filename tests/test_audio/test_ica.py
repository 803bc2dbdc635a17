"""Independent component analysis: made mixtures whose answer is known, and the log where scikit-learn would warn."""

import logging

import numpy as np
import pytest
from sklearn.decomposition import FastICA

from audio.baselines import ica, linear_components
from audio.baselines.component_naming import ComponentNamer
from audio.baselines.ica import ICA
from audio.baselines.pca import PCA
from audio.baselines.wiener import average_power_spectrum
from audio.metrics import sdr
from audio.separation_model import WholeMixtureModel
from av_sep.errors import ParameterError

RATE = 16000
NAMES = ("hollow", "dull", "bright")
# Lowest tone in Hz and how loud partial k sounds: odd ones only, dying out fast, nearly all alike.
INSTRUMENTS = ((300, lambda k: (k % 2) / k), (110, lambda k: k**-2.0), (500, lambda k: k**-0.3))
MICROPHONES = np.array([[1.0, 0.5], [0.6, 1.0]])


def tune(rng, instrument, note_samples, num_samples=2 * RATE):
    """A melody `[time]` of decaying notes of eight partials."""
    lowest_hz, timbre = instrument
    pitches = lowest_hz * 2 ** (rng.integers(0, 12, num_samples // note_samples + 1) / 12)
    phase = 2 * np.pi * np.cumsum(np.repeat(pitches, note_samples)[:num_samples]) / RATE
    envelope = np.exp(-(np.arange(num_samples) % note_samples) / 1200)
    return envelope * sum(timbre(k) * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, 9))


@pytest.fixture
def tunes(rng):
    """One melody of each instrument, `[3, time]`, equally loud."""
    waveforms = np.stack([tune(rng, *part) for part in zip(INSTRUMENTS, (5000, 6700, 4100), strict=True)])
    return waveforms / waveforms.std(axis=1, keepdims=True) * 0.1


@pytest.fixture
def namer():
    """Spectra of other melodies of the same instruments."""
    rng = np.random.default_rng(5)
    spectra = [average_power_spectrum([tune(rng, instrument, 4500)], RATE, 513) for instrument in INSTRUMENTS]
    return ComponentNamer(NAMES, np.stack(spectra), RATE)


def in_microphones(tunes, matrix):
    """Images `[num_sources, time, channels]` of sources `[num_sources, time]` by a matrix `[channels, num_sources]`."""
    return tunes[:, :, None] * np.asarray(matrix).T[:, None, :]


@pytest.mark.parametrize("played", ((0, 1), (1, 2), (0, 2)))
def test_two_microphones_are_unmixed_and_named(tunes, namer, played):
    labels = np.zeros(3)
    labels[list(played)] = (1, 0.2)
    references = in_microphones(tunes[list(played)], MICROPHONES)
    mixture = references.sum(axis=0)
    estimates = ICA(namer).separate_mixture(mixture.astype(np.float32), labels, RATE)
    assert (estimates.shape, estimates.dtype) == ((3, *mixture.shape), np.float32)
    for reference, estimate in zip(references, estimates[list(played)], strict=True):
        assert sdr(reference, mixture) < 6
        # In every channel, so neither scale nor sign is arbitrary.
        assert all(sdr(reference[:, [c]], estimate[:, [c]]) > 20 for c in range(2))
        assert sdr(reference, np.roll(estimate, 5, axis=0)) < 20


@pytest.mark.parametrize("num_microphones", (3, 5))
def test_three_instruments_in_three_and_more_microphones(rng, tunes, namer, num_microphones):
    references = in_microphones(tunes, np.eye(num_microphones, 3) + rng.uniform(0, 0.6, (num_microphones, 3)))
    noise = 1e-4 * rng.normal(size=references.shape[1:])
    estimates = ICA(namer).separate_mixture(references.sum(axis=0) + noise, np.ones(3), RATE)
    assert all(sdr(reference, estimate) > 15 for reference, estimate in zip(references, estimates, strict=True))


def test_decorrelation_alone_does_worse(tunes, namer):
    references = in_microphones(tunes[:2], MICROPHONES)
    labels = np.array([1, 1, 0])
    scores = {}
    for kind in (ICA, PCA):
        estimates = kind(namer).separate_mixture(references.sum(axis=0), labels, RATE)
        scores[kind] = np.mean([sdr(reference, estimates[i]) for i, reference in enumerate(references)])
    assert scores[ICA] > scores[PCA] + 10


def test_long_mixture_is_judged_by_some_of_its_samples(tunes, namer, monkeypatch):
    monkeypatch.setattr(linear_components, "MAX_FIT_SAMPLES", 8000)
    references = in_microphones(tunes[:2], MICROPHONES)
    estimates = ICA(namer).separate_mixture(references.sum(axis=0), np.array([1, 1, 0]), RATE)
    assert linear_components.heard_samples(references[0], 0).shape == (8000, 2)
    assert all(sdr(reference, estimates[i]) > 20 for i, reference in enumerate(references))


def pulsing(rng, hertz, num_samples=8 * RATE):
    """One fixed spectrum that comes and goes at random: what independent subspace analysis takes a source for."""
    drawn = rng.uniform(0, 1, num_samples // 1600) ** 4
    loudness = np.interp(np.arange(num_samples), np.arange(0, num_samples, 1600), drawn)
    return loudness * sum(np.sin(2 * np.pi * f * np.arange(num_samples) / RATE + rng.uniform(0, 6)) for f in hertz)


@pytest.mark.parametrize("frames", (2000, 30), ids=("all frames", "some frames"))
@pytest.mark.parametrize("seed", range(3))
def test_one_microphone_with_sources_as_the_model_has_them(monkeypatch, seed, frames):
    """A contrast that is blind to skewness reaches 3 to 8 dB with two of these three."""
    monkeypatch.setattr(ica, "MAX_FIT_FRAMES", frames)
    rng = np.random.default_rng(seed)
    waveforms = np.stack([pulsing(rng, (310, 930, 1550)), pulsing(rng, (2200, 3300, 4400))])
    spectra = np.stack([average_power_spectrum([waveform], RATE, 513) for waveform in waveforms])
    model = ICA(ComponentNamer(("low", "high"), spectra, RATE), num_components_per_source=1)
    estimates = model.separate_mixture(waveforms.sum(axis=0)[:, None], np.ones(2), RATE)
    for waveform, estimate in zip(waveforms, estimates, strict=True):
        assert sdr(waveform[:, None], estimate) > 15
        assert sdr(waveform[:, None], np.roll(estimate, 5, axis=0)) < 6


def test_two_microphones_share_one_spectrogram_among_three_sources(rng):
    """Sources that only their places tell apart: the same spectrum, left, right and in the middle."""
    places = np.array([[1, 0.02], [0.02, 1], [0.7, 0.7]])
    waveforms = np.stack([pulsing(rng, (310 + d, 930 + d, 1550 + d)) for d in (0, 60, 120)])
    references = waveforms[:, :, None] * places[:, None, :]
    spectra = np.stack([average_power_spectrum([waveform], RATE, 513) for waveform in waveforms])
    model = ICA(ComponentNamer(("a", "b", "c"), spectra, RATE), num_components_per_source=1)
    estimates = model.separate_mixture(references.sum(axis=0), np.ones(3), RATE)
    for reference, estimate in zip(references, estimates, strict=True):
        assert sdr(reference, estimate) > sdr(reference, references.sum(axis=0) / 3) + 3


def test_what_does_not_settle_is_told_in_the_log_and_still_adds_up(tunes, namer, monkeypatch, caplog):
    mixture = in_microphones(tunes[:2], MICROPHONES).sum(axis=0)
    seeds, fit = [], FastICA.fit
    monkeypatch.setattr(FastICA, "fit", lambda self, *args: (seeds.append(self.random_state), fit(self, *args))[1])
    with caplog.at_level(logging.INFO, ica.__name__):
        ICA(namer).separate_mixture(mixture, np.array([1, 1, 0]), RATE)
        assert not caplog.records and seeds.pop() == 0 and not seeds
        monkeypatch.setattr(ica, "MAX_ITERATIONS", 1)
        estimates = ICA(namer).separate_mixture(mixture, np.array([1, 1, 0]), RATE)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert seeds == [0, 1, 2]
    assert "did not settle in 3 starts of 1 iterations" in caplog.text
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6)


def test_no_spectra_for_a_source_is_an_error(namer):
    with pytest.raises(ParameterError, match="num_components_per_source >= 1. Received: 0"):
        ICA(namer, num_components_per_source=0)


def test_is_a_model_named_by_its_namer(namer):
    assert isinstance(ICA(namer), WholeMixtureModel)
    assert ICA(namer).source_names == NAMES
