"""The floors: copies and shares of the mixture, and the scores that arithmetic says they have."""

import numpy as np
import pytest

from audio.baselines.trivial import Mixture, SharedMixture
from audio.metrics import sdr, si_sdr
from audio.separation_model import SeparationModel
from audio.separator import Separator

NAMES = ("violin", "flute", "tuba")
RATE = 16000
LABELS = np.array([1, 0, 0.3], np.float32)
FLOORS = {"mixture": (Mixture, 1), "share": (SharedMixture, 1 / 2)}


@pytest.fixture(params=FLOORS)
def floor(request):
    """(model, gain of each of two active instruments)."""
    kind, gain = FLOORS[request.param]
    return kind(NAMES, RATE), gain


def test_chunk_is_the_mixture_times_the_gain(rng, floor):
    model, gain = floor
    chunk = rng.normal(size=100).astype(np.float32)
    estimates = model.separate_chunk(chunk, LABELS)
    assert isinstance(model, SeparationModel)
    assert (estimates.shape, estimates.dtype) == ((3, 100), np.float32)
    np.testing.assert_array_equal(estimates[[0, 2]], [chunk * np.float32(gain)] * 2)
    np.testing.assert_array_equal(estimates[1], 0)


def test_nobody_plays(rng, floor):
    np.testing.assert_array_equal(floor[0].separate_chunk(rng.normal(size=9), np.zeros(3)), np.zeros((3, 9)))


@pytest.mark.parametrize("chunk_samples", (7, 1000, 100_000))
def test_separator_gives_each_instrument_the_same_multiple_of_the_mixture(rng, floor, chunk_samples):
    model, gain = floor
    mixture = rng.normal(size=(3001, 2)).astype(np.float32)
    separator = Separator(model, mixture_consistency=model.adds_up, chunk_samples=chunk_samples)
    estimates = separator.separate(mixture, LABELS, RATE)
    np.testing.assert_allclose(estimates, [gain * mixture, 0 * mixture, gain * mixture], rtol=0, atol=1e-6)


def test_only_the_share_adds_up(rng):
    """Shared mixture consistency would take the mixture's copies for an error of the model."""
    mixture = rng.normal(size=(500, 1)).astype(np.float32)
    total = {
        kind: Separator(kind(NAMES, RATE), mixture_consistency=False).separate(mixture, LABELS, RATE).sum(axis=0)
        for kind in (Mixture, SharedMixture)
    }
    assert not Mixture.adds_up and SharedMixture.adds_up
    np.testing.assert_allclose(total[SharedMixture], mixture, rtol=0, atol=1e-6)
    np.testing.assert_allclose(total[Mixture], 2 * mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("loudness", (0.5, 1, 2))
def test_scores_of_orthogonal_sources_are_those_of_arithmetic(make_sine, loudness):
    """|s|^2 / |s - m|^2 = p : 1 for sources with power p : 1; a half of the mixture errs by half of each."""
    references = np.stack([loudness * make_sine(400, RATE, RATE), make_sine(1000, RATE, RATE)])[..., None]
    mixture = references.sum(axis=0)
    whole = Mixture(NAMES, RATE).separate_chunk(mixture[:, 0], LABELS)[0][:, None]
    half = SharedMixture(NAMES, RATE).separate_chunk(mixture[:, 0], LABELS)[0][:, None]
    power = loudness**2
    assert sdr(references[0], whole) == pytest.approx(10 * np.log10(power), abs=1e-3)
    assert sdr(references[0], half) == pytest.approx(10 * np.log10(power / ((power + 1) / 4)), abs=1e-3)
    assert si_sdr(references[0], half) == pytest.approx(si_sdr(references[0], whole), abs=1e-3)
