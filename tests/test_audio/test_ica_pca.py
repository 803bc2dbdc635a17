"""What both analyses promise of any mixture: estimates that add up, and a rule for each that cannot be separated."""

import numpy as np
import pytest

from audio.baselines.component_naming import ComponentNamer
from audio.baselines.ica import ICA
from audio.baselines.linear_components import clusters, num_independent_channels
from audio.baselines.pca import PCA

RATE = 16000
NAMES = ("violin", "flute", "tuba", "horn")
BOTH = pytest.mark.parametrize("kind", (ICA, PCA))


@pytest.fixture(scope="module")
def namer():
    return ComponentNamer(NAMES, np.random.default_rng(3).uniform(0.1, 1, (4, 65)), RATE)


def coloured(rng, num_samples, num_channels):
    """Noise whose loudness changes over time and differs between the channels."""
    noise = rng.normal(size=(num_samples, num_channels)) * rng.uniform(0.1, 1, size=(1, num_channels))
    return 0.1 * noise * np.abs(np.sin(np.arange(num_samples) / 1700))[:, None]


@BOTH
@pytest.mark.parametrize("labels", ((1, 0, 0.3, 0), (1, 1, 1, 0), (1, 1, 1, 1)), ids=str)
@pytest.mark.parametrize("num_channels", (1, 2, 3))
def test_active_estimates_add_up_and_absent_ones_are_silent(rng, namer, kind, labels, num_channels):
    mixture = coloured(rng, RATE + 77, num_channels) + 0.02
    labels = np.array(labels)
    estimates = kind(namer).separate_mixture(mixture, labels, RATE)
    assert (estimates.shape, estimates.dtype) == ((4, *mixture.shape), np.float32)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(estimates[labels == 0], 0)
    assert np.abs(estimates[labels > 0] - mixture / np.sum(labels > 0)).max() > 0.01


@BOTH
@pytest.mark.parametrize("num_channels", (1, 2))
def test_seed_decides(rng, namer, kind, num_channels):
    mixture = coloured(rng, RATE, num_channels)
    first, second = (kind(namer, seed=4).separate_mixture(mixture, np.array([1, 1, 0, 1]), RATE) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@BOTH
def test_instrument_alone_is_the_mixture(rng, namer, kind):
    mixture = coloured(rng, 5000, 2).astype(np.float32)
    estimates = kind(namer).separate_mixture(mixture, np.array([0, 0.1, 0, 0]), RATE)
    np.testing.assert_array_equal(estimates, np.stack([0 * mixture, mixture, 0 * mixture, 0 * mixture]))


@BOTH
def test_nobody_plays(rng, namer, kind):
    np.testing.assert_array_equal(kind(namer).separate_mixture(coloured(rng, 5000, 1), np.zeros(4), RATE), 0)


UNSPLITTABLE = {
    "silence": np.zeros((9000, 2)),
    "constant": np.tile(np.float32([0.3, -0.1]), (9000, 1)),
    "one sample": np.ones((1, 1)),
    "less than a moment": np.random.default_rng(1).normal(size=(1000, 3)),
}


@BOTH
@pytest.mark.parametrize("mixture", UNSPLITTABLE.values(), ids=UNSPLITTABLE)
def test_what_cannot_be_told_apart_is_shared(namer, kind, mixture):
    estimates = kind(namer).separate_mixture(mixture, np.array([1, 0, 1, 1]), RATE)
    np.testing.assert_allclose(estimates, np.stack([mixture / 3, 0 * mixture, mixture / 3, mixture / 3]), atol=1e-7)


def click(position):
    mixture = np.zeros((20000, 1))
    mixture[position] = 1
    return mixture


TIME = np.arange(20000)[:, None] / RATE
POOR = {
    "click": click(9000),
    "click at the end": click(19999),
    "sine": np.sin(2 * np.pi * 440 * TIME),
    "sine at a bin": np.sin(2 * np.pi * 500 * TIME),
    "sines in two channels": np.sin(2 * np.pi * np.array([440, 500]) * TIME),
    "clipped to two values": np.sign(np.sin(2 * np.pi * 440 * TIME)),
    "little more than a moment": np.random.default_rng(1).normal(size=(1100, 1)),
    "sound and silence": np.where(TIME < 0.3, np.random.default_rng(1).normal(size=TIME.shape), 0),
    "one loud channel": np.random.default_rng(1).normal(size=(20000, 3)) * (1, 0, 1e-5),
    "tiny": 1e-30 * np.random.default_rng(1).normal(size=(20000, 2)),
    "huge": 1e30 * np.random.default_rng(1).normal(size=(20000, 2)),
}


@BOTH
@pytest.mark.parametrize("mixture", POOR.values(), ids=POOR)
@pytest.mark.parametrize("labels", ((1, 1, 0, 0), (1, 1, 1, 1)), ids=("two", "four"))
def test_poor_sounds_neither_warn_nor_fail(namer, kind, mixture, labels):
    estimates = kind(namer).separate_mixture(mixture, np.array(labels), RATE)
    assert np.all(np.isfinite(estimates))
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6 * np.abs(mixture).max())


@BOTH
@pytest.mark.parametrize("rate", (8000, 44100, 96000))
def test_any_rate(rng, namer, kind, rate):
    mixture = coloured(rng, rate // 2, 1)
    estimates = kind(namer).separate_mixture(mixture, np.array([1, 1, 0, 0]), rate)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6)


@BOTH
def test_mono_file_with_two_channels_is_a_mono_file(rng, namer, kind):
    mono = coloured(rng, RATE, 1)
    labels = np.array([1, 1, 0, 0])
    one = kind(namer).separate_mixture(mono, labels, RATE)
    two = kind(namer).separate_mixture(np.tile(mono, 2), labels, RATE)
    # An unmixing of two equal channels would leave one of two estimates empty, or blow up rounding noise.
    np.testing.assert_allclose(two[..., 0], two[..., 1], rtol=0, atol=1e-6)
    assert all(0.1 < np.std(estimate) / np.std(mono) < 0.95 for estimate in (*one[:2], *two[:2]))


@pytest.mark.parametrize(
    ("second_channel", "expected"),
    (("twice", 1), ("half", 1), ("inverted", 1), ("silent", 1), ("noise at -80 dB", 1), ("noise at -40 dB", 2)),
)
def test_channels_that_repeat_each_other_count_once(rng, second_channel, expected):
    first, noise = rng.normal(size=(2, 4000, 1)).astype(np.float32)
    second = {
        "twice": first,
        "half": 0.5 * first + 0.2,
        "inverted": -first,
        "silent": 0 * first,
        "noise at -80 dB": first + 1e-4 * noise,
        "noise at -40 dB": first + 1e-2 * noise,
    }[second_channel]
    assert num_independent_channels(np.hstack([first, second])) == expected
    assert num_independent_channels(1e-12 * np.hstack([first, second])) == expected


@pytest.mark.parametrize("value", (0, 0.1, -3))
def test_constants_have_no_channel(value):
    assert num_independent_channels(np.full((4000, 2), value, np.float32)) == 0


def test_clusters_follow_the_loud_components():
    """Two loud kinds and an outlier hardly heard: unweighted, the outlier would get one of the two clusters."""
    features = np.array([[0.0], [0.1], [1.0], [1.1], [30.0]])
    labels = clusters(features, np.array([1, 1, 1, 1, 1e-9]), 2, seed=0)
    assert labels[0] == labels[1] != labels[2] == labels[3]
