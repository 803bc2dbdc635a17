"""Places of players by levels in the channels, against sums written out."""

import numpy as np
import pytest

from audio.note_places import FAINTEST, SAME_LEVEL, TEMPLATES_PER_NOTE, TRUST, levels_in_channels, place_odds, places

LEFT, RIGHT = 0.8, -0.8


def in_two_channels(left):
    """Levels of which both channels' mean is 0, `[2, num_notes, num_frames]`."""
    left = np.asarray(left, np.float64)
    return np.stack([left, -left])


@pytest.fixture
def drawn(rng):
    """Weights of three players and levels of six notes in two channels, drawn."""
    return rng.uniform(size=(3, 6, 10)), in_two_channels(rng.normal(size=(6, 10)))


def test_levels_are_logarithms_around_their_mean():
    heard = np.array([3.0, 1.0])[:, None, None]
    expected = np.log((3 + 2 * FAINTEST) / (1 + 2 * FAINTEST)) / 2
    np.testing.assert_allclose(levels_in_channels(heard)[:, 0, 0], [expected, -expected], rtol=1e-6)
    np.testing.assert_allclose(levels_in_channels(1000 * heard), levels_in_channels(heard), rtol=1e-6)


def test_what_is_silent_in_one_channel_or_all_has_levels():
    levels = levels_in_channels(np.array([[[1.0, 0.0]], [[0.0, 0.0]]]))
    assert np.all(np.isfinite(levels)) and levels[0, 0, 0] > 2
    np.testing.assert_array_equal(levels[:, 0, 1], 0)


def test_places_are_the_mean_levels_of_players_own_notes():
    levels = in_two_channels([[LEFT] * 4, [RIGHT] * 4])
    weights = np.array([[[1.0] * 4, [0.0] * 4], [[0.0] * 4, [2.0] * 4]])
    np.testing.assert_allclose(places(weights, levels), [[LEFT, -LEFT], [RIGHT, -RIGHT]], rtol=1e-6)


def test_players_whose_notes_scatter_more_than_they_differ_sit_together(drawn):
    weights, levels = drawn
    raw = np.array([[np.average(channel, weights=own) for channel in levels] for own in weights])
    assert np.ptp(raw[:, 0]) > 0.02
    np.testing.assert_allclose(places(weights, levels), np.tile(raw.mean(axis=0), (3, 1)), atol=1e-9)


def test_shrinking_is_that_of_the_formula(rng):
    weights = rng.uniform(size=(2, 40, 5)) * np.repeat(np.eye(2), [20, 20], axis=1)[..., None]
    side = np.repeat([0.5, -0.5], 20)[:, None] + rng.normal(size=(40, 1)) * 0.6 + 0.1 * rng.normal(size=(40, 5))
    levels = in_two_channels(side)
    raw = np.array([[np.average(channel, weights=own) for channel in levels] for own in weights])
    sums = [
        np.sum(own[note]) * sum((np.average(channel[note], weights=own[note]) - place) ** 2
                                for channel, place in zip(levels, raw[player]))
        for player, own in enumerate(weights) for note in np.flatnonzero(own.sum(axis=1))
    ]  # fmt: skip
    of_notes = weights.sum(axis=2)
    chance = sum(sums) / weights.sum() / (of_notes.sum(axis=1) ** 2 / (of_notes**2).sum(axis=1) / TEMPLATES_PER_NOTE)
    middle = raw.mean(axis=0)
    apart = np.sum((raw - middle) ** 2) - chance.mean()
    assert 0 < apart < np.sum((raw - middle) ** 2)
    expected = middle + (apart / (apart + chance))[:, None] * (raw - middle)
    np.testing.assert_allclose(places(weights, levels), expected, rtol=1e-6)


def test_odds_are_those_of_the_formula(drawn):
    weights, levels = drawn
    placed = np.array([[LEFT, -LEFT], [0.1, -0.1], [RIGHT, -RIGHT]])
    misfit = np.array([sum((channel - place) ** 2 for channel, place in zip(levels, own)) for own in placed])
    variance = np.sum(weights * misfit) / np.sum(weights) + SAME_LEVEL**2
    expected = np.exp(-TRUST * misfit / (2 * variance))
    odds = place_odds(weights, levels, placed)
    np.testing.assert_allclose(odds / odds.sum(axis=0), expected / expected.sum(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(odds.max(axis=0), 1)


def test_who_sits_together_is_not_told_apart(drawn):
    weights, levels = drawn
    np.testing.assert_array_equal(place_odds(weights, levels, np.full((3, 2), 0.3)), 1)
