"""Naming of components: noises whose spectra are known, every permutation tried by hand, other rates and levels."""

import itertools

import numpy as np
import pytest
from scipy.signal import welch

from audio.baselines.component_naming import ComponentNamer
from audio.models import load_model
from audio.resampling import resample
from av_sep.errors import ParameterError

NAMES = ("low", "middle", "high", "highest")
BANDS = ((50, 900), (700, 2200), (1800, 3300), (4500, 7000))
RATE = 16000


@pytest.fixture
def make_sounds(rng, make_band_noise):
    """Function that makes one second `[4, time, channels]` of noise in the band of each source."""

    def make(num_channels=1):
        return np.stack([make_band_noise(rng, RATE, num_channels, *band, RATE) for band in BANDS])

    return make


@pytest.fixture
def namer(make_sounds):
    spectra = [welch(sound[:, 0], RATE, nperseg=512)[1] for sound in make_sounds()]
    return ComponentNamer(NAMES, np.stack(spectra), RATE)


@pytest.mark.parametrize("order", tuple(itertools.permutations(range(4)))[::5], ids=str)
def test_components_get_the_names_of_their_bands(namer, make_sounds, order):
    assert namer.assign(make_sounds(2)[list(order)], np.ones(4), RATE) == order


def test_only_active_sources_are_given(namer, make_sounds):
    sounds = make_sounds()
    assert namer.assign(sounds[[2, 1]], np.array([0, 0.1, 1, 0]), RATE) == (2, 1)
    assert namer.assign(sounds[[3, 0]], np.array([0, 1, 1, 0]), RATE) == (2, 1)


@pytest.mark.parametrize("gain", (1e-4, 1, 30))
def test_level_does_not_matter(namer, make_sounds, gain):
    sounds = make_sounds()
    louder = sounds * np.array([gain, 1, 1, 1])[:, None, None]
    np.testing.assert_allclose(namer.distances(louder, RATE), namer.distances(sounds, RATE), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", (8000, 11025, 22050, 44100))
def test_components_of_other_rates_are_converted(namer, make_sounds, rate):
    audible = [i for i, (_, highest) in enumerate(BANDS) if highest < 0.45 * rate]
    converted = np.stack([resample(sound, RATE, rate) for sound in make_sounds()[audible][::-1]])
    labels = np.isin(np.arange(4), audible)
    assert namer.assign(converted, labels, rate) == tuple(audible[::-1])


def test_bins_that_a_lower_rate_cannot_fill_are_left_out(rng):
    """White noise of half the rate is white as far as it can be heard, though its upper half is empty."""
    white, falling = np.ones(257), np.ones(257)
    falling[100:] = 0.003
    namer = ComponentNamer(("white", "falling"), np.stack([white, falling]), RATE)
    noise = rng.normal(size=(1, 8000, 1)).astype(np.float32)
    assert namer.assign(noise, np.ones(2), 8000) == (0,)
    assert namer.distances(noise, 8000)[0, 0] < 0.02


def test_distance_is_the_cosine_distance_of_fourth_roots(rng):
    reference = rng.uniform(0.1, 1, size=(2, 65))
    component = rng.normal(size=5000)
    power = welch(component, RATE, window="hann", nperseg=128, detrend=False)[1]
    angles = [
        np.sum((power * spectrum) ** 0.25) / np.sqrt(np.sum(power**0.5) * np.sum(spectrum**0.5))
        for spectrum in reference
    ]
    distances = ComponentNamer(("a", "b"), reference, RATE).distances(component[None, :, None], RATE)
    np.testing.assert_allclose(distances, [1 - np.array(angles)], rtol=0, atol=1e-5)


def test_sum_of_distances_is_least_among_all_permutations(rng):
    """Four names and four components alike enough that the nearest names collide."""
    namer = ComponentNamer(NAMES, rng.uniform(0.2, 1, size=(4, 33)), RATE)
    collided = 0
    for _ in range(20):
        components = rng.normal(size=(4, 400, 1)).astype(np.float32)
        distances = namer.distances(components, RATE)
        best = min(itertools.permutations(range(4)), key=lambda names: sum(distances[range(4), names]))
        assert namer.assign(components, np.ones(4), RATE) == best
        collided += len(set(np.argmin(distances, axis=1))) < 4
    assert collided > 5


def test_of_many_components_no_instrument_goes_without(namer, make_sounds):
    sounds = make_sounds()
    assert namer.assign(sounds[[1, 1, 0, 2, 0]], np.array([1, 1, 1, 0]), RATE) == (1, 1, 0, 2, 0)
    # All of one band: each of the two names is used all the same.
    assert set(namer.assign(np.concatenate([sounds[:1]] * 3), np.array([1, 0, 0, 1]), RATE)) == {0, 3}


def test_silent_and_very_short_components_get_what_is_left(namer, make_sounds):
    sounds = make_sounds()
    sounds[1] = 0
    assert namer.assign(sounds[:3], np.array([1, 1, 1, 0]), RATE) == (0, 1, 2)
    assert set(namer.assign(sounds[[0, 3], :3], np.array([1, 0, 0, 1]), RATE)) == {0, 3}


def test_packaged_spectra_name_notes_of_a_tuba_and_a_flute():
    """Harmonic sounds in the two registers; spectra of the packaged filters."""
    wiener = load_model("wiener")
    namer = ComponentNamer(wiener.source_names, wiener.power_spectra, wiener.sample_rate_hz)
    time = np.arange(RATE) / RATE
    notes = [sum(np.sin(2 * np.pi * f0 * n * time) / n**2 for n in range(1, 8)) for f0 in (880, 65)]
    labels = np.isin(wiener.source_names, ("flute", "tuba"))
    named = namer.assign(np.stack(notes)[..., None].astype(np.float32), labels, RATE)
    assert [wiener.source_names[i] for i in named] == ["flute", "tuba"]


@pytest.mark.parametrize("shape", ((3, 17), (5, 17), (17,), (4, 1)), ids=str)
def test_spectra_that_do_not_fit_the_names_are_refused(shape):
    with pytest.raises(ParameterError, match=r"one spectrum for each of 4 sources\. Received: shape \("):
        ComponentNamer(NAMES, np.ones(shape), RATE)


@pytest.mark.parametrize("value", (0, -1, np.nan))
def test_spectra_that_are_no_power_are_refused(value):
    spectra = np.ones((4, 17))
    spectra[2] = value
    with pytest.raises(ParameterError, match="none negative and none empty. Received: sums"):
        ComponentNamer(NAMES, spectra, RATE)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    (
        ((4, 100), np.ones(4), r"components \[num_components, time, channels\] with sound. Received: shape \(4, 100\)"),
        ((0, 100, 1), np.ones(4), r"with sound. Received: shape \(0, 100, 1\)"),
        ((4, 100, 1), np.ones(3), r"one label per instrument: low, middle, high, highest. Received: shape \(3,\)"),
        ((4, 100, 1), np.zeros(4), "at least one active instrument to name components after. Received: none"),
    ),
)
def test_arguments_that_cannot_be_used_are_refused(namer, shape, labels, message):
    with pytest.raises(ParameterError, match=message):
        namer.assign(np.ones(shape, np.float32), labels, RATE)
