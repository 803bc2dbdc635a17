"""Quiet and loud recordings are heard at the level that networks know, and their stems have the recording's own."""

import numpy as np
import pytest

from audio.level import LEVELS_DBFS, working_gain
from audio.separation_model import NetworkModel
from audio.separator import Separator
from av_sep.datasets.mixing import MixingConfig

LABELS = np.ones(3, np.float32)


def tone(level_dbfs, num_samples=4000):
    """A sine of an RMS level, `[time, 1]`."""
    sine = np.sin(2 * np.pi * 0.01 * np.arange(num_samples))
    return (sine * np.sqrt(2) * 10 ** (level_dbfs / 20))[:, None]


@pytest.mark.parametrize(
    ("level_dbfs", "gain"),
    [(-14.1, 1), (-23, 1), (-35.9, 1), (-40, 2), (-42.1, 4), (-60, 16), (-84.5, 512), (-10, 0.5), (0, 0.125)],
)
def test_gain_is_the_power_of_two_that_brings_the_level_into_range(level_dbfs, gain):
    assert working_gain([tone(level_dbfs)]) == gain


def test_how_the_recording_is_cut_into_blocks_does_not_matter():
    music = np.concatenate([tone(-60, 900), tone(-20, 100)])
    assert working_gain([music[:1], music[1:950], music[950:]]) == working_gain([music]) == 1


WITHOUT_LEVEL = (
    [],
    [np.zeros((100, 2))],
    [np.full((10, 1), np.nan)],
    [np.full((10, 1), np.inf)],
    # What no gain in single precision makes audible.
    [np.full((100, 1), 1e-42, np.float32)],
    [np.full((100, 1), 1e-60)],
)


@pytest.mark.parametrize("blocks", WITHOUT_LEVEL)
def test_what_has_no_level_is_left_alone(blocks):
    assert working_gain(blocks) == 1


def test_levels_are_those_of_the_training_mixtures():
    assert LEVELS_DBFS == MixingConfig(num_samples=1).mixture_level_db


@pytest.fixture(scope="module")
def conditioned_model(conditioned_network):
    return NetworkModel(conditioned_network)


@pytest.mark.parametrize("consistency", (True, False))
@pytest.mark.parametrize(("level", "factor"), [(0.02, 2.0**-9), (0.18, 8.0)])
def test_stems_of_a_recording_turned_down_are_its_stems_turned_down(
    conditioned_model, rng, level, factor, consistency
):
    # Just inside the range, so that what is turned down is turned up again by as much and no more.
    mixture = (level * rng.standard_normal((3000, 2))).astype(np.float32)
    separator = Separator(conditioned_model, mixture_consistency=consistency, chunk_samples=1024)
    stems = separator.separate(mixture, LABELS, 16000)
    assert np.abs(stems).max(axis=1).min() > 1e-3 * level
    np.testing.assert_array_equal(separator.separate(mixture * factor, LABELS, 16000), stems * factor)


def test_gain_changes_what_the_model_hears_and_not_the_mixture(conditioned_model, rng):
    mixture = (0.1 * rng.standard_normal((3000, 1))).astype(np.float32)
    separator = Separator(conditioned_model, chunk_samples=1024)
    plain, louder = (list(separator.stream([mixture], LABELS, 16000, gain=gain)) for gain in (1.0, 16.0))
    for before, after in zip(plain, louder, strict=True):
        np.testing.assert_array_equal(before.mixture, after.mixture)
        np.testing.assert_allclose(after.estimates.sum(axis=0), after.mixture, atol=1e-6)
    assert np.abs(plain[0].estimates - louder[0].estimates).max() > 1e-3
