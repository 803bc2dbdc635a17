"""The floors: copies and shares of the mixture, and the scores that arithmetic says they have."""

import numpy as np
import pytest

from audio.baselines.trivial import Mixture, SharedMixture
from audio.metrics import sdr, si_sdr
from audio.models import load_model, make_separator
from audio.separation_model import SeparationModel, WholeMixtureModel

NAMES = ("violin", "flute", "tuba")
RATE = 16000
LABELS = np.array([1, 0, 0.3], np.float32)
FLOORS = {"mixture": (Mixture, 1), "mixture_share": (SharedMixture, 1 / 2)}


@pytest.fixture(params=FLOORS)
def floor(request):
    """(model, gain of each of two active instruments)."""
    kind, gain = FLOORS[request.param]
    return kind(NAMES), gain


def test_estimates_are_the_mixture_times_the_gain(rng, floor):
    model, gain = floor
    mixture = rng.normal(size=(100, 2)).astype(np.float32)
    estimates = model.separate_mixture(mixture, LABELS, RATE)
    assert isinstance(model, WholeMixtureModel) and not isinstance(model, SeparationModel)
    assert (estimates.shape, estimates.dtype) == ((3, 100, 2), np.float32)
    np.testing.assert_array_equal(estimates[[0, 2]], [mixture * np.float32(gain)] * 2)
    np.testing.assert_array_equal(estimates[1], 0)


def test_nobody_plays(rng, floor):
    estimates = floor[0].separate_mixture(rng.normal(size=(9, 1)), np.zeros(3), RATE)
    np.testing.assert_array_equal(estimates, np.zeros((3, 9, 1)))


@pytest.mark.parametrize("rate", (8000, 44_100))
def test_separator_changes_no_bit_of_the_floors(rng, floor, rate):
    model, gain = floor
    mixture = rng.normal(size=(3001, 2)).astype(np.float32)
    estimates = make_separator(model).separate(mixture, LABELS, rate)
    np.testing.assert_array_equal(estimates, [gain * mixture, 0 * mixture, gain * mixture])


@pytest.mark.parametrize("name", FLOORS)
def test_floors_are_there_by_name(rng, name):
    model = load_model(name)
    labels = np.array([instrument in ("violin", "tuba") for instrument in model.source_names], np.float32)
    mixture = rng.normal(size=(50, 1)).astype(np.float32)
    estimates = make_separator(model).separate(mixture, labels, 48_000)
    np.testing.assert_array_equal(estimates[model.source_names.index("tuba")], mixture * FLOORS[name][1])


@pytest.mark.parametrize("loudness", (0.5, 1, 2))
def test_scores_of_orthogonal_sources_are_those_of_arithmetic(make_sine, loudness):
    """|s|^2 / |s - m|^2 = p : 1 for sources with power p : 1; a half of the mixture errs by half of each."""
    references = np.stack([loudness * make_sine(400, RATE, RATE), make_sine(1000, RATE, RATE)])[..., None]
    mixture = references.sum(axis=0)
    whole = Mixture(NAMES).separate_mixture(mixture, LABELS, RATE)[0]
    half = SharedMixture(NAMES).separate_mixture(mixture, LABELS, RATE)[0]
    power = loudness**2
    assert sdr(references[0], whole) == pytest.approx(10 * np.log10(power), abs=1e-3)
    assert sdr(references[0], half) == pytest.approx(10 * np.log10(power / ((power + 1) / 4)), abs=1e-3)
    assert si_sdr(references[0], half) == pytest.approx(si_sdr(references[0], whole), abs=1e-3)
